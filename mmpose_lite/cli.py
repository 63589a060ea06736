"""``mmpose-lite``: what MIM has no verb for."""

import argparse
import sys
from pathlib import Path


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
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code. Errors that name their remedy are one line, without a traceback."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, OSError) as error:
        print(f'mmpose-lite: error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
