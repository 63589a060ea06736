"""Draw the skeletons of the people in images.

A picture goes to OUT/<name>, the poses in pixels of the input image to OUT/<stem>.json:
{"image": path, "instances": [{"bbox": [x1, y1, x2, y2], "bbox_score": s, "keypoints": [[x, y], ...],
"keypoint_scores": [...]}, ...]}, with an empty list where nobody was found.
"""

import argparse
import logging
import sys
import warnings
from pathlib import Path

EXAMPLES = """examples:
  people found by a detector:
    python demo/topdown_demo.py photo.jpg --pose-config configs/lgm_pose/td-hm_lgm-pose_1xb32-260e_mpii-256x256.py
      --pose-checkpoint best.pth --det-config rtmdet.py --det-checkpoint rtmdet.pth --out-dir out
  a folder with boxes from a file:
    python demo/topdown_demo.py photos/ --pose-config C --pose-checkpoint W --boxes detections.json --out-dir out
  pictures that are cropped to one person each:
    python demo/topdown_demo.py crops/ --pose-config C --pose-checkpoint W --whole-image --out-dir out
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='image file or folder of images')
    pose = parser.add_argument_group('pose network')
    pose.add_argument('--pose-config', required=True, metavar='C', help='config of a top-down pose network')
    pose.add_argument('--pose-checkpoint', required=True, metavar='W', help='its weights (.pth or .safetensors)')
    pose.add_argument('--batch-size', type=int, default=32, metavar='N', help='people at once (default: %(default)s)')
    boxes = parser.add_argument_group('person boxes: one of these')
    boxes.add_argument('--det-config', metavar='D', help='config of an mmdet detector')
    boxes.add_argument('--det-checkpoint', metavar='V', help="the detector's weights")
    boxes.add_argument('--boxes', metavar='FILE', help='COCO results: [{image_id, bbox: [x, y, w, h], score}, ...]')
    boxes.add_argument('--whole-image', action='store_true', help='one box around the whole image')
    boxes.add_argument(
        '--bbox-thr', type=float, default=0.3, metavar='T', help='lowest box score (default: %(default)s)'
    )
    boxes.add_argument('--nms-thr', type=float, default=0.5, metavar='T', help='overlap for NMS (default: %(default)s)')
    boxes.add_argument('--det-category', type=int, default=0, metavar='I', help="the detector's person class")
    output = parser.add_argument_group('output')
    output.add_argument('--out-dir', required=True, type=Path, metavar='OUT', help='folder for pictures and JSON')
    output.add_argument('--kpt-thr', type=float, default=0.3, metavar='T', help='lowest score drawn')
    output.add_argument('--device', default='cpu', help='cpu or cuda:0 (default: %(default)s)')
    args = parser.parse_args(argv)
    if bool(args.det_config) != bool(args.det_checkpoint):
        parser.error('--det-config and --det-checkpoint go together')
    if sum((bool(args.det_config), bool(args.boxes), args.whole_image)) != 1:
        parser.error('no person boxes: give one of --det-config with --det-checkpoint, --boxes, or --whole-image')
    if args.batch_size < 1:
        parser.error(f'--batch-size {args.batch_size} must be at least 1')
    return args


def run(args: argparse.Namespace) -> int:
    """Run the demo; returns the exit code: 0, or 1 if any image failed."""
    from tqdm import tqdm

    from mmpose_lite.inference import (
        BoxFile,
        PersonDetector,
        TopdownPipeline,
        draw,
        list_images,
        read_image,
        whole_image,
        write_image,
        write_json,
    )

    images = list_images(args.inputs)
    if args.det_config:
        boxes = PersonDetector(
            args.det_config, args.det_checkpoint, args.device, args.bbox_thr, args.nms_thr, args.det_category
        )
    elif args.boxes:
        boxes = BoxFile(args.boxes, args.bbox_thr)
    else:
        boxes = whole_image
    pipeline = TopdownPipeline(args.pose_config, args.pose_checkpoint, boxes, args.device, args.batch_size)
    args.out_dir.mkdir(parents=True, exist_ok=True)

    failed = people = 0
    for path in tqdm(images, unit='image', disable=len(images) == 1):
        try:
            image = read_image(path)
        except (ValueError, OSError) as error:
            tqdm.write(f'topdown_demo: {error}', file=sys.stderr)
            failed += 1
            continue
        instances = pipeline(image, path)
        people += len(instances)
        write_image(args.out_dir / path.name, draw(image, instances, pipeline.model.dataset_meta, args.kpt_thr))
        write_json(args.out_dir / f'{path.stem}.json', path, instances)
    done = f'{people} people in {len(images) - failed} of {len(images)} images'
    print(f'{done}: pictures and JSON in {args.out_dir}')
    return 1 if failed else 0


def main() -> int:
    """Run, and report what goes wrong in one line."""
    args = parse_args()
    # upstream's notices about itself tell the user of this script nothing
    warnings.filterwarnings('ignore')
    logging.getLogger('mmengine').setLevel(logging.ERROR)
    try:
        return run(args)
    except (RuntimeError, ValueError, OSError, KeyError, AssertionError) as error:
        print(f'topdown_demo: error: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
