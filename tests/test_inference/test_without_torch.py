"""`mmpose-lite pose` where torch and OpenMMLab cannot be imported."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmpose_lite.datasets.toy.people import make_toy_people

from .test_video import make_video

BLOCKED = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('torch', 'torchvision', 'mmcv', 'mmengine', 'mmpose', 'mmdet', 'xtcocotools'):
            raise ModuleNotFoundError(f'blocked {name}', name=name)
import importlib.util
real = importlib.util.find_spec
def find_spec(name, package=None):
    try:
        return real(name, package)
    except ModuleNotFoundError:
        return None
importlib.util.find_spec = find_spec
sys.meta_path.insert(0, Block())
from mmpose_lite.cli import main
code = main(sys.argv[1:])
assert not {'torch', 'mmengine', 'mmpose', 'mmcv', 'mmdet'} & set(sys.modules)
sys.exit(code)
"""


def run(*args, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, '-c', BLOCKED, *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize('backend', ['auto', 'onnxruntime'])
def test_pictures(tmp_path, backend):
    make_toy_people(tmp_path / 'toy', num_train=0, num_val=3, seed=23, progress=False)
    done = run('pose', 'toy/images', '--backend', backend, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'poses in 3 of 3 inputs: see poses' in done.stdout
    found = 0
    for picture in (tmp_path / 'toy/images').iterdir():
        people = json.loads((tmp_path / f'poses/{picture.stem}.json').read_text())['instances']
        found += len(people)
        assert all(np.shape(person['keypoints']) == (17, 2) for person in people)
        drawn, plain = cv2.imread(str(tmp_path / 'poses' / picture.name)), cv2.imread(str(picture))
        assert drawn.shape == plain.shape
        assert (np.abs(drawn.astype(int) - plain).max(axis=2) > 60).any() == bool(people)
    assert found >= 3
    again = run('pose', 'toy/images', '--resume', cwd=tmp_path)
    assert '3 were finished before' in again.stdout


def test_video(tmp_path):
    make_video(tmp_path / 'clip.mp4', 6)
    done = run('pose', 'clip.mp4', '--track', '--smooth', '--det-every', 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / 'poses/clip.jsonl').read_text().splitlines()) == 6
    assert cv2.VideoCapture(str(tmp_path / 'poses/clip.mp4')).get(cv2.CAP_PROP_FRAME_COUNT) == 6


def test_what_needs_torch_says_so(tmp_path):
    cv2.imwrite(str(tmp_path / 'x.png'), np.zeros((32, 32, 3), np.uint8))
    for arguments in (('--backend', 'torch'), ('--pose', 'C.py', '--weights', 'W.pth')):
        done = run('pose', 'x.png', *arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.count('\n') == 1
        assert 'this part of mmpose_lite needs torch' in done.stderr
