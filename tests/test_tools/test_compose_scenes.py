"""Scenes for a person detector, composed of people who are cut out along their keypoints."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / 'tools'))
import compose_scenes
from compose_scenes import (
    HEAD_TOP,
    MAX_ZOOM,
    PELVIS,
    Scene,
    compose,
    cut_out,
    placed,
    read_photograph,
)

# right ankle to hip, left hip to ankle, pelvis, thorax, neck, top of the head, right wrist to shoulder, left to wrist
JOINTS = np.array(
    (
        *((80, 180), (82, 145), (88, 110), (112, 110), (118, 145), (120, 180), (100, 110), (100, 55)),
        *((100, 48), (100, 20), (60, 105), (70, 80), (85, 55), (115, 55), (130, 80), (140, 105)),
    ),
    float,
)
RIGHT_ARM, LEFT_ARM = (40, 40, 220), (220, 60, 40)  # blue, green, red


def photograph() -> tuple[np.ndarray, np.ndarray]:
    """Somebody with a red right and a blue left arm before grass, and where they are."""
    image = np.random.default_rng(0).normal((40, 120, 60), 12, (200, 200, 3)).clip(0, 255).astype(np.uint8)
    person = np.zeros((200, 200), np.uint8)
    points = JOINTS.astype(int)

    def draw(color, *limb, thickness):
        for canvas, value in ((image, color), (person, 255)):
            cv2.polylines(canvas, [points[list(limb)]], False, value, thickness)

    for leg in ((0, 1, 2), (3, 4, 5)):
        draw((120, 60, 30), *leg, thickness=14)
    draw((200, 200, 230), 2, 3, 13, 12, 2, thickness=14)
    for canvas, value in ((image, (200, 200, 230)), (person, 255)):
        cv2.fillConvexPoly(canvas, cv2.convexHull(points[[2, 3, 13, 12]]), value)
        cv2.circle(canvas, (100, 34), 14, value if canvas is person else (150, 180, 230), -1)
    draw(RIGHT_ARM, 10, 11, 12, thickness=10)
    draw(LEFT_ARM, 13, 14, 15, thickness=10)
    return image, person


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('photographs')
    (root / 'images').mkdir()
    (root / 'annotations').mkdir()
    image, _ = photograph()
    people = []
    for number, shade in enumerate((1, 0.8, 0.6)):
        cv2.imwrite(str(root / f'images/{number}.png'), (image * shade).astype(np.uint8))
        people.append(
            dict(image=f'{number}.png', joints=JOINTS.tolist(), joints_vis=[1] * 16, center=[100, 100], scale=1)
        )
    people.append(dict(people[0], joints_vis=[0] + [1] * 15))  # left out
    (root / 'annotations/mpii_train.json').write_text(json.dumps(people))
    return root


@pytest.fixture(scope='module')
def photos(data):
    people = json.loads((data / 'annotations/mpii_train.json').read_text())
    found = [read_photograph(person, data / 'images') for person in people]
    assert [photo is None for photo in found] == [False, False, False, True]
    return found[:3]


def run(*arguments) -> subprocess.CompletedProcess:
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, compose_scenes.__file__, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_person_is_cut_out():
    image, person = photograph()
    found = cut_out(image, JOINTS) > 0
    person = person > 0
    assert (found & person).sum() / (found | person).sum() > 0.85
    tiny = JOINTS / 10
    assert cut_out(image, tiny) is None


def test_empty_photograph_is_grass(photos):
    _, person = photograph()
    assert np.abs(photos[0].empty[person > 0].mean(axis=0) - (40, 120, 60)).max() < 15


@pytest.mark.parametrize('flip', [False, True])
def test_placed_and_mirrored(photos, flip):
    """The joint is where it was asked to be, and a mirrored right arm is a left one."""
    scene = Scene(np.random.default_rng(0), photos[:1])
    scene.width, scene.height = 400, 400
    scene.image, scene.owner = np.zeros((400, 400, 3), np.uint8), np.zeros((400, 400), int)
    matrix = placed(photos[0], 1.5, 20, flip, HEAD_TOP, (210, 30))
    assert scene.add_person(photos[0], matrix, natural=True)
    person = scene.people()[0]
    np.testing.assert_allclose(person.joints[HEAD_TOP], (210, 30))
    assert np.linalg.norm(person.joints[9] - person.joints[6]) == pytest.approx(1.5 * 90)
    arms = {True: (14, 11), False: (11, 14)}[flip]  # elbows: of the red arm, of the blue one
    for joint, color in zip(arms, (RIGHT_ARM, LEFT_ARM), strict=True):
        x, y = person.joints[joint].round().astype(int)
        assert np.abs(scene.image[y, x].astype(int) - color).max() < 40
    x, y, width, height = person.box
    inside = (person.joints > (x - 1, y - 1)) & (person.joints < (x + width + 1, y + height + 1))
    assert inside.all()


def test_nobody_is_hidden(photos):
    """Who comes second may not cover who is there, nor stand where nothing of them is seen."""
    scene = Scene(np.random.default_rng(0), photos)
    at = (scene.width / 2, 10)
    assert scene.add_person(photos[0], placed(photos[0], 1, 0, False, HEAD_TOP, at))
    before = scene.image.copy()
    assert not scene.add_person(photos[1], placed(photos[1], 1, 0, False, HEAD_TOP, at))
    assert not scene.add_person(photos[1], placed(photos[1], 1, 0, False, HEAD_TOP, (-500, 10)))
    assert np.array_equal(scene.image, before)
    assert len(scene.people()) == 1


def test_boxes_are_what_is_seen(photos):
    """In every picture, whatever is drawn: boxes within it, of some size, at most as many as asked for."""
    numbers = []
    for index in range(40):
        image, people = compose(index, 5, photos)
        height, width = image.shape[:2]
        numbers.append(len(people))
        for person in people:
            x, y, w, h = person.box
            assert 0 <= x < x + w <= width
            assert 0 <= y < y + h <= height
            assert w * h >= 100
    assert min(numbers) == 0
    assert 2 <= max(numbers) <= 5


def test_near_portraits(photos, monkeypatch):
    """Always one person, from the head down to somewhere between neck and hips, enlarged further than in scenes."""
    monkeypatch.setattr(compose_scenes, 'MAX_ZOOM_NEAR', 7)
    zooms, tops = [], []
    for index in range(40):
        image, (person,) = compose(index, 5, photos, portraits=True)
        trunk = np.linalg.norm(person.joints[HEAD_TOP] - person.joints[PELVIS])
        zooms.append(trunk / photos[0].trunk)
        tops.append(person.joints[HEAD_TOP, 1])
        assert 0.4 <= (image.shape[0] - person.joints[HEAD_TOP, 1]) / trunk <= 1.2
    assert min(zooms) < MAX_ZOOM < max(zooms) <= 7
    assert min(tops) < 0 < max(tops)


def test_arms_of_portraits_are_lowered(photos):
    """Three times of four, where as many people raise theirs."""
    acrobat = photos[0].joints.copy()
    acrobat[[11, 14], 1] = 20
    acrobat = replace(photos[0], joints=acrobat)
    assert photos[0].lowered
    assert not acrobat.lowered
    people = [compose(index, 0, [photos[0], acrobat], portraits=True)[1][0].joints for index in range(200)]
    lowered = [joints[11, 1] > joints[12, 1] for joints in people]
    assert 0.65 < np.mean(lowered) < 0.9


def test_command(data, tmp_path):
    """Both formats, the same bytes whatever the number of processes, and what MMPose reads."""
    for name, processes in (('one', 1), ('two', 2)):
        done = run('--data', data, '--out', tmp_path / name, '--count', 12, '--seed', 1, '--processes', processes)
        assert done.returncode == 0, done.stderr
    files = sorted(path.relative_to(tmp_path / 'one') for path in (tmp_path / 'one').rglob('*') if path.is_file())
    assert len(files) == 12 + 2
    for file in files:
        assert (tmp_path / 'one' / file).read_bytes() == (tmp_path / 'two' / file).read_bytes()
    coco = json.loads((tmp_path / 'one/annotations/person_boxes_train.json').read_text())
    assert len(coco['images']) == 12
    assert [a['id'] for a in coco['annotations']] == list(range(1, len(coco['annotations']) + 1))

    from mmpose.registry import DATASETS

    dataset = DATASETS.build(
        dict(
            type='MpiiDataset',
            data_root=str(tmp_path / 'one'),
            ann_file='annotations/mpii_train.json',
            data_prefix=dict(img='images/'),
            pipeline=[],
        )
    )
    assert f'{len(dataset)} people in 12 pictures, of 3 cut out' in done.stdout
    for item, annotation in zip(dataset, coco['annotations'], strict=True):
        x, y, w, h = annotation['bbox']
        side = max(w, h)
        square = (x + w / 2 - side / 2, y + h / 2 - side / 2, x + w / 2 + side / 2, y + h / 2 + side / 2)
        np.testing.assert_allclose(item['bbox'][0], square, atol=0.01)
        assert Path(item['img_path']).stem == f'{annotation["image_id"]:06d}'


def test_command_for_portraits(data, tmp_path):
    done = run('--data', data, '--out', tmp_path, '--count', 12, '--seed', 1, '--portraits', '--processes', 1)
    assert done.returncode == 0, done.stderr
    assert '12 people in 12 pictures' in done.stdout
    for person in json.loads((tmp_path / 'annotations/mpii_train.json').read_text()):
        trunk = np.linalg.norm(np.subtract(person['joints'][HEAD_TOP], person['joints'][PELVIS]))
        height = cv2.imread(str(tmp_path / 'images' / person['image'])).shape[0]
        assert trunk > 0.55 * height


def test_what_is_missing_is_named(tmp_path, data):
    done = run('--data', tmp_path, '--out', tmp_path / 'out')
    assert done.returncode == 1
    assert f'{tmp_path}/annotations/mpii_train.json is missing' in done.stderr
    assert not (tmp_path / 'out').exists()
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/mpii_train.json').write_bytes((data / 'annotations/mpii_train.json').read_bytes())
    done = run('--data', tmp_path, '--out', tmp_path / 'out')
    assert done.returncode == 1
    assert f'{tmp_path}/images/0.png is missing or broken: check --data' in done.stderr
    assert 'Traceback' not in done.stderr
