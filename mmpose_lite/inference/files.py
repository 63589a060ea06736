"""Images in, pictures and JSON out."""

import glob
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from ..files import atomic_path
from .poses import Poses

IMAGE_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff'}
VIDEO_SUFFIXES = {'.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.gif'}


def is_camera(path: Path) -> bool:
    """Whether an input is the number of a camera."""
    return str(path).isdecimal() and not path.exists()


def is_video(path: Path) -> bool:
    """Whether an input has frames: a video, an animated GIF, a camera."""
    return path.suffix.lower() in VIDEO_SUFFIXES or is_camera(path)


def _expand(item: str) -> Iterator[Path]:
    """Files that one argument stands for."""
    path, known = Path(item), IMAGE_SUFFIXES | VIDEO_SUFFIXES
    if item == '-':
        for line in sys.stdin.read().splitlines():
            if line.strip():
                yield from _expand(line.strip())
    elif path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in known and p.is_file())
        if not found:
            raise FileNotFoundError(f'folder {item} has no image or video in it ({", ".join(sorted(known))})')
        yield from found
    elif path.exists() or not glob.has_magic(item):
        yield path  # a missing one is reported when its turn comes, so that the others are done
    else:
        found = sorted(glob.glob(item, recursive=True))
        if not found:
            raise FileNotFoundError(f'no file matches {item}: check the pattern')
        yield from map(Path, found)


def result_file(path: Path, out_dir: Path) -> Path:
    """Where the poses of an input go: JSON for an image, JSON Lines for a video."""
    stem = f'webcam{path}' if is_camera(path) else path.stem
    return out_dir / f'{stem}{".jsonl" if is_video(path) else ".json"}'


def picture_file(path: Path, out_dir: Path) -> Path:
    """Where the drawn picture or video of an input goes."""
    return result_file(path, out_dir).with_suffix('.mp4') if is_video(path) else out_dir / path.name


def list_inputs(inputs: Iterable[str | Path], out_dir: Path, draw: bool = True) -> list[Path]:
    """Images and videos that the arguments stand for, in order and each once.

    Args:
        inputs: Files, folders (not what is below them), glob patterns, numbers of cameras, and ``-`` for such a list
            on standard input.
        out_dir: Where results will go.
        draw: Whether pictures go there too.

    Raises:
        FileNotFoundError: If a folder or a pattern holds nothing, or the list is empty.
        ValueError: If two inputs would write the same file, or an input would be overwritten.
    """
    paths = list(dict.fromkeys(path for item in inputs for path in _expand(str(item))))
    if not paths:
        raise FileNotFoundError('no input: name image or video files, folders or patterns')
    results: dict[Path, Path] = {}
    for path in paths:
        result = result_file(path, out_dir)
        if (other := results.setdefault(result, path)) != path:
            raise ValueError(f'{other} and {path} would both write {result}: give them their own --out-dir')
        if draw and picture_file(path, out_dir).resolve() == path.resolve():
            raise ValueError(f'{path} would be overwritten by its drawn copy: choose another --out-dir, or --no-draw')
    return paths


def shard(paths: Sequence[Path]) -> tuple[list[Path], int]:
    """The inputs that are this process's under torchrun or SLURM, and the number of processes.

    Every process gets the same list and takes its own part of it, so no two write the same file.
    """
    for rank, world in (('RANK', 'WORLD_SIZE'), ('SLURM_PROCID', 'SLURM_NTASKS')):
        if rank in os.environ and world in os.environ:
            size = int(os.environ[world])
            return list(paths[int(os.environ[rank]) :: size]), size
    return list(paths), 1


def read_image(path: Path) -> np.ndarray:
    """Read an image as (H, W, 3) BGR uint8, turned as its EXIF tag says.

    Gray, transparent, 16-bit and CMYK pictures become plain colour pictures.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a whole image that OpenCV can read.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: check the path')
    if not path.stat().st_size:
        raise ValueError(f'{path} is an empty file: copy or download it again')
    image = None
    with suppress(cv2.error):  # so OpenCV reports pictures beyond its limits
        image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f'{path} is not an image, or is damaged or cut short: open it in a viewer, or leave it out')
    return image


def write_json(path: Path, image: Path, poses: Poses) -> None:
    """Write the poses of an image."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(dict(image=str(image), instances=poses.to_instances())))


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a picture in the format of its suffix."""
    ok, encoded = cv2.imencode(path.suffix, image)
    if not ok:
        raise OSError(f'{path} could not be encoded: choose another format')
    with atomic_path(path) as partial:
        partial.write_bytes(encoded.tobytes())
