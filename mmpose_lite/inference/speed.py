"""Measure this demo against MMPose's own loop: ``python -m mmpose_lite.inference.speed --help``.

Both read the same video, take the same boxes from a file, run the same network on the same threads, draw and write a
video and keep the poses. Runs alternate, and medians are compared.
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

from .boxes import BoxFile, BoxSource
from .drawing import Drawer
from .loading import load_weights
from .network import decode_heatmaps
from .poses import Frame
from .runner import Runner
from .topdown import TopdownPipeline, batched
from .video import VideoReader


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


def steps(pipeline: TopdownPipeline, drawer: Drawer, video: Path, out: Path, frames_at_once: int = 8) -> dict:
    """Seconds that each step takes over a whole video, one step after the other in one thread."""
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
        boxes = timed('boxes', pipeline.boxes, group)
        every = np.concatenate(boxes)
        owners = [frame.image for frame, rows in zip(group, boxes, strict=True) for _ in rows]
        centers, scales = pipeline.cropper.geometry(every[:, :4])
        for start in range(0, len(every), pipeline.batch_size):
            part = slice(start, start + pipeline.batch_size)
            crops = timed('crop', pipeline.cropper.crop, owners[part], centers[part], scales[part])
            keypoints, _ = timed('network', pipeline.network, crops)
            height, width = (size // 4 for size in crops.shape[1:3])
            timed('decode keypoints', decode_heatmaps, torch.rand(*keypoints.shape[:2], height, width))
        for frame, poses in zip(group, pipeline.estimate([frame.image for frame in group], boxes), strict=True):
            drawn = timed('draw', drawer, frame.image, poses)
            writer = writer or cv2.VideoWriter(str(out), cv2.VideoWriter_fourcc(*'mp4v'), 25, drawn.shape[1::-1])
            timed('write', writer.write, drawn)
    spent['network'] -= spent['decode keypoints']  # is within it
    return spent


def compare(config: str, checkpoint: str, video: Path, boxes: BoxSource, flip_test: bool, repeats: int) -> dict:
    """Seconds of both loops, wall clock and processor time, and the share of keypoints within 0.01 pixels."""
    model = mmpose_model(config, checkpoint, flip_test)
    visualizer = PoseLocalVisualizer(radius=3, line_width=1, alpha=0.8)
    visualizer.set_dataset_meta(model.dataset_meta)
    pipeline = TopdownPipeline(config, checkpoint, boxes, flip_test=flip_test)
    times: dict[str, list] = dict(mmpose=[], ours=[])
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(pipeline, scratch, Drawer(pipeline.dataset_meta))
        runs = dict(
            mmpose=lambda: mmpose_loop(model, visualizer, video, boxes, Path(scratch) / 'mmpose.mp4'),
            ours=lambda: runner.video(video),
        )
        for _ in range(repeats + 1):  # the first is a warm-up
            for name, run in runs.items():
                wall, processor = time.perf_counter(), time.process_time()
                kept = run()
                times[name].append((time.perf_counter() - wall, time.process_time() - processor))
                if name == 'mmpose':
                    expected = [np.array([p['keypoints'] for p in frame['instances']]) for frame in kept]
        with VideoReader(video) as reader:
            found = [poses.keypoints for _, poses in pipeline.stream(reader)]
        spent = steps(pipeline, Drawer(pipeline.dataset_meta), video, Path(scratch) / 'steps.mp4')
    medians = {
        name: [statistics.median(column) for column in zip(*rows[1:], strict=True)] for name, rows in times.items()
    }
    distance = np.concatenate([np.abs(a - b).max(axis=2).ravel() for a, b in zip(expected, found, strict=True)])
    return dict(seconds=medians, same=float((distance < 0.01).mean()), steps=spent, frames=len(found))


def main() -> None:
    """Print the comparison, with and without flip test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('video', type=Path)
    parser.add_argument('--pose-config', required=True)
    parser.add_argument('--pose-checkpoint', required=True)
    parser.add_argument('--boxes', required=True, help='COCO results, image_id the number of the frame')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    results = {
        flip_test: compare(
            args.pose_config, args.pose_checkpoint, args.video, BoxFile(args.boxes), flip_test, args.repeats
        )
        for flip_test in (True, False)
    }
    for flip_test, result in results.items():
        seconds, frames = result['seconds'], result['frames']
        ratios = [a / b for a, b in zip(seconds['mmpose'], seconds['ours'], strict=True)]
        print(
            f'flip test {"on" if flip_test else "off"}: {frames / seconds["mmpose"][0]:.1f} frames/s by MMPose, '
            f'{frames / seconds["ours"][0]:.1f} by this demo: {ratios[0]:.2f} times as fast, processor time '
            f'{ratios[1]:.2f} times less, {100 * result["same"]:.2f} % of keypoints within 0.01 pixels'
        )
        print(
            '  ' + ', '.join(f'{step} {1000 * t / frames:.1f}' for step, t in result['steps'].items()) + ' ms a frame'
        )
    default = results[True]['seconds']['mmpose'][0] / results[False]['seconds']['ours'][0]
    print(f"MMPose's default (flip test on) against this demo's (off): {default:.2f} times as fast")


if __name__ == '__main__':
    main()
