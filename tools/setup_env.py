"""Set up everything this project needs in ``.venv``: pinned packages, mmcv compiled once, the project itself.

    python3 tools/setup_env.py            what `make demo` and `make test` call first
    python3 tools/setup_env.py --check    only look at the machine: Python, compiler, disk

Needs nothing but the standard library. Steps that are done are remembered, so a second run takes a second, and an
interrupted one goes on where it stopped: the compilation of mmcv too. A compiled mmcv is kept in the user's cache
(``MMPOSE_LITE_CACHE``, by default ``~/.cache/mmpose_lite``) for the next clone with the same Python and torch.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python'
STAMPS = VENV / 'setup'
LOCK = ROOT / 'tools' / 'lock.txt'
CACHE = Path(os.environ.get('MMPOSE_LITE_CACHE') or Path.home() / '.cache' / 'mmpose_lite')
MMCV = '2.1.0'
FREE_GB = 6


class SetupError(Exception):
    """What is wrong, and the remedy."""


def say(text: str) -> None:
    print(f'[setup] {text}', flush=True)


# ---------------------------------------------------------------------------------------------- the machine


def check_machine() -> None:
    """Raise :class:`SetupError` for what would only break the set-up minutes later."""
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        raise SetupError(
            f'Python {platform.python_version()} ({sys.executable}) cannot build mmcv {MMCV}: Python 3.10, 3.11 or '
            '3.12 is needed. Install one and name it: make PYTHON=python3.11 ..., or run this script with it.'
        )
    headers = Path(sysconfig.get_paths()['include']) / 'Python.h'
    if not headers.exists():
        raise SetupError(
            f'{headers} is missing, and mmcv is compiled against it. Debian/Ubuntu: apt-get install python3-dev; '
            'Fedora: dnf install python3-devel.'
        )
    compiler = os.environ.get('CXX', 'c++')
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / 'probe.cpp'
        source.write_text('#include <optional>\nint main() { return std::optional<int>(0).value(); }\n')
        try:
            command = [*compiler.split(), '-std=c++17', str(source), '-o', str(Path(folder) / 'probe')]
            done = subprocess.run(command, capture_output=True, text=True)
            problem = done.stderr.strip().splitlines()[-1:] if done.returncode else None
        except OSError as error:
            problem = [str(error)]
    if problem is not None:
        raise SetupError(
            f'no working C++17 compiler: {compiler!r} failed ({" ".join(problem)}). Debian/Ubuntu: apt-get install '
            'g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install; or point CXX at one.'
        )
    for needed, folder in ((FREE_GB, ROOT), (1, Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free / 1e9
        if free < needed and not (VENV / 'setup' / 'torch').exists():
            raise SetupError(f'{folder} has {free:.1f} GB free and about {needed} GB are needed. Free some disk space.')


# ---------------------------------------------------------------------------------------------- running commands


def run(command: list, log: Path, env: dict | None = None, cwd: Path = ROOT) -> None:
    """Run a command with its output in ``log`` and its progress on the terminal; explain a failure."""
    started = time.time()
    interactive = sys.stdout.isatty()
    with log.open('w') as file:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
        )
        shown = 0.0
        try:
            for line in process.stdout:
                file.write(line)
                step = re.match(r'\[(\d+)/(\d+)\] ', line)  # ninja's count of compiled files
                collecting = re.match(r'(?:Collecting|Installing collected packages|Building wheels?\b.*) ?\S*', line)
                if not (step or collecting):
                    continue
                text = f'compiled {step[1]} of {step[2]} files' if step else collecting[0].strip()
                text = f'  {time.time() - started:5.0f} s  {text}'
                if interactive:
                    print(f'\r{text[:78]:<78}', end='', flush=True)
                elif time.time() - shown > 20:
                    print(text, flush=True)
                    shown = time.time()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            if interactive:
                print('\r' + ' ' * 78 + '\r', end='', flush=True)
        if process.wait() == 0:
            return
    output = log.read_text(errors='replace')
    tail = '\n'.join(output.strip().splitlines()[-15:])
    if re.search(r'No space left on device|Errno 28', output):
        remedy = 'The disk is full: free some space and run the same command again, it goes on from here.'
    elif re.search(
        r'NewConnectionError|ConnectTimeoutError|Failed to establish a new connection|Temporary failure in name '
        r'resolution|ProxyError|No matching distribution found|Connection refused|Network is unreachable',
        output,
    ):
        remedy = (
            'pip cannot reach a package index. Check the network or proxy (HTTPS_PROXY), or name a mirror '
            '(PIP_INDEX_URL) or a folder of wheels (PIP_FIND_LINKS), then run the same command again.'
        )
    elif 'Killed' in output or 'internal compiler error' in output:
        remedy = 'The compiler ran out of memory: run again with MAX_JOBS=1, it goes on from here.'
    else:
        remedy = 'Mend what the lines above name and run the same command again, it goes on from here.'
    raise SetupError(f'{tail}\n\nfailed: {" ".join(str(part) for part in command)}\nlog: {log}\n{remedy}')


def pip(*arguments: str, log: str) -> None:
    command = [
        PYTHON,
        '-m',
        'pip',
        '--disable-pip-version-check',
        'install',
        '--no-build-isolation',
        '--constraint',
        LOCK,
    ]
    run([*command, *arguments], STAMPS / f'{log}.log')


# ---------------------------------------------------------------------------------------------- steps


def make_venv() -> None:
    working = subprocess.run([str(PYTHON), '-m', 'pip', '--version'], capture_output=True) if PYTHON.exists() else None
    if working is None or working.returncode:
        subprocess.run([sys.executable, '-m', 'venv', '--clear', str(VENV)], check=True)
    STAMPS.mkdir(exist_ok=True)


def install_torch() -> None:
    pip('setuptools', 'wheel', 'ninja', 'psutil', 'numpy', 'hatchling', 'editables', log='build-tools')
    pip('torch', 'torchvision', log='torch')


def install_mmcv() -> None:
    """Compile mmcv with its operators (mmdet's NMS needs them), or take the wheel compiled earlier."""
    query = (
        'import torch, sysconfig; print(torch.__version__, sysconfig.get_platform(), sysconfig.get_config_var("SOABI"))'
    )
    key = subprocess.run([str(PYTHON), '-c', query], check=True, capture_output=True, text=True).stdout
    key = re.sub(r'[^\w.+-]+', '_', key.strip())
    wheels = CACHE / 'wheels' / key
    if not any(wheels.glob(f'mmcv-{MMCV}-*.whl')):
        jobs = os.environ.get('MAX_JOBS') or str(os.cpu_count() or 1)
        say(f'compiling mmcv {MMCV}: about 10 minutes on 2 cores, once ({jobs} files at a time; MAX_JOBS changes it)')
        build = VENV / 'build'
        source = build / f'mmcv-{MMCV}'
        if not (source / 'setup.py').exists():
            build.mkdir(exist_ok=True)
            download = [PYTHON, '-m', 'pip', 'download', '--no-deps', '--no-binary', 'mmcv', '--no-build-isolation']
            run([*download, '--dest', build, f'mmcv=={MMCV}'], STAMPS / 'mmcv-download.log')
            with tarfile.open(build / f'mmcv-{MMCV}.tar.gz') as archive:
                archive.extractall(build)
        # ninja keeps the object files it has made, so an interrupted compilation goes on
        env = dict(MMCV_WITH_OPS='1', FORCE_CUDA='0', MAX_JOBS=jobs, PYTHONUNBUFFERED='1')
        env['PATH'] = f'{VENV / "bin"}{os.pathsep}{os.environ["PATH"]}'
        run([PYTHON, 'setup.py', 'bdist_wheel'], STAMPS / 'mmcv-compile.log', env=env, cwd=source)
        wheels.mkdir(parents=True, exist_ok=True)
        (wheel,) = (source / 'dist').glob('*.whl')
        partial = wheels / f'{wheel.name}.{os.getpid()}.partial'
        shutil.copy(wheel, partial)
        partial.rename(wheels / wheel.name)
        shutil.rmtree(build)
    (wheel,) = wheels.glob(f'mmcv-{MMCV}-*.whl')
    say(f'mmcv: {wheel}')
    pip(str(wheel), log='mmcv')


def install_stack() -> None:
    pip('cython', log='cython')
    pip('mmpose', 'mmdet', 'openmim', log='openmmlab')


def install_project() -> None:
    pip('--editable', '.[dev]', log='project')


STEPS = (
    ('torch', install_torch, 'torch and torchvision: about 1 minute (200 MB on CPU, 3 GB where pip finds CUDA builds)'),
    ('mmcv', install_mmcv, 'mmcv with its operators'),
    ('stack', install_stack, 'MMPose, MMDetection, MIM: about 1 minute'),
    ('project', install_project, 'mmpose_lite and its development tools'),
)


def setup() -> None:
    check_machine()
    started = time.time()
    # a changed lock, script or pyproject.toml redoes what depends on it; pip finds most of it already installed
    content = b''.join(
        (ROOT / name).read_bytes() for name in ('tools/lock.txt', 'tools/setup_env.py', 'pyproject.toml')
    )
    fingerprint = hashlib.sha256(content + str(VENV).encode() + sys.version.encode()).hexdigest()
    stamps = {name: STAMPS / name for name, _, _ in STEPS}
    pending = [s for s in STEPS if not stamps[s[0]].exists() or stamps[s[0]].read_text() != fingerprint]
    if not pending:
        return
    say(f'setting up {VENV} with Python {platform.python_version()}: a few minutes, and about 10 more to compile mmcv')
    make_venv()
    for number, (name, step, description) in enumerate(STEPS, 1):
        if not any(name == other for other, _, _ in pending):
            continue
        say(f'{number}/{len(STEPS)} {description}')
        step()
        stamps[name].write_text(fingerprint)
    say(f'done in {(time.time() - started) / 60:.1f} minutes')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='only check Python, compiler and disk')
    arguments = parser.parse_args()
    try:
        check_machine() if arguments.check else setup()
    except SetupError as error:
        print(f'\nset-up stopped: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nset-up interrupted; the same command goes on from here', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
