"""Where person boxes come from: an mmdet detector, a file of COCO results, or the whole image.

A source is called with some frames and returns for each of them (N, 5) float32: x1, y1, x2, y2 in pixels and a score.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import check_threshold
from ..json_file import read_json
from ..runtime.detector import BOX_THR
from .files import is_video
from .poses import Frame

BoxSource = Callable[[Sequence[Frame]], list[np.ndarray]]

logger = logging.getLogger(__name__)

LARGEST = 1e5  # pixels; drawing counts in 32 bits


def clean_boxes(boxes: np.ndarray, frame: Frame) -> np.ndarray:
    """Leave out, with a warning, boxes without a pose to find: not finite or huge, of no area, or off the picture."""
    boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 5)
    height, width = frame.image.shape[:2]
    good = (np.abs(boxes) < LARGEST).all(axis=1)  # false for NaN too
    good &= (boxes[:, 2:4] > boxes[:, :2]).all(axis=1)
    good &= (boxes[:, :2] < (width, height)).all(axis=1) & (boxes[:, 2:4] > 0).all(axis=1)
    if not good.all():
        where = frame.path if frame.index is None else f'{frame.path}, frame {frame.index}'
        logger.warning(
            '%s: %d of %d boxes left out: not finite or huge, of no area, or off the picture',
            where,
            (~good).sum(),
            len(good),
        )
    return boxes[good]


def _whole_number(value: object) -> int | None:
    """17 for 17, 17.0, '17', '000017' and '17.0'."""
    if isinstance(value, str):
        match = re.fullmatch(r'\s*(\d{1,18})(\.0*)?\s*', value, re.ASCII)
        return int(match.group(1)) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value)


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.replace('\\', '/').split('/') if part not in ('', '.'))


def _is_tail(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    return len(part) <= len(whole) and whole[len(whole) - len(part) :] == part


def read_image_ids(path: str | Path) -> dict[str, int]:
    """Ids of the images of a COCO annotation file by their file names, without folders.

    Raises:
        ValueError: If it has no ``images`` with ids.
    """
    try:
        return {_parts(str(image['file_name']))[-1]: image['id'] for image in read_json(path)['images']}
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f'{path} has no images with id and file_name ({type(error).__name__}: {error})') from error


class BoxFile:
    """Person boxes from a JSON file of COCO results: a list of ``{image_id, category_id, bbox: [x, y, w, h], score}``.

    An entry belongs to the image whose path, name, stem, or stem read as a number is its ``image_id``, however that is
    written (17, 17.0, ``'000017'``, ``'val/17.jpg'``). In a video, ``image_id`` is the number of the frame, from 0, or
    with several videos ``'<file name>:<number>'``. A COCO annotation file, of which ``images`` names the ids, will do
    as well.

    Args:
        path: The file.
        score_thr: Boxes below this score are dropped.
        category: COCO category that is kept, 1 for people.
        annotations: COCO annotation file whose ``images`` say which file has which id.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not hold COCO results, or no box in it is of this category and good enough.
    """

    def __init__(
        self,
        path: str | Path,
        score_thr: float = BOX_THR,
        category: int = 1,
        annotations: str | Path | None = None,
    ) -> None:
        self.path = path
        self.boxes: dict[int | str, list] = {}
        self.total = self.low = 0
        self.broken: list[str] = []
        self.other: Counter = Counter()
        check_threshold('the lowest score of boxes', score_thr)
        for file in (path, annotations):
            if file is not None and not Path(file).is_file():
                raise FileNotFoundError(f'box file {file} does not exist: check the path')
        content = read_json(path)
        images = None if annotations is None else read_json(annotations)
        names = {}
        try:
            if images is not None:
                names = self._image_names(images)
            if isinstance(content, dict):
                names = names or self._image_names(content)
                content = content['annotations']
            if not isinstance(content, list):
                raise TypeError(f'{type(content).__name__} instead of a list')
            self.total = len(content)
            for index, entry in enumerate(content):
                try:
                    self._add(entry, names, score_thr, category)
                except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
                    self.broken.append(f'entry {index}: {type(error).__name__}: {error}')
            if self.broken and len(self.broken) == self.total:
                raise ValueError(self.broken[0])
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(
                f'{path} is not a JSON list of COCO results ({type(error).__name__}: {error}): each entry needs '
                'image_id, bbox [x, y, width, height] and score'
            ) from error
        if not self.boxes:
            reason = self._left_out(category, score_thr) or 'the file holds none'
            raise ValueError(f'{path}: none of {self.total} boxes can be used: {reason}')
        if left_out := self._left_out(category, score_thr):
            logger.warning('%s: of %d boxes %s', path, self.total, left_out)

    @staticmethod
    def _image_names(content: dict) -> dict[int | str, str]:
        names = {}
        if 'images' not in content or not isinstance(content.get('annotations', []), list):
            raise ValueError(
                f'a dictionary of {", ".join(map(repr, list(content)[:3]))} without images and annotations'
            )
        for image in content['images']:
            number = _whole_number(image['id'])
            names[str(image['id']) if number is None else number] = str(image['file_name'])
        return names

    def _add(self, entry: dict, names: dict, score_thr: float, category: int) -> None:
        x, y, width, height = (float(value) for value in entry['bbox'])
        if not (np.abs((x, y, width, height)) < LARGEST).all() or min(width, height) <= 0:
            raise ValueError(f'bbox {entry["bbox"]} is not finite, huge or of no area')
        score, found = float(entry.get('score', 1.0)), entry.get('category_id', category)
        if not isinstance(entry['image_id'], int | float | str):
            raise TypeError(f'image_id {entry["image_id"]!r}')
        if _whole_number(found) != category:
            self.other[str(found)] += 1
        elif not score >= score_thr:
            self.low += 1
        else:
            number = _whole_number(entry['image_id'])
            key = str(entry['image_id']) if number is None else number
            self.boxes.setdefault(names.get(key, key), []).append((x, y, x + width, y + height, score))

    def _left_out(self, category: int, score_thr: float) -> str:
        said = [f'{count} are of category {name}, not {category}' for name, count in self.other.items()]
        said += [f'{self.low} score below {score_thr:g}'] * bool(self.low)
        said += [f'{len(self.broken)} cannot be read ({self.broken[0]})'] if self.broken else []
        return ', '.join(said)

    @cached_property
    def _named(self) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
        """By the last part of each name that is an id, without the number of a frame: the ids and their parts."""
        named: dict[str, list] = {}
        for key in self.boxes:
            if isinstance(key, str) and (parts := _parts(key)):
                named.setdefault(parts[-1], []).append((key, parts))
        return named

    def _find(self, path: Path, ending: str = '') -> int | str | None:
        """The id of an image, or with ``ending`` of a frame of a video."""
        whole, best = _parts(os.path.abspath(path)), []
        for name in (path.name, path.stem):
            wanted = (*whole[:-1], name + ending)
            for key, parts in self._named.get(name + ending, ()):
                # the most of the path that fits; of another folder's or machine's the name alone
                fits = next(size for size in range(len(parts), 0, -1) if _is_tail(parts[-size:], wanted))
                best.append((len(parts) == fits, fits, key))
            if best:
                first = max(best)
                rivals = [key for exact, fits, key in best if (exact, fits) == first[:2]]
                if len(rivals) > 1 and len(set(rivals)) > 1:
                    raise ValueError(f'{self.path}: {path} may be {rivals[0]} or {rivals[1]}: name it by its path')
                return first[2]
        number = re.fullmatch(r'(?:COCO_\w+_(?=\d{12}$))?(\d{1,18})', path.stem, re.ASCII)
        if number and not ending and int(number.group(1)) in self.boxes:
            return int(number.group(1))
        return None

    def _frames(self, path: Path) -> dict[int, int | str]:
        """Ids that name frames of this video, by their numbers."""
        exact: dict[int, int | str] = {}
        by_name: dict[int, int | str] = {}
        for key in self.boxes:
            if isinstance(key, str) and (match := re.fullmatch(r'(.*):\s*(\d{1,18})', key, re.ASCII | re.DOTALL)):
                parts = _parts(match.group(1))
                if parts and parts[-1] in (path.name, path.stem):
                    wanted = (*_parts(os.path.abspath(path))[:-1], parts[-1])
                    (exact if _is_tail(parts, wanted) else by_name)[int(match.group(2))] = key
        return exact or by_name

    def expect(self, paths: Iterable[Path]) -> None:
        """Say, before anything is done, which boxes belong to none of the inputs.

        Raises:
            ValueError: If none belongs to one, or numbers of frames may belong to several videos.
        """
        paths, used = list(paths), {}
        videos = [path for path in paths if is_video(path)]
        for path in paths:
            keys = self._frames(path).values() if path in videos else [self._find(path)]
            for key in keys:
                if key is not None and (other := used.setdefault(key, path)) != path:
                    raise ValueError(f'{self.path}: boxes of {key} may be of {other} or of {path}: name it by its path')
        plain = {key for key in self.boxes if isinstance(key, int)} - set(used)
        if plain and len(videos) > 1:
            raise ValueError(
                f'{self.path}: frames {min(plain)} to {max(plain)} may be of {videos[0]} or of {videos[1]}: write '
                f"image_id as '{videos[0].name}:{min(plain)}', or pose one video at a time"
            )
        if videos:
            used |= dict.fromkeys(plain)
        lost = {key: len(rows) for key, rows in self.boxes.items() if key not in used}
        if not lost:
            return
        sample = ', '.join(repr(key) for key in list(lost)[:3])
        said = f'{self.path}: {sum(lost.values())} boxes are of no input (image_id {sample}{", ..." * (len(lost) > 3)})'
        if not used:
            raise ValueError(
                f'{said}; inputs are {", ".join(path.name for path in paths[:3])}: image_id must be the name or number '
                'of the file, or a COCO annotation file must say which file has which id'
            )
        logger.warning('%s', said)

    def check_video(self, path: Path, frames: int) -> None:
        """Say, after a video, which boxes are of frames that it does not have."""
        numbers = self._frames(path) or {key: key for key in self.boxes if isinstance(key, int)}
        late = sum(len(self.boxes[key]) for number, key in numbers.items() if number >= frames)
        if numbers and min(numbers) >= frames:
            raise ValueError(f'{self.path}: no box is of a frame of {path}, which has {frames}, counted from 0')
        if late:
            logger.warning('%s: %d boxes are of frames that %s, with %d, does not have', self.path, late, path, frames)

    def __call__(self, frames: Sequence[Frame]) -> list[np.ndarray]:
        """Boxes of these frames, none where the file has none."""
        return [np.array(self._rows(frame), dtype=np.float32).reshape(-1, 5) for frame in frames]

    def _rows(self, frame: Frame) -> list:
        if frame.index is None:
            key = self._find(frame.path)
        else:
            if self._video[0] != frame.path:
                self._video = frame.path, self._frames(frame.path)
            key = self._video[1].get(frame.index, frame.index)
        return self.boxes.get(key, [])

    _video: tuple[Path | None, dict] = (None, {})


def whole_image(frames: Sequence[Frame]) -> list[np.ndarray]:
    """One box around everything, for pictures that are already cropped to a person."""
    return [np.array([[0, 0, *frame.image.shape[1::-1], 1]], dtype=np.float32) for frame in frames]
