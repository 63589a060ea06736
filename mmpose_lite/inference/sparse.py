"""Looking for people in every n-th frame only."""

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

from .boxes import BoxSource
from .poses import Frame

LEAST_OVERLAP = 0.1  # intersection over union below which two boxes are of two people


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of ``a`` (N, 4+) with every box of ``b`` (M, 4+): (N, M)."""
    corners = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    shared = np.prod((corners[1] - corners[0]).clip(0), axis=2)
    area_a, area_b = (np.prod(boxes[:, 2:4] - boxes[:, :2], axis=1) for boxes in (a, b))
    return shared / np.maximum(area_a[:, None] + area_b - shared, 1e-9)


def between(before: np.ndarray, after: np.ndarray, share: float) -> np.ndarray:
    """Boxes (N, 5) at a ``share`` of the way from those before to those after.

    Boxes of the same person move in a straight line; others are there in the half that is nearer to their frame.
    """
    overlap = overlaps(before, after)
    rows, columns = linear_sum_assignment(-overlap)
    same = overlap[rows, columns] > LEAST_OVERLAP
    rows, columns = rows[same], columns[same]
    moved = (1 - share) * before[rows] + share * after[columns]
    alone = np.delete(before, rows, axis=0) if share < 0.5 else np.delete(after, columns, axis=0)
    return np.concatenate((moved, alone)).astype(np.float32)


def sparse_boxes(
    frames: Iterable[Frame], source: BoxSource, every: int, look_ahead: bool = True
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Boxes of every frame, found in every n-th.

    Args:
        frames: The frames of one video.
        source: Where boxes come from.
        every: The n.
        look_ahead: Wait for the next found boxes and move along to them; otherwise, and at the end of the video, the
            last found ones stay.
    """
    last, waiting = None, []
    for count, frame in enumerate(frames):
        if count % every == 0:
            found = source([frame])[0]
            for step, other in enumerate(waiting, 1):
                yield other, between(last, found, step / every)
            last, waiting = found, []
            yield frame, found
        elif look_ahead:
            waiting.append(frame)
        else:
            yield frame, last
    for frame in waiting:
        yield frame, last
