"""configs/photographs: what the weights that ship are trained with, here on generated people."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs/photographs'
POSE = next(CONFIGS.glob('td-hm_*.py'))
DETECTORS = sorted(CONFIGS.glob('rtmdet-*.py'))


@pytest.fixture(scope='module')
def portraits(toy_root, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('portraits')
    cv2.imwrite(str(out / 'thing.png'), np.full((600, 900, 3), 7, np.uint8))
    command = [sys.executable, ROOT / 'tools/portraits.py', '--data', toy_root, '--out', out]
    command += ['--no-people', out / 'thing.png']
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def roots(toy_root, portraits, monkeypatch):
    for name in ('MPII_ROOT', 'TOY_ROOT', 'LSPET_ROOT'):
        monkeypatch.setenv(name, str(toy_root))
    monkeypatch.setenv('PORTRAITS_ROOT', str(portraits))


def test_portraits(portraits):
    """Boxes lie in their pictures and end at the lower edge; what is without people has none."""
    content = json.loads((portraits / 'annotations/train.json').read_text())
    number = len(content['annotations'])
    assert number > 3
    assert len(content['images']) == number + 40
    for image in content['images']:
        picture = cv2.imread(str(portraits / 'images' / image['file_name']))
        assert picture.shape[:2] == (image['height'], image['width'])
        assert ((picture == 7).all() and max(picture.shape) <= 400) == (image['id'] >= number)
    for image, person in zip(content['images'], content['annotations'], strict=False):
        assert image['id'] == person['image_id']
        x, y, width, height = person['bbox']
        assert min(x, y) >= 0
        assert min(width, height) > 0
        assert x + width <= image['width']
        assert y + height == pytest.approx(image['height'], abs=1)  # cut through the body


def test_portraits_of_nothing(tmp_path):
    command = [sys.executable, ROOT / 'tools/portraits.py', '--data', tmp_path, '--out', tmp_path / 'out']
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 2
    assert 'has no annotations/mpii_train.json' in done.stderr


def test_pose_is_trained_on_both_kinds_of_people(roots, tmp_path):
    config = Config.fromfile(POSE)
    config.work_dir, config.log_level = str(tmp_path), 'ERROR'
    config.train_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
    config.val_dataloader.update(num_workers=0, persistent_workers=False)
    config.test_dataloader = config.val_dataloader
    config.train_cfg.update(max_epochs=1, val_interval=1)
    runner = Runner.from_cfg(config)
    runner.train()
    dataset = runner.train_dataloader.dataset
    people = len(dataset.datasets[0])
    assert len(dataset) == people + round(0.3 * people)
    scores = runner.message_hub.get_scalar('val/PCK').current()
    assert np.isfinite(scores)
    assert {'epoch_1.pth', 'curves.png'} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize('path', DETECTORS, ids=lambda path: path.stem)
def test_detector_learns_from_every_data_set(roots, path):
    """One loss on samples of each, and test pictures of the same size."""
    config = Config.fromfile(path)
    init_default_scope('mmdet')
    import mmdet.datasets
    import mmdet.models  # noqa: F401
    from mmdet.registry import DATASETS, MODELS

    with DefaultScope.overwrite_default_scope('mmdet'):
        datasets = [DATASETS.build(dataset) for dataset in config.train_dataloader.dataset.datasets]
        assert len(datasets) == (3 if 'portraits' in path.stem else 2)
        model = MODELS.build(config.model)
        for dataset in datasets:
            np.random.seed(0)
            batch = pseudo_collate([dataset[index] for index in range(4)])
            assert {tuple(image.shape) for image in batch['inputs']} == {(3, 320, 320)}
            assert any(len(sample.gt_instances) for sample in batch['data_samples'])
            data = model.data_preprocessor(batch, training=True)
            loss, _ = model.parse_losses(model(**data, mode='loss'))
            assert torch.isfinite(loss)
        test = DATASETS.build(config.test_dataloader.dataset)[0]
    assert tuple(test['inputs'].shape) == (3, 320, 320)
    epochs = int(path.stem.partition('xb16-')[2].partition('e_')[0])
    assert config.train_cfg.max_epochs == config.param_scheduler[-1].end == epochs
