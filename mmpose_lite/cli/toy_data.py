"""Draw generated people with exact keypoints, as COCO and as MPII files."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite toy-data`` takes."""
    parser.add_argument('out', type=Path, metavar='OUT', help='folder to write')
    parser.add_argument('--train', type=int, default=400, metavar='N', help='training pictures (default: %(default)s)')
    parser.add_argument('--val', type=int, default=100, metavar='N', help='validation pictures (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, metavar='S', help='same seed, same bytes (default: %(default)s)')


def run(arguments: argparse.Namespace) -> None:
    """Write the pictures and say so."""
    from ..datasets.toy.people import make_toy_people

    toy = make_toy_people(arguments.out, arguments.train, arguments.val, arguments.seed)
    state = 'already holds' if toy.up_to_date else 'now holds'
    print(f'{toy.root} {state} {toy.num_train} training and {toy.num_val} validation pictures (COCO and MPII format)')
