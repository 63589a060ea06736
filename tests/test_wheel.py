"""The wheel: what a normal install holds, and that MIM finds it there."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """A wheel of the working tree, built offline."""
    out = tmp_path_factory.mktemp('wheel')
    code = 'import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])'
    subprocess.run([sys.executable, '-c', code, str(out)], cwd=ROOT, check=True, capture_output=True)
    (path,) = out.glob('*.whl')
    return path


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory) -> Path:
    """Folder with the wheel unpacked, as an install leaves it in site-packages."""
    target = tmp_path_factory.mktemp('site-packages')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run(installed: Path, *command: str) -> str:
    """Run a command that sees the unpacked wheel before this repository; returns what it prints."""
    environment = dict(os.environ, PYTHONPATH=str(installed), PYTHONWARNINGS='ignore')
    result = subprocess.run(command, cwd=installed.parent, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def mim(installed: Path, *arguments: str) -> str:
    return run(installed, sys.executable, '-c', 'from mim.cli import cli; cli()', *arguments)


def test_contents(wheel):
    def files(folder: str) -> set[str]:
        paths = (path for path in (ROOT / folder).rglob('*') if path.is_file() and path.suffix != '.pyc')
        return {path.relative_to(ROOT).as_posix() for path in paths}

    mim_files = files('configs') | files('demo') | {'model-index.yml', 'tools/train.py', 'tools/test.py'}
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if '.dist-info/' not in name}
    assert shipped == files('mmpose_lite') | {f'mmpose_lite/.mim/{name}' for name in mim_files}


def test_mim_search(installed):
    out = mim(installed, 'search', 'mmpose_lite', '--model', 'lgm-pose', '--field', 'parameters', 'mpii/mean')
    assert 'td-hm_lgm-pose_1xb32-260e_mpii-256x256' in out
    assert '1083656' in out
    assert '0.884' in out
    assert 'wgnet' not in out
    valid = mim(installed, 'search', 'mmpose_lite', '--valid-config')
    from mmpose_lite.zoo.metafiles import read_zoo

    assert all(entry.name in valid for entry in read_zoo())


@pytest.mark.parametrize(('verb', 'more'), [('train', ()), ('test', ('--checkpoint', 'weights.pth'))])
def test_mim_finds_configs_and_scripts(installed, verb, more):
    name = 'td-hm_wgnet-w_1xb32-200e_coco-256x192.py'
    out = mim(installed, verb, 'mmpose_lite', name, *more, '--gpus', '0', '--', '-h')  # the script's own help
    mim_folder = installed / 'mmpose_lite' / '.mim'
    assert f'{mim_folder}/configs/wgnet/ablations/{name}' in out
    assert f'{mim_folder}/tools/{verb}.py' in out
    assert '--cfg-options' in out


def test_zoo_of_the_install(installed):
    code = 'from mmpose_lite.zoo import metafiles; print(metafiles.zoo_root()); print(len(metafiles.read_zoo()))'
    root, number = run(installed, sys.executable, '-c', code).split()[-2:]
    assert Path(root) == installed / 'mmpose_lite' / '.mim'
    assert int(number) > 30
