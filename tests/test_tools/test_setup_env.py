"""The set-up: early, clear refusals; a second run does nothing; it goes on after an interruption."""

import importlib.util
import re
import sys
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def env(monkeypatch, tmp_path):
    """tools/setup_env.py with a temporary .venv."""
    spec = importlib.util.spec_from_file_location('setup_env', ROOT / 'tools' / 'setup_env.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'VENV', tmp_path / 'venv')
    monkeypatch.setenv('CC', 'false')
    monkeypatch.setenv('CXX', 'false')
    return module


@pytest.fixture
def python(env, monkeypatch):
    """Make the set-up believe that it runs with this version."""
    kind = namedtuple('version', 'major minor micro releaselevel serial')
    return lambda *version: monkeypatch.setattr(sys, 'version_info', kind(*version, 0, 'final', 0))


@pytest.mark.parametrize('version', [(3, 9), (3, 14)])
def test_wrong_python(env, python, version):
    python(*version)
    with pytest.raises(env.SetupError, match=rf'Python 3\.{version[1]} .*3\.10 to 3\.13.*PYTHON='):
        env.check_machine(False)


@pytest.mark.parametrize('version', [(3, 10), (3, 11)])
def test_no_compiler_is_needed(env, python, version):
    python(*version)
    env.check_machine(False)
    with pytest.raises(env.SetupError, match=r"mmcv is compiled.*'false'"):
        env.check_machine(True)


@pytest.mark.parametrize('version', [(3, 12), (3, 13)])
def test_a_compiler_is_needed_for_one_package(env, python, monkeypatch, tmp_path, version):
    python(*version)
    with pytest.raises(env.SetupError, match=r"xtcocotools.*'false'.*PYTHON=python3\.11"):
        env.check_machine(False)
    monkeypatch.setenv('CC', sys.executable)  # answers --version as well
    (tmp_path / 'Python.h').touch()
    monkeypatch.setattr(env.sysconfig, 'get_paths', lambda: dict(include=str(tmp_path)))
    env.check_machine(False)
    (tmp_path / 'Python.h').unlink()
    with pytest.raises(env.SetupError, match=r'Python\.h.*python3-dev'):
        env.check_machine(False)


def test_mmcv_cannot_be_compiled_for_the_newest(env, python):
    python(3, 13)
    with pytest.raises(env.SetupError, match=r'3\.12 .*cannot compile mmcv'):
        env.check_machine(True)


def test_no_disk(env, python, monkeypatch):
    python(3, 11)
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(env.shutil, 'disk_usage', lambda folder: usage(1, 1, 2_000_000_000))
    with pytest.raises(env.SetupError, match=r'2\.0 GB free'):
        env.check_machine(False)
    env.VENV.mkdir()  # begun: pip says whether it is enough
    env.check_machine(False)


@pytest.mark.parametrize(
    ('output', 'remedy'),
    [
        ('NewConnectionError: Failed to establish a new connection', 'No package index in reach'),
        ('ERROR: No matching distribution found for torch', 'No package index in reach'),
        ('OSError: [Errno 28] No space left on device', 'disk is full'),
        ('c++: fatal error: Killed signal terminated program', 'MAX_JOBS=1'),
        ('something else', 'Mend'),
    ],
)
def test_failure_names_log_and_remedy(env, output, remedy):
    env.VENV.mkdir()
    with pytest.raises(env.SetupError, match=remedy) as error:
        env.run(sys.executable, '-c', f'print({output!r}); raise SystemExit(3)')
    assert output in (env.VENV / 'setup.log').read_text()
    assert output in str(error.value)
    assert str(env.VENV / 'setup.log') in str(error.value)


def test_progress_is_shown(env, capsys):
    env.VENV.mkdir()
    env.run(sys.executable, '-c', 'print("Collecting torch==2\\nnothing")')
    assert 'Collecting torch==2' in capsys.readouterr().out
    env.run(sys.executable, '-c', 'print("  [7/77] c++ -c file.cpp")')
    assert '[7/77] c++' in capsys.readouterr().out


class FakePip:
    """In the place of what is run in the environment: remembers what is installed."""

    def __init__(self, env, monkeypatch) -> None:
        self.installed, self.commands, self.broken = set(), [], None
        monkeypatch.setattr(env, 'check_machine', lambda compile_mmcv: None)
        monkeypatch.setattr(env, 'run', self.run)
        monkeypatch.setattr(env.subprocess, 'run', self.answer)
        (env.VENV / 'bin').mkdir(parents=True)
        (env.VENV / 'bin' / 'python').touch()

    def run(self, *command, **environment) -> None:
        command = [str(part) for part in command]
        if self.broken in command:
            raise KeyboardInterrupt
        self.commands.append(command)
        names = {part for part in command[4:] if part in ('mmcv', 'mmcv-lite')}
        if 'install' in command:
            self.installed |= names
            assert not names or self.installed == names
        elif 'uninstall' in command:
            self.installed -= names

    def answer(self, command, **options):
        shown = command[-1] if 'show' in command else 'mmcv' if '-c' in command else None
        return namedtuple('done', 'returncode')(int(shown is not None and shown not in self.installed))


@pytest.fixture
def pip(env, monkeypatch):
    return FakePip(env, monkeypatch)


def test_second_run_does_nothing_and_an_interrupted_one_goes_on(env, pip):
    pip.broken = 'mmcv-lite'
    with pytest.raises(KeyboardInterrupt):
        env.setup(False)
    assert len(pip.commands) == 1
    pip.broken = None
    env.setup(False)
    assert pip.installed == {'mmcv-lite'}
    count = len(pip.commands)
    env.setup(False)
    assert len(pip.commands) == count


def test_a_changed_lock_installs_again(env, pip, monkeypatch, tmp_path):
    env.setup(False)
    count = len(pip.commands)
    (tmp_path / 'lock.txt').write_text('numpy==2')
    monkeypatch.setattr(env, 'LOCK', tmp_path / 'lock.txt')
    env.setup(False)
    assert len(pip.commands) > count


def test_mmcv_and_mmcv_lite_never_are_together(env, pip):
    env.setup(False)
    env.setup(True)
    assert pip.installed == {'mmcv'}
    (compilation,) = (command for command in pip.commands if 'wheel' in command[3:5])
    assert '--no-cache-dir' in compilation  # one for another torch
    count = len(pip.commands)
    env.setup(False)  # has all that it needs
    assert len(pip.commands) == count
    env.LOCK, pip.installed = Path(__file__), {'mmcv', 'mmcv-lite'}  # by hand
    env.setup(False)
    assert pip.installed == {'mmcv-lite'}


def test_compiled_mmcv_stays_with_another_lock(env, pip):
    env.setup(True)
    env.LOCK = Path(__file__)
    env.setup(False)
    assert pip.installed == {'mmcv'}
    assert sum('wheel' in command[3:5] for command in pip.commands) == 1


def test_main_reports_in_one_go_and_exits_nonzero(env, monkeypatch, capsys):
    monkeypatch.setattr(env, 'setup', lambda compile_mmcv: (_ for _ in ()).throw(env.SetupError('no disk: get one')))
    monkeypatch.setattr(sys, 'argv', ['setup_env.py'])
    assert env.main() == 1
    assert capsys.readouterr().err.strip() == 'set-up stopped: no disk: get one'


def test_lock_pins_everything_once_per_python():
    lines = [line.partition('#')[0].strip() for line in (ROOT / 'tools' / 'lock.txt').read_text().splitlines()]
    pins = [re.fullmatch(r"([\w.-]+)==[\w.+!-]+(?:; python_version (<|>=) '3\.11')?", line) for line in lines if line]
    assert all(pins)
    seen = {(pin[1], pin[2]) for pin in pins}
    assert len(seen) == len(pins)
    assert not {name for name, marker in seen if marker is None} & {name for name, marker in seen if marker}
    assert {'torch', 'mmcv', 'mmcv-lite', 'mmpose', 'mmdet', 'mmengine', 'numpy', 'setuptools'} <= {
        name for name, _ in seen
    }
