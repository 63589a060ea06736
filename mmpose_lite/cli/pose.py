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
import re
import signal
import sys
import warnings
from pathlib import Path

from ..inference.drawing import KPT_THR
from ..inference.formats import FORMATS
from ..inference.load import BACKENDS, EXPORTED
from ..runtime.detector import BOX_THR

EXAMPLES = """examples:
  a photo, with the networks that ship; see poses/photo.jpg:
    mmpose-lite pose photo.jpg
  a folder of photos, with networks of your own:
    mmpose-lite pose photos/ --pose configs/lgm_pose/td-hm_lgm-pose_1xb32-260e_mpii-256x256.py --weights best.pth
      --detector rtmdet.py --det-weights rtmdet.pth --out-dir out
  a video, people followed and smoothed, the detector on every third frame; the same line goes on after a stop:
    mmpose-lite pose street.mp4 --track --smooth --det-every 3 --resume --out-dir out
  pictures that are cropped to one person each, poses only, with a network from `mmpose-lite export`:
    mmpose-lite pose 'crops/*.png' --pose lgm_pose.onnx --whole-image --no-draw --out-dir out
"""
MOST_THREADS = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite pose`` takes."""
    parser.epilog = EXAMPLES
    parser.set_defaults(wrong=parser.error)
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='image, video, folder of them, quoted pattern, number of a camera, or - for a list on standard input',
    )
    pose = parser.add_argument_group('pose network')
    pose.add_argument(
        '--pose',
        '--pose-config',
        metavar='P',
        help='name of a network that ships (default: lgm-pose), a file of `mmpose-lite export`, or a config',
    )
    pose.add_argument('--weights', '--pose-checkpoint', metavar='W', help="the config's weights (.pth, .safetensors)")
    pose.add_argument(
        '--backend',
        choices=BACKENDS,
        default='auto',
        help='what runs the networks: torch runs configs, the others exported files (default: the fastest that is '
        'installed, torch for a config)',
    )
    pose.add_argument('--threads', type=int, metavar='N', help='of the processor, for each network (default: all)')
    pose.add_argument(
        '--precision', choices=('fp32', 'bf16'), default='fp32', help='bf16: faster on some processors, openvino only'
    )
    pose.add_argument('--batch-size', type=int, metavar='N', help='crops at once (default: what the network likes)')
    pose.add_argument('--flip-test', action='store_true', help='average with the mirrored picture, at half the speed')
    pose.add_argument('--device', default='cpu', help='cpu, cuda or cuda:1, for torch (default: %(default)s)')
    boxes = parser.add_argument_group('person boxes, one of: a detector, a file, the whole image')
    boxes.add_argument(
        '--detector',
        '--det-config',
        metavar='D',
        help='name of one that ships (default: rtmdet-nano), a file of `mmpose-lite export`, or a config of mmdet',
    )
    boxes.add_argument('--det-weights', '--det-checkpoint', metavar='V', help="the config's weights")
    boxes.add_argument('--boxes', metavar='FILE', help='COCO results: [{image_id, bbox: [x, y, w, h], score}, ...]')
    boxes.add_argument('--image-ids', metavar='ANN', help='COCO annotations whose images say which has which image_id')
    boxes.add_argument('--whole-image', action='store_true', help='one box around the whole image')
    boxes.add_argument(
        '--bbox-thr', type=float, default=BOX_THR, metavar='T', help='lowest score (default: %(default)s)'
    )
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
    output.add_argument(
        '--format',
        choices=FORMATS,
        default='mmpose',
        help='write results for other tools too: COCO results, OpenPose JSON, or CSV',
    )
    output.add_argument('--resume', action='store_true', help='skip finished inputs, go on with unfinished videos')
    output.add_argument('--no-draw', action='store_true', help='poses only')
    output.add_argument('--no-boxes', action='store_true', help='draw no boxes, scores and ids')
    output.add_argument('--kpt-thr', type=float, default=KPT_THR, metavar='T', help='lowest score drawn')
    output.add_argument('--show', action='store_true', help='show pictures in a window too; q stops')


def check(args: argparse.Namespace) -> None:
    """Refuse arguments that do not go together, as argparse does: one line and exit code 2."""
    for name, value in vars(args).items():
        if value == '' or (isinstance(value, float) and not math.isfinite(value)):
            args.wrong(f'--{name.replace("_", "-")} is {value if value else "empty: was a variable not set?"}')
    if not re.fullmatch(r'(cpu|cuda|mps|xpu|npu|mlu|musa)(:\d+)?', args.device):
        args.wrong(f'--device {args.device} is unknown: use cpu, cuda or cuda:1')
    if args.image_ids and not args.boxes and args.format != 'coco':
        args.wrong('--image-ids goes with --boxes or --format coco')
    for name in ('bbox_thr', 'nms_thr', 'kpt_thr'):
        if not 0 <= getattr(args, name) <= 1:
            args.wrong(f'--{name.replace("_", "-")} {getattr(args, name)} must be from 0 to 1')
    if args.weights and Path(args.weights).suffix in EXPORTED:  # of before there was --pose
        if args.pose:
            args.wrong(f'{args.weights} is an exported file, which holds what a config says: leave {args.pose} out')
        args.pose, args.weights = args.weights, None
    for network, weights, flags in (
        (args.pose, args.weights, '--pose CONFIG and --weights'),
        (args.detector, args.det_weights, '--detector CONFIG and --det-weights'),
    ):
        suffix = Path(network or '').suffix
        if (weights and (not network or suffix in EXPORTED)) or (suffix == '.py' and not weights):
            args.wrong(f'{flags} go together (an exported file, .onnx or .xml, needs no weights)')
    if args.weights and args.backend not in ('auto', 'torch'):
        args.wrong(f'--backend {args.backend} takes an exported file as --pose: `mmpose-lite export` writes it')
    if args.backend == 'torch' and Path(args.pose or '').suffix in EXPORTED:
        args.wrong(f'--backend torch does not run {args.pose}: leave --backend out')
    if args.precision != 'fp32' and args.backend not in ('auto', 'openvino'):
        args.wrong(f'--precision {args.precision} is for --backend openvino')
    if sum((bool(args.detector), bool(args.boxes), args.whole_image)) > 1:
        args.wrong('person boxes come from one of --detector, --boxes, or --whole-image')
    for name in ('batch_size', 'det_every', 'threads'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            args.wrong(f'--{name.replace("_", "-")} {getattr(args, name)} must be at least 1')
    if args.threads and args.threads > MOST_THREADS:
        args.wrong(f'--threads {args.threads} must be at most {MOST_THREADS}')
    if args.smooth and not args.track:
        args.wrong('--smooth follows people through a video: give --track with it')
    if args.show and args.no_draw:
        args.wrong('--show and --no-draw exclude each other')


def pose(args: argparse.Namespace) -> int:
    """Pose the inputs; returns the exit code: 0, or 1 if any input failed."""
    from ..inference import BoxFile, Drawer, Runner, TopdownPipeline, Tracker, list_inputs, shard, whole_image
    from ..inference.boxes import read_image_ids
    from ..inference.formats import write_format
    from ..inference.load import choose_backend, load_detector, load_pose
    from ..inference.runner import check_display

    inputs = list_inputs(args.inputs, args.out_dir, not args.no_draw)
    paths, processes = shard(list(inputs.results))
    if processes > 1 and '-' in args.inputs:
        raise ValueError('standard input cannot be shared by several processes: name files, folders or patterns')
    if processes > 1 and args.format == 'coco':
        raise ValueError('--format coco writes one file: give it with --resume in one process, when all have finished')
    if args.show:
        check_display()
    # a tracker carries on with boxes of a low score
    lowest = min(args.bbox_thr, Tracker.LOWEST) if args.track else args.bbox_thr
    if args.device == 'cuda':  # one of several on this machine
        args.device = f'cuda:{os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", 0))}'
    backend = choose_backend('openvino' if args.precision != 'fp32' else args.backend, bool(args.weights), args.device)
    if backend == 'torch' and args.threads:
        import torch

        torch.set_num_threads(args.threads)
    if args.boxes:
        category = 1 if args.det_category is None else args.det_category
        boxes = BoxFile(args.boxes, lowest, category, args.image_ids)
        boxes.expect(inputs.results)
    elif args.whole_image:
        boxes = whole_image
    else:
        boxes = load_detector(
            args.detector,
            args.det_weights,
            backend,
            args.threads,
            args.device,
            lowest,
            args.nms_thr,
            args.det_category or 0,
        )
    network = load_pose(args.pose, args.weights, backend, args.threads, args.device, args.precision, args.flip_test)
    print(_what_runs(network, boxes, args.threads))
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
    if args.format != 'mmpose':
        names = pipeline.dataset_meta['keypoint_id2name']
        ids = read_image_ids(args.image_ids) if args.image_ids else None
        own = {path: inputs.results[path] for path in paths}
        write_format(args.format, own, Path(args.out_dir), [names[k] for k in sorted(names)], ids)
    if args.boxes and pipeline.left_out and not runner.poses:
        raise ValueError(
            f'{args.boxes}: all {pipeline.left_out} boxes of the inputs lie off their pictures or are huge'
        )
    number = len(paths) + len(inputs.errors)
    done = number - runner.failed - runner.skipped
    skipped = f', {runner.skipped} were finished before' if runner.skipped else ''
    print(f'{runner.poses} poses in {done} of {number} inputs{skipped}: see {args.out_dir}')
    return 1 if runner.failed else 0


def _what_runs(network: object, boxes: object, threads: int | None) -> str:
    """One line: the networks, what runs each, and on how many threads."""
    said = []
    for part in (network, boxes):
        contract = getattr(part, 'contract', None)
        name = contract.config if contract else getattr(part, 'name', None)
        if name:
            said.append(f'{name} on {part.backend if contract else "torch"}')
    number = threads or (len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count())
    return f'{", ".join(said)}; threads: {number}'


def stop(*_) -> None:
    """Let a cluster's SIGTERM end the run as Ctrl-C does."""
    raise KeyboardInterrupt


def run(args: argparse.Namespace) -> int:
    """Run, and report what goes wrong in one line."""
    check(args)
    # upstream's notices about itself tell the user nothing
    warnings.filterwarnings('ignore')
    logging.getLogger('mmengine').setLevel(logging.ERROR)
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'ERROR')
    signal.signal(signal.SIGTERM, stop)
    try:
        return pose(args)
    except Exception as error:  # configs and weights bring those of many libraries
        known = isinstance(error, RuntimeError | ValueError | OSError | ImportError)
        print(f'mmpose-lite: error: {"" if known else f"{type(error).__name__}: "}{error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('mmpose-lite: stopped; what is done is kept, and --resume goes on from there', file=sys.stderr)
        return 130
