"""Print versions, patches of the stack and registered networks; what the networks cost; or which weights ship."""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite info`` takes."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--zoo', action='store_true', help='parameters and FLOPs of every config, ours and printed')
    what.add_argument('--weights', action='store_true', help='the weights that come with the package')
    parser.add_argument('--json', action='store_true', help='with --zoo or --weights: for machines')


def run(arguments: argparse.Namespace) -> None:
    """Print what was asked for."""
    if arguments.weights:
        from ..zoo.shipped import as_table, read_shipped

        entries = read_shipped()
        print(json.dumps([entry.as_json() for entry in entries], indent=2) if arguments.json else as_table(entries))
    elif arguments.zoo:
        from tqdm import tqdm

        from ..zoo.metafiles import as_json, as_table, measure, read_zoo

        costs = [measure(entry) for entry in tqdm(read_zoo(), desc='counting', unit='network')]  # to stderr
        print(json.dumps(as_json(costs), indent=2) if arguments.json else as_table(costs))
    elif arguments.json:
        raise ValueError('info --json is for the tables of --zoo and --weights: add one of them')
    else:
        from .._compat.info import describe

        print(describe())
