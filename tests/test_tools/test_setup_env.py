"""The set-up: early, clear refusals; remembered steps; continuing after an interruption."""

import importlib.util
import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def env(monkeypatch, tmp_path):
    """tools/setup_env.py with its folders moved to a temporary one."""
    spec = importlib.util.spec_from_file_location('setup_env', ROOT / 'tools' / 'setup_env.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'VENV', tmp_path / 'venv')
    monkeypatch.setattr(module, 'STAMPS', tmp_path / 'venv' / 'setup')
    monkeypatch.setattr(module, 'CACHE', tmp_path / 'cache')
    (tmp_path / 'venv' / 'setup').mkdir(parents=True)
    return module


Version = namedtuple('Version', 'major minor micro releaselevel serial')


@pytest.mark.parametrize('version', [(3, 9), (3, 13), (3, 14)])
def test_wrong_python(env, monkeypatch, version):
    monkeypatch.setattr(sys, 'version_info', Version(*version, 0, 'final', 0))
    with pytest.raises(env.SetupError, match=r'3\.10, 3\.11 or 3\.12.*PYTHON='):
        env.check_machine()


def test_this_python_passes(env):
    env.check_machine()


def test_no_compiler(env, monkeypatch):
    monkeypatch.setenv('CXX', '/nowhere/c++')
    with pytest.raises(env.SetupError, match=r"'/nowhere/c\+\+' failed.*apt-get install g\+\+"):
        env.check_machine()


def test_compiler_that_fails(env, monkeypatch):
    monkeypatch.setenv('CXX', 'false')
    with pytest.raises(env.SetupError, match='no working C'):
        env.check_machine()


def test_no_headers(env, monkeypatch, tmp_path):
    monkeypatch.setattr(env.sysconfig, 'get_paths', lambda: dict(include=str(tmp_path)))
    with pytest.raises(env.SetupError, match=r'Python\.h is missing.*python3-dev'):
        env.check_machine()


def test_no_disk(env, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(env.shutil, 'disk_usage', lambda folder: usage(1, 1, 2_000_000_000))
    with pytest.raises(env.SetupError, match=r'2\.0 GB free.*Free some disk'):
        env.check_machine()
    (env.STAMPS / 'torch').touch()  # the large part is installed: nothing more to refuse
    env.check_machine()


@pytest.mark.parametrize(
    ('output', 'remedy'),
    [
        ('NewConnectionError: Failed to establish a new connection', 'cannot reach a package index'),
        ('ERROR: No matching distribution found for torch', 'cannot reach a package index'),
        ('OSError: [Errno 28] No space left on device', 'disk is full'),
        ('c++: fatal error: Killed signal terminated program', 'MAX_JOBS=1'),
        ('something else', 'Mend what the lines above name'),
    ],
)
def test_failure_names_command_log_and_remedy(env, tmp_path, output, remedy):
    log = tmp_path / 'step.log'
    with pytest.raises(env.SetupError, match=remedy) as error:
        env.run([sys.executable, '-c', f'print({output!r}); raise SystemExit(3)'], log)
    assert output in log.read_text()
    assert str(log) in str(error.value)
    assert sys.executable in str(error.value)


def test_compilation_shows_its_progress(env, tmp_path, capsys):
    env.run([sys.executable, '-c', 'print("[7/77] c++ -c file.cpp")'], tmp_path / 'log')
    assert 'compiled 7 of 77 files' in capsys.readouterr().out


def test_steps_are_remembered_and_continue_after_an_interruption(env, monkeypatch):
    ran, broken = [], {'b'}

    def step(name):
        def run():
            if name in broken:
                raise env.SetupError('interrupted')
            ran.append(name)

        return run

    monkeypatch.setattr(env, 'STEPS', [(name, step(name), name) for name in 'abc'])
    monkeypatch.setattr(env, 'make_venv', lambda: None)
    with pytest.raises(env.SetupError):
        env.setup()
    assert ran == ['a']
    broken.clear()
    env.setup()
    assert ran == ['a', 'b', 'c']
    env.setup()
    assert ran == ['a', 'b', 'c']


def test_compiled_mmcv_is_taken_from_the_cache(env, monkeypatch):
    def torch_version(command, **kwargs):
        return subprocess.CompletedProcess(command, 0, '2.13.0+cpu linux-x86_64 cpython-311-x86_64-linux-gnu\n')

    installed = []
    monkeypatch.setattr(env.subprocess, 'run', torch_version)
    monkeypatch.setattr(env, 'run', lambda *args, **kwargs: pytest.fail('compiled again'))
    monkeypatch.setattr(env, 'pip', lambda *args, log: installed.extend(args))
    folder = env.CACHE / 'wheels' / '2.13.0+cpu_linux-x86_64_cpython-311-x86_64-linux-gnu'
    folder.mkdir(parents=True)
    wheel = folder / 'mmcv-2.1.0-cp311-cp311-linux_x86_64.whl'
    wheel.touch()
    env.install_mmcv()
    assert installed == [str(wheel)]


def test_main_reports_in_one_go_and_exits_nonzero(env, monkeypatch, capsys):
    monkeypatch.setattr(env, 'setup', lambda: (_ for _ in ()).throw(env.SetupError('no compiler: get one')))
    monkeypatch.setattr(sys, 'argv', ['setup_env.py'])
    assert env.main() == 1
    assert capsys.readouterr().err.strip() == 'set-up stopped: no compiler: get one'


def test_lock_pins_everything_once_per_python():
    lines = [line.partition('#')[0].strip() for line in (ROOT / 'tools' / 'lock.txt').read_text().splitlines()]
    pins = [re.fullmatch(r"([\w.-]+)==[\w.+!-]+(?:; python_version (<|>=) '3\.11')?", line) for line in lines if line]
    assert all(pins)
    seen = {(pin[1], pin[2]) for pin in pins}
    assert len(seen) == len(pins)
    assert not {name for name, marker in seen if marker is None} & {name for name, marker in seen if marker}
    assert {'torch', 'mmcv', 'mmpose', 'mmdet', 'mmengine', 'numpy', 'setuptools'} <= {name for name, _ in seen}
