import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.datasets import CocoDataset, MpiiDataset
from mmpose.evaluation import CocoMetric, MpiiPCKAccuracy
from scipy.io import loadmat

from mmpose_lite.datasets.toy import people as toy_people
from mmpose_lite.datasets.toy.people import (
    COCO_KEYPOINTS,
    KEYPOINTS,
    MPII_FROM_KEYPOINTS,
    draw_scene,
    make_toy_people,
)

SIZE = (160, 128)
NUM_TRAIN, NUM_VAL = 12, 8


def make(root, num_train=NUM_TRAIN, num_val=NUM_VAL, seed=3, size=SIZE):
    return make_toy_people(root, num_train, num_val, seed=seed, image_size=size, progress=False)


def digests(root):
    files = (path for path in Path(root).rglob('*') if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def scenes(num_images=NUM_VAL, split=2):
    return [toy_people._draw_split_scene(3, split, i, SIZE) for i in range(num_images)]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('toy') / 'people'
    make(root)
    return root


@pytest.fixture(autouse=True)
def mmpose_scope():
    init_default_scope('mmpose')


def test_files(root):
    names = {path.name for path in (root / 'annotations').iterdir()}
    assert names == {
        f'{stem}_{split}.{ext}'
        for stem, ext in (('person_keypoints', 'json'), ('mpii', 'json'), ('mpii_gt', 'mat'))
        for split in ('train', 'val')
    }
    assert len(list((root / 'images').iterdir())) == NUM_TRAIN + NUM_VAL
    assert not [path for path in root.parent.iterdir() if path != root]


def test_same_seed_same_bytes(root, tmp_path):
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1 if threads != 1 else 4)
    try:
        make(tmp_path / 'again')
    finally:
        cv2.setNumThreads(threads)
    assert digests(tmp_path / 'again') == digests(root)


def test_other_seed_other_bytes(root, tmp_path):
    make(tmp_path / 'other', seed=4)
    ours, theirs = digests(root), digests(tmp_path / 'other')
    assert ours.keys() == theirs.keys()
    assert all(ours[name] != theirs[name] for name in ours)


def test_more_pictures_extend_the_set(root, tmp_path):
    make(tmp_path / 'fewer', num_train=5, num_val=0)
    fewer, all_ = digests(tmp_path / 'fewer'), digests(root)
    pictures = [name for name in fewer if name.endswith('.jpg')]
    assert len(pictures) == 5
    assert all(fewer[name] == all_[name] for name in pictures)

    short = json.loads((tmp_path / 'fewer/annotations/person_keypoints_train.json').read_text())
    long = json.loads((root / 'annotations/person_keypoints_train.json').read_text())
    assert long['annotations'][: len(short['annotations'])] == short['annotations']


@pytest.mark.parametrize('size', [(320, 256), (96, 128)])
def test_draw_scene(size):
    seen = set()
    for i in range(30):
        scene = draw_scene(np.random.default_rng(i), size, num_people=1 + i % 4)
        assert scene.image.shape == (size[1], size[0], 3)
        assert scene.image.dtype == np.uint8
        assert 1 <= len(scene.people) <= 1 + i % 4
        for person in scene.people:
            assert person.keypoints.shape == (len(KEYPOINTS), 2)
            inside = np.all((person.keypoints >= 0) & (person.keypoints <= np.subtract(size, 1)), 1)
            np.testing.assert_array_equal(person.visibility > 0, inside)
            low, high = person.bbox[:2], person.bbox[:2] + person.bbox[2:]
            assert np.all(low >= 0)
            assert np.all(high <= np.subtract(size, 1))
            assert np.all(high > low)
            labelled = person.keypoints[inside]
            assert np.all(labelled >= low - 0.1)
            assert np.all(labelled <= high + 0.1)
            assert 0 < person.area <= np.prod(person.bbox[2:] + 1)
            head = person.keypoints[[KEYPOINTS.index('upper_neck'), KEYPOINTS.index('head_top')]]
            head_size = 0.6 * np.linalg.norm(person.head_box[1] - person.head_box[0])
            assert 0.6 < head_size / np.linalg.norm(head[1] - head[0]) < 1.3
            seen |= {(person.from_behind, v) for v in person.visibility.tolist()}
    assert seen >= {(False, 0), (False, 1), (False, 2), (True, 1), (True, 2)}


def test_left_and_right():
    shoulders = [COCO_KEYPOINTS.index(f'{side}_shoulder') for side in ('left', 'right')]
    behind = 0
    people = [person for scene in scenes(60) for person in scene.people]
    for person in people:
        left, right = person.keypoints[shoulders, 0]
        assert (left < right) == person.from_behind
        if person.from_behind:
            assert np.all(person.visibility[:3] < 2), 'a face seen from behind'
        behind += person.from_behind
    assert 0.1 < behind / len(people) < 0.35


def test_keypoints_lie_on_the_drawing():
    """Eyes are darker than the face around them, so they are drawn where they are said to be."""
    darker = []
    for i in range(60):
        scene = draw_scene(np.random.default_rng(i), (320, 320), num_people=1)
        person = scene.people[0]
        if person.visibility[0] == 2:
            blurred = cv2.GaussianBlur(scene.image, (3, 3), 0).mean(axis=2)
            eyes = person.keypoints[1:3]
            for eye in eyes:
                x, y = np.round(eye).astype(int)
                reach = int(np.ceil(0.5 * np.linalg.norm(eyes[0] - eyes[1])))
                patch = blurred[y - reach : y + reach + 1, x - reach : x + reach + 1]
                darker.append(blurred[y, x] < np.median(patch))
    assert len(darker) > 50
    assert np.mean(darker) > 0.85


def test_coco_file(root):
    data = json.loads((root / 'annotations/person_keypoints_val.json').read_text())
    assert data.keys() == {'info', 'licenses', 'categories', 'images', 'annotations'}
    assert data['categories'][0]['keypoints'] == list(COCO_KEYPOINTS)
    images = {image['id']: image for image in data['images']}
    assert len(images) == NUM_VAL
    assert {(image['width'], image['height']) for image in images.values()} == {SIZE, SIZE[::-1]}
    for image in images.values():
        picture = cv2.imread(str(root / 'images' / image['file_name']))
        assert picture.shape == (image['height'], image['width'], 3)
    ids = [ann['id'] for ann in data['annotations']]
    assert len(set(ids)) == len(ids)
    assert min(ids) > 0
    assert {ann['image_id'] for ann in data['annotations']} == set(images)
    for ann in data['annotations']:
        keypoints = np.array(ann['keypoints']).reshape(17, 3)
        assert ann['num_keypoints'] == np.count_nonzero(keypoints[:, 2]) > 0
        assert np.all(keypoints[keypoints[:, 2] == 0] == 0)
        assert set(keypoints[:, 2]) <= {0, 1, 2}


def predictions(dataset):
    """The ground truth of a dataset as a model's perfect output."""
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        gt = {
            'keypoints': info['keypoints'],
            'keypoints_visible': info['keypoints_visible'],
            'bbox_scores': info['bbox_score'],
            'head_size': info.get('head_size'),
        }
        pred = {'keypoints': info['keypoints'], 'keypoint_scores': np.ones(gt['keypoints'].shape[:2])}
        yield {'id': info['id'], 'img_id': info['img_id'], 'gt_instances': gt, 'pred_instances': pred}


def test_coco_dataset_and_metric(root):
    ann_file = str(root / 'annotations/person_keypoints_val.json')
    dataset = CocoDataset(ann_file, data_prefix={'img': str(root / 'images')}, test_mode=True)
    people = [person for scene in scenes() for person in scene.people]
    assert len(dataset) == len(people)
    for i, person in enumerate(people):
        info = dataset.get_data_info(i)
        labelled = person.visibility[:17] > 0
        np.testing.assert_array_equal(info['keypoints_visible'][0] > 0, labelled)
        expected = person.keypoints[:17][labelled]
        np.testing.assert_allclose(info['keypoints'][0, labelled], expected, atol=1e-3)
        assert Path(info['img_path']).is_file()

    metric = CocoMetric(ann_file)
    metric.dataset_meta = dataset.metainfo
    metric.process([], list(predictions(dataset)))
    result = metric.evaluate(len(dataset))
    assert result['coco/AP'] == pytest.approx(1.0)
    assert result['coco/AR'] == pytest.approx(1.0)


def test_mpii_dataset_and_metric(root):
    dataset = MpiiDataset(
        str(root / 'annotations/mpii_val.json'),
        headbox_file=str(root / 'annotations/mpii_gt_val.mat'),
        data_prefix={'img': str(root / 'images')},
        test_mode=True,
    )
    people = [person for scene in scenes() for person in scene.people if toy_people._in_mpii(person)]
    assert len(dataset) == len(people) >= NUM_VAL
    for i, person in enumerate(people):
        info = dataset.get_data_info(i)
        labelled = person.visibility[MPII_FROM_KEYPOINTS] > 0
        assert labelled.sum() >= toy_people.MPII_MIN_JOINTS
        np.testing.assert_array_equal(info['keypoints_visible'][0] > 0, labelled)
        expected = person.keypoints[MPII_FROM_KEYPOINTS][labelled]
        np.testing.assert_allclose(info['keypoints'][0, labelled], expected, atol=1e-3)
        center = person.bbox[:2] + person.bbox[2:] / 2
        np.testing.assert_allclose(info['bbox_center'][0], center, atol=1e-2)
        np.testing.assert_allclose(info['bbox_scale'][0], person.bbox[2:].max(), atol=1e-2)
        head_size = 0.6 * np.linalg.norm(person.head_box[1] - person.head_box[0])
        assert info['head_size'].item() == pytest.approx(head_size)
        assert Path(info['img_path']).is_file()

    metric = MpiiPCKAccuracy(thr=0.5)
    metric.dataset_meta = dataset.metainfo
    metric.process([], list(predictions(dataset)))
    result = metric.evaluate(len(dataset))
    assert result['PCK'] == pytest.approx(100.0)
    assert result['Ankle PCK'] == pytest.approx(100.0)


def test_mpii_mat(root):
    mat = loadmat(root / 'annotations/mpii_gt_train.mat')
    anns = json.loads((root / 'annotations/mpii_train.json').read_text())
    assert mat['headboxes_src'].shape == (2, 2, len(anns))
    assert mat['pos_gt_src'].shape == (16, 2, len(anns))
    assert np.where(mat['dataset_joints'] == 'head')[1][0] == 9
    assert np.where(mat['dataset_joints'] == 'lwri')[1][0] == 15
    missing = 1 - np.array([ann['joints_vis'] for ann in anns]).T
    np.testing.assert_array_equal(mat['jnt_missing'], missing)


def test_existing_data_is_left_alone(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    assert make(root).up_to_date
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob('*')}


def test_refuses_a_folder_that_holds_anything_else(root, tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='Choose another folder'):
        make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.txt']
    with pytest.raises(FileExistsError, match='"num_train": 13'):
        make(root, num_train=13)


def test_fills_an_empty_folder(tmp_path):
    made = make(tmp_path, num_train=1, num_val=0)
    assert made.root == tmp_path
    assert not made.up_to_date
    assert (tmp_path / 'images/1000000.jpg').is_file()
    assert loadmat(tmp_path / 'annotations/mpii_gt_val.mat')['headboxes_src'].size == 0


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    draw = toy_people._draw_split_scene

    def interrupted(seed, split, index, size):
        if index == 2:
            raise KeyboardInterrupt
        return draw(seed, split, index, size)

    monkeypatch.setattr(toy_people, '_draw_split_scene', interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / 'people')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_train': -1}, 'num_train'),
        ({'num_val': -1}, 'num_val'),
        ({'num_train': 0, 'num_val': 0}, 'not both 0'),
        ({'seed': -1}, 'seed'),
        ({'size': (320, 8)}, 'image_size'),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path / 'people', **arguments)
    assert not list(tmp_path.iterdir())
