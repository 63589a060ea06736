"""People who walk: they move smoothly, keep who they are, and are where the file of boxes says."""

import json

import cv2
import numpy as np
import pytest

from mmpose_lite.cli import main
from mmpose_lite.datasets.toy.video import draw_walk, make_toy_video

SMALL = dict(seconds=2.0, fps=10.0, size=(240, 136), num_people=3)


@pytest.fixture(scope='module')
def walk():
    return list(draw_walk(seed=3, **SMALL))


def test_same_seed_same_pictures(walk):
    again = list(draw_walk(seed=3, **SMALL))
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(walk, again, strict=True))
    assert not np.array_equal(walk[0][0], next(draw_walk(seed=4, **SMALL))[0])


def test_people_cross_the_picture(walk):
    """Even ones to the right, odd ones to the left, in steps that are small against themselves, with moving legs."""
    assert len(walk) == 20
    for identity in range(3):
        people = [person for _, found in walk for who, person in found if who == identity]
        keypoints = np.array([person.keypoints for person in people])
        pelvis = keypoints[:, 17]
        steps = np.diff(pelvis[:, 0])
        assert (steps > 0).all() if identity % 2 == 0 else (steps < 0).all()
        height = keypoints[..., 1].max() - keypoints[..., 1].min()
        assert np.abs(np.diff(keypoints, axis=0)).max() < 0.4 * height
        spread = np.abs(keypoints[:, 15, 0] - keypoints[:, 16, 0])  # from ankle to ankle
        assert spread.max() > 0.2 * height
        assert spread.min() < 0.5 * spread.max()


def test_clothes_stay(walk):
    """The colour at a visible thorax changes with the stride no more than the compression of a video would."""
    for identity in range(3):
        colors = [
            image[tuple(np.round(person.keypoints[18]).astype(int)[::-1])].astype(int)
            for image, found in walk
            for who, person in found
            if who == identity and person.visibility[18] == 2
        ]
        assert len(colors) > 5
        assert np.ptp(colors, axis=0).max() < 90


def test_file_and_boxes(tmp_path, walk):
    boxes = make_toy_video(tmp_path / 'new' / 'walk.mp4', seed=3, **SMALL)
    capture = cv2.VideoCapture(str(tmp_path / 'new' / 'walk.mp4'))
    assert capture.get(cv2.CAP_PROP_FPS) == 10
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    assert [frame.shape for frame in frames] == [(136, 240, 3)] * 20
    assert np.abs(frames[7].astype(int) - walk[7][0]).mean() < 8
    rows = json.loads(boxes.read_text())
    expected = [(i, who, person) for i, (_, found) in enumerate(walk) for who, person in found]
    assert [(row['image_id'], row['identity']) for row in rows] == [(i, who) for i, who, _ in expected]
    np.testing.assert_allclose([row['bbox'] for row in rows], [person.bbox for _, _, person in expected])
    assert sorted(path.name for path in boxes.parent.iterdir()) == ['walk.boxes.json', 'walk.mp4']


def test_command(tmp_path, capsys):
    out = tmp_path / 'two.mp4'
    assert main(['toy-video', str(out), '--people', '2', '--seconds', '0.2']) == 0
    assert 'two.boxes.json' in capsys.readouterr().out
    assert out.stat().st_size > 0
    for wrong in (
        ['two.txt'],
        ['two.jpg'],
        ['a.mp4', '--seconds', '0'],
        ['a.mp4', '--fps', 'nan'],
        ['a.mp4', '--people', '-1'],
    ):
        assert main(['toy-video', str(tmp_path / wrong[0]), '--seconds', '0.2', *wrong[1:]]) == 1
        assert capsys.readouterr().err.startswith('mmpose-lite: error: ')
    with pytest.raises(SystemExit):
        main(['toy-video', ''])
    assert 'an argument is empty' in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ['two.boxes.json', 'two.mp4']
