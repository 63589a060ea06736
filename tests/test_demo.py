"""demo/topdown_demo.py as a command, the way `make demo` calls it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / 'demo/topdown_demo.py'
POSE = next((ROOT / 'configs/lgm_pose').glob('*_toy-128x128.py'))
DETECTOR = ROOT / 'configs/weights/rtmdet-nano_2xb16-60e_coco-person-320x320.py'


def run(*args) -> subprocess.CompletedProcess:
    environment = dict(os.environ, OMP_NUM_THREADS='1')
    command = [sys.executable, str(DEMO), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)


def save_random(config: Path, scope: str, path: Path) -> Path:
    """Fresh weights, with a detector that is sure of everything it sees."""
    if scope == 'mmdet':
        import mmdet.models  # noqa: F401
        from mmdet.registry import MODELS
    else:
        from mmpose.registry import MODELS
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(Config.fromfile(config).model)
    if scope == 'mmdet':
        for score, sides in zip(model.bbox_head.rtm_cls, model.bbox_head.rtm_reg, strict=True):
            torch.nn.init.constant_(score.bias, 1)
            torch.nn.init.constant_(sides.bias, 5)
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def test_help():
    """Groups of options, and four examples."""
    shown = run('--help')
    assert shown.returncode == 0
    assert [name in shown.stdout for name in ('pose network:', 'person boxes', 'videos:', 'output:')] == [True] * 4
    assert shown.stdout.partition('examples:')[2].count('mmpose-lite pose') == 4


def test_pictures_with_a_detector(tmp_path, toy_root):
    pose = save_random(POSE, 'mmpose', tmp_path / 'pose.pth')
    detector = save_random(DETECTOR, 'mmdet', tmp_path / 'detector.pth')
    args = ('--pose-config', POSE, '--pose-checkpoint', pose, '--det-config', DETECTOR, '--det-checkpoint', detector)
    args += ('--nms-thr', 0.01)  # few boxes
    done = run(toy_root / 'images', *args, '--out-dir', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('\n') == 2
    assert 'poses in 12 of 12 inputs' in done.stdout
    assert 'Warning' not in done.stderr
    for photo in (toy_root / 'images').iterdir():
        result = json.loads((tmp_path / f'out/{photo.stem}.json').read_text())
        assert result['image'] == str(photo)
        assert result['instances']
        assert np.isfinite(result['instances'][0]['keypoints']).all()
        assert cv2.imread(str(tmp_path / 'out' / photo.name)).shape == cv2.imread(str(photo)).shape
