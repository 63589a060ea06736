"""Draw a video of generated people who walk past each other, and their true boxes for the demo's --boxes."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite toy-video`` takes."""
    parser.add_argument('out', type=Path, metavar='OUT', help='.mp4 file to write')
    parser.add_argument('--people', type=int, default=3, metavar='N', help='how many (default: %(default)s)')
    parser.add_argument('--seconds', type=float, default=4.0, metavar='T', help='length (default: %(default)s)')
    parser.add_argument('--fps', type=float, default=25.0, metavar='F', help='frames a second (default: %(default)s)')
    parser.add_argument(
        '--seed', type=int, default=0, metavar='S', help='same seed, same people (default: %(default)s)'
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the video and say so."""
    from ..datasets.toy.video import make_toy_video

    boxes = make_toy_video(arguments.out, arguments.seconds, arguments.fps, arguments.seed, num_people=arguments.people)
    print(f'{arguments.out}: {arguments.people} people, their boxes in {boxes}')
