"""Results in the formats of other tools, made of the files that a run wrote."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from ..files import atomic_write
from ..json_file import read_json
from .files import is_video, result_file

FORMATS = ('mmpose', 'coco', 'openpose', 'csv')


def read_results(file: Path) -> Iterator[tuple[int | None, list[dict]]]:
    """Number of the frame (None of an image) and people, of a ``.json`` or ``.jsonl`` file of results."""
    if file.suffix == '.json':
        yield None, read_json(file)['instances']
        return
    with file.open(encoding='utf-8') as lines:
        for line in map(json.loads, lines):
            yield line['frame'], line['instances']


def _coco(people: list[dict], image_id: int) -> list[dict]:
    rows = []
    for person in people:
        x1, y1, x2, y2 = person['bbox']
        points = np.column_stack((person['keypoints'], person['keypoint_scores'])).astype(float)
        score = person['bbox_score'] * float(points[:, 2].mean())
        row = dict(image_id=image_id, category_id=1, bbox=[x1, y1, x2 - x1, y2 - y1], score=round(score, 4))
        rows.append(dict(row, keypoints=points.ravel().tolist()))
    return rows


def _openpose(people: list[dict]) -> dict:
    found = [
        dict(
            person_id=[-1 if person.get('track_id') is None else person['track_id']],
            pose_keypoints_2d=np.column_stack((person['keypoints'], person['keypoint_scores'])).ravel().tolist(),
        )
        for person in people
    ]
    return dict(version=1.3, people=found)


def _csv(frames: Iterable[tuple[int | None, list[dict]]], names: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    columns = [f'{name}_{part}' for name in names for part in ('x', 'y', 'score')]
    writer.writerow(['frame', 'person', 'x1', 'y1', 'x2', 'y2', 'score', *columns])
    for frame, people in frames:
        for number, person in enumerate(people):
            points = np.column_stack((person['keypoints'], person['keypoint_scores'])).ravel().tolist()
            who = person.get('track_id') if 'track_id' in person else number
            start = ['' if value is None else value for value in (frame, who)]
            writer.writerow([*start, *person['bbox'], person['bbox_score'], *points])
    return text.getvalue()


def _dump(content: object) -> bytes:
    return json.dumps(content).encode()


def write_format(
    kind: str, results: Mapping[Path, Path], out_dir: Path, names: list[str], image_ids: Mapping[str, int] | None = None
) -> list[Path]:
    """Write what is finished of a run in another format, beside its own files.

    Args:
        kind: ``'coco'`` (of all images ``OUT/results_coco.json``, of a video ``<stem>_coco.json`` with the frame as
            ``image_id``), ``'openpose'`` (``<stem>_keypoints.json``, of a video one for each frame) or ``'csv'``
            (``<stem>.csv``, a row for each person).
        results: Inputs and their results without ending, as :func:`mmpose_lite.inference.list_inputs` gives them.
        out_dir: Folder of the results.
        names: Of the keypoints.
        image_ids: COCO's id of each image by file name; by default they are numbered from 0 in the order of the inputs.

    Returns:
        The files.

    Raises:
        ValueError: If an image is not among ``image_ids``.
    """
    written, images = [], []

    def write(path: Path, content: bytes) -> None:
        atomic_write(path, content)
        written.append(path)

    for number, (path, base) in enumerate(results.items()):
        file = result_file(path, base)
        if not file.is_file():
            continue  # it failed, and was named
        frames = list(read_results(file))
        if kind == 'csv':
            write(base.with_name(f'{base.name}.csv'), _csv(frames, names).encode())
        elif kind == 'openpose':
            for frame, people in frames:
                middle = '' if frame is None else f'_{frame:012}'
                write(base.with_name(f'{base.name}{middle}_keypoints.json'), _dump(_openpose(people)))
        elif is_video(path):
            rows = [row for frame, people in frames for row in _coco(people, frame)]
            write(base.with_name(f'{base.name}_coco.json'), _dump(rows))
        else:
            if image_ids is not None and path.name not in image_ids:
                raise ValueError(f'{path} is not among the images of the file of ids')
            images += _coco(frames[0][1], number if image_ids is None else image_ids[path.name])
    if kind == 'coco' and any(not is_video(path) for path in results):
        write(out_dir / 'results_coco.json', _dump(images))
    return written
