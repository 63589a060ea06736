"""Cutting people out of pictures with MMPose's geometry, and putting what was found there back."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

LONGEST = 32767  # pixels of a side that OpenCV warps, and one more


def warp_matrix(center: np.ndarray, scale: np.ndarray, size: tuple[int, int], use_udp: bool = False) -> np.ndarray:
    """Affine matrix (2, 3) from pixels of the picture to those of the crop, with the roundings of MMPose's own.

    Args:
        center: x, y of the region's centre.
        scale: Width and height of the region, in the crop's aspect ratio.
        size: Width and height of the crop in pixels.
        use_udp: Put the centres of the corner pixels on the region's corners, not their outer edges.
    """
    (x, y), (width, height) = center, size
    if use_udp:
        center, scale = np.float64(center), np.float64(scale)
        factors = (np.array(size) - 1) / scale
        offsets = factors * (0.5 * scale - center)
        return np.array([[factors[0], 0, offsets[0]], [0, factors[1], offsets[1]]], dtype=np.float32)
    # centre, middle of the left edge, and where a quarter turn about the latter takes the former
    source = np.array([[x, y], [x - 0.5 * scale[0], y], [0, 0]], dtype=np.float32)
    source[2] = source[1] + (0, source[0, 0] - source[1, 0])
    target = 0.5 * np.array([[width, height], [0, height], [0, height + width]], dtype=np.float32)
    return cv2.getAffineTransform(source, target)


def within_limits(
    image: np.ndarray, center: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The part of a very long picture that a region needs, and the region in it: OpenCV warps no longer ones.

    Pictures of an ordinary size stay as they are.
    """
    if max(image.shape[:2]) < LONGEST:
        return image, center, scale
    size = np.array(image.shape[1::-1])
    low = np.floor(center - 0.5 * scale).clip(0, size - 1).astype(int) - 2
    high = np.ceil(center + 0.5 * scale).clip(1, size).astype(int) + 2
    (left, top), (right, bottom) = low.clip(0), np.minimum(high, size)
    part = image[top:bottom, left:right]
    center = np.asarray(center, float) - (left, top)
    if max(part.shape[:2]) >= LONGEST:
        zoom = LONGEST / 2 / max(part.shape[:2])
        shrunk = [max(1, round(side * zoom)) for side in part.shape[1::-1]]
        part = cv2.resize(part, shrunk, interpolation=cv2.INTER_AREA)
        center, scale = center * zoom, np.asarray(scale, float) * zoom
    return part, center, scale


class Cropper:
    """MMPose's GetBBoxCenterScale and TopdownAffine for many boxes at once.

    Args:
        size: Width and height of the crops in pixels.
        padding: Factor by which boxes are enlarged.
        use_udp: Crops as UDP wants them.
    """

    def __init__(self, size: tuple[int, int], padding: float = 1.25, use_udp: bool = False) -> None:
        self.size = tuple(size)
        self.padding = padding
        self.use_udp = use_udp

    def geometry(self, bboxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centres and sizes, each (N, 2), of the regions that belong to boxes (N, 4) as x1, y1, x2, y2."""
        scales = (bboxes[:, 2:] - bboxes[:, :2]) * self.padding
        centers = (bboxes[:, 2:] + bboxes[:, :2]) * 0.5
        width, height = np.hsplit(scales, 2)
        ratio = self.size[0] / self.size[1]
        wide, high = np.hstack((width, width / ratio)), np.hstack((height * ratio, height))
        return centers, np.where(width > height * ratio, wide, high)

    def crop(self, images: Sequence[np.ndarray], centers: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Cut one region out of each image; an image may come several times.

        Returns:
            (N, height, width, 3) uint8.
        """
        crops = np.empty((len(images), *self.size[::-1], 3), dtype=np.uint8)
        for image, center, scale, crop in zip(images, centers, scales, crops, strict=True):
            image, center, scale = within_limits(image, center, scale)
            matrix = warp_matrix(center, scale, self.size, self.use_udp)
            cv2.warpAffine(image, matrix, self.size, dst=crop, flags=cv2.INTER_LINEAR)
        return crops

    def to_image(self, keypoints: np.ndarray, centers: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Take keypoints (N, K, 2) from pixels of the crops to pixels of the images."""
        centers, scales = centers[:, None], scales[:, None]
        return keypoints / np.array(self.size) * scales + centers - 0.5 * scales
