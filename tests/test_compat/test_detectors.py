"""What stock detectors and heads do with mmcv's operators: random weights, no download."""

from pathlib import Path

import mmdet
import mmpose
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS as DETECTORS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS

from mmpose_lite.inference import Frame, PersonDetector

ZOO = Path(mmdet.__file__).parent / '.mim' / 'configs'


@pytest.mark.parametrize(
    'name', ['faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 'rtmdet/rtmdet_tiny_8xb32-300e_coco.py']
)
def test_stock_detectors_find_boxes(tmp_path, name):
    config = Config.fromfile(ZOO / name)
    config.model.backbone.init_cfg = None
    head = config.model.roi_head.bbox_head if 'roi_head' in config.model else config.model.bbox_head
    head.num_classes = 1  # so that random scores are above the config's thresholds
    config.dump(tmp_path / 'config.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        torch.manual_seed(0)
        model = DETECTORS.build(config.model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'weights.pth')
    detector = PersonDetector(tmp_path / 'config.py', tmp_path / 'weights.pth', score_thr=0.0)
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    (boxes,) = detector([Frame(image)])
    assert len(boxes)
    assert boxes.shape[1] == 5
    assert np.isfinite(boxes).all()


def test_the_head_of_dekr_runs_and_trains():
    """Its deformable convolutions."""
    zoo = Path(mmpose.__file__).parent / '.mim' / 'configs' / 'body_2d_keypoint' / 'dekr' / 'coco'
    config = Config.fromfile(zoo / 'dekr_hrnet-w32_8xb10-140e_coco-512x512.py').model.head
    head = MODELS.build(dict(config, in_channels=24, rescore_cfg=None))
    features = torch.randn(1, 24, 16, 16, requires_grad=True)
    heatmaps, displacements = head([features])
    assert heatmaps.shape == (1, 18, 16, 16)
    assert displacements.shape == (1, 34, 16, 16)
    (heatmaps.sum() + displacements.sum()).backward()
    assert features.grad.abs().sum() > 0
    assert all(p.grad is not None for p in head.parameters() if p.requires_grad)
