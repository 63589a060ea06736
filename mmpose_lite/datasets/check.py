"""Going through a data set for what stops a training or silently spoils it."""

import contextlib
import io
import re
from collections import defaultdict
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets import BaseCocoStyleDataset
from mmpose.registry import DATASETS
from tqdm import tqdm

from ..json_file import read_json
from .annotations import TOLERANCE, Annotations, Findings, Person, check_boxes, read_coco, read_mpii
from .loading import read_size

PROBLEMS = dict(
    unreadable='MMPose cannot read the annotations at all',
    image_broken='pictures that are missing, truncated or cannot be decoded: mend or remove them',
    image_record='pictures without a whole number as id, a file_name, or a width and height: add them',
    image_size='pictures whose size is not the annotated one',
    incomplete='people without a bounding box or keypoints, or with broken ones (MMPose leaves them out, or stops)',
    unknown_image='people of a picture that is not listed (MMPose leaves them out)',
    id_kind='people whose id or image_id is no whole number, or id is below 0 (they are calculated with): number them',
    duplicate_image_id='image ids used more than once (MMPose keeps the last)',
    duplicate_annotation_id='annotation ids used more than once (MMPose reads the last, each time)',
    duplicate_person='people listed more than once',
    categories='categories that are missing or broken (there is no AP without): list the one of the people',
    category='people whose category_id is none of the listed categories (they are not scored): list it, or change it',
    area="people whose area is missing or not in square pixels (no evaluation, or AP 0): half of the box's will do",
    iscrowd='people whose iscrowd is not 0 or 1 (the evaluation stops): write 0',
    keypoint_count='people with a wrong number of keypoints',
    nested='people whose keypoints are lists in a list (the evaluation stops): write x, y, v, x, y, v, ... in one list',
    visibility='people with visibilities other than 0, 1 and 2',
    num_keypoints='people whose num_keypoints is not the number of labelled ones (MMPose leaves out those with 0)',
    counted_by_place='people with visibilities 0 and no num_keypoints (MMPose takes them, with loss 0): label them',
    nobody_labelled='data sets in which nobody has a labelled keypoint: visibility must be 1 or 2 where one is',
    normalized='people whose keypoints lie from 0 to 1: write pixels, not shares of the picture',
    keypoint_outside='labelled keypoints outside the picture',
    keypoint_order='keypoint names in another order than those of the data set class: change the one or the other',
    keypoint_names='keypoint names that are not those of the data set class: change the one or the other',
    sigmas="sigmas or weights that are not one for each keypoint: mend the config's dataset_info",
    flip_pair='keypoints that a flip exchanges with another one than their name says',
    box_empty='boxes without an area',
    box_outside='boxes that lie outside the picture',
    not_in_box='people whose box and keypoints lie apart: write both in pixels, boxes as x, y, width, height',
    corners='boxes that are x1, y1, x2, y2: write x, y, width, height',
    bbox_file='detected boxes that MMPose cannot take: mend bbox_file',
    head_box='missing head boxes, without which there is no PCKh',
)
NOTES = dict(
    crowd='crowds (MMPose leaves them out)',
    no_labelled_keypoint='people without a labelled keypoint (MMPose leaves them out where num_keypoints says so)',
    box_mostly_outside='boxes of which more than half lies outside the picture; in plenty: x2, y2 for width, height?',
)


@dataclass
class Report:
    """What was found.

    Args:
        dataset: Name of the dataset class.
        annotation_file: The file that was read.
        num_images: Pictures in it.
        num_people: People in it.
        num_used: Samples that MMPose makes of it.
        found: By the names of :data:`PROBLEMS` and :data:`NOTES`, where.
    """

    dataset: str
    annotation_file: str
    num_images: int = 0
    num_people: int = 0
    num_used: int = 0
    found: Findings = field(default_factory=lambda: defaultdict(list))

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong; notes do not count."""
        return not any(self.found.get(kind) for kind in PROBLEMS)

    def as_dict(self) -> dict:
        """For machines: everything that was found."""
        facts = {name: value for name, value in vars(self).items() if name != 'found'}
        sections = {
            name: {kind: dict(meaning=text, where=self.found[kind]) for kind, text in kinds.items() if self.found[kind]}
            for name, kinds in (('problems', PROBLEMS), ('notes', NOTES))
        }
        return dict(clean=self.clean, **facts, **sections)

    def as_text(self, limit: int = 5) -> str:
        """For readers: each kind with its first ``limit`` places."""
        lines = [
            f'{self.annotation_file} ({self.dataset})',
            f'{self.num_images} pictures, {self.num_people} people, {self.num_used} samples for MMPose',
        ]
        for title, kinds in (('PROBLEM', PROBLEMS), ('note', NOTES)):
            for kind, text in kinds.items():
                where = self.found[kind]
                if where:
                    lines.append(f'{title}: {len(where)} {text}')
                    lines += [f'    {place}' for place in where[:limit]]
                    lines += [f'    ... and {len(where) - limit} more'] * (len(where) > limit)
        return '\n'.join([*lines, 'nothing wrong' if self.clean else 'not clean'])


def mirrored_name(name: str) -> str:
    """The name with left and right exchanged: 'left_eye' and 'right_eye', 'L_Eye' and 'R_Eye'."""
    other = dict(left='right', right='left', Left='Right', Right='Left', LEFT='RIGHT', RIGHT='LEFT', L='R', R='L')
    other |= dict(l='r', r='l')
    words = r'left|right|Left|Right|LEFT|RIGHT|(?<![A-Za-z])[LRlr](?![A-Za-z])'
    return re.sub(words, lambda match: other[match.group()], name)


def check_flip_pairs(metainfo: dict, found: Findings) -> None:
    """Compare the exchanges of a horizontal flip with the names of the keypoints."""
    names = [metainfo['keypoint_id2name'][index] for index in range(metainfo['num_keypoints'])]
    partners = [names[index] for index in metainfo['flip_indices']]
    for name, partner in zip(names, partners, strict=True):
        expected = mirrored_name(name)
        # names that know no side (WFLW counts its points) may be exchanged as they like, if the exchange is mutual
        if (expected != name and partner != expected) or partners[names.index(partner)] != name:
            wanted = f', its name says {expected}' if expected != name else ', which does not exchange it back'
            found['flip_pair'].append(f'{name} becomes {partner}{wanted}')


def check_images(annotations: Annotations, found: Findings, workers: int, progress: bool) -> dict[str, tuple[int, int]]:
    """Decode every picture; returns width and height of each that could be."""

    def measure(path: str) -> tuple[str, tuple[int, int] | Exception]:
        try:
            return path, read_size(path)
        except (OSError, ValueError) as error:  # a ValueError for names that no file can have
            return path, error

    sizes = {}
    with ThreadPool(workers) as pool:  # threads will do: OpenCV lets the others work while it decodes
        results = pool.imap(measure, annotations.sizes)
        for path, size in tqdm(results, 'pictures', len(annotations.sizes), disable=not progress, unit='picture'):
            if isinstance(size, Exception):
                reason = 'no such file' if isinstance(size, FileNotFoundError) else size
                found['image_broken'].append(f'{path}: {reason}')
                continue
            sizes[path] = size
            if annotations.sizes[path] not in (None, size):
                width, height = annotations.sizes[path]
                found['image_size'].append(f'{path} is {size[0]} x {size[1]}, annotated as {width} x {height}')
    return sizes


def check_person(person: Person, size: tuple[int, int] | None, found: Findings) -> None:
    """Check box and keypoints against the picture's width and height, where known."""
    x, y, width, height = person.box
    box = f'{person.name}: x {x:g}, y {y:g}, width {width:g}, height {height:g}'
    labelled = person.keypoints[:, 2] > 0
    if not labelled.any():
        found['no_labelled_keypoint'].append(person.name)
    if not (0 < width < np.inf and 0 < height < np.inf):
        found['box_empty'].append(box)
        return
    if size is None:
        return
    right, bottom = min(x + width, size[0]), min(y + height, size[1])
    inside = max(0, right - max(x, 0)) * max(0, bottom - max(y, 0))
    if inside == 0:
        found['box_outside'].append(f'{box} in {size[0]} x {size[1]}')
    elif inside < 0.5 * width * height:
        found['box_mostly_outside'].append(f'{box} in {size[0]} x {size[1]}')
    points = person.keypoints[:, :2]
    if labelled.sum() > 1 and min(size) > 4 and ((points[labelled] >= 0) & (points[labelled] <= 1)).all():
        found['normalized'].append(person.name)
    outside = labelled & ~((points >= -TOLERANCE) & (points <= np.add(size, TOLERANCE))).all(axis=1)
    for index in np.flatnonzero(outside):
        place = f'({points[index, 0]:g}, {points[index, 1]:g})'
        found['keypoint_outside'].append(f'{person.name}: keypoint {index} at {place} in {size[0]} x {size[1]}')


def not_in_box(people: list[Person]) -> list[str]:
    """People fewer than half of whose keypoints lie in or near their box, if they are many: units or layouts differ."""
    places = []
    for person in people:
        x, y, width, height = person.box
        points, slack = person.keypoints[person.keypoints[:, 2] > 0, :2], 0.25 * max(width, height)
        lower, upper = (x - slack, y - slack), (x + width + slack, y + height + slack)
        within = ((points >= lower) & (points <= upper)).all(axis=1)
        if len(points) > 1 and within.mean() < 0.5:
            box = f'x {x:g}, y {y:g}, width {width:g}, height {height:g}'
            places.append(f'{person.name}: {within.sum()} of {len(points)} keypoints in {box}')
    return places if len(places) >= 0.3 * len(people) else []


def leaves(config: ConfigDict) -> list[ConfigDict]:
    """The data sets inside wrappers such as ``CombinedDataset`` and ``RepeatDataset``."""
    inner = config.get('datasets') or ([config.dataset] if 'dataset' in config else [])
    return [leaf for part in inner for leaf in leaves(part)] if inner else [config]


def check_dataset(config: ConfigDict, workers: int = 1, progress: bool = False) -> Report:
    """Check the annotation file and every picture of a dataset.

    Args:
        config: Of a dataset class that reads COCO's format or MMPose's JSON form of MPII.
        workers: Threads that decode pictures.
        progress: Whether to show progress.

    Raises:
        ValueError: If the dataset class or the file is of another kind.
        FileNotFoundError: If there is no annotation file.
    """
    # of the persons as annotated, not as a detector found them
    boxes_file = config.get('bbox_file')
    config = ConfigDict(config, bbox_file=None, pipeline=[])
    if not issubclass(DATASETS.get(config.type) or object, BaseCocoStyleDataset):
        raise ValueError(f'check-data reads the data sets that MMPose bases on BaseCocoStyleDataset, not {config.type}')
    dataset = DATASETS.build(ConfigDict(config, lazy_init=True))
    file = Path(dataset.ann_file)
    if not file.is_file():
        raise FileNotFoundError(
            f'annotation file {file} does not exist: point the data root of the config at your data'
        )
    report = Report(config.type, str(file))
    raw = read_json(file)
    reader = read_mpii if isinstance(raw, list) else read_coco
    try:
        annotations = reader(raw, dataset, report.found)
    except ValueError as error:
        raise ValueError(f"{file} is neither in COCO's format nor in MMPose's of MPII: {error}") from error
    if boxes_file and isinstance(raw, dict):
        ids = {image['id'] for image in raw['images'] if isinstance(image, dict) and isinstance(image.get('id'), int)}
        check_boxes(Path(boxes_file), ids, report.found)
    for name in ('sigmas', 'dataset_keypoint_weights'):
        values, number = np.ravel(dataset.metainfo[name]), dataset.metainfo['num_keypoints']
        if len(values) != number or not (values > 0).all():
            report.found['sigmas'].append(
                f'{len(values)} {name} for {number} keypoints, {(~(values > 0)).sum()} not above 0'
            )
    report.num_images, report.num_people = len(annotations.sizes), annotations.num_people
    check_flip_pairs(dataset.metainfo, report.found)
    sizes = check_images(annotations, report.found, workers, progress)
    for person in annotations.people:
        check_person(person, sizes.get(person.path, annotations.sizes[person.path]), report.found)
    if not any(report.found.get(kind) for kind in ('normalized', 'corners')) and (
        apart := not_in_box(annotations.people)
    ):
        report.found['not_in_box'] = apart
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the COCO reader reports its progress
            dataset.full_init()
        report.num_used = len(dataset)
        if not report.num_used:
            raise ValueError('nobody is left to train on or to score')
    except Exception as error:  # whatever it is, it would stop the training as well
        report.found['unreadable'].append(f'{type(error).__name__}: {error}')
    return report


def check_config(config: Config, split: str, workers: int = 1, progress: bool = False) -> list[Report]:
    """Check the data of a config.

    Args:
        config: A training config of MMPose.
        split: ``'train'``, ``'val'`` or ``'test'``.
        workers: Threads that decode pictures.
        progress: Whether to show progress.
    """
    init_default_scope(config.get('default_scope', 'mmpose'))
    loader = config.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f'the config has no {split}_dataloader')
    return [check_dataset(leaf, workers, progress) for leaf in leaves(loader.dataset)]
