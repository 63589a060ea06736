"""Images in, pictures and JSON out."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from .topdown import Instance

IMAGE_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff'}


def list_images(inputs: Iterable[str | Path]) -> list[Path]:
    """Image files named directly or found in folders (not below them), in order and each once.

    Raises:
        FileNotFoundError: If an input does not exist or a folder has no image in it.
        ValueError: If two images would write the same result file.
    """
    images: dict[Path, None] = {}
    for item in map(Path, inputs):
        if item.is_dir():
            found = sorted(p for p in item.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
            if not found:
                raise FileNotFoundError(f'folder {item} has no image in it ({", ".join(sorted(IMAGE_SUFFIXES))})')
            images.update(dict.fromkeys(found))
        elif item.is_file():
            images[item] = None
        else:
            raise FileNotFoundError(f'input {item} does not exist: name image files or folders of images')
    stems: dict[str, Path] = {}
    for image in images:
        if (other := stems.setdefault(image.stem, image)) != image:
            raise ValueError(
                f'{other} and {image} would write the same {image.stem}.json: give them their own --out-dir'
            )
    return list(images)


def read_image(path: Path) -> np.ndarray:
    """Read an image as (H, W, 3) BGR uint8, turned as its EXIF tag says.

    Raises:
        ValueError: If the file is not an image that OpenCV can read.
    """
    image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
    if image is None:
        raise ValueError(f'{path} is not an image, or is damaged: open it in a viewer, or leave it out')
    return image


def write_json(path: Path, image: Path, instances: list[Instance]) -> None:
    """Write the poses of an image, beside the file first and renamed when complete."""
    result = dict(image=str(image), instances=[asdict(instance) for instance in instances])
    partial = path.with_name(path.name + '.partial')
    partial.write_text(json.dumps(result))
    os.replace(partial, path)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a picture in the format of its suffix, beside the file first and renamed when complete."""
    ok, encoded = cv2.imencode(path.suffix, image)
    if not ok:
        raise OSError(f'{path} could not be encoded')
    partial = path.with_name(path.name + '.partial')
    partial.write_bytes(encoded.tobytes())
    os.replace(partial, path)
