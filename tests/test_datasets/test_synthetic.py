"""Synthetic people. What draws them needs the tables of bodies, which are made from Anny once."""

import importlib.util
import json

import cv2
import numpy as np
import pytest
import torch

from mmpose_lite.cli import main
from mmpose_lite.datasets.synthetic import body_model
from mmpose_lite.datasets.synthetic.dataset import make_synthetic_people
from mmpose_lite.datasets.synthetic.fit import fit_poses, joints, read_keypoints
from mmpose_lite.datasets.synthetic.poses import ANGLES, HIGH, LOW, POSTURES, rotation, sample_pose
from mmpose_lite.datasets.synthetic.rasterize import rasterize, vertex_normals
from mmpose_lite.datasets.synthetic.scene import background, passes_through_itself

needs_bodies = pytest.mark.skipif(
    not body_model.tables_file().is_file() and importlib.util.find_spec('anny') is None,
    reason="needs the extra 'synthetic' (anny)",
)


@pytest.fixture(scope='module')
def people(tmp_path_factory):
    out = tmp_path_factory.mktemp('synthetic') / 'people'
    make_synthetic_people(out, count=6, seed=3, size=128, progress=False)
    return out


def annotations(root):
    return json.loads((root / 'annotations/person_keypoints_train.json').read_text())


def test_nearest_triangle_wins_and_weights_sum_to_one():
    points = np.array([(0, 0), (8, 0), (0, 8), (0, 0), (4, 0), (0, 4)], np.float32)
    winner, weights, near = rasterize(points, np.array([1, 1, 1, 2, 2, 2.0]), np.array([(0, 1, 2), (3, 4, 5)]), 8)
    winner, near = winner.reshape(8, 8), near.reshape(8, 8)
    assert winner[0, 0] == 1
    assert winner[0, 6] == 0
    assert winner[7, 7] == -1
    assert near[0, 0] == pytest.approx(2)
    np.testing.assert_allclose(weights[winner.ravel() >= 0].sum(1), 1, atol=1e-6)


def test_faces_that_turn_away_are_not_drawn_unless_two_sided():
    points, faces = np.array([(0, 0), (8, 0), (0, 8)], np.float32), np.array([(0, 2, 1)])
    assert (rasterize(points, np.ones(3), faces, 8)[0] == -1).all()
    assert (rasterize(points, np.ones(3), faces, 8, np.ones(1, bool))[0] == 0).any()


def test_normals_are_unit_and_follow_the_order_of_corners():
    vertices, faces = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0)], float), np.array([(0, 1, 2)])
    np.testing.assert_allclose(vertex_normals(vertices, faces), [(0, 0, 1)] * 3, atol=1e-6)


def test_rotations_are_orthogonal_and_right_handed():
    np.testing.assert_allclose(rotation(torch.tensor([0.0, 0, 90])) @ torch.tensor([1.0, 0, 0]), [0, 1, 0], atol=1e-5)
    matrix = rotation(torch.tensor([20.0, -50, 70]))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-5)


@pytest.mark.parametrize('posture', POSTURES)
def test_sampled_poses_keep_the_limits(posture):
    rng = np.random.default_rng(0)
    poses = np.stack([sample_pose(rng, posture)[0] for _ in range(50)])
    assert (poses >= LOW).all()
    assert (poses <= HIGH).all()
    assert (poses.std(0) > 0).sum() > 20


def test_arm_through_the_trunk_is_refused():
    points = np.zeros((20, 3))
    points[5:7] = (0.15, 0, 0.45), (-0.15, 0, 0.45)
    points[7:11] = (0.3, 0, 0.2), (-0.3, 0, 0.2), (0.35, 0, 0), (-0.35, 0, 0)
    points[11:13] = (0.1, 0, 0), (-0.1, 0, 0)
    assert not passes_through_itself(points, 1.0)
    points[9] = (0, 0.01, 0.2)
    assert passes_through_itself(points, 1.0)


def test_backgrounds_come_from_the_folder(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((90, 120, 3), (10, 200, 60), np.uint8))
    image = background(np.random.default_rng(0), 64, [tmp_path / 'a.png'])
    np.testing.assert_allclose(image * 255, np.full((64, 64, 3), (10, 200, 60.0)), atol=1)
    (tmp_path / 'b.png').write_text('no picture')
    with pytest.raises(ValueError, match=r'b\.png'):
        background(np.random.default_rng(0), 64, [tmp_path / 'b.png'])


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (['--count', '0'], 'count'),
        (['--seed', '-1'], 'seed'),
        (['--workers', '0'], 'workers'),
        (['--size', '8'], 'size'),
        (['--hidden', '2'], 'hidden_share'),
        (['--backgrounds', 'missing'], 'missing'),
        (['--backgrounds', 'empty'], 'empty'),
    ],
)
def test_bad_arguments_are_one_line(arguments, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    assert main(['synthetic', 'out', *arguments]) == 1
    message = capsys.readouterr().err
    assert named in message
    assert message.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_foreign_folder_is_left_alone(tmp_path, capsys):
    (tmp_path / 'mine.txt').write_text('mine')
    assert main(['synthetic', str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['mine.txt']


def test_missing_anny_names_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setitem(__import__('sys').modules, 'anny', None)
    body_model.load_tables.cache_clear()
    try:
        assert main(['synthetic', str(tmp_path / 'out')]) == 1
    finally:
        body_model.load_tables.cache_clear()
    assert 'mmpose_lite[synthetic]' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('text', ['{', '[]', '{"annotations": []}', '[1]', '{"annotations": [{"keypoints": [1]}]}'])
def test_annotations_without_people_are_named(text, tmp_path):
    (tmp_path / 'people.json').write_text(text)
    with pytest.raises(ValueError, match=r'people\.json'):
        read_keypoints(tmp_path / 'people.json')


def test_mpii_joints_become_coco_keypoints(tmp_path):
    row = {'joints': [[i, 100 + i] for i in range(16)], 'joints_vis': [1] * 16}
    (tmp_path / 'mpii.json').write_text(json.dumps([row]))
    (person,) = read_keypoints(tmp_path / 'mpii.json')
    assert person[16].tolist() == [0, 100, 1]  # right ankle
    assert person[5].tolist() == [13, 113, 1]  # left shoulder
    assert person[0, 2] == 0


@needs_bodies
def test_same_seed_same_bytes_whatever_workers_and_stops(people, tmp_path):
    again = tmp_path / 'again'
    make_synthetic_people(again, count=6, seed=3, size=128, workers=2, progress=False)
    (again / 'parts/0.json').unlink()
    (again / 'images/1000002.jpg').unlink()
    make_synthetic_people(again, count=6, seed=3, size=128, progress=False)
    for path in sorted(people.rglob('*')):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(people)).read_bytes(), path.name


@needs_bodies
def test_annotations_are_what_mmpose_reads(people):
    from mmpose.datasets import CocoDataset, MpiiDataset

    folder = dict(data_root=str(people), data_prefix=dict(img='images/'))
    coco = CocoDataset(ann_file='annotations/person_keypoints_train.json', **folder)
    assert len(coco) > 3
    assert len(MpiiDataset(ann_file='annotations/mpii_train.json', **folder)) > 0
    assert {image['width'] for image in annotations(people)['images']} == {128}


@needs_bodies
def test_labels_lie_in_the_picture_and_seen_ones_in_the_box(people):
    seen = 0
    for annotation in annotations(people)['annotations']:
        points = np.reshape(annotation['keypoints'], (17, 3))
        x, y, w, h = annotation['bbox']
        labelled, visible = points[points[:, 2] > 0], points[points[:, 2] == 2]
        assert (labelled[:, :2] > -1).all()
        assert (labelled[:, :2] < 128).all()
        assert annotation['area'] <= w * h
        inside = (visible[:, :2] > [x - 3, y - 3]) & (visible[:, :2] < [x + w + 3, y + h + 3])
        assert inside.all()
        seen += len(visible)
    assert seen > 30


@needs_bodies
def test_hidden_keypoints_can_be_left_out(tmp_path):
    make_synthetic_people(tmp_path / 'out', count=4, size=96, hidden_share=0.0, progress=False)
    points = np.array([a['keypoints'] for a in annotations(tmp_path / 'out')['annotations']]).reshape(-1, 3)
    assert set(points[:, 2]) == {0, 2}


@needs_bodies
def test_fit_finds_the_pose_behind_keypoints(monkeypatch):
    monkeypatch.setattr('mmpose_lite.datasets.synthetic.fit.NUM_STARTS', 500)  # quick
    rng = np.random.default_rng(5)
    angles = torch.from_numpy(np.stack([sample_pose(rng, 'walk')[0] for _ in range(4)]))
    points = joints(angles).numpy()
    flat = np.stack([100 + 80 * points[..., 0], 100 - 80 * points[..., 2], np.full(points.shape[:2], 2)], -1)
    flat[:, 16] = 0  # not labelled
    poses, errors = fit_poses(flat)
    assert (errors < 0.03).all()
    assert (poses >= LOW).all()
    assert (poses <= HIGH).all()
    found = joints(torch.from_numpy(poses)).numpy()
    assert np.abs(found[:, 9:11, 2] - points[:, 9:11, 2] - (found - points)[..., 2].mean(1, keepdims=True)).mean() < 0.1


@needs_bodies
def test_left_is_left_and_knees_bend_backwards():
    pose = np.zeros((1, len(ANGLES)), np.float32).clip(LOW, HIGH)
    standing = joints(torch.from_numpy(pose))[0]
    assert (standing[5::2, 0] > standing[6::2, 0]).all()
    assert standing[0, 1] < standing[3, 1]  # the nose is in front of the ear
    pose[0, ANGLES.index('leg_knee.L')] = pose[0, ANGLES.index('arm_elbow.L')] = 90
    bent = joints(torch.from_numpy(pose))[0]
    assert bent[15, 1] > standing[15, 1] + 0.2
    assert bent[9, 1] < standing[9, 1] - 0.1


@needs_bodies
def test_poses_of_an_annotation_file_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr('mmpose_lite.datasets.synthetic.fit.NUM_STARTS', 100)
    monkeypatch.setattr('mmpose_lite.datasets.synthetic.fit.STEPS', 40)
    points = joints(torch.from_numpy(sample_pose(np.random.default_rng(1), 'walk')[0][None]))[0].numpy()
    flat = np.column_stack([100 + 80 * points[:, 0], 100 - 80 * points[:, 2], np.full(17, 2)])
    file = tmp_path / 'people.json'
    file.write_text(json.dumps({'annotations': [{'keypoints': flat.ravel().tolist()}]}))
    out = tmp_path / 'out'
    arguments = dict(count=2, size=96, poses_from=file, progress=False)
    assert make_synthetic_people(out, **arguments) > 0
    assert np.load(out / 'poses.npy').shape == (1, len(ANGLES))
    file.write_text(json.dumps({'annotations': [{'keypoints': flat.ravel().tolist()}] * 2}))
    with pytest.raises(FileExistsError, match='poses_from'):
        make_synthetic_people(out, **arguments)


@needs_bodies
def test_files_that_cannot_be_used_are_one_line(tmp_path, capsys):
    empty = tmp_path / 'nobody.json'
    empty.write_text('{"annotations": []}')
    for arguments, named in (
        (['out', '--poses', str(empty)], 'nobody.json'),
        (['out', '--poses', 'absent.json'], 'absent.json'),
        (['nobody.json/out'], 'nobody.json'),
    ):
        assert main(['synthetic', str(tmp_path / arguments[0]), *arguments[1:]]) == 1
        message = capsys.readouterr().err
        assert named in message
        assert message.count('\n') == 1
    assert not (tmp_path / 'out').exists()


@needs_bodies
def test_shoulders_and_hips_are_wider_than_the_joints_of_the_bones():
    tables = body_model.load_tables()
    points = tables.keypoints @ tables.template
    bones = dict(zip(body_model.DRIVEN, tables.rest, strict=True))
    assert np.abs(points[[5, 11], 0] + points[[6, 12], 0]).max() < 0.01  # left mirrors right
    assert 0.9 * bones['upperleg01.L'][0] < points[11, 0] < 1.3 * bones['upperleg01.L'][0]
    np.testing.assert_allclose(np.asarray(tables.keypoints.sum(axis=1)).ravel(), 1, atol=1e-3)


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 cut short', b'no archive'])
def test_a_damaged_table_is_named(content, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    path = body_model.tables_file()
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf'{path.name} is damaged'):
        body_model.load_tables.__wrapped__()
