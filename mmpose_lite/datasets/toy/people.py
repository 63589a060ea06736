"""Data sets of generated people, in the formats of COCO and MPII.

MMPose's dataset classes, pipelines and evaluators run on them as on the real ones.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat
from tqdm import tqdm

from .figures import COCO_KEYPOINTS, KEYPOINTS, Person, Scene, draw_scene

GENERATOR_VERSION = 1
"""Changes whenever the same seed would give other bytes."""

MPII_KEYPOINTS = (
    *('right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle', 'pelvis'),
    *('thorax', 'upper_neck', 'head_top', 'right_wrist', 'right_elbow', 'right_shoulder'),
    *('left_shoulder', 'left_elbow', 'left_wrist'),
)
MPII_FROM_KEYPOINTS = np.array([KEYPOINTS.index(name) for name in MPII_KEYPOINTS])
MPII_MAT_JOINTS = (
    *('rank', 'rkne', 'rhip', 'lhip', 'lkne', 'lank', 'pelv', 'thor', 'neck', 'head'),
    *('rwri', 'relb', 'rsho', 'lsho', 'lelb', 'lwri'),
)
MPII_MIN_JOINTS = 10

COCO_SKELETON = (
    *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9)),
    *((8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
)
"""Pairs of 1-based keypoint numbers, as in COCO's own annotation files."""


@dataclass(frozen=True)
class ToyPeople:
    """What :func:`make_toy_people` wrote or found at ``root``."""

    root: Path
    num_train: int
    num_val: int
    up_to_date: bool


def _draw_split_scene(seed: int, split: int, index: int, image_size: tuple[int, int]) -> Scene:
    """Picture ``index`` of a split, which depends on nothing but these arguments."""
    rng = np.random.default_rng([seed, split, index])
    size = image_size if rng.random() < 0.5 else image_size[::-1]
    return draw_scene(rng, size, num_people=1 + rng.choice(4, p=(0.6, 0.25, 0.1, 0.05)))


def _coco_annotation(person: Person, image_id: int, index: int) -> dict:
    visibility = person.visibility[: len(COCO_KEYPOINTS), None]
    points = np.round(person.keypoints[: len(COCO_KEYPOINTS)], 3) * (visibility > 0)
    return {
        # Evaluators take annotation id 0 for "no match", so ids start at 1.
        'id': 10 * image_id + index + 1,
        'image_id': image_id,
        'category_id': 1,
        'iscrowd': 0,
        'num_keypoints': int(np.count_nonzero(visibility)),
        'keypoints': np.concatenate([points, visibility], axis=1).ravel().tolist(),
        'bbox': np.round(person.bbox, 3).tolist(),
        'area': person.area,
    }


def _in_mpii(person: Person) -> bool:
    """Whether the head and enough joints are inside the picture."""
    labelled = dict(zip(KEYPOINTS, person.visibility > 0, strict=True))
    joints = sum(labelled[name] for name in MPII_KEYPOINTS)
    return labelled['upper_neck'] and labelled['head_top'] and joints >= MPII_MIN_JOINTS


def _mpii_annotation(person: Person, file_name: str) -> dict:
    """An entry of MMPose's MPII lists.

    ``MpiiDataset`` reads the centre as 1-based and moves it down by 15 * scale, which is undone
    here, so that it gets the middle of the person. It takes the joints as they are: 0-based.
    """
    visible = person.visibility[MPII_FROM_KEYPOINTS] > 0
    joints = np.where(visible[:, None], person.keypoints[MPII_FROM_KEYPOINTS], -1.0)
    scale = person.bbox[2:].max() / 200
    center = person.bbox[:2] + person.bbox[2:] / 2 + 1 - [0, 15 * scale]
    return {
        'image': file_name,
        'center': np.round(center, 3).tolist(),
        'scale': round(float(scale), 6),
        'joints': np.round(joints, 3).tolist(),
        'joints_vis': visible.astype(int).tolist(),
    }


def _write_mpii_mat(path: Path, annotations: list[dict], people: list[Person]) -> None:
    """Writes MPII's evaluation file: 1-based coordinates, people along the last axis."""
    joints = np.array([ann['joints'] for ann in annotations]).reshape(-1, 16, 2)
    missing = 1 - np.array([ann['joints_vis'] for ann in annotations]).reshape(-1, 16)
    boxes = np.array([person.head_box for person in people]).reshape(-1, 2, 2)
    buffer = io.BytesIO()
    savemat(buffer, {
        'dataset_joints': np.array(MPII_MAT_JOINTS, dtype=object)[None],
        'jnt_missing': missing.T.astype(np.uint8),
        'pos_gt_src': np.transpose(joints + 1, (1, 2, 0)),
        'headboxes_src': np.transpose(boxes + 1, (1, 2, 0)),
    })  # fmt: skip
    # The first 116 bytes are free text, where scipy puts the time of day.
    path.write_bytes(b'MATLAB 5.0 MAT-file, toy people'.ljust(116) + buffer.getvalue()[116:])


def write_annotations(
    root: Path, split: str, scenes: list[tuple[int, tuple[int, int], list[Person]]], description: str, version: int
) -> None:
    """Write a split's files in COCO's and MPII's formats.

    Args:
        root: Has the folder ``annotations``.
        split: In the files' names.
        scenes: Id, width and height, and people of each picture ``images/ID.jpg``.
        description, version: Go into COCO's file.
    """
    images, coco, mpii, mpii_people = [], [], [], []
    for image_id, (width, height), people in scenes:
        file_name = f'{image_id}.jpg'
        images.append({'id': image_id, 'file_name': file_name, 'width': width, 'height': height})
        for i, person in enumerate(people):
            if np.any(person.visibility[: len(COCO_KEYPOINTS)]):
                coco.append(_coco_annotation(person, image_id, i))
            if _in_mpii(person):
                mpii.append(_mpii_annotation(person, file_name))
                mpii_people.append(person)
    category = {'id': 1, 'name': 'person', 'supercategory': 'person',
                'keypoints': COCO_KEYPOINTS, 'skeleton': COCO_SKELETON}  # fmt: skip
    dataset = {'info': {'description': description, 'version': version},
               'licenses': [], 'categories': [category], 'images': images,
               'annotations': coco}  # fmt: skip
    annotations = root / 'annotations'
    (annotations / f'person_keypoints_{split}.json').write_text(json.dumps(dataset))
    (annotations / f'mpii_{split}.json').write_text(json.dumps(mpii))
    _write_mpii_mat(annotations / f'mpii_gt_{split}.mat', mpii, mpii_people)


def _write_split(root: Path, split: str, num_images: int, seed: int, size: tuple[int, int], progress: bool) -> None:
    scenes = []
    split_number = {'train': 1, 'val': 2}[split]
    for index in tqdm(range(num_images), desc=f'{split} pictures', disable=not progress):
        scene = _draw_split_scene(seed, split_number, index, size)
        # MpiiDataset needs file names that are whole numbers.
        image_id = split_number * 1_000_000 + index
        _, jpeg = cv2.imencode('.jpg', scene.image, (cv2.IMWRITE_JPEG_QUALITY, 92))
        (root / 'images' / f'{image_id}.jpg').write_bytes(jpeg.tobytes())
        scenes.append((image_id, scene.image.shape[1::-1], scene.people))
    write_annotations(root, split, scenes, 'mmpose_lite toy people', GENERATOR_VERSION)


def make_toy_people(
    out_dir: str | Path,
    num_train: int = 400,
    num_val: int = 100,
    seed: int = 0,
    image_size: tuple[int, int] = (320, 256),
    progress: bool = True,
) -> ToyPeople:
    """Writes ``images`` and ``annotations`` in COCO and MPII format under ``out_dir``.

    The same arguments give the same bytes, and picture i of a split is the same whatever the
    number of pictures. Data already there for the same arguments is left alone.

    Args:
        out_dir: A folder that does not exist, is empty, or holds this data already.
        num_train: Pictures in the training split.
        num_val: Pictures in the validation split.
        seed: A whole number, 0 or more.
        image_size: Width and height in pixels; every other picture or so is turned upright.
        progress: Whether to show progress bars.

    Raises:
        FileExistsError: ``out_dir`` holds anything else; nothing in it is touched.
        ValueError: An argument is out of range.
    """
    if not 0 <= num_train < 1_000_000 or not 0 <= num_val < 1_000_000 or num_train + num_val == 0:
        raise ValueError(
            f'num_train and num_val must be from 0 to 999999 and not both 0, got {num_train} and {num_val}'
        )
    if seed < 0:
        raise ValueError(f'seed must not be negative, got {seed}')
    if len(image_size) != 2 or min(image_size) < 64:
        raise ValueError(f'image_size must be (width, height), 64 or more each, got {image_size}')

    root = Path(out_dir).resolve()
    record = {
        'generator': 'mmpose_lite toy people',
        'version': GENERATOR_VERSION,
        'num_train': num_train,
        'num_val': num_val,
        'seed': seed,
        'image_size': list(image_size),
    }
    record_file = root / 'toy_people.json'
    if record_file.is_file() and json.loads(record_file.read_bytes()) == record:
        return ToyPeople(root, num_train, num_val, up_to_date=True)
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise FileExistsError(
            f'{root} exists and does not hold the toy people asked for ({json.dumps(record)}). '
            'Choose another folder, or remove this one first.'
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    # Written next to its place and moved there whole, so that a stop leaves nothing half-written.
    with tempfile.TemporaryDirectory(prefix=f'.{root.name}.', dir=root.parent) as scratch:
        partial = Path(scratch) / root.name
        (partial / 'images').mkdir(parents=True)
        (partial / 'annotations').mkdir()
        for split, num_images in (('train', num_train), ('val', num_val)):
            _write_split(partial, split, num_images, seed, tuple(image_size), progress)
        (partial / record_file.name).write_text(json.dumps(record))
        if root.exists():
            root.rmdir()
        os.replace(partial, root)
    return ToyPeople(root, num_train, num_val, up_to_date=False)
