"""The comparison with MMPose's loop compares like with like."""

import json

import pytest

from mmpose_lite.deploy.export import export
from mmpose_lite.inference import BoxFile, PoseNetwork
from mmpose_lite.inference.speed import compare, mmpose_model
from mmpose_lite.runtime import PoseModel
from mmpose_lite.shipped import or_shipped

from .test_video import make_video


@pytest.mark.parametrize('flip_test', [True, False])
def test_same_poses(tmp_path, flip_test):
    """Every keypoint of every frame, and every step has a time."""
    # weights that were trained: random ones draw maps whose two highest points may be one but for rounding
    config, weights = or_shipped('pose', None, None)
    boxes = [dict(image_id=i, score=0.9, bbox=[10 + i, 5, 30 + 5 * j, 50]) for i in range(4) for j in range(2)]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    video = make_video(tmp_path / 'clip.mp4', 4)
    exported = export(config, weights, tmp_path / 'pose.onnx').path
    networks = dict(
        torch=PoseNetwork(config, weights, flip_test=flip_test),
        openvino=PoseModel(exported, 'openvino', threads=1, flip_test=flip_test),
    )
    model = mmpose_model(config, weights, flip_test)
    result = compare(model, networks, video, BoxFile(tmp_path / 'boxes.json'), repeats=1)
    assert result['same'] == dict(torch=1, openvino=1)
    assert result['frames'] == 4
    assert set(result['seconds']) == {'mmpose', 'torch', 'openvino'}
    for spent in result['steps'].values():
        assert list(spent) == ['read', 'detect', 'crop', 'network', 'decode keypoints', 'draw', 'write']
        assert all(seconds > 0 for seconds in spent.values())
