"""Ids that stay with people, and poses that shake less without trailing."""

import json
import sys

import cv2
import numpy as np
import pytest

from mmpose_lite.inference import Poses, PoseSmoother
from mmpose_lite.inference.smoothing import _weight

from .conftest import boxes_of, lines

FPS = 25


def one(keypoints: np.ndarray, track: int = 1, height: float = 100) -> Poses:
    """A person of this height with these keypoints (K, 2)."""
    box = np.array([[0, 0, 50, height]], dtype=np.float32)
    return Poses(box, np.ones(1), np.asarray(keypoints, float)[None], np.ones((1, len(keypoints))), np.array([track]))


def smoothed(points: np.ndarray, fps: float = FPS, **settings) -> np.ndarray:
    """A whole walk (T, K, 2) through a smoother."""
    smoother = PoseSmoother(**settings)
    return np.array([smoother(one(p), i / fps).keypoints[0] for i, p in enumerate(points)])


def test_equals_the_published_filter():
    """Step by step, in plain numbers, for one coordinate: equations 1 to 6 of the paper."""
    values, times = [10.0, 10.4, 12.0, 11.0, 15.0], [0.0, 0.04, 0.08, 0.2, 0.24]
    previous, speed, expected = values[0], 0.0, [values[0]]
    for i in range(1, 5):
        step = times[i] - times[i - 1]
        rate = (values[i] - previous) / step
        alpha = 1 / (1 + 1 / (2 * np.pi * 0.9 * step))
        speed = alpha * rate + (1 - alpha) * speed
        alpha = 1 / (1 + 1 / (2 * np.pi * (1.2 + 5.0 * abs(speed) / 100) * step))
        previous = alpha * values[i] + (1 - alpha) * previous
        expected.append(previous)
    smoother = PoseSmoother(min_cutoff=1.2, beta=5.0, velocity_cutoff=0.9)
    found = [smoother(one([[v, 7]]), t).keypoints[0, 0] for v, t in zip(values, times, strict=True)]
    np.testing.assert_allclose(found, [[v, 7] for v in expected], rtol=1e-9)


@pytest.mark.parametrize('fps', [10, 25, 60])
def test_jitter_is_reduced(fps):
    noise = np.random.default_rng(0).normal(0, 1, (10 * fps, 17, 2))  # a hundredth of the height
    found = smoothed(50 + noise, fps)[fps:]
    assert np.std(np.diff(found, axis=0)) < 0.45 * np.std(np.diff(noise, axis=0))
    assert found.std() < 0.7


@pytest.mark.parametrize('fps', [10, 25, 60])
@pytest.mark.parametrize('speed', [50, 200, 800])
def test_lag_is_bounded(fps, speed):
    """In steady motion a keypoint trails by less than 1 / (2 pi beta) heights, however fast it goes."""
    points = np.arange(6 * fps)[:, None, None] / fps * np.array([[[speed, 0]]])
    lag = (points - smoothed(points, fps))[-1, 0]
    assert 0 < lag[0] < 100 / (2 * np.pi * 8.0)
    assert lag[1] == 0


def test_size_does_not_matter():
    """The same motion twice as large is smoothed to the same motion twice as large."""
    points = np.cumsum(np.random.default_rng(1).normal(0, 2, (50, 3, 2)), axis=0)
    small, large = PoseSmoother(), PoseSmoother()
    for i, p in enumerate(points):
        a = small(one(p), i / FPS).keypoints
        b = large(one(2 * p, height=200), i / FPS).keypoints
        np.testing.assert_allclose(2 * a, b, rtol=1e-9)


def test_people_are_smoothed_apart_and_forgotten():
    smoother = PoseSmoother(forget_after=0.5)
    smoother(one([[0, 0]], track=1), 0.0)
    assert smoother(one([[80, 0]], track=2), 0.04).keypoints[0, 0, 0] == 80
    assert smoother(one([[70, 0]], track=-1), 0.08).keypoints[0, 0, 0] == 70  # not tracked: left alone
    assert 0 < smoother(one([[10, 0]], track=1), 0.4).keypoints[0, 0, 0] < 10
    assert smoother(one([[30, 0]], track=1), 2.0).keypoints[0, 0, 0] == 30
    assert set(smoother._states) == {1}
    assert _weight(1.0, 1e9) == pytest.approx(1)


def test_going_on_after_a_stop():
    """After taking in poses that were smoothed before, it goes on about where it would have been."""
    points = 50 + np.arange(60)[:, None, None] * 2.0 + np.random.default_rng(0).normal(0, 1, (60, 5, 2))
    whole = smoothed(points)
    smoother = PoseSmoother()
    for i in range(40):
        smoother.remember(one(whole[i]), i / FPS)
    for i in range(40, 60):
        found = smoother(one(points[i]), i / FPS).keypoints[0]
        assert np.abs(found - whole[i]).max() < 1.0


def cut(scene) -> np.ndarray:
    """The picture of the first person."""
    left, top, right, bottom = boxes_of(scene)[0, :4].astype(int)
    return scene.image[top:bottom, left:right]


@pytest.fixture
def crossing(tmp_path, scenes):
    """Two generated people who walk past each other; the farther one is not found while hidden. Boxes shake."""
    rng = np.random.default_rng(0)
    near, far = cv2.resize(cut(scenes[0]), (60, 140)), cv2.resize(cut(scenes[2]), (50, 110))
    writer = cv2.VideoWriter(str(tmp_path / 'crossing.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), FPS, (320, 200))
    found, truth = [], []
    for index in range(60):
        image = np.full((200, 320, 3), 128, np.uint8)
        x_far, x_near = 10 + 4 * index, 250 - 4 * index
        image[60:170, x_far : x_far + 50] = far
        image[40:180, x_near : x_near + 60] = near
        writer.write(image)
        people = {'near': [x_near, 40, 60, 140], 'far': [x_far, 60, 50, 110]}
        hidden = max(0, min(x_far + 50, x_near + 60) - max(x_far, x_near)) > 35
        for name, box in people.items():
            if not (hidden and name == 'far'):
                box = (np.array(box) + rng.normal(0, 1, 4)).tolist()
                found.append(dict(image_id=index, bbox=box, score=float(rng.uniform(0.5, 0.95))))
                truth.append((index, name))
    writer.release()
    (tmp_path / 'crossing.json').write_text(json.dumps(found))
    return tmp_path / 'crossing.mp4', ('--boxes', tmp_path / 'crossing.json'), truth


def ids_by_person(out, truth) -> dict[str, list]:
    tracks = [person['track_id'] for line in lines(out / 'crossing.jsonl') for person in line['instances']]
    assert len(tracks) == len(truth)
    return {
        who: [track for track, (_, name) in zip(tracks, truth, strict=True) if name == who] for who in ('near', 'far')
    }


def test_ids_are_kept_through_a_crossing(demo, crossing):
    video, boxes, truth = crossing
    code, out = demo(video, '--track', boxes=boxes)
    assert code == 0
    ids = ids_by_person(out, truth)
    assert len(ids['far']) < 60  # was hidden for a while
    assert {len(set(tracks)) for tracks in ids.values()} == {1}
    assert ids['near'][0] != ids['far'][0]


@pytest.mark.parametrize('dip', [0.2, 0.05])
def test_a_low_score_does_not_lose_a_person(demo, tmp_path, scenes, dip):
    """For 40 frames, longer than anybody is remembered; a second, never certain, is left out. 0.05 is nobody."""
    person = cut(scenes[0])
    writer = cv2.VideoWriter(str(tmp_path / 'x.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), FPS, (320, 200))
    found = []
    for index in range(80):
        image = np.full((200, 320, 3), 128, np.uint8)
        image[40:180, 100 + index : 160 + index] = cv2.resize(person, (60, 140))
        writer.write(image)
        score = dip if 20 <= index < 60 else 0.9
        found.append(dict(image_id=index, score=score, bbox=[100 + index, 40, 60, 140]))
        found.append(dict(image_id=index, score=0.2, bbox=[5, 5, 20, 30]))
    writer.release()
    (tmp_path / 'boxes.json').write_text(json.dumps(found))
    code, out = demo(tmp_path / 'x.mp4', '--track', '--no-draw', boxes=('--boxes', tmp_path / 'boxes.json'))
    assert code == 0
    people = [line['instances'] for line in lines(out / 'x.jsonl')]
    ids = {person['track_id'] for frame in people for person in frame}
    if dip > 0.1:
        assert len(ids) == 1
        assert None not in ids
        assert [len(frame) for frame in people] == [1] * 80
    else:
        assert len(ids - {None}) == 2
        assert [len(frame) for frame in people] == [1] * 20 + [0] * 40 + [1] * 20


def test_resumed_tracks_keep_their_ids(demo, crossing):
    video, boxes, truth = crossing
    _, out = demo(video, '--track', '--smooth', '--no-draw', boxes=boxes)
    whole = lines(out / 'crossing.jsonl')
    (out / 'crossing.jsonl').rename(out / 'crossing.jsonl.partial')
    with (out / 'crossing.jsonl.partial').open('r+') as file:
        file.truncate(sum(len(json.dumps(line)) + 1 for line in whole[:30]))
    assert demo(video, '--track', '--smooth', '--no-draw', '--resume', boxes=boxes)[0] == 0
    again = lines(out / 'crossing.jsonl')
    assert again[:30] == whole[:30]
    assert {len(set(tracks)) for tracks in ids_by_person(out, truth).values()} == {1}


def test_smoothed_video_shakes_less(demo, crossing):
    """A smoothed run differs from a plain one in its keypoints only, and they jump less from frame to frame."""
    video, boxes, truth = crossing
    _, plain = demo(video, '--track', '--no-draw', boxes=boxes, out='plain')
    _, smooth = demo(video, '--track', '--smooth', '--no-draw', boxes=boxes, out='smooth')

    def walk(out) -> tuple[np.ndarray, list[dict]]:
        people = [person for line in lines(out / 'crossing.jsonl') for person in line['instances']]
        near = [p for p, (_, name) in zip(people, truth, strict=True) if name == 'near']
        return np.array([p['keypoints'] for p in near]), [{**p, 'keypoints': None} for p in near]

    (plain_walk, plain_rest), (smooth_walk, smooth_rest) = walk(plain), walk(smooth)
    assert plain_rest == smooth_rest
    shake = [np.abs(np.diff(points, n=2, axis=0)).mean() for points in (plain_walk, smooth_walk)]
    assert shake[1] < 0.7 * shake[0]
    assert np.abs(plain_walk - smooth_walk).mean() < 25


def test_tracker_is_missing(demo, photos, monkeypatch, capfd):
    """Said before anything is done."""
    monkeypatch.setitem(sys.modules, 'trackers', None)
    code, out = demo(photos, '--track')
    assert code == 1
    assert "pip install 'mmpose_lite[tracking]'" in capfd.readouterr().err
    assert not out.exists()


def test_nobody_to_track():
    from mmpose_lite.inference import Tracker

    tracker = Tracker(FPS)
    nobody = Poses.from_instances([], 3)
    assert tracker(nobody).track_ids.tolist() == []
    person = one([[1, 1]] * 3)
    tracker(person)
    assert (tracker(person).track_ids >= 0).all()
    assert len(tracker(nobody)) == 0
