"""Write the weights of a checkpoint for others: without training state, as safetensors, with a hash."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite publish`` takes."""
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='.pth file of a training')
    parser.add_argument(
        '-o',
        '--out',
        required=True,
        metavar='OUT',
        help='.safetensors file to write, or a folder: then it is called <config>-<8 digits of its sha256>.safetensors',
    )
    parser.add_argument('--config', metavar='CONFIG', help='check that the weights are those of this network')
    parser.add_argument('--half', action='store_true', help='store float16: half the size, read as float32')


def run(arguments: argparse.Namespace) -> None:
    """Write the file; print what is in it, and its hash in the form of sha256sum."""
    from ..zoo.publish import publish

    path, digest, meta = publish(arguments.checkpoint, arguments.out, arguments.config, arguments.half)
    keypoints = meta.get('dataset_meta', {}).get('dataset_name', 'unknown')
    print(f'{meta.get("config", "unknown network")}: {meta["parameters"]} parameters, keypoints: {keypoints}')
    print(f'{digest}  {path}')
