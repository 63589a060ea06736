"""Broken data: every kind is found by name, a sound data set is clean, and a training stops or skips as asked."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.registry import DATASETS
from scipy.io import loadmat, savemat

from mmpose_lite.cli import main
from mmpose_lite.datasets.annotations import side_of
from mmpose_lite.datasets.check import NOTES, PROBLEMS, check_dataset, check_flip_pairs, mirrored_name
from mmpose_lite.datasets.contact_sheet import draw_samples
from mmpose_lite.datasets.loading import decode_image

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs' / 'lgm_pose' / 'td-hm_lgm-pose_1xb32-6e_toy-128x128.py'


@pytest.fixture
def data(toy_root, tmp_path) -> Path:
    """Generated people that may be broken."""
    return Path(shutil.copytree(toy_root, tmp_path / 'people'))


def coco(root: Path, **changes) -> Config:
    return Config(
        dict(
            type='CocoDataset',
            data_root=str(root),
            ann_file='annotations/person_keypoints_train.json',
            data_prefix=dict(img='images/'),
            pipeline=[],
            **changes,
        )
    )._cfg_dict


def mpii(root: Path, split: str = 'val') -> Config:
    val = dict(test_mode=True, headbox_file=f'{root}/annotations/mpii_gt_val.mat') if split == 'val' else {}
    prefix = dict(img='images/')
    config = dict(
        type='MpiiDataset', data_root=str(root), ann_file=f'annotations/mpii_{split}.json', data_prefix=prefix
    )
    return Config(dict(pipeline=[], **config, **val))._cfg_dict


def found_in(config) -> dict[str, list[str]]:
    return {kind: where for kind, where in check_dataset(config).found.items() if where}


def edited(path: Path):
    """Read a JSON file; call the second value to write it back."""
    content = json.loads(path.read_text())
    return content, lambda: path.write_text(json.dumps(content))


# ------------------------------------------------------------------------------------------------ annotations


@pytest.mark.parametrize('make', [coco, mpii, lambda root: mpii(root, 'train')], ids=['coco', 'mpii-val', 'mpii-train'])
def test_generated_people_are_clean(data, make):
    report = check_dataset(make(data), workers=2)
    assert report.clean
    assert set(report.found) <= set(NOTES)
    assert report.num_used == report.num_people > 0
    assert report.as_dict()['problems'] == {}


def set_bbox(bbox):
    return lambda image, person: person.update(bbox=bbox)


BROKEN_PEOPLE = {
    'incomplete': [
        lambda i, p: p.pop('keypoints'),
        lambda i, p: p.update(bbox=None),
        set_bbox([1, 2, 3]),
        set_bbox([5, 5, float('nan'), 9]),
        lambda i, p: p.update(keypoints=' '.join(map(str, p['keypoints']))),
        lambda i, p: p.update(keypoints=list(map(str, p['keypoints']))),
        lambda i, p: p['keypoints'].__setitem__(4, None),
    ],
    'area': [
        lambda i, p: p.pop('area'),
        *(lambda i, p, a=a: p.update(area=a) for a in (None, '300', 0, 0.2, 1e20, -1, [9])),
    ],
    'iscrowd': [lambda i, p: p.pop('iscrowd'), lambda i, p: p.update(iscrowd=None)],
    'nested': [lambda i, p: p.update(keypoints=[p['keypoints'][k : k + 3] for k in range(0, 51, 3)])],
    'category': [lambda i, p: p.update(category_id=2), lambda i, p: p.pop('category_id')],
    'visibility': [lambda i, p: p['keypoints'].__setitem__(2, 3)],
    'id_kind': [
        lambda i, p: p.update(id=f'p{p["id"]}'),
        lambda i, p: p.update(image_id=str(p['image_id'])),
        lambda i, p: p.update(id=-1),
    ],
    'normalized': [
        lambda i, p: p.update(
            keypoints=[value / 999 if k % 3 < 2 else value for k, value in enumerate(p['keypoints'])],
        )
    ],
    'image_record': [lambda i, p: i.pop('width'), lambda i, p: i.update(height='480'), lambda i, p: i.pop('file_name')],
    'unknown_image': [lambda i, p: p.update(image_id=123)],
    'keypoint_count': [lambda i, p: p['keypoints'].pop()],
    'num_keypoints': [lambda i, p: p.update(num_keypoints=0)],
    'keypoint_outside': [lambda i, p: p['keypoints'].__setitem__(slice(3), [i['width'] + 2, 1, 2])],
    'box_empty': [set_bbox([5, 5, 0, 9])],
    'box_outside': [set_bbox([-50, 5, 40, 9]), lambda i, p: p.update(bbox=[5, i['height'] + 1, 9, 9])],
    'box_mostly_outside': [lambda i, p: p.update(bbox=[i['width'] - 4, 5, 9, 9])],
    'crowd': [lambda i, p: p.update(iscrowd=1)],
    'no_labelled_keypoint': [lambda i, p: p.update(keypoints=[0] * 51, num_keypoints=0)],
}


@pytest.mark.parametrize(('kind', 'breaking'), [(k, b) for k, ways in BROKEN_PEOPLE.items() for b in ways])
def test_broken_person_is_named(data, kind, breaking):
    content, write = edited(data / 'annotations' / 'person_keypoints_train.json')
    person = content['annotations'][3]
    breaking(next(image for image in content['images'] if image['id'] == person['image_id']), person)
    write()
    found = found_in(coco(data))
    found.pop('unreadable', None)  # MMPose stops at some
    # a further keypoint; the people of a picture that is not read
    consequences = dict(keypoint_outside='num_keypoints', visibility='num_keypoints', image_record='unknown_image')
    found.pop(consequences.get(kind), None)
    assert list(found) == [kind]
    assert len(found[kind]) == 1
    assert str(person['image_id' if kind == 'image_record' else 'id']) in found[kind][0]


BROKEN_FILES = {
    'categories': lambda content: content.update(categories=[]),
    'category': lambda content: content['categories'][0].update(id=2),
    'nobody_labelled': lambda content: [
        person.pop('num_keypoints') and person['keypoints'].__setitem__(slice(2, None, 3), [0] * 17)
        for person in content['annotations']
    ],
    'corners': lambda content: [
        person.update(bbox=[x, y, x + width, y + height])
        for person in content['annotations']
        for x, y, width, height in [person['bbox']]
    ],
    'keypoint_names': lambda content: content['categories'][0]['keypoints'].pop(),
}


@pytest.mark.parametrize('kind', BROKEN_FILES)
def test_broken_file_is_named(data, kind):
    content, write = edited(data / 'annotations' / 'person_keypoints_train.json')
    BROKEN_FILES[kind](content)
    write()
    report = check_dataset(coco(data))
    assert not report.clean
    assert report.found[kind]
    assert PROBLEMS[kind] in report.as_text()


def test_names_are_compared_as_people_write_them(data):
    """Spaces for underscores are no difference; an exchange behind them is."""
    content, write = edited(data / 'annotations' / 'person_keypoints_train.json')
    names = content['categories'][0]['keypoints']
    names[:] = [name.replace('_', ' ').title() for name in names]
    write()
    assert check_dataset(coco(data)).clean
    names[1], names[2] = names[2], names[1]
    write()
    assert list(found_in(coco(data))) == ['keypoint_order']


@pytest.mark.parametrize(
    'change',
    [
        lambda person: person.update(bbox=[0, 0, 5, 5]),
        lambda person: person.update(
            keypoints=[value / 6.4 if k % 3 < 2 else value for k, value in enumerate(person['keypoints'])]
        ),
    ],
)
def test_boxes_and_keypoints_that_lie_apart(data, change):
    content, write = edited(data / 'annotations' / 'person_keypoints_train.json')
    for person in content['annotations']:
        change(person)
    write()
    assert list(found_in(coco(data))) == ['not_in_box']


def test_sigmas_of_another_keypoint_set(data):
    metainfo = dict(DATASETS.get('CocoDataset').METAINFO)
    parsed = Config.fromfile(Path(__import__('mmpose').__file__).parent / '.mim' / metainfo['from_file']).dataset_info
    for sigmas in (parsed.sigmas[:-1], [*parsed.sigmas[:-1], 0.0]):
        assert list(found_in(coco(data, metainfo=dict(parsed, sigmas=sigmas)))) == ['sigmas']


def test_detected_boxes(data, tmp_path):
    content = json.loads((data / 'annotations' / 'person_keypoints_train.json').read_text())
    person = content['annotations'][0]
    box = dict(image_id=person['image_id'], category_id=1, bbox=person['bbox'], score=0.9)
    for change, said in (
        (dict(), None),
        (dict(category_id=2), 'none of 1 boxes has category_id 1'),
        (dict(image_id=-5), 'is no picture'),
        (dict(bbox=[1, 2]), '2 numbers'),
        (dict(bbox=[1, 2, -3, 4]), 'has no area'),
        (dict(bbox=[0.1, 0.2, 0.5, 0.5]), 'is less than a pixel wide or high'),
        (dict(score=None), 'not a number'),
        (dict(score=0), 'score 0 is not above 0'),
        (dict(category_id=True), 'category_id True is no number'),
    ):
        (tmp_path / 'boxes.json').write_text(json.dumps([dict(box, **change)]))
        found = found_in(coco(data, bbox_file=str(tmp_path / 'boxes.json'), test_mode=True))
        assert (said in found['bbox_file'][0]) if said else found == {}, change


@pytest.mark.parametrize(
    ('name', 'side'),
    [
        *(('left_eye', 'l'), ('Right Hip', 'r'), ('R-Sho', 'r'), ('l_ank', 'l'), ('lwrist', 'l'), ('RKnee', 'r')),
        *(('kneeL', 'l'), ('nose', None), ('lip', None), ('rear', None), ('ring', None), ('rear_left_paw', 'l')),
        *(('rshoulder', 'r'), ('lower_back', None), ('left_of_right', None), ('root', None)),
    ],
)
def test_sides_of_names(name, side):
    assert side_of(name) == side


def test_abbreviated_names_with_left_for_right(data):
    content, write = edited(data / 'annotations' / 'person_keypoints_train.json')
    (category,) = content['categories']
    right = [name.replace('left_', 'l_').replace('right_', 'r_') for name in category['keypoints']]
    category['keypoints'] = ['noze', *right[1:]]
    write()
    assert found_in(coco(data)) == {}
    category['keypoints'] = ['noze', *({'l': 'r', 'r': 'l'}[name[0]] + name[1:] for name in right[1:])]
    write()
    found = found_in(coco(data))
    assert list(found) == ['keypoint_order']
    assert len(found['keypoint_order']) == 16
    assert 'r_eye in the place of left_eye' in found['keypoint_order'][0]


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('annotations', ['none', 'crowds', 'no keypoints'])
def test_nobody_to_train_on_is_named(data, split, annotations):
    """As MMPose builds a data set, without check-data before."""
    content, write = edited(data / 'annotations' / 'person_keypoints_train.json')
    content['annotations'] = content['annotations'] if annotations != 'none' else []
    for person in content['annotations']:
        person.update(dict(iscrowd=1) if annotations == 'crowds' else dict(keypoints=[0] * 51, num_keypoints=0))
    write()
    with pytest.raises(ValueError, match=r'person_keypoints_train\.json.*(nobody in it can be used|no person in it)'):
        DATASETS.build(dict(coco(data), test_mode=split == 'val'))


def test_detected_boxes_of_nobody_are_named(data, tmp_path):
    (tmp_path / 'boxes.json').write_text(json.dumps([dict(image_id=1, category_id=2, bbox=[1, 2, 3, 4], score=0.9)]))
    with pytest.raises(ValueError, match=r'boxes\.json: nobody in it can be used'):
        DATASETS.build(dict(coco(data), test_mode=True, bbox_file=str(tmp_path / 'boxes.json')))


def test_mpii_files_with_a_byte_order_mark(data):
    file = data / 'annotations' / 'mpii_train.json'
    number = len(DATASETS.build(mpii(data, 'train')))
    file.write_bytes(b'\xef\xbb\xbf' + file.read_bytes())
    assert len(DATASETS.build(mpii(data, 'train'))) == number


def test_sheet_with_people_of_other_keypoints(data, tmp_path, monkeypatch, capsys):
    """One person with a keypoint too many or too few is named; the sheet shows the others."""
    monkeypatch.setenv('COCO_ROOT', str(data))
    file = data / 'annotations' / 'person_keypoints_train.json'
    content, write = edited(file)
    del content['annotations'][0]['keypoints'][-3:]
    content['annotations'][2]['keypoints'] += [0, 0, 0]
    write()
    config = ROOT / 'configs/lgm_pose/td-hm_lgm-pose_1xb32-260e_coco-256x192.py'
    options = [
        f'train_dataloader.dataset.{name}' for name in ('ann_file=' + str(file), f'data_prefix.img={data}/images/')
    ]
    assert main(['check-data', str(config), '--out', str(tmp_path / 'out'), '--cfg-options', *options]) == 1
    assert '2 people with a wrong number of keypoints' in capsys.readouterr().out


def test_people_that_mmpose_leaves_out_are_counted(data):
    content, write = edited(data / 'annotations' / 'person_keypoints_train.json')
    content['annotations'][0].pop('keypoints')
    content['annotations'][1]['bbox'][2] = 0
    content['annotations'][2]['image_id'] = 123
    write()
    report = check_dataset(coco(data))
    assert report.num_people - report.num_used == 3
    assert not report.clean


def test_duplicate_ids_and_order_of_names(data):
    content, write = edited(data / 'annotations' / 'person_keypoints_train.json')
    content['annotations'][1]['id'] = content['annotations'][0]['id']
    content['images'].append(content['images'][0])
    names = content['categories'][0]['keypoints']
    names[0], names[1] = names[1], names[0]
    write()
    found = found_in(coco(data))
    assert set(found) == {'duplicate_annotation_id', 'duplicate_image_id', 'keypoint_order'}
    assert str(content['images'][0]['id']) in found['duplicate_image_id'][0]


def test_other_files_are_refused_by_name(data):
    file = data / 'annotations' / 'person_keypoints_train.json'
    for text in ('{', '{}', '[{}'):
        file.write_text(text)
        with pytest.raises(ValueError, match=file.name):
            check_dataset(coco(data))
    file.unlink()
    with pytest.raises(FileNotFoundError, match=file.name):
        check_dataset(coco(data))


# ------------------------------------------------------------------------------------------------ MPII


def test_broken_mpii_people_are_named(data):
    people, write = edited(data / 'annotations' / 'mpii_train.json')
    people[0]['scale'] = 0
    people[1]['joints'].pop()
    people[2].pop('center')
    people[3]['joints'][4] = [-20, 5]
    people[3]['joints_vis'][4] = 1
    people.append(people[4])
    write()
    found = found_in(mpii(data, 'train'))
    found.pop('unreadable')
    found.pop('box_mostly_outside', None)
    assert set(found) == {'box_empty', 'keypoint_count', 'incomplete', 'keypoint_outside', 'duplicate_person'}
    assert 'keypoint 4 at (-20, 5)' in found['keypoint_outside'][0]


def test_head_boxes(data):
    file = data / 'annotations' / 'mpii_gt_val.mat'
    boxes = loadmat(file)['headboxes_src']
    boxes[1, :, 2] = boxes[0, :, 2]
    savemat(file, dict(headboxes_src=boxes))
    assert found_in(mpii(data)) == dict(head_box=['person 2: head box without an area'])
    savemat(file, dict(headboxes_src=boxes[..., :2]))
    number = boxes.shape[2]
    assert f'2 head boxes for {number} people' in found_in(mpii(data))['head_box'][0]
    file.write_bytes(b'MATLAB')
    assert 'not the head boxes' in found_in(mpii(data))['head_box'][0]
    file.unlink()
    assert 'no such file' in found_in(mpii(data))['head_box'][0]


# ------------------------------------------------------------------------------------------------ keypoint sets


def test_names_know_their_side():
    for left, right in (('left_eye', 'right_eye'), ('L_Eye', 'R_Eye'), ('eyeLeft', 'eyeRight'), ('L-F_Paw', 'R-F_Paw')):
        assert (mirrored_name(left), mirrored_name(right)) == (right, left)
    for name in ('nose', 'kpt-12', 'root of tail', 'LIP', 'collar'):
        assert mirrored_name(name) == name


@pytest.mark.parametrize('name', ['coco', 'mpii', 'ap10k', 'wflw'])
def test_keypoint_sets_of_mmpose_are_flipped_right(name):
    kinds = dict(coco='CocoDataset', mpii='MpiiDataset', ap10k='AP10KDataset', wflw='WFLWDataset')
    metainfo = DATASETS.build(dict(type=kinds[name], lazy_init=True)).metainfo
    found = dict(flip_pair=[])
    check_flip_pairs(metainfo, found)
    assert found['flip_pair'] == []


def test_wrong_flip_pairs_are_named(data):
    keypoints = dict(enumerate([('left_eye', 'left_ear'), ('right_eye', ''), ('left_ear', 'left_eye'), ('nose', '')]))
    info = {index: dict(name=name, swap=swap) for index, (name, swap) in keypoints.items()}
    metainfo = dict(dataset_name='faces', keypoint_info=info, skeleton_info={}, joint_weights=[1] * 4, sigmas=[0.1] * 4)
    metainfo = DATASETS.build(dict(type='CocoDataset', lazy_init=True, metainfo=metainfo)).metainfo
    found = dict(flip_pair=[])
    check_flip_pairs(metainfo, found)
    assert [text.split()[0] for text in found['flip_pair']] == ['left_eye', 'right_eye', 'left_ear']
    assert found['flip_pair'][0] == 'left_eye becomes left_ear, its name says right_eye'


# ------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.webp'])
def test_truncated_pictures_are_noticed(suffix):
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8), (0, 0), 3)
    content = cv2.imencode(suffix, picture)[1].tobytes()
    assert decode_image(content).shape == (90, 120, 3)
    assert decode_image(content + b'trailing').shape == (90, 120, 3)
    if suffix == '.jpg':  # which OpenCV may read all the same
        with pytest.raises(OSError, match='truncated JPEG'):
            decode_image(content[: len(content) // 2])
    for length in (len(content) - (2 if suffix != '.jpg' else 8), len(content) // 2, 20, 0):
        with pytest.raises(OSError, match=r'truncated|empty'):
            decode_image(content[:length])


def test_broken_pictures_are_named(data):
    content, write = edited(data / 'annotations' / 'person_keypoints_train.json')
    missing, truncated, resized = (data / 'images' / image['file_name'] for image in content['images'][:3])
    missing.unlink()
    truncated.write_bytes(truncated.read_bytes()[:-40])
    cv2.imwrite(str(resized), cv2.imread(str(resized))[:200, :200])
    content['images'].append(dict(id=77, file_name='text.jpg', width=10, height=10))
    (data / 'images' / 'text.jpg').write_text('<html>')
    write()
    found = found_in(coco(data))
    reasons = {Path(place.split(': ')[0]).name: place.split(': ')[1] for place in found['image_broken']}
    assert reasons == {
        missing.name: 'no such file',
        truncated.name: 'truncated JPEG',
        'text.jpg': 'is not an image, or is damaged or cut short',
    }
    (place,) = found['image_size']
    assert place.startswith(f'{resized} is 200 x 200')


# ------------------------------------------------------------------------------------------------ command


def test_command_reports_and_draws(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('MPII_ROOT', str(data))
    out = tmp_path / 'report'
    arguments = ['check-data', str(CONFIG), '--out', str(out), '--workers', '2']
    assert main(arguments) == 0
    assert 'nothing wrong' in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ['report.json', 'report.txt', 'samples.png']
    sheet = cv2.imread(str(out / 'samples.png'))
    assert sheet.shape == (4 * 256, 4 * 256, 3)
    assert (sheet.reshape(4, 256, 4, 256, 3).std(axis=(1, 3, 4)) > 5).all()  # eight samples, none of them blank

    image = next(iter(sorted((data / 'images').glob('1*.jpg'))))
    image.write_bytes(b'')
    assert main(arguments) == 1
    shown = capsys.readouterr().out
    assert f'{image}: empty or not an image' in shown
    report = json.loads((out / 'report.json').read_text())
    assert not report['clean']
    assert len(report['data_sets'][0]['problems']['image_broken']['where']) == 1
    assert report['data_sets'][0]['problems']['image_broken']['meaning'] == PROBLEMS['image_broken']
    assert str(image) in (out / 'report.txt').read_text()


def test_command_takes_the_other_split_and_overrides(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('MPII_ROOT', str(data))
    (data / 'annotations' / 'mpii_gt_val.mat').unlink()
    arguments = ['check-data', str(CONFIG), '--out', str(tmp_path / 'out')]
    assert main([*arguments, '--split', 'val']) == 1
    assert 'head boxes' in capsys.readouterr().out
    assert main([*arguments, '--cfg-options', 'train_dataloader.dataset.ann_file=nix.json']) == 1
    assert 'nix.json does not exist' in capsys.readouterr().err
    with pytest.raises(SystemExit) as exit_:
        main(['check-data', str(tmp_path / 'nix.py')])
    assert exit_.value.code == 2


def test_encoded_samples_lie_on_their_keypoints(data, monkeypatch):
    monkeypatch.setenv('MPII_ROOT', str(data))
    config = Config.fromfile(CONFIG)
    state = np.random.get_state()[1].copy()
    first, again = draw_samples(config, 'train', 2), draw_samples(config, 'train', 2)
    assert np.array_equal(first, again)
    assert np.array_equal(np.random.get_state()[1], state)
    assert not np.array_equal(first, draw_samples(config, 'val', 2))


# ------------------------------------------------------------------------------------------------ training


def quick_runner(work_dir: Path, **options) -> Runner:
    config = Config.fromfile(CONFIG)
    config.work_dir, config.log_level, config.train_cfg.max_epochs = str(work_dir), 'ERROR', 1
    config.merge_from_dict({'val_dataloader': None, 'val_evaluator': None, 'val_cfg': None, **options})
    config.default_hooks.checkpoint = dict(type='CheckpointHook', save_last=False)
    return Runner.from_cfg(config)


@pytest.mark.parametrize('workers', [0, 2])
def test_training_stops_at_a_broken_picture_or_skips_it(data, tmp_path, monkeypatch, workers, caplog):
    monkeypatch.setenv('MPII_ROOT', str(data))
    image = next(iter(sorted((data / 'images').glob('1*.jpg'))))
    image.write_bytes(image.read_bytes()[:-40])  # OpenCV reads this one
    loader = dict(num_workers=workers, persistent_workers=False, batch_size=4)
    options = {f'train_dataloader.{name}': value for name, value in loader.items()}
    with pytest.raises(OSError, match=rf'{image.name}: truncated JPEG.*check-data'):
        quick_runner(tmp_path / 'stops', **options).train()
    options['train_dataloader.dataset.pipeline.0.skip_broken'] = True
    runner = quick_runner(tmp_path / 'skips', **options)
    runner.train()
    load = runner.train_dataloader.dataset.pipeline.transforms[0]
    assert load.num_skipped.value >= 1


def test_every_training_notices_broken_pictures():
    for path in ROOT.glob('configs/*/**/td-*.py'):
        dataset = Config.fromfile(path).train_dataloader.dataset
        for part in dataset.get('datasets', [dict(pipeline=[])]):
            assert (part['pipeline'] + dataset.pipeline)[0].type == 'LoadIntactImage', path
