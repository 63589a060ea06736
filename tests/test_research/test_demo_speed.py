"""The comparison with MMPose's loop compares like with like."""

import sys
from pathlib import Path

import pytest

from mmpose_lite.datasets.toy.video import make_toy_video
from mmpose_lite.deploy.export import export
from mmpose_lite.inference import BoxFile, PoseNetwork
from mmpose_lite.runtime import PoseModel
from mmpose_lite.zoo.shipped import or_shipped

sys.path.append(str(Path(__file__).resolve().parents[2] / 'research'))
from demo_speed import compare, mmpose_model


@pytest.mark.parametrize('flip_test', [True, False])
def test_same_poses(tmp_path, flip_test):
    """Every keypoint of every frame, and every step has a time."""
    # weights that were trained, and people: else maps are flat and their two highest points one but for rounding
    config, weights = or_shipped('pose', None, None)
    video = tmp_path / 'clip.mp4'
    boxes = make_toy_video(video, seconds=0.16, seed=2)
    exported = export(config, weights, tmp_path / 'pose.onnx').path
    networks = dict(
        torch=PoseNetwork(config, weights, flip_test=flip_test),
        openvino=PoseModel(exported, 'openvino', threads=1, flip_test=flip_test),
    )
    model = mmpose_model(config, weights, flip_test)
    result = compare(model, networks, video, BoxFile(boxes), repeats=1)
    assert result['same'] == dict(torch=1, openvino=1)
    assert result['frames'] == 4
    assert set(result['seconds']) == {'mmpose', 'torch', 'openvino'}
    for spent in result['steps'].values():
        assert list(spent) == ['read', 'detect', 'crop', 'network', 'decode keypoints', 'draw', 'write']
        assert all(seconds > 0 for seconds in spent.values())
