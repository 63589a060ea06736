"""Draw the skeletons of the people in images and videos.

An image's drawn copy goes to OUT/<name> and its poses to OUT/<stem>.json: {"image": path, "instances": [{"bbox": [x1,
y1, x2, y2], "bbox_score": s, "keypoints": [[x, y], ...], "keypoint_scores": [...]}, ...]} in pixels of the input, with
an empty list where nobody was found. A video's go to OUT/<stem>.mp4 and, line by line, to OUT/<stem>.jsonl:
{"frame": i, "time": seconds, "instances": [...]}, with a "track_id" per person under --track.

Under torchrun or SLURM each process takes its own share of the inputs. The exit code is 0 when all went well, 1 when
an input failed, 2 for wrong arguments, 130 after Ctrl-C.

Without further arguments people are found and posed by the small networks that ship: `mmpose-lite info --weights`.
"""

import argparse
import logging
import math
import os
import signal
import sys
import warnings

EXAMPLES = """examples:
  a photo, with the weights that ship; see poses/photo.jpg:
    python demo/topdown_demo.py photo.jpg
  a folder of photos, people found by a detector:
    python demo/topdown_demo.py photos/ --pose-config configs/lgm_pose/td-hm_lgm-pose_1xb32-260e_mpii-256x256.py
      --pose-checkpoint best.pth --det-config rtmdet.py --det-checkpoint rtmdet.pth --out-dir out
  a video, people followed and smoothed, the detector on every third frame; the same line goes on after a stop:
    python demo/topdown_demo.py street.mp4 --pose-config C --pose-checkpoint W --det-config D --det-checkpoint V
      --out-dir out --track --smooth --det-every 3 --resume
  pictures that are cropped to one person each, poses only, with a network from `mmpose-lite export`:
    python demo/topdown_demo.py 'crops/*.png' --backend openvino --pose-checkpoint lgm_pose.onnx --whole-image
      --out-dir out --no-draw
"""


MOST_THREADS = 1024


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='image, video, folder of them, quoted pattern, number of a camera, or - for a list on standard input',
    )
    pose = parser.add_argument_group('pose network')
    pose.add_argument(
        '--pose-config', metavar='C', help='config of a top-down pose network (default: the one that ships)'
    )
    pose.add_argument('--pose-checkpoint', metavar='W', help='its weights (.pth, .safetensors), or an exported file')
    pose.add_argument(
        '--backend',
        choices=('torch', 'onnxruntime', 'openvino'),
        default='torch',
        help='what runs the pose network; all but torch take a file of `mmpose-lite export` (default: %(default)s)',
    )
    pose.add_argument('--threads', type=int, metavar='N', help='of the processor, for the pose network (default: all)')
    pose.add_argument(
        '--precision', choices=('fp32', 'bf16'), default='fp32', help='bf16: faster on some processors, openvino only'
    )
    pose.add_argument('--batch-size', type=int, metavar='N', help='crops at once (default: what the network likes)')
    pose.add_argument('--flip-test', action='store_true', help='average with the mirrored picture, at half the speed')
    pose.add_argument(
        '--device', default='cpu', help='cpu, cuda or cuda:1, for the detector too (default: %(default)s)'
    )
    boxes = parser.add_argument_group('person boxes, one of: a detector, a file, the whole image')
    boxes.add_argument('--det-config', metavar='D', help='config of an mmdet detector (default: the one that ships)')
    boxes.add_argument('--det-checkpoint', metavar='V', help="the detector's weights")
    boxes.add_argument('--boxes', metavar='FILE', help='COCO results: [{image_id, bbox: [x, y, w, h], score}, ...]')
    boxes.add_argument('--image-ids', metavar='ANN', help='COCO annotations whose images say which has which image_id')
    boxes.add_argument('--whole-image', action='store_true', help='one box around the whole image')
    boxes.add_argument('--bbox-thr', type=float, default=0.35, metavar='T', help='lowest score (default: %(default)s)')
    boxes.add_argument('--nms-thr', type=float, default=0.5, metavar='T', help='overlap for NMS (default: %(default)s)')
    boxes.add_argument(
        '--det-category', type=int, metavar='I', help="person class: of a detector (default: 0) or of --boxes' file (1)"
    )
    boxes.add_argument('--det-every', type=int, default=1, metavar='N', help='boxes from every Nth frame of a video')
    video = parser.add_argument_group('videos')
    video.add_argument('--track', action='store_true', help='give people ids (needs mmpose_lite[tracking])')
    video.add_argument('--smooth', action='store_true', help='smooth the poses of tracked people')
    output = parser.add_argument_group('output')
    output.add_argument(
        '--out-dir', default='poses', metavar='OUT', help='folder for pictures and poses (default: ./poses)'
    )
    output.add_argument('--resume', action='store_true', help='skip finished inputs, go on with unfinished videos')
    output.add_argument('--no-draw', action='store_true', help='poses only')
    output.add_argument('--no-boxes', action='store_true', help='draw no boxes, scores and ids')
    output.add_argument('--kpt-thr', type=float, default=0.2, metavar='T', help='lowest score drawn')
    output.add_argument('--show', action='store_true', help='show pictures in a window too; q stops')
    args = parser.parse_args(argv)
    for name, value in vars(args).items():
        if value == '' or (isinstance(value, float) and not math.isfinite(value)):
            parser.error(f'--{name.replace("_", "-")} is {value if value else "empty: was a variable not set?"}')
    if args.image_ids and not args.boxes:
        parser.error('--image-ids goes with --boxes')
    for name in ('bbox_thr', 'nms_thr'):
        if not 0 <= getattr(args, name) <= 1:
            parser.error(f'--{name.replace("_", "-")} {getattr(args, name)} must be from 0 to 1')
    if args.backend == 'torch':
        if bool(args.pose_config) != bool(args.pose_checkpoint):
            parser.error(
                '--pose-config and --pose-checkpoint go together (an exported file needs no config, but --backend '
                'onnxruntime or openvino)'
            )
    elif args.pose_config or not args.pose_checkpoint:
        parser.error(
            f'--backend {args.backend} takes an exported file as --pose-checkpoint, which holds what a config says: '
            'leave --pose-config out'
        )
    if args.precision != 'fp32' and args.backend != 'openvino':
        parser.error(f'--precision {args.precision} is for --backend openvino')
    if bool(args.det_config) != bool(args.det_checkpoint):
        parser.error('--det-config and --det-checkpoint go together')
    if sum((bool(args.det_config), bool(args.boxes), args.whole_image)) > 1:
        parser.error('person boxes come from one of --det-config with --det-checkpoint, --boxes, or --whole-image')
    for name in ('batch_size', 'det_every', 'threads'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} {getattr(args, name)} must be at least 1')
    if args.threads and args.threads > MOST_THREADS:
        parser.error(f'--threads {args.threads} must be at most {MOST_THREADS}')
    if args.smooth and not args.track:
        parser.error('--smooth follows people through a video: give --track with it')
    if args.show and args.no_draw:
        parser.error('--show and --no-draw exclude each other')
    return args


def run(args: argparse.Namespace) -> int:
    """Run the demo; returns the exit code: 0, or 1 if any input failed."""
    import torch

    from mmpose_lite.inference import (
        BoxFile,
        Drawer,
        PersonDetector,
        PoseNetwork,
        Runner,
        TopdownPipeline,
        Tracker,
        list_inputs,
        shard,
        whole_image,
    )
    from mmpose_lite.inference.runner import check_display
    from mmpose_lite.runtime import PoseModel

    inputs = list_inputs(args.inputs, args.out_dir, not args.no_draw)
    paths, processes = shard(list(inputs.results))
    if processes > 1 and '-' in args.inputs:
        raise ValueError('standard input cannot be shared by several processes: name files, folders or patterns')
    if args.show:
        check_display()
    # a tracker carries on with boxes of a low score
    lowest = min(args.bbox_thr, Tracker.LOWEST) if args.track else args.bbox_thr
    if args.device == 'cuda':  # one of several on this machine
        args.device = f'cuda:{os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", 0))}'
    if args.boxes:
        category = 1 if args.det_category is None else args.det_category
        boxes = BoxFile(args.boxes, lowest, category, args.image_ids)
        boxes.expect(inputs.results)
    elif args.whole_image:
        boxes = whole_image
    else:
        boxes = PersonDetector(
            args.det_config, args.det_checkpoint, args.device, lowest, args.nms_thr, args.det_category or 0
        )
    if args.backend == 'torch':
        torch.set_num_threads(args.threads or torch.get_num_threads())
        network = PoseNetwork(args.pose_config, args.pose_checkpoint, args.device, args.flip_test)
    else:
        network = PoseModel(args.pose_checkpoint, args.backend, args.threads, args.precision, args.flip_test)
    pipeline = TopdownPipeline(network, boxes, args.batch_size)
    drawer = None if args.no_draw else Drawer(pipeline.dataset_meta, args.kpt_thr, not args.no_boxes)
    runner = Runner(
        pipeline,
        args.out_dir,
        drawer,
        show=args.show,
        track=args.track,
        smooth=args.smooth,
        detect_every=args.det_every,
        resume=args.resume or processes > 1,  # a job of many processes is started again to finish
        score_thr=args.bbox_thr,
    )
    for error in inputs.errors:
        runner.report(error)
    runner({path: inputs.results[path] for path in paths})
    number = len(paths) + len(inputs.errors)
    done = number - runner.failed - runner.skipped
    skipped = f', {runner.skipped} were finished before' if runner.skipped else ''
    print(f'{runner.poses} poses in {done} of {number} inputs{skipped}: see {args.out_dir}')
    return 1 if runner.failed else 0


def stop(*_) -> None:
    """Let a cluster's SIGTERM end the run as Ctrl-C does."""
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Run, and report what goes wrong in one line."""
    args = parse_args(argv)
    # upstream's notices about itself tell the user of this script nothing
    warnings.filterwarnings('ignore')
    logging.getLogger('mmengine').setLevel(logging.ERROR)
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'ERROR')
    signal.signal(signal.SIGTERM, stop)
    if hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(errors='backslashreplace')  # names of files may be no text
    try:
        return run(args)
    except Exception as error:  # configs and weights bring those of many libraries
        kind = (
            '' if isinstance(error, RuntimeError | ValueError | OSError | ImportError) else f'{type(error).__name__}: '
        )
        print(f'topdown_demo: error: {kind}{error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('topdown_demo: stopped; what is done is kept, and --resume goes on from there', file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
