"""Exported detectors: the boxes of PyTorch, or no file."""

import json

import numpy as np
import onnx
import pytest
import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmpose_lite.cli import main
from mmpose_lite.datasets.toy.figures import draw_scene
from mmpose_lite.deploy import detector as module
from mmpose_lite.deploy.export import ExportError, export
from mmpose_lite.inference import Frame
from mmpose_lite.runtime import Detector
from mmpose_lite.runtime.contract import KEY
from mmpose_lite.runtime.detector import nms
from mmpose_lite.torch_backend import PersonDetector
from mmpose_lite.zoo.shipped import read_shipped

ENTRY = next(entry for entry in read_shipped() if entry.task == 'detection')


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    return export(ENTRY.config, ENTRY.file, tmp_path_factory.mktemp('detector') / 'det.onnx')


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_same_boxes_as_torch(exported, backend):
    """On pictures of other sizes than those of the export's own check, and at a low score."""
    theirs = PersonDetector(ENTRY.config, ENTRY.file, score_thr=0.1)
    ours = Detector(exported.path, backend, threads=1, score_thr=0.1)
    rng, total = np.random.default_rng(5), 0
    for size in ((333, 257), (120, 700), (1024, 768)):
        picture = draw_scene(rng, size, 3).image
        expected, (found,) = theirs([Frame(picture)])[0], ours([Frame(picture)])
        assert len(expected) == len(found)
        np.testing.assert_allclose(found[:, :4], expected[:, :4], atol=0.1)
        np.testing.assert_allclose(found[:, 4], expected[:, 4], atol=1e-3)
        total += len(found)
    assert total > 5


def test_an_official_config(tmp_path):
    """RTMDet-tiny of mmdet, 80 classes at 640x640; random weights find nobody, so its outputs are compared."""
    register_all_modules(init_default_scope=False)
    import mmdet

    config = Config.fromfile(f'{mmdet.__path__[0]}/.mim/configs/rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    config.model.backbone.pop('init_cfg', None)
    config.dump(str(tmp_path / 'tiny.py'))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        from mmdet.registry import MODELS

        model = MODELS.build(config.model)
        model.init_weights()  # with a prior for few boxes
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'tiny.pth')
    done = export(tmp_path / 'tiny.py', tmp_path / 'tiny.pth', tmp_path / 'tiny.onnx')
    assert done.contract.input_size == (640, 640)
    assert len(done.contract.classes) == 80
    assert len(done.checks) == 2 + len(module.PICTURES)
    assert done.checks[-1].startswith('nobody was found')
    assert done.checks[0].startswith('noise, batch 3: outputs differ by')


def test_what_the_file_says(exported):
    values = {entry.key: entry.value for entry in onnx.load(exported.path).metadata_props}
    contract = json.loads(values[KEY])
    assert contract['task'] == 'detection'
    assert contract['input_size'] == [256, 256]
    assert contract['checkpoint_sha256'] == ENTRY.sha256


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr('mmpose_lite.runtime.detector.nms', lambda boxes, scores, threshold: np.arange(len(boxes))[:1])
    monkeypatch.setattr(module, 'LOWEST', 0.01)
    with pytest.raises(ExportError, match=r'boxes, . by PyTorch|boxes differ'):
        export(ENTRY.config, ENTRY.file, tmp_path / 'det.onnx')
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported(tmp_path, capsys):
    with pytest.raises(ValueError, match='is exported with its weights'):
        export(ENTRY.config, None, tmp_path / 'x.onnx')
    config = Config.fromfile(ENTRY.config)
    config.test_dataloader.dataset.pipeline[1].keep_ratio = False
    config.dump(str(tmp_path / 'stretched.py'))
    assert main(['export', str(tmp_path / 'stretched.py'), str(ENTRY.file), '-o', str(tmp_path / 'x.onnx')]) == 1
    assert 'must have Resize with keep_ratio' in capsys.readouterr().err
    assert not (tmp_path / 'x.onnx').exists()


def test_nms():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 10, 10]], np.float32)
    scores = np.array([0.5, 0.9, 0.3, 0.5], np.float32)
    assert nms(boxes, scores, 0.5).tolist() == [1, 2]
    assert nms(boxes, scores, 0.9).tolist() == [1, 0, 2]  # of equals the first
    assert nms(boxes[:0], scores[:0], 0.5).tolist() == []
