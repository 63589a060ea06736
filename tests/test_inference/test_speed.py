"""The comparison with MMPose's loop compares like with like."""

import json

import pytest

from mmpose_lite.inference import BoxFile
from mmpose_lite.inference.speed import compare

from .conftest import POSE_CONFIG
from .test_video import make_video


@pytest.mark.parametrize('flip_test', [True, False])
def test_same_poses(tmp_path, weights, flip_test):
    """Every keypoint of every frame, and every step has a time."""
    boxes = [dict(image_id=i, score=0.9, bbox=[10 + i, 5, 30 + 5 * j, 50]) for i in range(4) for j in range(2)]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    video = make_video(tmp_path / 'clip.mp4', 4)
    result = compare(POSE_CONFIG, weights, video, BoxFile(tmp_path / 'boxes.json'), flip_test, repeats=1)
    assert result['same'] == 1
    assert result['frames'] == 4
    assert set(result['seconds']) == {'mmpose', 'ours'}
    assert list(result['steps']) == ['read', 'boxes', 'crop', 'network', 'decode keypoints', 'draw', 'write']
    assert all(seconds > 0 for seconds in result['steps'].values())
