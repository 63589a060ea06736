"""Predictions for MPII's test people, who come without joints."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.registry import DATASETS
from scipy.io import loadmat

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/hevitpose/eval/td-hm_hevitpose-b_1xb32-210e_mpii-256x256_test.py'


@pytest.fixture
def config(toy_root, tmp_path, monkeypatch) -> Config:
    monkeypatch.setenv('MPII_ROOT', str(toy_root))
    monkeypatch.chdir(tmp_path)
    people = json.loads((toy_root / 'annotations' / 'mpii_val.json').read_text())[:3]
    people = [{key: person[key] for key in ('image', 'center', 'scale')} for person in people]
    (tmp_path / 'mpii_test.json').write_text(json.dumps(people))
    config = Config.fromfile(CONFIG)
    config.model.backbone.update(widths=(32, 32, 64))
    config.model.head.update(in_channels=64, deconv_out_channels=(8, 8))
    config.test_dataloader.update(num_workers=0, persistent_workers=False)
    config.test_dataloader.dataset.ann_file = str(tmp_path / 'mpii_test.json')
    config.work_dir, config.log_level = str(tmp_path), 'ERROR'
    return config


def test_predictions_of_all_people_in_order(config, tmp_path):
    assert Runner.from_cfg(config).test() == {}
    preds = loadmat(tmp_path / 'work_dirs' / CONFIG.stem / 'pred.mat')['preds']
    assert preds.shape == (3, 16, 2)
    dataset = DATASETS.build(config.test_dataloader.dataset)
    for number, pred in enumerate(preds - 1):
        (center,), (scale,) = (dataset.get_data_info(number)[f'bbox_{name}'] for name in ('center', 'scale'))
        assert (np.abs(pred - center) <= 0.75 * max(scale)).all()  # inside the padded box of this person


def test_a_file_of_something_else_is_named(config, tmp_path):
    (tmp_path / 'mpii_test.json').write_text('[{"image": "1.jpg"}]')
    with pytest.raises(ValueError, match=rf'{tmp_path}/mpii_test.json is not'):
        DATASETS.build(config.test_dataloader.dataset)
