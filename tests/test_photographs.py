"""configs/photographs: what the weights that ship are trained with, here on generated people."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs/photographs'
POSE = sorted(CONFIGS.glob('td-hm_*.py'))
DETECTOR = next(CONFIGS.glob('rtmdet-*.py'))
RATIOS = {  # of the people of each data set to those seen in an epoch: photographs, generated, scenes, portraits
    'lspet-toy-128x128': (1, 0.3),
    'scenes-lspet-toy-128x128': (1, 0.3, 0.45),
    'portraits-scenes-lspet-toy-128x128': (1, 0.3, 0.3, 0.45),
}


@pytest.fixture
def roots(toy_root, monkeypatch, tmp_path):
    for name in ('MPII_ROOT', 'TOY_ROOT', 'LSPET_ROOT'):
        monkeypatch.setenv(name, str(toy_root))
    scenes = tmp_path / 'scenes'  # generated people for composed ones
    (scenes / 'annotations').mkdir(parents=True)
    (scenes / 'images').symlink_to(toy_root / 'images')
    for name, source in (('person_boxes', 'person_keypoints'), ('mpii', 'mpii')):
        shutil.copy(toy_root / f'annotations/{source}_train.json', scenes / f'annotations/{name}_train.json')
    for name in ('SCENES_ROOT', 'PORTRAITS_ROOT'):
        monkeypatch.setenv(name, str(scenes))


@pytest.mark.parametrize('path', POSE, ids=lambda path: path.stem)
def test_pose_is_trained_on_every_kind_of_people(path, roots, tmp_path):
    config = Config.fromfile(path)
    config.load_from = None  # later stages start from the end of the one before
    config.work_dir, config.log_level = str(tmp_path), 'ERROR'
    config.train_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
    config.val_dataloader.update(num_workers=0, persistent_workers=False)
    config.test_dataloader = config.val_dataloader
    config.train_cfg.update(max_epochs=1, val_interval=1)
    runner = Runner.from_cfg(config)
    runner.train()
    dataset = runner.train_dataloader.dataset
    people = len(dataset.datasets[0])
    ratios = RATIOS[path.stem.removesuffix('_second').rpartition('_')[2]]
    assert len(dataset.datasets) == len(ratios)
    assert len(dataset) == sum(round(ratio * people) for ratio in ratios)
    scores = runner.message_hub.get_scalar('val/PCK').current()
    assert np.isfinite(scores)
    assert {'epoch_1.pth', 'curves.png'} <= {path.name for path in tmp_path.iterdir()}


def test_near_portraits_have_wide_heatmaps(roots):
    """Pixels above half of a peak: 5 for sigma 1, 21 for sigma 2."""
    config = Config.fromfile(next(CONFIGS.glob('*portraits*')))
    init_default_scope('mmpose')
    from mmpose.registry import DATASETS

    areas = []
    for dataset in config.train_dataloader.dataset.datasets:
        heatmaps = np.concatenate([DATASETS.build(dataset)[index]['heatmaps'] for index in range(4)])
        areas.append(np.median([(heatmap > 0.5).sum() for heatmap in heatmaps if heatmap.max() > 0.9]))
    assert areas == [5, 5, 5, 21]


def test_detector_learns_from_every_data_set(roots):
    """One loss on samples of each, and test pictures."""
    config = Config.fromfile(DETECTOR)
    init_default_scope('mmdet')
    import mmdet.datasets
    import mmdet.models  # noqa: F401
    from mmdet.registry import DATASETS, MODELS

    with DefaultScope.overwrite_default_scope('mmdet'):
        datasets = [DATASETS.build(dataset) for dataset in config.train_dataloader.dataset.datasets]
        assert len(datasets) == 3
        model = MODELS.build(config.model)
        for dataset in datasets:
            np.random.seed(0)
            batch = pseudo_collate([dataset[index] for index in range(4)])
            assert {tuple(image.shape) for image in batch['inputs']} == {(3, 256, 256)}
            assert any(len(sample.gt_instances) for sample in batch['data_samples'])
            data = model.data_preprocessor(batch, training=True)
            loss, _ = model.parse_losses(model(**data, mode='loss'))
            assert torch.isfinite(loss)
        test = DATASETS.build(config.test_dataloader.dataset)[0]
    assert tuple(test['inputs'].shape) == (3, 256, 256)
    epochs = int(DETECTOR.stem.partition('xb16-')[2].partition('e_')[0])
    assert config.train_cfg.max_epochs == config.param_scheduler[-1].end == epochs
