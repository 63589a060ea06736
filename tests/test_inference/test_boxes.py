"""Where boxes come from."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmpose_lite.checkpoint import CheckpointError
from mmpose_lite.inference import BoxFile, Frame, PersonDetector, whole_image
from mmpose_lite.inference.sparse import between, overlaps, sparse_boxes

from .conftest import ROOT

DETECTOR = ROOT / 'configs/weights/rtmdet-nano_2xb16-60e_coco-person-320x320.py'


@pytest.fixture(scope='module')
def detector_weights(tmp_path_factory) -> Path:
    """A detector that finds something everywhere."""
    from mmdet.registry import MODELS
    from mmengine.registry import DefaultScope

    path = tmp_path_factory.mktemp('det') / 'det.pth'
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(Config.fromfile(DETECTOR).model)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    for layer in model.bbox_head.rtm_cls:
        torch.nn.init.normal_(layer.weight, std=30)
    for layer in model.bbox_head.rtm_reg:
        torch.nn.init.constant_(layer.bias, 3)  # distances to the sides
        torch.nn.init.zeros_(layer.bias)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=('person',)))), path)
    return path


def test_detector_equals_mmdet(detector_weights, scenes):
    """The same boxes as inference_detector with MMPose's NMS, several frames at a time."""
    from mmdet.apis import inference_detector
    from mmpose.evaluation.functional import nms

    detector = PersonDetector(DETECTOR, detector_weights, score_thr=0.6, nms_thr=0.5)
    frames = [Frame(scene.image) for scene in scenes]
    found = detector(frames)
    for frame, boxes in zip(frames, found, strict=True):
        pred = inference_detector(detector.model, frame.image).pred_instances.numpy()
        expected = np.concatenate((pred.bboxes, pred.scores[:, None]), axis=1)[pred.scores >= 0.6]
        expected = expected[nms(expected, 0.5)]
        assert 0 < len(boxes) < len(pred)
        order, expected_order = (np.lexsort(b.T) for b in (boxes, expected))
        np.testing.assert_allclose(boxes[order], expected[expected_order], atol=0.05)
    assert PersonDetector(DETECTOR, detector_weights, score_thr=1.0)(frames[:1])[0].shape == (0, 5)
    for wrong in (
        dict(category=3),
        dict(category=-1),
        dict(score_thr=1.5),
        dict(score_thr=np.nan),
        dict(nms_thr=np.nan),
    ):
        with pytest.raises(ValueError, match=str(*wrong.values())):
            PersonDetector(DETECTOR, detector_weights, **wrong)
    thin = Frame(np.zeros((1, 600, 3), np.uint8))
    assert detector([thin, Frame(thin.image.transpose(1, 0, 2))])[0].shape[1] == 5


def test_detector_of_other_weights(weights):
    with pytest.raises(CheckpointError, match='not of this network'):
        PersonDetector(DETECTOR, weights)


def test_box_file(tmp_path):
    entry = dict(category_id=1, bbox=[1, 2, 3, 4], score=0.5)
    found = [
        dict(entry, image_id='a.jpg'),
        dict(entry, image_id='a.jpg', score=0.1),
        dict(entry, image_id='a.jpg', category_id=2),
        dict(entry, image_id=12),
        dict(entry, image_id='clip.mp4:3'),
        dict(entry, image_id='clip.mp4:3', bbox=[5, 5, 5, 5]),
    ]
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(found))
    boxes = BoxFile(path)
    image = np.zeros((9, 9, 3), np.uint8)

    def number(name: str, index: int | None = None) -> int:
        return len(boxes([Frame(image, Path(name), index)])[0])

    assert boxes([Frame(image, Path('d/a.jpg'))])[0].tolist() == [[1, 2, 4, 6, 0.5]]
    assert [number('d/000012.jpg'), number('12.png'), number('b.jpg')] == [1, 1, 0]
    assert [number('clip.mp4', 3), number('clip.mp4', 2), number('any.avi', 12), number('other.mp4', 3)] == [2, 0, 1, 0]


def test_whole_image():
    assert whole_image([Frame(np.zeros((20, 30, 3), np.uint8))])[0].tolist() == [[0, 0, 30, 20, 1]]


def test_overlaps():
    a = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], dtype=float)
    b = np.array([[5, 0, 15, 10], [100, 100, 101, 101]], dtype=float)
    np.testing.assert_allclose(overlaps(a, b), [[50 / 150, 0], [0, 0]])
    assert overlaps(a, b[:0]).shape == (2, 0)


def test_between_moves_people_in_straight_lines():
    before = np.array([[0, 0, 10, 20, 0.8], [50, 0, 60, 20, 0.5], [90, 0, 99, 9, 0.5]])
    after = np.array([[54, 0, 64, 20, 0.7], [4, 0, 14, 20, 0.4]])  # in another order, the third gone
    quarter = between(before, after, 0.25)
    np.testing.assert_allclose(quarter, [[1, 0, 11, 20, 0.7], [51, 0, 61, 20, 0.55], [90, 0, 99, 9, 0.5]], rtol=1e-6)
    assert len(between(before, after, 0.75)) == 2
    assert between(before[:0], after, 0.75).shape == (2, 5)
    assert between(before, after[:0], 0.75).shape == (0, 5)


@pytest.mark.parametrize('look_ahead', [True, False])
def test_every_nth_frame(look_ahead):
    """The source is asked for every third frame; with a look ahead the boxes move between."""
    asked = []

    def source(frames):
        asked.extend(frame.index for frame in frames)
        return [np.array([[f.index, 0, 50 + f.index, 50, 1]], dtype=np.float32) for f in frames]

    frames = [Frame(np.zeros((9, 9, 3), np.uint8), index=i) for i in range(8)]
    found = list(sparse_boxes(iter(frames), source, 3, look_ahead))
    assert asked == [0, 3, 6]
    assert [frame.index for frame, _ in found] == list(range(8))
    left = [boxes[0, 0] for _, boxes in found]
    np.testing.assert_allclose(left, [0, 1, 2, 3, 4, 5, 6, 6] if look_ahead else [0, 0, 0, 3, 3, 3, 6, 6], atol=1e-5)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([], 'none of 0 boxes can be used: the file holds none'),
        ([dict(image_id=1, bbox=[10, 10, -300, 400], score=0.9)], 'bbox .* is not finite, huge or of no area'),
        ([dict(image_id=1, bbox=[float('nan'), 10, 30, 40], score=0.9)], 'is not finite'),
    ],
)
def test_a_file_without_a_usable_box_is_refused(tmp_path, content, message):
    file = tmp_path / 'boxes.json'
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        BoxFile(file)


def test_one_bad_entry_does_not_stop_the_rest(tmp_path, caplog):
    good = dict(image_id='a.jpg', bbox=[1, 2, 3, 4], score=0.9)
    file = tmp_path / 'boxes.json'
    file.write_text(json.dumps([good, 'x', dict(good, score=None), good]))
    boxes = BoxFile(file)
    assert len(boxes([Frame(np.zeros((9, 9, 3), np.uint8), Path('a.jpg'))])[0]) == 2
    assert '2 cannot be read (entry 1: TypeError' in caplog.text
