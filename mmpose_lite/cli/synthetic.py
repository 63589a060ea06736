"""Draw synthetic people with a body model, as COCO and as MPII files (extra synthetic)."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite synthetic`` takes."""
    parser.add_argument('out', type=Path, metavar='OUT', help='folder to write; continued if it was begun')
    parser.add_argument('--count', type=int, default=1000, metavar='N', help='pictures (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, metavar='S', help='same seed, same bytes (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=1, metavar='W', help='processes (default: %(default)s)')
    parser.add_argument('--size', type=int, default=256, metavar='PIXELS', help='side (default: %(default)s)')
    parser.add_argument('--backgrounds', type=Path, metavar='FOLDER', help='pictures without people to draw before')
    parser.add_argument('--poses', type=Path, metavar='JSON', help="take the poses of a COCO or MPII file's people")
    parser.add_argument(
        '--hidden', type=float, default=1.0, metavar='SHARE',
        help='share of hidden keypoints that is labelled; COCO labels about 0.35 of them (default: %(default)s)',
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Write the pictures and say so."""
    from ..datasets.synthetic.dataset import make_synthetic_people

    a = arguments
    people = make_synthetic_people(a.out, a.count, a.seed, a.workers, a.size, a.backgrounds, a.poses, a.hidden)
    print(f'{a.out} holds {a.count} pictures of {people} people (COCO and MPII format)')
