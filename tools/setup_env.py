"""Install everything this project needs into ``.venv``: the versions of ``tools/lock.txt`` and the project itself.

    python3 tools/setup_env.py                  what `make demo` and `make test` call first
    python3 tools/setup_env.py --compile-mmcv   and mmcv with its compiled operators in the place of mmcv-lite

Needs the standard library only. A second run takes a second; an interrupted one is run again and goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
LOCK = ROOT / 'tools' / 'lock.txt'
FREE_GB = 4
REMEDIES = {  # by what pip prints
    r'No space left on device|Errno 28': 'The disk is full: free some space and run this again.',
    r'ConnectionError|ConnectTimeout|establish a new connection|[Nn]ame resolution|ProxyError|Connection refused|'
    r'unreachable|No matching distribution': 'No package index in reach: check the network or proxy (HTTPS_PROXY), or '
    'name a mirror (PIP_INDEX_URL) or a folder of wheels (PIP_FIND_LINKS), and run this again.',
    r'Killed|internal compiler error': 'The compiler ran out of memory: run this again with MAX_JOBS=1.',
}


class SetupError(Exception):
    """What is wrong, and the remedy."""


def check_machine(compile_mmcv: bool) -> None:
    """Raise :class:`SetupError` for what would only break the set-up minutes later."""
    python = sys.version_info[:2]
    if not (3, 10) <= python <= ((3, 12) if compile_mmcv else (3, 13)):
        newest = '3.12 (newer ones cannot compile mmcv 2.1.0)' if compile_mmcv else '3.13'
        raise SetupError(
            f'Python {python[0]}.{python[1]} ({sys.executable}) is none of 3.10 to {newest}. Install one of them and '
            'name it: make PYTHON=python3.11 ..., or run this script with it.'
        )
    if compile_mmcv or python >= (3, 12):
        what = 'mmcv' if compile_mmcv else 'xtcocotools, which has no binary for Python 3.12 and newer,'
        compiler = os.environ.get('CXX', 'c++') if compile_mmcv else os.environ.get('CC', 'cc')
        works = (
            shutil.which(compiler.split()[0])
            and not subprocess.run([*compiler.split(), '--version'], capture_output=True).returncode
        )
        if not works or not Path(sysconfig.get_paths()['include'], 'Python.h').exists():
            raise SetupError(
                f'{what} is compiled, and there is no working {compiler!r} or no Python.h. Debian/Ubuntu: apt-get '
                'install g++ python3-dev; Fedora: dnf install gcc-c++ python3-devel; macOS: xcode-select --install.'
                + ('' if compile_mmcv else ' Python 3.10 and 3.11 need none: make PYTHON=python3.11 ...')
            )
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < FREE_GB and not VENV.exists():
        raise SetupError(f'{ROOT} has {free:.1f} GB free; {FREE_GB} GB are needed, and 10 where torch is for CUDA.')


def run(*command: object, **environment: str) -> None:
    """Run a command with its output in ``.venv/setup.log`` and its progress on the terminal; explain a failure."""
    started, shown, log = time.time(), 0.0, VENV / 'setup.log'
    options = dict(env={**os.environ, **environment}, text=True, errors='replace', bufsize=1)
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    with process, log.open('w') as file:
        for line in process.stdout:
            file.write(line)
            step = re.match(r' *(Collecting|Building|Installing|\[\d+/\d+\]) ?\S*', line)
            if step and (sys.stdout.isatty() or time.time() - shown > 10):
                shown = time.time()
                print(f'[setup] {shown - started:4.0f} s  {step[0].strip()}', flush=True)
    if process.returncode:
        output = log.read_text(errors='replace')
        remedy = next((text for pattern, text in REMEDIES.items() if re.search(pattern, output)), 'Mend that.')
        raise SetupError('\n'.join([*output.strip().splitlines()[-15:], f'All of it: {log}', remedy]))


def setup(compile_mmcv: bool) -> None:
    inputs = (LOCK, Path(__file__), ROOT / 'pyproject.toml')  # one of them changed: install again
    state = hashlib.sha256(b''.join(map(Path.read_bytes, inputs)) + f'{VENV}{sys.version}'.encode()).hexdigest()
    stamp, python = VENV / 'setup.stamp', VENV / 'bin' / 'python'
    if stamp.exists() and stamp.read_text().startswith(state + ' compiled' * compile_mmcv):
        return
    check_machine(compile_mmcv)
    started = time.time()
    print(f'[setup] into {VENV}: 1 to 3 minutes on 2 cores, and the downloads', flush=True)

    def answers(*arguments: str) -> bool:
        return python.exists() and not subprocess.run([python, *arguments], capture_output=True).returncode

    if not answers('-m', 'pip', '--version') and subprocess.call([sys.executable, '-m', 'venv', '--clear', VENV]):
        raise SetupError(f'{sys.executable} -m venv failed. Debian/Ubuntu: apt-get install python3-venv.')
    pip = [python, '-m', 'pip', '--disable-pip-version-check']
    install = [*pip, 'install', '--no-build-isolation', '--retries', '2', '--constraint', LOCK]
    run(*install, 'setuptools', 'wheel', 'cython', 'numpy', 'hatchling', 'editables')
    # mmcv and mmcv-lite are one folder: never both. A compiled one that works stays
    compiled = answers('-c', 'import torch, mmcv._ext') and not answers('-m', 'pip', 'show', 'mmcv-lite')
    if not compiled and answers('-m', 'pip', 'show', 'mmcv'):
        run(*pip, 'uninstall', '--yes', 'mmcv', 'mmcv-lite')
    run(*install, 'mmcv' if compiled else 'mmcv-lite', '--editable', f'{ROOT}[mmpose,dev]')
    if compile_mmcv and not compiled:
        print('[setup] compiling mmcv: 10 minutes on 2 cores; MAX_JOBS sets the files at a time', flush=True)
        run(*install, 'ninja', 'psutil')
        options = ['--no-build-isolation', '--no-deps', '--no-cache-dir', '--verbose', '--constraint', LOCK]
        environment = dict(MMCV_WITH_OPS='1', MAX_JOBS=os.environ.get('MAX_JOBS') or str(os.cpu_count()))
        environment['PATH'] = os.pathsep.join([str(VENV / 'bin'), os.environ['PATH']])  # ninja's
        run(*pip, 'wheel', *options, '--wheel-dir', VENV, 'mmcv', **environment)
        run(*pip, 'uninstall', '--yes', 'mmcv-lite')
        run(*install, '--no-index', '--no-deps', '--find-links', VENV, 'mmcv')
        compiled = True
    stamp.write_text(state + ' compiled' * compiled)
    print(f'[setup] done in {time.time() - started:.0f} s', flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--compile-mmcv', action='store_true', help='mmcv with its compiled operators')
    try:
        setup(parser.parse_args().compile_mmcv)
    except SetupError as error:
        print(f'set-up stopped: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nset-up interrupted; the same command goes on from here', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
