"""``mmpose-lite``: what MIM has no verb for."""

import argparse
import sys
from pathlib import Path

from .checkpoint import CheckpointError


def toy_data(arguments: argparse.Namespace) -> None:
    """Draw generated people with exact keypoints, as COCO and as MPII files."""
    from .datasets.toy_people import make_toy_people

    toy = make_toy_people(arguments.out, arguments.train, arguments.val, arguments.seed)
    state = 'already holds' if toy.up_to_date else 'now holds'
    print(f'{toy.root} {state} {toy.num_train} training and {toy.num_val} validation pictures (COCO and MPII format)')


def info(arguments: argparse.Namespace) -> None:
    """Print versions, the mends applied to the stack and the registered networks, or what the networks cost."""
    if not arguments.zoo:
        if arguments.json:
            raise ValueError('info --json is for the table of --zoo: add --zoo')
        from .info import describe

        print(describe())
        return

    import json

    from tqdm import tqdm

    from .zoo import as_json, as_table, measure, read_zoo

    costs = [measure(entry) for entry in tqdm(read_zoo(), desc='counting', unit='network')]  # to stderr
    print(json.dumps(as_json(costs), indent=2) if arguments.json else as_table(costs))


def resize_checkpoint(arguments: argparse.Namespace) -> None:
    """Convert LGM-Pose weights, which belong to an input size, to another one as a start for training there."""
    from .models.resize import resize_checkpoint

    old = resize_checkpoint(arguments.checkpoint, tuple(arguments.to_size), arguments.out, arguments.from_size)
    sizes = f'{old[0]}x{old[1]} to {arguments.to_size[0]}x{arguments.to_size[1]}'
    print(f'{arguments.out}: from {sizes} (height x width). Train on with --cfg-options load_from={arguments.out}')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='mmpose-lite', description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)

    command = commands.add_parser('toy-data', help=toy_data.__doc__, description=toy_data.__doc__)
    command.add_argument('out', type=Path, metavar='OUT', help='folder to write')
    command.add_argument('--train', type=int, default=400, metavar='N', help='training pictures (default: %(default)s)')
    command.add_argument('--val', type=int, default=100, metavar='N', help='validation pictures (default: %(default)s)')
    command.add_argument(
        '--seed', type=int, default=0, metavar='S', help='same seed, same bytes (default: %(default)s)'
    )
    command.set_defaults(run=toy_data)

    command = commands.add_parser('info', help=info.__doc__, description=info.__doc__)
    command.add_argument('--zoo', action='store_true', help='parameters and FLOPs of every config, ours and printed')
    command.add_argument('--json', action='store_true', help='with --zoo: for machines')
    command.set_defaults(run=info)

    command = commands.add_parser(
        'resize-checkpoint', help=resize_checkpoint.__doc__, description=resize_checkpoint.__doc__
    )
    size = dict(nargs=2, type=int, metavar=('HEIGHT', 'WIDTH'))
    command.add_argument('checkpoint', metavar='CHECKPOINT', help='.pth or .safetensors file of LGM-Pose')
    command.add_argument('--from-size', **size, help='input size of CHECKPOINT (default: the size that it names)')
    command.add_argument('--to-size', required=True, **size, help='input size wanted, multiples of 32')
    command.add_argument('-o', '--out', required=True, type=Path, metavar='OUT', help='.pth file to write')
    command.set_defaults(run=resize_checkpoint)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code. Errors that name their remedy are one line, without a traceback."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, OSError, CheckpointError) as error:
        print(f'mmpose-lite: error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
