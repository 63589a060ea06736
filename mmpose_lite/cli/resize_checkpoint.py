"""Convert LGM-Pose weights, which belong to an input size, to another one as a start for training there."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite resize-checkpoint`` takes."""
    size = dict(nargs=2, type=int, metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='.pth or .safetensors file of LGM-Pose')
    parser.add_argument('--from-size', **size, help='input size of CHECKPOINT (default: the size that it names)')
    parser.add_argument('--to-size', required=True, **size, help='input size wanted, multiples of 32')
    parser.add_argument('-o', '--out', required=True, type=Path, metavar='OUT', help='.pth file to write')


def run(arguments: argparse.Namespace) -> None:
    """Write the converted weights and say so."""
    from ..models.resize import resize_checkpoint

    old = resize_checkpoint(arguments.checkpoint, tuple(arguments.to_size), arguments.out, arguments.from_size)
    sizes = f'{old[0]}x{old[1]} to {arguments.to_size[0]}x{arguments.to_size[1]}'
    print(f'{arguments.out}: from {sizes} (height x width). Train on with --cfg-options load_from={arguments.out}')
