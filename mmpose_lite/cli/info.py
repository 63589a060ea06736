"""Print versions, the mends applied to the stack and the registered networks, or what the networks cost."""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite info`` takes."""
    parser.add_argument('--zoo', action='store_true', help='parameters and FLOPs of every config, ours and printed')
    parser.add_argument('--json', action='store_true', help='with --zoo: for machines')


def run(arguments: argparse.Namespace) -> None:
    """Print what was asked for."""
    if not arguments.zoo:
        if arguments.json:
            raise ValueError('info --json is for the table of --zoo: add --zoo')
        from ..info import describe

        print(describe())
        return

    from tqdm import tqdm

    from ..zoo import as_json, as_table, measure, read_zoo

    costs = [measure(entry) for entry in tqdm(read_zoo(), desc='counting', unit='network')]  # to stderr
    print(json.dumps(as_json(costs), indent=2) if arguments.json else as_table(costs))
