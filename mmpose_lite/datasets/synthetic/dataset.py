"""Data sets of synthetic people, in the formats of COCO and MPII."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from ..toy.figures import Person
from ..toy.people import write_annotations
from .body_model import load_tables
from .fit import poses_like
from .scene import draw_scene

GENERATOR_VERSION = 1
"""Changes whenever the same arguments would give other bytes."""
CHUNK = 20
MAX_FITTED = 2000
PICTURES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')


@dataclass(frozen=True)
class _Job:
    root: Path
    count: int
    seed: int
    size: int
    hidden_share: float
    pictures: list[Path]
    poses: Path | None


def _draw_chunk(job: _Job, start: int) -> int:
    """Draw pictures from ``start`` on, then write their labels, which tell that all are there."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    poses = np.load(job.poses) if job.poses else None
    rows = []
    for index in range(start, min(start + CHUNK, job.count)):
        rng = np.random.default_rng([job.seed, index])
        scene = draw_scene(rng, job.size, job.hidden_share, job.pictures, poses)
        _, jpeg = cv2.imencode('.jpg', scene.image, (cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(55, 96))))
        (job.root / 'images' / f'{1_000_000 + index}.jpg').write_bytes(jpeg.tobytes())
        people = [{name: np.asarray(value).tolist() for name, value in vars(person).items()} for person in scene.people]
        rows.append(people)
    _write(job.root / 'parts' / f'{start}.json', json.dumps(rows))
    return len(rows)


def _person(values: dict) -> Person:
    return Person(**{name: np.array(value) if isinstance(value, list) else value for name, value in values.items()})


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(f'.{path.name}')
    scratch.write_text(text)
    os.replace(scratch, path)


def _digest(files: list[Path]) -> str | None:
    """What tells whether files are the same as when the drawing began: their names and sizes."""
    if not files:
        return None
    return hashlib.sha256(repr([(path.name, path.stat().st_size) for path in files]).encode()).hexdigest()[:16]


def _find_pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: no such folder of backgrounds')
    pictures = sorted(path for path in folder.rglob('*') if path.suffix.lower() in PICTURES)
    if not pictures:
        raise ValueError(f'{folder}: no picture in it ({", ".join(PICTURES)}). Remedy: leave --backgrounds out')
    return pictures


def make_synthetic_people(
    out_dir: str | Path,
    count: int,
    seed: int = 0,
    workers: int = 1,
    size: int = 256,
    backgrounds: str | Path | None = None,
    poses_from: str | Path | None = None,
    hidden_share: float = 1.0,
    progress: bool = True,
) -> int:
    """Write ``images`` and ``annotations/{person_keypoints,mpii}_train.json`` and MPII's ``.mat`` under ``out_dir``.

    The same arguments give the same bytes, whatever the number of workers. A run that was stopped continues.

    Args:
        out_dir: A folder that does not exist, is empty, or was begun with the same arguments.
        count: Pictures.
        seed: A whole number, 0 or more.
        workers: Processes.
        size: Width and height in pixels, 64 or more.
        backgrounds: A folder of pictures to draw people before; they should show none.
        poses_from: A JSON file of COCO or MPII whose people's poses 7 in 10 people take.
        hidden_share: Share of hidden keypoints that is labelled, visibility 1; the others are left out.
        progress: Whether to show a progress bar.

    Returns:
        The number of people.

    Raises:
        FileExistsError: ``out_dir`` holds anything else; nothing in it is touched.
        ImportError: Anny is missing.
        ValueError, OSError: An argument is out of range, or a file or folder cannot be used.
    """
    for name, value, least in (('count', count, 1), ('seed', seed, 0), ('workers', workers, 1), ('size', size, 64)):
        if value < least:
            raise ValueError(f'{name} must be {least} or more, got {value}')
    if count >= 1_000_000:
        raise ValueError(f'count must be below 1000000, got {count}')
    if not 0 <= hidden_share <= 1:
        raise ValueError(f'hidden_share must be from 0 to 1, got {hidden_share}')
    pictures = _find_pictures(Path(backgrounds)) if backgrounds is not None else []
    root = Path(out_dir).resolve()
    record = {
        'generator': 'mmpose_lite synthetic people', 'version': GENERATOR_VERSION, 'count': count, 'seed': seed,
        'size': size, 'hidden_share': hidden_share, 'backgrounds': _digest(pictures),
        'poses_from': _digest([Path(poses_from)]) if poses_from is not None else None,
    }  # fmt: skip
    record_file = root / 'synthetic.json'
    begun = record_file.is_file() and json.loads(record_file.read_text()) == record
    if root.exists() and not begun and not (root.is_dir() and not any(root.iterdir())):
        raise FileExistsError(
            f'{root} exists and does not hold the people asked for ({json.dumps(record)}). '
            'Choose another folder, or remove this one first.'
        )
    load_tables()
    fitted = None
    if poses_from is not None and not (root / 'poses.npy').is_file():
        fitted = poses_like(poses_from, seed, MAX_FITTED, progress)
    for folder in ('images', 'annotations', 'parts'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    if fitted is not None:
        np.save(root / '.poses.npy', fitted)
        os.replace(root / '.poses.npy', root / 'poses.npy')
    _write(record_file, json.dumps(record))

    poses_file = root / 'poses.npy' if poses_from is not None else None
    job = _Job(root, count, seed, size, hidden_share, pictures, poses_file)
    starts = range(0, count, CHUNK)
    missing = [start for start in starts if not (root / 'parts' / f'{start}.json').is_file()]
    with tqdm(total=count, desc='pictures', disable=not progress) as bar:
        bar.update(count - sum(min(CHUNK, count - start) for start in missing))
        if workers == 1:
            for start in missing:
                bar.update(_draw_chunk(job, start))
        elif missing:
            # threads of torch and OpenCV do not survive a fork
            with ProcessPoolExecutor(workers, mp_context=get_context('spawn')) as pool:
                for done in pool.map(_draw_chunk, [job] * len(missing), missing):
                    bar.update(done)

    rows = [row for start in starts for row in json.loads((root / 'parts' / f'{start}.json').read_text())]
    scenes = [
        (1_000_000 + index, (size, size), [_person(person) for person in people]) for index, people in enumerate(rows)
    ]
    write_annotations(root, 'train', scenes, 'mmpose_lite synthetic people', GENERATOR_VERSION)
    return sum(len(people) for people in rows)
