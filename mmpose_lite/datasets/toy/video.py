"""A generated video of people who walk past each other, with their boxes, identities and keypoints."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from .figures import PARTS, Canvas, Person, annotate, draw_background, draw_person
from .poses import HEAD, STATURE, sample_figure

WRITTEN = '.mp4', '.m4v', '.mov', '.mkv', '.avi'
STEPS_PER_SECOND = 1.1  # of one leg


def draw_walk(
    seconds: float = 4.0, fps: float = 25.0, size: tuple[int, int] = (480, 270), num_people: int = 3, seed: int = 0
) -> Iterator[tuple[np.ndarray, list[tuple[int, Person]]]]:
    """Draw the frames of people who walk across the picture, every second one to the left.

    Args:
        seconds: Length; everybody crosses the picture in this time.
        fps: Frames a second.
        size: Width and height in pixels.
        num_people: How many.
        seed: The same seed draws the same people.

    Yields:
        The picture (H, W, 3) BGR uint8, and (identity, person) for everybody in it, farthest first.
    """
    background = draw_background(np.random.default_rng((seed, 0)), size)
    count = round(seconds * fps)
    rng = np.random.default_rng((seed, 1))
    heights = np.sort(rng.uniform(0.5, 0.85, num_people)) * size[1]  # the nearest last
    offsets = rng.uniform(-0.15, 0.15, num_people)
    for index in range(count):
        canvas, drawn = Canvas(background), []
        for identity, (height, offset) in enumerate(zip(heights, offsets, strict=True)):
            way = index / count + offset
            to_right = identity % 2 == 0
            stride = 2 * np.pi * STEPS_PER_SECOND * index / fps + identity
            figure = sample_figure(np.random.default_rng((seed, 2, identity)), stride, to_right)
            unit = height / STATURE
            feet = max(point[1] for point in figure.points.values())
            ground = size[1] * (0.75 + 0.2 * height / size[1])
            x = (way if to_right else 1 - way) * size[0]
            figure = replace(
                figure, unit=unit, origin=np.array([x, ground - unit * feet]), first_label=1 + identity * len(PARTS)
            )
            if -HEAD * unit < x < size[0] + HEAD * unit:  # the same clothes in every frame
                drawn.append(
                    (identity, figure, draw_person(canvas, np.random.default_rng((seed, 3, identity)), figure))
                )
        people = [(identity, annotate(canvas, figure, *outlines)) for identity, figure, outlines in drawn]
        yield cv2.resize(canvas.pixels[..., :3], size, interpolation=cv2.INTER_AREA), people


def make_toy_video(path: str | Path, seconds: float = 4.0, fps: float = 25.0, seed: int = 0, **settings) -> Path:
    """Write such a video, and beside it ``<stem>.boxes.json``: COCO results with the true boxes.

    Args:
        path: Video to write; its ending names the format, as ``.mp4``.
        seconds: Length.
        fps: Frames a second.
        seed: The same seed draws the same people.
        **settings: See :func:`draw_walk`.

    Returns:
        The file with the boxes: a list of {image_id: frame, bbox: [x, y, w, h], score: 1, identity, keypoints}.

    Raises:
        OSError: If the video cannot be written.
        ValueError: If the name is not that of a video, or it would have no frame.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITTEN:
        raise ValueError(f'{path} is no name of a video: end it in {", ".join(WRITTEN)}')
    if not (0 < fps <= 1000 and 1 <= seconds * fps < np.inf):
        raise ValueError(f'{seconds:g} seconds at {fps:g} frames a second are no video: both must be above 0')
    if settings.get('num_people', 1) < 0:
        raise ValueError(f'{settings["num_people"]} people cannot be drawn: 0 or more')
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, writer, rows = path.with_name(f'partial-{path.name}'), None, []
    for index, (image, people) in enumerate(draw_walk(seconds, fps, seed=seed, **settings)):
        writer = writer or cv2.VideoWriter(str(partial), cv2.VideoWriter_fourcc(*'mp4v'), fps, image.shape[1::-1])
        if not writer.isOpened():
            raise OSError(f'{path} cannot be written: check the folder and the ending (.mp4)')
        writer.write(image)
        rows += [
            dict(
                image_id=index,
                bbox=person.bbox.tolist(),
                score=1.0,
                identity=identity,
                keypoints=np.column_stack([person.keypoints, person.visibility]).ravel().tolist(),
            )
            for identity, person in people
        ]
    writer.release()
    boxes = path.with_suffix('.boxes.json')
    boxes.write_text(json.dumps(rows))
    os.replace(partial, path)
    return boxes
