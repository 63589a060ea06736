"""Annotation files as they are written, before MMPose's dataset classes drop what they cannot use."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmpose.datasets.datasets import BaseCocoStyleDataset
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

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


def read_coco(raw: dict, dataset: BaseCocoStyleDataset, found: Findings) -> Annotations:
    """Read a file in COCO's format, noting what is wrong with its records.

    Args:
        raw: The parsed JSON file.
        dataset: An instance of the dataset class, for the folder of the pictures and the keypoint set.
        found: Is added to.
    """
    folder, num_keypoints = Path(dataset.data_prefix['img']), dataset.metainfo['num_keypoints']
    for image_id, number in _duplicates([image['id'] for image in raw['images']]):
        found['duplicate_image_id'].append(f'image id {image_id}, {number} times')
    for person_id, number in _duplicates([annotation['id'] for annotation in raw['annotations']]):
        found['duplicate_annotation_id'].append(f'annotation id {person_id}, {number} times')
    for category in raw.get('categories', ()):
        names = [dataset.metainfo['keypoint_id2name'][index] for index in range(num_keypoints)]
        written = category.get('keypoints', names)
        if written != names and sorted(written) == sorted(names):
            found['keypoint_order'].append(f'category {category.get("name")}: {", ".join(written)}')

    paths = {image['id']: str(folder / image['file_name']) for image in raw['images']}
    sizes = {paths[image['id']]: (image['width'], image['height']) for image in raw['images']}
    people = []
    for annotation in raw['annotations']:
        name = f'annotation {annotation["id"]}'
        path = paths.get(annotation['image_id'])
        if path is None:
            found['unknown_image'].append(f'{name}: image id {annotation["image_id"]}')
            continue
        if annotation.get('iscrowd'):
            found['crowd'].append(name)
            continue
        try:
            centered = 'center' in annotation and 'scale' in annotation  # WFLW
            box = (
                _square(annotation['center'], annotation['scale'])
                if centered
                else tuple(map(float, annotation['bbox']))
            )
            keypoints = np.array(annotation['keypoints'], dtype=float)
            if len(box) != 4:
                raise ValueError(f'bbox has {len(box)} numbers')
        except (KeyError, TypeError, ValueError) as error:
            found['incomplete'].append(f'{name}: {error!r}')
            continue
        if keypoints.size != 3 * num_keypoints:
            found['keypoint_count'].append(f'{name}: {keypoints.size} numbers, not {num_keypoints} x 3')
            continue
        keypoints = keypoints.reshape(-1, 3)
        labelled = int((keypoints[:, 2] > 0).sum())
        if annotation.get('num_keypoints', labelled) != labelled:
            found['num_keypoints'].append(
                f'{name}: num_keypoints is {annotation["num_keypoints"]}, {labelled} labelled'
            )
        people.append(Person(name, path, box, keypoints))
    return Annotations(len(raw['annotations']), sizes, people)


def read_mpii(raw: list, dataset: BaseCocoStyleDataset, found: Findings) -> Annotations:
    """Read a file in MMPose's JSON form of MPII, and its head boxes. Arguments as in :func:`read_coco`."""
    folder, num_keypoints = Path(dataset.data_prefix['img']), dataset.metainfo['num_keypoints']
    sizes, people = {}, []
    for index, annotation in enumerate(raw):
        name = f'person {index} ({annotation.get("image")})'
        try:
            path = str(folder / annotation['image'])
            int(annotation['image'].split('.')[0])  # the picture's id
            x, y = annotation['center']
            # MpiiDataset moves the 1-based centre down by 15 units of the box
            box = _square((x - 1, y - 1 + 15 * annotation['scale']), annotation['scale'])
            joints, visible = (np.array(annotation[key], dtype=float) for key in ('joints', 'joints_vis'))
        except (KeyError, TypeError, ValueError) as error:
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
