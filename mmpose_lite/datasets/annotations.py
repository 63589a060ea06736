"""Annotation files as they are written, before MMPose's dataset classes drop what they cannot use."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmpose.datasets.datasets import BaseCocoStyleDataset
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from ..json_file import read_json

TOLERANCE = 1
"""Pixels by which a keypoint may lie outside: data sets count from 0 or 1, from centres or corners of pixels."""

PIXEL_STD = 200
"""MPII and WFLW give a box as its centre and its side divided by this."""

Findings = dict[str, list[str]]
"""By the names of :data:`mmpose_lite.datasets.check.PROBLEMS` and ``NOTES``: where each was found."""


@dataclass(frozen=True)
class Person:
    """A person as annotated.

    Args:
        name: For messages.
        path: The picture's file.
        box: x, y, width and height in pixels.
        keypoints: x, y and visibility (0 where not labelled), shape (K, 3).
    """

    name: str
    path: str
    box: tuple[float, float, float, float]
    keypoints: np.ndarray


@dataclass(frozen=True)
class Annotations:
    """The usable part of an annotation file.

    Args:
        num_people: People in the file, usable or not.
        sizes: By path of each picture, the annotated width and height; None where the format has none.
        people: Those that could be read.
    """

    num_people: int
    sizes: dict[str, tuple[int, int] | None]
    people: list[Person]


def _square(center: list[float], scale: float) -> tuple[float, float, float, float]:
    side = scale * PIXEL_STD
    return center[0] - side / 2, center[1] - side / 2, side, side


def _duplicates(values: list) -> Iterator[tuple]:
    return ((value, number) for value, number in Counter(values).items() if number > 1)


def _number(value: object) -> float:
    """A finite number, not written as text.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise ValueError(f'{_short(value)} is not a number')
    return float(value)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f'{text[:37]}...'


def _numbers(values: object, count: int | None = None) -> list[float]:
    if not isinstance(values, list):
        raise ValueError(f'{_short(values)} is not a list')
    if count is not None and len(values) != count:
        raise ValueError(f'{len(values)} numbers, not {count}')
    return [_number(value) for value in values]


def _plain(name: object) -> str:
    """A keypoint's name without what people write differently: 'Left Eye' and 'left_eye'."""
    return re.sub(r'[\s_-]+', '_', str(name).strip().lower())


_PARTS = 'sh|elb|wri|ha|hip|kn|ank|fo|toe|eye|mou|ch|arm|leg|fin|th|hee|pal'


def side_of(name: object) -> str | None:
    """'l' or 'r' of a keypoint's name, abbreviated or not: 'left_eye', 'R-Sho', 'lwrist', 'KneeL'; else None."""
    text = re.sub(r'(?<=[a-z])(?=[A-Z])', '_', str(name).strip()).lower()
    words = re.split(r'[^a-z]+', text)
    found = [word[0] for word in words if word in ('left', 'right', 'l', 'r')]
    found = found or re.findall(rf'^(l|r)(?=eft|ight|{_PARTS})', words[0])
    return found[0] if len(set(found)) == 1 else None


def check_names(categories: object, names: list[str], found: Findings) -> set[int]:
    """Compare the keypoint names of a file with those of the data set class; returns the ids of the categories."""
    ids = set()
    if not isinstance(categories, list) or not categories:
        found['categories'].append(f'categories is {_short(categories)}')
        return ids
    for category in categories:
        if not isinstance(category, dict) or not _whole(category.get('id')):
            found['categories'].append(f'{_short(category)} has no whole number as its id')
            continue
        ids.add(category['id'])
        written = category.get('keypoints')
        if not isinstance(written, list) or not written:
            continue
        theirs, ours = [_plain(name) for name in written], [_plain(name) for name in names]
        name = f'category {category.get("name")}'
        if sorted(theirs) == sorted(ours):
            if theirs != ours:
                found['keypoint_order'].append(f'{name}: {", ".join(map(str, written))}; class: {", ".join(names)}')
        elif len(written) != len(names) or set(theirs) & set(ours):
            found['keypoint_names'].append(f'{name}: {", ".join(map(str, written))}; class: {", ".join(names)}')
        else:  # other names altogether, whose sides can be compared
            sides = [(side_of(a), side_of(b)) for a, b in zip(written, names, strict=True)]
            found['keypoint_order'] += [
                f'{name}: {written[k]} in the place of {names[k]}'
                for k, (a, b) in enumerate(sides)
                if a and b and a != b
            ]
    return ids


def _records(raw: dict, name: str) -> list:
    if not isinstance(raw, dict) or not isinstance(raw.get(name), list):
        raise ValueError(f'{name!r} is not a list')
    return raw[name]


def _read_images(raw: dict, folder: Path, found: Findings) -> dict[int, tuple[str, tuple]]:
    """By id the path and the size of each picture."""
    images = {}
    for index, image in enumerate(_records(raw, 'images')):
        try:
            if not isinstance(image, dict):
                raise ValueError(f'{_short(image)} is no record')
            if not _whole(image['id']):
                raise ValueError(f'id {_short(image["id"])} is not a whole number')
            name = image['file_name']
            if not isinstance(name, str) or not name:
                raise ValueError(f'file_name {_short(name)} is no text')
            sides = [_number(image[side]) for side in ('width', 'height')]
            if not min(sides) > 0:
                raise ValueError(f'width and height are {sides[0]:g} and {sides[1]:g}')
        except (KeyError, ValueError) as error:
            said = f'no {error}' if isinstance(error, KeyError) else error
            image_id = f' (id {_short(image.get("id"))})' if isinstance(image, dict) else ''
            found['image_record'].append(f'image {index}{image_id}: {said}')
            continue
        images[image['id']] = str(folder / name), tuple(int(side) if side == int(side) else side for side in sides)
    return images


def read_coco(raw: dict, dataset: BaseCocoStyleDataset, found: Findings) -> Annotations:
    """Read a file in COCO's format, noting what is wrong with its records.

    Args:
        raw: The parsed JSON file.
        dataset: An instance of the dataset class, for the folder of the pictures and the keypoint set.
        found: Is added to.

    Raises:
        ValueError: If it has no list of images or of annotations.
    """
    folder, num_keypoints = Path(dataset.data_prefix['img']), dataset.metainfo['num_keypoints']
    images, annotations = _read_images(raw, folder, found), _records(raw, 'annotations')
    for kind, records in (('image', raw['images']), ('annotation', annotations)):
        ids = [record['id'] for record in records if isinstance(record, dict) and _whole(record.get('id'))]
        for record_id, number in _duplicates(ids):
            found[f'duplicate_{kind}_id'].append(f'{kind} id {record_id}, {number} times')
    names = [dataset.metainfo['keypoint_id2name'][index] for index in range(num_keypoints)]
    centered = any(isinstance(record, dict) and 'center' in record and 'scale' in record for record in annotations)
    # WFLW knows no categories and is not scored by COCO's metric
    categories = set() if centered else check_names(raw.get('categories'), names, found)

    people = []
    for index, annotation in enumerate(annotations):
        if not isinstance(annotation, dict):
            found['incomplete'].append(f'annotation {index}: {_short(annotation)} is no record')
            continue
        name = f'annotation {_short(annotation.get("id"))}'
        # the evaluation takes -1 for nobody
        if not _whole(annotation.get('id')) or annotation['id'] < 0 or not _whole(annotation.get('image_id')):
            ids = f'id {_short(annotation.get("id"))}, image_id {_short(annotation.get("image_id"))}'
            found['id_kind'].append(f'annotation {index}: {ids}')
            continue
        if annotation['image_id'] not in images:
            found['unknown_image'].append(f'{name}: image id {annotation["image_id"]}')
            continue
        if not centered:
            _check_for_metric(annotation, name, categories, found)
        if annotation.get('iscrowd'):
            found['crowd'].append(name)
            continue
        person = _read_person(annotation, name, images[annotation['image_id']][0], num_keypoints, found)
        if person is not None:
            people.append(person)
    sizes = dict(images.values())
    if people and not any((person.keypoints[:, 2] > 0).any() for person in people):
        found['nobody_labelled'].append(f'{len(people)} people, {people[0].name} is the first')
    if corners := _corners(people, sizes):
        found['corners'] += corners
    return Annotations(len(annotations), sizes, people)


def _check_for_metric(annotation: dict, name: str, categories: set[int], found: Findings) -> None:
    """What COCO's metric wants of an annotation."""
    try:
        if not 1 <= _number(annotation['area']) <= 1e9:  # square pixels
            raise ValueError(f'{annotation["area"]:g}')
    except KeyError:
        found['area'].append(f'{name}: missing')
    except ValueError as error:
        found['area'].append(f'{name}: {error}')
    crowd = annotation.get('iscrowd', 'missing')
    if not isinstance(crowd, int) or crowd not in (0, 1):
        found['iscrowd'].append(f'{name}: {_short(crowd)}')
    category = annotation.get('category_id', 'missing')
    if not _whole(category) or category not in categories:
        found['category'].append(f'{name}: category_id {_short(category)}')


def _read_person(annotation: dict, name: str, path: str, num_keypoints: int, found: Findings) -> Person | None:
    try:
        if 'center' in annotation and 'scale' in annotation:  # WFLW
            box = _square(_numbers(annotation['center'], 2), _number(annotation['scale']))
        else:
            box = tuple(_numbers(annotation['bbox'], 4))
        written = annotation['keypoints']
        if isinstance(written, list) and written and all(isinstance(part, list) for part in written):
            found['nested'].append(name)
            written = [value for part in written for value in part]
        keypoints = np.array(_numbers(written), dtype=float)
    except (KeyError, ValueError) as error:
        found['incomplete'].append(f'{name}: {error!r}')
        return None
    if keypoints.size != 3 * num_keypoints:
        found['keypoint_count'].append(f'{name}: {keypoints.size} numbers, not {num_keypoints} x 3')
        return None
    keypoints = keypoints.reshape(-1, 3)
    labelled = int((keypoints[:, 2] > 0).sum())
    if not np.isin(keypoints[:, 2], (0, 1, 2)).all():
        odd = keypoints[:, 2][~np.isin(keypoints[:, 2], (0, 1, 2))][0]
        found['visibility'].append(f'{name}: {odd:g}')
    if 'num_keypoints' not in annotation:
        if not labelled and (keypoints[:, :2] > 0).any():
            found['counted_by_place'].append(name)
    elif annotation['num_keypoints'] != labelled or not _whole(annotation['num_keypoints']):
        found['num_keypoints'].append(
            f'{name}: num_keypoints is {_short(annotation["num_keypoints"])}, {labelled} labelled'
        )
    return Person(name, path, box, keypoints)


def _corners(people: list[Person], sizes: dict[str, tuple]) -> list[str]:
    """People whose box reads as x1, y1, x2, y2 and not as x, y, width, height, if they are many."""
    places = []
    for person in people:
        (x, y, right, bottom), size = person.box, sizes[person.path]
        points = person.keypoints[person.keypoints[:, 2] > 0, :2]
        outside = x + right > 1.02 * size[0] or y + bottom > 1.02 * size[1]
        inside = 0 <= x < right <= size[0] + TOLERANCE and 0 <= y < bottom <= size[1] + TOLERANCE
        slack = 0.1 * np.array((right - x, bottom - y))
        if (
            outside
            and inside
            and ((points >= np.subtract((x, y), slack)) & (points <= np.add((right, bottom), slack))).all()
        ):
            places.append(f'{person.name}: {x:g}, {y:g}, {right:g}, {bottom:g} in {size[0]:g} x {size[1]:g}')
    return places if len(places) >= 0.3 * len(people) else []


def read_mpii(raw: list, dataset: BaseCocoStyleDataset, found: Findings) -> Annotations:
    """Read a file in MMPose's JSON form of MPII, and its head boxes. Arguments as in :func:`read_coco`."""
    folder, num_keypoints = Path(dataset.data_prefix['img']), dataset.metainfo['num_keypoints']
    sizes, people = {}, []
    for index, annotation in enumerate(raw):
        if not isinstance(annotation, dict):
            found['incomplete'].append(f'person {index}: {_short(annotation)} is no record')
            continue
        name = f'person {index} ({_short(annotation.get("image"))[1:-1]})'
        try:
            if not isinstance(annotation['image'], str):
                raise ValueError(f'image {_short(annotation["image"])} is no text')
            path = str(folder / annotation['image'])
            int(annotation['image'].split('.')[0])  # the picture's id
            x, y = _numbers(annotation['center'], 2)
            scale = _number(annotation['scale'])
            # MpiiDataset moves the 1-based centre down by 15 units of the box
            box = _square((x - 1, y - 1 + 15 * scale), scale)
            joints, visible = (np.array(annotation[key], dtype=float) for key in ('joints', 'joints_vis'))
            if not (np.isfinite(joints).all() and np.isfinite(visible).all()):
                raise ValueError('joints that are not finite')
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            found['incomplete'].append(f'{name}: {error!r}')
            continue
        sizes[path] = None
        if joints.shape != (num_keypoints, 2) or visible.size != num_keypoints:
            shapes = f'joints {joints.shape}, joints_vis {visible.shape}'
            found['keypoint_count'].append(f'{name}: {shapes}, not {num_keypoints} of them')
            continue
        people.append(Person(name, path, box, np.column_stack((joints, visible.ravel()))))
    for (path, box), number in _duplicates([(person.path, person.box) for person in people]):
        found['duplicate_person'].append(f'{path}: {number} people with the box {box}')
    if getattr(dataset, 'headbox_file', None):
        _check_head_boxes(Path(dataset.headbox_file), len(raw), found)
    return Annotations(len(raw), sizes, people)


def check_boxes(path: Path, images: set[int], found: Findings) -> None:
    """Check a file of detected boxes as MMPose reads it.

    Args:
        path: The config's ``bbox_file``.
        images: Ids of the pictures.
        found: Is added to.
    """
    try:
        boxes = read_json(path)
        if not isinstance(boxes, list):
            raise ValueError(f'{path} is not a list of boxes')
    except (OSError, ValueError) as error:
        found['bbox_file'].append(str(error))
        return
    used = 0
    for index, box in enumerate(boxes):
        try:
            if isinstance(box['category_id'], bool):
                raise ValueError(f'category_id {_short(box["category_id"])} is no number')
            if box['category_id'] != 1:
                continue
            if not _whole(box['image_id']) or box['image_id'] not in images:
                raise ValueError(f'image_id {_short(box["image_id"])} is no picture of the annotation file')
            if not min(_numbers(box['bbox'], 4)[2:]) > 0:
                raise ValueError(f'bbox {_short(box["bbox"])} has no area')
            if min(box['bbox'][2:]) < 1:
                raise ValueError(f'bbox {_short(box["bbox"])} is less than a pixel wide or high: shares for pixels?')
            if not 0 < _number(box['score']) <= 1:
                raise ValueError(f'score {box["score"]} is not above 0 and at most 1')
        except (KeyError, TypeError, ValueError) as error:
            found['bbox_file'].append(f'{path}, box {index}: {error!r}')
            continue
        used += 1
    if not used:
        found['bbox_file'].append(f'{path}: none of {len(boxes)} boxes has category_id 1, which alone MMPose takes')


def _check_head_boxes(path: Path, num_people: int, found: Findings) -> None:
    if not path.is_file():
        found['head_box'].append(f'{path}: no such file')
        return
    try:
        boxes = loadmat(path)['headboxes_src'].astype(float).reshape(2, 2, -1)  # corner, axis, person
    # the last one: what scipy raises on MATLAB 7.3 files
    except (MatReadError, KeyError, TypeError, ValueError, OSError, NotImplementedError) as error:
        found['head_box'].append(f'{path}: not the head boxes of MPII: {error!r}')
        return
    if boxes.shape[2] != num_people:
        found['head_box'].append(f'{path}: {boxes.shape[2]} head boxes for {num_people} people')
    empty = np.flatnonzero(~(boxes[1] - boxes[0] > 0).all(axis=0))
    for index in empty:
        found['head_box'].append(f'person {index}: head box without an area')
