"""Write a network as ONNX, run it, and compare it with PyTorch before the file appears."""

import argparse
import warnings
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite export`` takes."""
    parser.add_argument('config', metavar='CONFIG', help='config of a top-down network of MMPose, or of an RTMDet')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', nargs='?', help='its weights (default: random ones)')
    parser.add_argument('-o', '--out', required=True, type=Path, metavar='FILE.onnx', help='file to write')
    parser.add_argument('--fp16', action='store_true', help='store weights in half precision: half the size')
    parser.add_argument('--opset', type=int, default=17, metavar='N', help='ONNX operator set (default: %(default)s)')


def run(arguments: argparse.Namespace) -> None:
    """Write the file and say how it compares."""
    warnings.filterwarnings('ignore', category=FutureWarning)  # upstream's about itself
    from ..deploy.export import export

    print(f'exporting {arguments.config}')
    done = export(
        arguments.config, arguments.checkpoint, arguments.out, arguments.fp16, arguments.opset, on_check=print
    )
    weights = f'weights {done.contract.checkpoint_sha256[:12]}' if arguments.checkpoint else 'RANDOM WEIGHTS'
    size = done.path.stat().st_size / 1e6
    print(f'{done.path}: {size:.1f} MB, {done.contract.precision}, {weights}; run it with `mmpose-lite pose`')
