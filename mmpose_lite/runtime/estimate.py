"""Pictures and boxes in, keypoints in pixels of the pictures out: the same for every network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from .crops import Cropper


class TopdownNetwork(Protocol):
    """What :func:`estimate` needs of a network; :class:`PoseModel` and ``inference.PoseNetwork`` have it.

    Attributes:
        cropper: Cuts people out of pictures.
        batch_size: Crops at once, mirrored ones counted, that take the least time each.
        flip_test: Whether the mirrored crop is averaged in.
        num_keypoints: K.
        dataset_meta: Names, skeleton and colours of the keypoints.
    """

    cropper: Cropper
    batch_size: int
    flip_test: bool
    num_keypoints: int
    dataset_meta: dict

    def __call__(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Crops (N, H, W, 3) BGR uint8 to keypoints (N, K, 2) in pixels of the crops and scores (N, K)."""


def estimate(
    network: TopdownNetwork,
    images: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray],
    batch_size: int | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Poses in given boxes: the people of all images go through the network in common batches.

    Args:
        network: The network.
        images: Each (H, W, 3) BGR uint8, of any size.
        boxes: For each image (N, 4) or more columns: x1, y1, x2, y2 in pixels, of positive area.
        batch_size: Most crops at once, mirrored ones counted; by default the network's.

    Returns:
        For each image (N, K, 2) float32 x, y in its pixels and (N, K) float32 scores, in the order of the boxes.
    """
    if not len(images):
        return []
    counts = [len(found) for found in boxes]
    corners = [np.asarray(found, dtype=np.float32)[:, :4] for found in boxes if len(found)]
    every = np.concatenate([np.zeros((0, 4), np.float32), *corners])
    owners = [image for image, count in zip(images, counts, strict=True) for _ in range(count)]
    centers, scales = network.cropper.geometry(every)
    keypoints = np.empty((len(every), network.num_keypoints, 2))
    scores = np.empty(keypoints.shape[:2], dtype=np.float32)
    at_once = max(1, (batch_size or network.batch_size) // (2 if network.flip_test else 1))
    for start in range(0, len(every), at_once):
        part = slice(start, start + at_once)
        keypoints[part], scores[part] = network(network.cropper.crop(owners[part], centers[part], scales[part]))
    keypoints = network.cropper.to_image(keypoints, centers, scales).astype(np.float32)
    cuts = np.cumsum(counts)[:-1]
    return list(zip(np.split(keypoints, cuts), np.split(scores, cuts), strict=True))
