"""Measure this demo against MMPose's own loop: ``python research/demo_speed.py --help``.

All read the same video, take the same boxes from a file, run the same network on the same threads, draw and write a
video and keep the poses: MMPose's loop with its network in torch, and this demo with torch and, where an exported file
is given, with ONNX Runtime and OpenVINO. Runs alternate, and medians are compared.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from mmpose.apis import inference_topdown, init_model
from mmpose.structures import merge_data_samples, split_instances
from mmpose.visualization import PoseLocalVisualizer

from mmpose_lite.inference import BoxFile, BoxSource, Drawer, Frame, Runner, TopdownPipeline, VideoReader
from mmpose_lite.inference.topdown import batched
from mmpose_lite.runtime import PoseModel
from mmpose_lite.runtime.backends import BACKENDS
from mmpose_lite.runtime.decode import decode_msra
from mmpose_lite.torch_backend import PersonDetector, PoseNetwork
from mmpose_lite.torch_backend.loading import load_weights
from mmpose_lite.torch_backend.network import decode_heatmaps


def mmpose_model(config: str, checkpoint: str, flip_test: bool) -> torch.nn.Module:
    """The network as MMPose's demo makes it."""
    model = init_model(config, device='cpu')
    load_weights(model, checkpoint)
    model.test_cfg['flip_test'] = flip_test
    return model


def mmpose_loop(
    model: torch.nn.Module, visualizer: PoseLocalVisualizer, video: Path, boxes: BoxSource, out: Path
) -> list[dict]:
    """The loop of MMPose 1.3.2's ``topdown_demo_with_mmdet.py``, with the boxes of a file for those of a detector."""
    capture, writer, kept, index = cv2.VideoCapture(str(video)), None, [], 0
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        found = boxes([Frame(frame, video, index)])[0]
        index += 1
        samples = merge_data_samples(inference_topdown(model, frame, found[:, :4]))
        visualizer.add_datasample(
            'result', frame[..., ::-1], data_sample=samples, draw_gt=False, draw_bbox=True, kpt_thr=0.3
        )
        kept.append(dict(frame_id=index, instances=split_instances(samples.pred_instances)))
        drawn = visualizer.get_image()
        if writer is None:
            writer = cv2.VideoWriter(str(out), cv2.VideoWriter_fourcc(*'mp4v'), 25, drawn.shape[1::-1])
        writer.write(drawn[..., ::-1])
    writer.release()
    return kept


def steps(
    network: PoseNetwork | PoseModel, boxes: BoxSource, drawer: Drawer, video: Path, out: Path, frames_at_once: int = 8
) -> dict[str, float]:
    """Seconds that each step takes over a whole video, one step after the other in one thread."""
    pipeline = TopdownPipeline(network, boxes)
    spent: dict[str, float] = {}

    def timed(step: str, run: Callable, *args):
        start = time.perf_counter()
        result = run(*args)
        spent[step] = spent.get(step, 0.0) + time.perf_counter() - start
        return result

    capture, writer, frames = cv2.VideoCapture(str(video)), None, []
    while (read := timed('read', capture.read))[0]:
        frames.append(Frame(read[1], video, len(frames)))
    for group in batched(frames, frames_at_once):
        found = timed('detect', boxes, group)
        every = np.concatenate(found)
        owners = [frame.image for frame, rows in zip(group, found, strict=True) for _ in rows]
        centers, scales = pipeline.network.cropper.geometry(every[:, :4])
        for start in range(0, len(every), pipeline.network.batch_size):
            part = slice(start, start + pipeline.network.batch_size)
            crops = timed('crop', pipeline.network.cropper.crop, owners[part], centers[part], scales[part])
            keypoints, _ = timed('network', network, crops)
            height, width = (size // 4 for size in crops.shape[1:3])
            heatmaps = torch.rand(*keypoints.shape[:2], height, width)
            if isinstance(network, PoseNetwork):
                timed('decode keypoints', decode_heatmaps, heatmaps)
            else:
                timed('decode keypoints', decode_msra, heatmaps.numpy())
        for frame, poses in zip(group, pipeline.estimate([frame.image for frame in group], found), strict=True):
            drawn = timed('draw', drawer, frame.image, poses)
            writer = writer or cv2.VideoWriter(str(out), cv2.VideoWriter_fourcc(*'mp4v'), 25, drawn.shape[1::-1])
            timed('write', writer.write, drawn)
    spent['network'] -= spent['decode keypoints']  # is within it
    return spent


def compare(
    model: torch.nn.Module,
    networks: dict[str, PoseNetwork | PoseModel],
    video: Path,
    boxes: BoxSource,
    repeats: int,
    detector: BoxSource | None = None,
) -> dict:
    """Run MMPose's loop with ``model`` and this demo with each network, turn about.

    Args:
        model: As :func:`mmpose_model` makes it.
        networks: By name.
        video: To read.
        boxes: For all of them.
        repeats: Runs of each, after a warm-up.
        detector: Takes the place of ``boxes`` where the steps are timed.

    Returns:
        ``frames``, and by name, MMPose's ``'mmpose'``: ``seconds`` as medians of wall clock and processor time,
        ``same`` the share of keypoints within 0.01 pixels of MMPose's, ``steps`` as :func:`steps`.
    """
    visualizer = PoseLocalVisualizer(radius=3, line_width=1, alpha=0.8)
    visualizer.set_dataset_meta(model.dataset_meta)
    times: dict[str, list] = {name: [] for name in ('mmpose', *networks)}
    same, spent = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        drawer = Drawer(next(iter(networks.values())).dataset_meta)
        runners = {name: Runner(TopdownPipeline(net, boxes), scratch, drawer) for name, net in networks.items()}
        runs = dict(
            mmpose=lambda: mmpose_loop(model, visualizer, video, boxes, Path(scratch) / 'mmpose.mp4'),
            **{name: lambda runner=runner: runner.video(video) for name, runner in runners.items()},
        )
        for _ in range(repeats + 1):  # the first is a warm-up
            for name, run in runs.items():
                wall, processor = time.perf_counter(), time.process_time()
                kept = run()
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
                if name == 'mmpose':
                    expected = [np.array([p['keypoints'] for p in frame['instances']]) for frame in kept]
        for name, network in networks.items():
            with VideoReader(video) as reader:
                found = [poses.keypoints for _, poses in runners[name].pipeline.stream(reader)]
            distance = [np.abs(a - b).max(axis=2).ravel() for a, b in zip(expected, found, strict=True)]
            same[name] = float((np.concatenate(distance) < 0.01).mean())
            spent[name] = steps(network, detector or boxes, drawer, video, Path(scratch) / 'steps.mp4')
    seconds = {
        name: [statistics.median(column) for column in zip(*rows[1:], strict=True)] for name, rows in times.items()
    }
    return dict(seconds=seconds, same=same, steps=spent, frames=len(expected))


def main() -> None:
    """Print the comparison, with and without flip test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('video', type=Path)
    parser.add_argument('--pose-config', required=True)
    parser.add_argument('--pose-checkpoint', required=True)
    parser.add_argument('--exported', metavar='FILE.onnx', help='the same network, by `mmpose-lite export`')
    parser.add_argument('--boxes', required=True, help='COCO results, image_id the number of the frame')
    parser.add_argument('--det-config', help='time this detector among the steps')
    parser.add_argument('--det-checkpoint')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    boxes = BoxFile(args.boxes)
    detector = PersonDetector(args.det_config, args.det_checkpoint) if args.det_config else None
    results = {}
    for flip_test in (True, False):
        networks = dict(torch=PoseNetwork(args.pose_config, args.pose_checkpoint, flip_test=flip_test))
        for backend in BACKENDS if args.exported else ():
            networks[backend] = PoseModel(args.exported, backend, args.threads, flip_test=flip_test)
        model = mmpose_model(args.pose_config, args.pose_checkpoint, flip_test)
        results[flip_test] = compare(model, networks, args.video, boxes, args.repeats, detector)
    mmpose_default = results[True]['seconds']['mmpose'][0]
    for flip_test, result in results.items():
        print(f'flip test {"on" if flip_test else "off"}, {args.threads} threads, {result["frames"]} frames')
        for name, spent in result['steps'].items():
            seconds = result['seconds']
            wall, processor = (a / b for a, b in zip(seconds['mmpose'], seconds[name], strict=True))
            print(
                f"  {name}: {wall:.2f} times as fast as MMPose's loop, {processor:.2f} times less processor time, "
                f'{100 * result["same"][name]:.2f} % of keypoints within 0.01 pixels'
            )
            if not flip_test:
                print(f"    against MMPose's default (flip test on): {mmpose_default / seconds[name][0]:.2f} times")
            total = sum(spent.values())
            print('    ' + ', '.join(f'{step} {t / total:.0%}' for step, t in spent.items()))


if __name__ == '__main__':
    main()
