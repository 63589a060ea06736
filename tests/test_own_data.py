"""The how-to of docs/own-data.md, step by step, on generated people with five keypoints."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmpose_lite.cli import main

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / 'configs' / 'own_data' / 'lgm-pose_own-keypoints-256x256.py'
NAMES = ('nose', 'left_wrist', 'right_wrist', 'left_ankle', 'right_ankle')


@pytest.fixture(scope='module')
def own_root(toy_root, tmp_path_factory) -> Path:
    """Generated people, of whom five keypoints are labelled."""
    root = tmp_path_factory.mktemp('own')
    shutil.copytree(toy_root / 'images', root / 'images')
    (root / 'annotations').mkdir()
    for split in ('train', 'val'):
        content = json.loads((toy_root / 'annotations' / f'person_keypoints_{split}.json').read_text())
        (category,) = content['categories']
        kept = [category['keypoints'].index(name) for name in NAMES]
        category.update(keypoints=list(NAMES), skeleton=[])
        for person in content['annotations']:
            person['keypoints'] = [value for k in kept for value in person['keypoints'][3 * k : 3 * k + 3]]
            person['num_keypoints'] = sum(visibility > 0 for visibility in person['keypoints'][2::3])
        (root / 'annotations' / f'{split}.json').write_text(json.dumps(content))
    return root


def test_how_to(own_root, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('OWN_ROOT', str(own_root))
    for split in ('train', 'val'):
        assert main(['check-data', str(CONFIG), '--split', split, '--out', str(tmp_path / split)]) == 0
        assert 'nothing wrong' in capsys.readouterr().out
        assert cv2.imread(str(tmp_path / split / 'samples.png')) is not None

    config = Config.fromfile(CONFIG)
    config.work_dir, config.log_level = str(tmp_path / 'work'), 'ERROR'
    config.train_cfg.update(max_epochs=1, val_interval=1)
    config.randomness = dict(seed=0)
    config.train_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
    config.val_dataloader.update(num_workers=0, persistent_workers=False)
    runner = Runner.from_cfg(config)
    losses = []
    monkeypatch.setattr(
        runner.model.head.loss_module, 'forward', recorded(runner.model.head.loss_module.forward, losses)
    )
    runner.train()
    assert min(losses[1:]) < losses[0]
    precision, recall = (runner.message_hub.get_scalar(f'val/coco/{name}').current() for name in ('AP', 'AR'))
    assert 0 <= precision <= recall <= 1  # scored, with the config's five sigmas
    assert runner.val_dataloader.dataset.metainfo['flip_indices'] == [0, 2, 1, 4, 3]

    picture = next(iter(sorted((own_root / 'images').glob('2*.jpg'))))
    demo = [sys.executable, '-W', 'ignore', str(ROOT / 'demo' / 'topdown_demo.py'), str(picture), '--whole-image']
    demo += ['--pose-config', str(CONFIG), '--pose-checkpoint', str(tmp_path / 'work' / 'epoch_1.pth')]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run([*demo, '--out-dir', str(tmp_path / 'out')], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    (person,) = json.loads((tmp_path / 'out' / f'{picture.stem}.json').read_text())['instances']
    assert len(person['keypoints']) == 5
    assert cv2.imread(str(tmp_path / 'out' / picture.name)).shape == cv2.imread(str(picture)).shape


def recorded(function, results: list):
    def wrapper(*args, **kwargs):
        results.append(function(*args, **kwargs))
        return results[-1]

    return wrapper


def test_half_bodies_occur(own_root, monkeypatch):
    monkeypatch.setenv('OWN_ROOT', str(own_root))
    config = Config.fromfile(CONFIG)
    half_body = config.train_dataloader.dataset.pipeline[3]
    number = len(NAMES)
    assert half_body.type == 'RandomHalfBody'
    assert half_body.min_total_keypoints <= number
    kinds = [point['type'] for point in config.dataset_info.keypoint_info.values()]
    assert half_body.min_upper_keypoints <= kinds.count('upper')
    assert half_body.min_lower_keypoints <= kinds.count('lower')


def test_how_to_shows_the_config():
    text = (ROOT / 'docs/own-data.md').read_text()
    assert len(CONFIG.read_text().splitlines()) <= 60
    assert text.count(CONFIG.name) >= 5
    example = json.loads(text.split('```json\n')[1].split('```')[0])
    assert tuple(example['categories'][0]['keypoints']) == NAMES
    (person,) = example['annotations']
    assert len(person['keypoints']) == 3 * len(NAMES)
    assert person['num_keypoints'] == sum(visibility > 0 for visibility in person['keypoints'][2::3])
