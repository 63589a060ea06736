"""Lower precision: what it costs is measured, and refused when too much."""

import json

import cv2
import numpy as np
import pytest

from mmpose_lite.cli import main
from mmpose_lite.datasets.toy.people import draw_scene
from mmpose_lite.deploy.quantize import People, calibration_crops, measure_shift, quantize
from mmpose_lite.deploy.verify import toy_crops
from mmpose_lite.runtime import PoseModel


@pytest.fixture(scope='module')
def people(exported, tmp_path_factory) -> People:
    """Pictures whose labels are what the float32 network finds in them."""
    folder = tmp_path_factory.mktemp('labelled')
    model, rng, images, annotations = PoseModel(exported, 'openvino', 1), np.random.default_rng(0), [], []
    for i in range(3):
        scene = draw_scene(rng, (200, 160), 2)
        cv2.imwrite(str(folder / f'{i}.png'), scene.image)
        images.append(dict(id=i, file_name=f'{i}.png', height=160, width=200))
        for person in scene.people:
            x, y, w, h = box = [float(value) for value in person.bbox]
            keypoints = model.estimate(scene.image, [(x, y, x + w, y + h)])[0][0].astype(float)
            rows = np.column_stack((keypoints, np.full(16, 2))).ravel().tolist()
            instance = dict(id=len(annotations) + 1, image_id=i, category_id=1, iscrowd=0, area=w * h, bbox=box)
            annotations.append(instance | dict(keypoints=rows, num_keypoints=16))
    path = folder / 'labels.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=[dict(id=1, name='person')])))
    return People(path, folder)


def arguments(exported, people, out, *more: str) -> list[str]:
    folder = str(people.images)
    return ['quantize', str(exported), '--calibration', folder, '--labels', str(people.annotations), '--images', folder,
            '--threads', '1', '-o', str(out), *more]  # fmt: skip


def test_int8(exported, people, tmp_path, capsys):
    out = tmp_path / 'int8.xml'
    assert main(arguments(exported, people, out, '--max-drop', '1')) == 0
    printed = capsys.readouterr().out
    assert 'AP 1.0000 before' in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ['int8.bin', 'int8.xml']
    assert out.with_suffix('.bin').stat().st_size < 0.5 * exported.stat().st_size
    small, exact = PoseModel(out, 'openvino', 1), PoseModel(exported, 'openvino', 1)
    assert small.contract.precision == 'int8'
    assert small.contract.flip_indices == exact.contract.flip_indices
    assert 'nncf' in small.contract.versions
    crops = toy_crops(exact.contract, 3)
    error = np.abs(small.outputs(crops)[0] - exact.outputs(crops)[0]).max() / np.abs(exact.outputs(crops)[0]).max()
    assert 1e-4 < error < 0.5
    after = float(printed.partition('before, ')[2].split()[0])
    assert people.average_precision(small) == pytest.approx(after, abs=1e-4)


def test_too_much_is_lost(exported, people, tmp_path, monkeypatch, capsys):
    import nncf

    monkeypatch.setattr(nncf, 'quantize', lambda network, *_, **__: network)
    scores = iter((0.8, 0.7))
    monkeypatch.setattr(People, 'average_precision', lambda *_: next(scores))
    assert main(arguments(exported, people, tmp_path / 'int8.xml', '--max-drop', '0.09')) == 1
    assert 'refused, nothing written: 0.1000 AP lost' in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def relabelled(people: People, tmp_path, change) -> People:
    """The same people after ``change(content)``."""
    content = json.loads(people.annotations.read_text())
    change(content)
    (tmp_path / 'relabelled.json').write_bytes(b'\xef\xbb\xbf' + json.dumps(content).encode())  # as Windows writes it
    return People(tmp_path / 'relabelled.json', people.images)


def test_category_and_area_as_others_write_them(exported, people, tmp_path):
    """CVAT numbers its categories; a first annotation may have no keypoints; area may be missing."""

    def change(content):
        for person in content['annotations']:
            person.update(category_id=2, area=None)
        del content['annotations'][0]['area']
        content['categories'] = [dict(id=1, name='car'), dict(id=2, name='person', keypoints=['x'] * 16)]
        content['annotations'].insert(0, dict(id=77, image_id=0, category_id=1, bbox=[1, 1, 5, 5], iscrowd=0))

    assert relabelled(people, tmp_path, change).average_precision(PoseModel(exported, 'openvino', 1)) == 1


@pytest.mark.parametrize('before', [0.0, -1.0, float('nan')])
def test_nothing_to_compare_is_refused(exported, people, tmp_path, monkeypatch, capsys, before):
    monkeypatch.setattr(People, 'average_precision', lambda *_: before)
    assert main(arguments(exported, people, tmp_path / 'int8.xml', '--max-drop', '1')) == 1
    assert f'AP is {before:.4f} before' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_average_precision(exported, people):
    """1 for the network that the labels come from, less for one whose keypoints are displaced."""
    model = PoseModel(exported, 'openvino', 1)
    assert people.average_precision(model) == 1
    estimate = model.estimate
    model.estimate = lambda image, boxes: (estimate(image, boxes)[0] + 15, estimate(image, boxes)[1])
    assert people.average_precision(model) < 0.9


def test_bf16_is_measured(exported, people, capsys):
    folder = str(people.images)
    assert main(['quantize', str(exported), '--precision', 'bf16', '--calibration', folder, '--threads', '1']) == 0
    assert 'bf16: 48 keypoints move by' in capsys.readouterr().out


def test_shift(exported):
    model = PoseModel(exported)
    crops = toy_crops(model.contract, 2)
    assert measure_shift(model, model, crops).largest == 0
    shifted = lambda c: (model(c)[0] + (3, 4), None)  # noqa: E731
    shift = measure_shift(model, shifted, crops)
    assert (shift.median, shift.p95, shift.keypoints) == (pytest.approx(5), pytest.approx(5), 32)


def test_calibration_crops(exported, people):
    model = PoseModel(exported)
    assert calibration_crops(people.images, model).shape == (3, 128, 128, 3)  # whole pictures
    assert calibration_crops(people.images, model, people).shape == (6, 128, 128, 3)
    assert calibration_crops(people.images, model, people, most=4).shape == (4, 128, 128, 3)


def test_bad_input(exported, people, tmp_path, capsys):
    (tmp_path / 'empty').mkdir()
    for folder, message in (('nowhere', 'does not exist'), ('empty', 'has no image in it')):
        with pytest.raises(FileNotFoundError, match=f'calibration folder .*{folder} {message}'):
            quantize(exported, tmp_path / folder, tmp_path / 'x.xml', people, 0.1)
    with pytest.raises(ValueError, match=r'must end in \.xml'):
        quantize(exported, people.images, tmp_path / 'x.onnx', people, 0.1)
    with pytest.raises(ValueError, match='max_drop=5'):
        quantize(exported, people.images, tmp_path / 'x.xml', people, 5)
    labels = tmp_path / 'labels.json'
    for text, message in (
        ('[]', 'is not a COCO keypoint file'),
        ('{"images": [], "annotations": []}', 'labels nobody'),
    ):
        labels.write_text(text)
        with pytest.raises(ValueError, match=message):
            quantize(exported, people.images, tmp_path / 'x.xml', People(labels, people.images), 0.1)
    content = json.loads(people.annotations.read_text())
    for person in content['annotations']:
        person['keypoints'] += [0, 0, 0]
    labels.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='labels 17 keypoints, the model has 16'):
        People(labels, people.images).average_precision(PoseModel(exported))
    assert main(['quantize', str(exported), '--calibration', str(people.images)]) == 1
    assert 'int8 needs --out, --labels, --max-drop' in capsys.readouterr().err
    assert main(['quantize', str(exported), '--calibration', str(people.images), '--labels', 'x']) == 1
    assert 'go together' in capsys.readouterr().err
    assert not list(tmp_path.glob('x.*'))


def test_missing_nncf(exported, people, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'nncf', None)
    with pytest.raises(ImportError, match=r"pip install 'mmpose_lite\[int8\]'"):
        quantize(exported, people.images, tmp_path / 'x.xml', people, 0.1)


def test_people_of_unlisted_images_are_named(exported, people, tmp_path):
    for change in (
        lambda content: content['annotations'][0].update(image_id=77),
        lambda content: content['images'].pop(0),
        lambda content: content['images'][0].pop('file_name'),
    ):
        labels = relabelled(people, tmp_path, change)
        with pytest.raises(ValueError, match=rf'{labels.annotations}.*of a person is not among its images'):
            labels.read(PoseModel(exported).num_keypoints)


def test_a_listed_picture_that_is_missing_is_named(exported, people, tmp_path):
    labels = relabelled(people, tmp_path, lambda content: content['images'][0].update(file_name='gone.png'))
    with pytest.raises(FileNotFoundError, match=r'gone\.png does not exist'):
        labels.average_precision(PoseModel(exported, 'openvino', 1))
