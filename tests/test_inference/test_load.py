"""Networks by name, and the runtimes beside each other."""

import importlib.util

import cv2
import numpy as np
import pytest

from mmpose_lite.datasets.toy.figures import draw_scene
from mmpose_lite.inference import Frame, load
from mmpose_lite.inference.load import choose_backend, find_shipped
from mmpose_lite.runtime import Detector, PoseModel
from mmpose_lite.torch_backend import PersonDetector, PoseNetwork


@pytest.fixture(scope='module')
def picture():
    return draw_scene(np.random.default_rng(1), (320, 240), 2).image


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_exported_networks_that_ship_find_what_torch_finds(picture, backend):
    expected, found = load(backend='torch')(picture), load(backend=backend)(picture)
    assert len(expected) == len(found) > 0
    # weights in half precision after folding for weights in half precision before
    np.testing.assert_allclose(found.bboxes, expected.bboxes, atol=1)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=2)


def test_which_classes():
    torch, onnx = load('lgm-pose', 'rtmdet-nano', 'torch'), load('lgm-pose', 'rtmdet-nano', 'onnxruntime', threads=1)
    assert (type(torch.network), type(torch.boxes)) == (PoseNetwork, PersonDetector)
    assert (type(onnx.network), type(onnx.boxes)) == (PoseModel, Detector)
    mixed = load(find_shipped('pose', None).checked_onnx)
    assert type(mixed.network) is PoseModel


def test_auto_is_the_fastest_that_is_installed(monkeypatch):
    real, missing = importlib.util.find_spec, set()
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name in missing else real(name))
    assert choose_backend() == 'openvino'
    assert choose_backend(config=True) == choose_backend(device='cuda:0') == 'torch'
    missing.add('openvino')
    assert choose_backend() == 'onnxruntime'
    missing.add('onnxruntime')
    assert choose_backend() == 'torch'
    missing.add('torch')
    with pytest.raises(ImportError, match=r"pip install 'mmpose_lite\[onnx\]'"):
        choose_backend()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(pose='lgm-pos'), 'lgm-pos is no pose network that ships.*: those that ship are lgm-pose'),
        (dict(detector='yolo'), 'yolo is no detection network that ships.*rtmdet-nano'),
        (dict(pose='C.py'), 'C.py is a config: name its weights too'),
        (dict(weights='W.pth'), 'W.pth: weights go together with a config'),
        (dict(pose='C.py', weights='W.pth', backend='openvino'), 'openvino runs exported files'),
        (dict(pose='X.onnx', backend='torch'), 'X.onnx is an exported file'),
        (dict(backend='tensorrt'), "backend='tensorrt' must be one of auto, openvino, onnxruntime, torch"),
        (dict(backend='onnxruntime', score_thr=1.5), 'the lowest score of boxes 1.5 must be from 0 to 1'),
    ],
)
def test_what_does_not_work_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**arguments)


def test_wrong_files_are_named(tmp_path):
    pose, detector = find_shipped('pose', None).onnx, find_shipped('detection', None).onnx
    with pytest.raises(ValueError, match='is a detection network, not pose'):
        load(pose=detector)
    with pytest.raises(ValueError, match='is a pose network, not detection'):
        load(detector=pose)
    with pytest.raises(FileNotFoundError, match=r'gone\.onnx does not exist'):
        load(detector='gone.onnx')
    with pytest.raises(ValueError, match='person class 7 is none of the detector, which has 1'):
        Detector(detector, category=7)


def test_odd_sizes():
    """Thin, tiny and large pictures."""
    detector = Detector(find_shipped('detection', None).onnx, threads=1)
    for height, width in ((1, 600), (600, 1), (2, 2), (3000, 40)):
        (boxes,) = detector([Frame(np.zeros((height, width, 3), np.uint8))])
        assert boxes.shape[1] == 5
        assert (boxes[:, 2:4] <= (width * 32, height * 32)).all()


def test_a_gray_picture_is_posed(picture):
    gray = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert load(backend='onnxruntime')(gray).keypoints.shape[1:] == (17, 2)
