"""``mmpose-lite``: what MIM has no verb for. One module here per command."""

import argparse
import re
import sys

from ..errors import CheckpointError
from . import (
    benchmark,
    check_data,
    export,
    info,
    pose,
    publish,
    quantize,
    resize_checkpoint,
    synthetic,
    toy_data,
    toy_video,
)

# each has a docstring for its help, add_arguments(parser) and run(arguments), which may return an exit code
COMMANDS = {
    'pose': pose,
    'info': info,
    'export': export,
    'quantize': quantize,
    'benchmark': benchmark,
    'toy-data': toy_data,
    'toy-video': toy_video,
    'synthetic': synthetic,
    'check-data': check_data,
    'publish': publish,
    'resize-checkpoint': resize_checkpoint,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='mmpose-lite', description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest='command', required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.__doc__.splitlines()[0],
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code. Errors that name their remedy are one line, without a traceback."""
    parser = _parser()
    argv = sys.argv[1:] if argv is None else argv
    for text in argv if argv[:1] != ['pose'] else ():  # which names an empty input and does the others
        if not text or re.fullmatch('--[a-z-]+=', text):  # Path('') is the current folder
            parser.error(f'an argument is empty: {text!r} (was a variable not set?)')
    arguments = parser.parse_args(argv)
    if hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(errors='backslashreplace')  # names of files may be no text
    try:
        return arguments.run(arguments) or 0
    except (ValueError, OSError, ImportError, CheckpointError) as error:
        print(f'mmpose-lite: error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('mmpose-lite: stopped', file=sys.stderr)
        return 130
