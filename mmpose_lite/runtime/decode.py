"""Keypoints out of heatmaps and SimCC vectors: MMPose's codecs in numpy, for a whole batch at a time."""

from __future__ import annotations

import cv2
import numpy as np

from .contract import Contract


def heatmap_peaks(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest points.

    Args:
        heatmaps: (N, K, H, W).

    Returns:
        (N, K, 2) int x, y, where nothing is above zero -1, and (N, K) heights.
    """
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1)
    index = flat.argmax(axis=2)
    scores = np.take_along_axis(flat, index[..., None], axis=2)[..., 0]
    peaks = np.stack((index % heatmaps.shape[3], index // heatmaps.shape[3]), axis=2)
    peaks[scores <= 0] = -1
    return peaks, scores


def _neighbours(heatmaps: np.ndarray, peaks: np.ndarray):
    """A function (dx, dy) -> (N, K) values beside the peaks, of the nearest pixel where that is outside."""
    n, k = np.ogrid[: heatmaps.shape[0], : heatmaps.shape[1]]
    height, width = heatmaps.shape[2:]
    x, y = peaks[..., 0], peaks[..., 1]
    return lambda dx, dy: heatmaps[n, k, (y + dy).clip(0, height - 1), (x + dx).clip(0, width - 1)]


def decode_msra(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A quarter pixel from the peak towards the higher neighbour: MMPose's MSRAHeatmap.

    Args:
        heatmaps: (N, K, H, W).

    Returns:
        (N, K, 2) x, y in pixels of the heatmaps, (-1, -1) where nothing is above zero, and (N, K) heights.
    """
    height, width = heatmaps.shape[2:]
    peaks, scores = heatmap_peaks(heatmaps)
    at = _neighbours(heatmaps, peaks)
    x, y = peaks[..., 0], peaks[..., 1]
    # the bounds are MMPose's own, lopsided as they are
    dx = np.where((x > 1) & (x < width - 1) & (y > 0), np.sign(at(1, 0) - at(-1, 0)), 0)
    dy = np.where((y > 1) & (y < height - 1) & (x > 0), np.sign(at(0, 1) - at(0, -1)), 0)
    return (peaks + 0.25 * np.stack((dx, dy), axis=2)).astype(np.float32), scores


def _blurred(heatmaps: np.ndarray, kernel: int) -> np.ndarray:
    """Gaussian blur that keeps each map's maximum."""
    maps = heatmaps.reshape(-1, *heatmaps.shape[2:])
    # a border of zeros as wide as the kernel reaches, so that OpenCV's own border is never seen
    border = (kernel - 1) // 2
    padded = np.pad(maps, ((0, 0), (border, border), (border, border)))
    blurred = np.stack([cv2.GaussianBlur(one, (kernel, kernel), 0) for one in padded])
    blurred = blurred[:, border:-border, border:-border]
    blurred *= (maps.max(axis=(1, 2)) / blurred.max(axis=(1, 2)))[:, None, None]
    return blurred.reshape(heatmaps.shape)


def _newton(dx, dy, dxx, dxy, dyy, diagonal: float = 0) -> np.ndarray:
    """Minus inverse Hessian times gradient, zero where there is no inverse; ``diagonal`` is added to the Hessian."""
    dx, dy, dxx, dxy, dyy = (value.astype(np.float64) for value in (dx, dy, dxx, dxy, dyy))
    dxx, dyy = dxx + diagonal, dyy + diagonal
    determinant = dxx * dyy - dxy**2
    good = determinant != 0
    step = np.stack((dxy * dy - dyy * dx, dxy * dx - dxx * dy), axis=2) / np.where(good, determinant, 1)[..., None]
    return np.where(good[..., None], step, 0)


def decode_msra_dark(heatmaps: np.ndarray, kernel: int) -> tuple[np.ndarray, np.ndarray]:
    """Maximum of a Taylor expansion of the blurred heatmap's logarithm: MSRAHeatmap with ``unbiased``.

    Args and returns as :func:`decode_msra`; ``kernel`` is the side of the blur in pixels.
    """
    height, width = heatmaps.shape[2:]
    peaks, scores = heatmap_peaks(heatmaps)
    at = _neighbours(np.log(np.maximum(_blurred(heatmaps, kernel), 1e-10)), peaks)
    x, y = peaks[..., 0], peaks[..., 1]
    step = _newton(
        dx=0.5 * (at(1, 0) - at(-1, 0)),
        dy=0.5 * (at(0, 1) - at(0, -1)),
        dxx=0.25 * (at(2, 0) - 2 * at(0, 0) + at(-2, 0)),
        dxy=0.25 * (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)),
        dyy=0.25 * (at(0, 2) - 2 * at(0, 0) + at(0, -2)),
    )
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    return (peaks + np.where(inside[..., None], step, 0)).astype(np.float32), scores


def decode_udp(heatmaps: np.ndarray, kernel: int) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`decode_msra_dark` with UDP's derivatives, at the borders too: UDPHeatmap of type gaussian.

    Where nothing is above zero MMPose moves (-1, -1) by what happens to lie before the map in memory; here it stays.
    """
    peaks, scores = heatmap_peaks(heatmaps)
    found = np.maximum(peaks, 0)
    at = _neighbours(np.log(np.clip(_blurred(heatmaps, kernel), 1e-3, 50)), found)
    here, right, left, below, above = at(0, 0), at(1, 0), at(-1, 0), at(0, 1), at(0, -1)
    step = _newton(
        dx=0.5 * (right - left),
        dy=0.5 * (below - above),
        dxx=right - 2 * here + left,
        dxy=0.5 * (at(1, 1) - right - below + 2 * here - left - above + at(-1, -1)),
        dyy=below - 2 * here + above,
        diagonal=np.finfo(np.float32).eps,  # MMPose's own
    )
    return (peaks + np.where((scores > 0)[..., None], step, 0)).astype(np.float32), scores


def decode_simcc(simcc_x: np.ndarray, simcc_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maxima of vectors (N, K, X) and (N, K, Y): MMPose's SimCCLabel. Returns as :func:`decode_msra`, in bins."""
    scores = np.minimum(simcc_x.max(axis=2), simcc_y.max(axis=2))
    found = np.stack((simcc_x.argmax(axis=2), simcc_y.argmax(axis=2)), axis=2).astype(np.float32)
    found[scores <= 0] = -1
    return found, scores


def unflip(outputs: list[np.ndarray], contract: Contract) -> list[np.ndarray]:
    """What a network found in mirrored crops, as if it had found it in the crops."""
    order = list(contract.flip_indices)
    if contract.decoder == 'simcc':
        return [outputs[0][:, order, ::-1], outputs[1][:, order]]
    mirrored = outputs[0][:, order, :, ::-1]
    if contract.shift_heatmap:
        mirrored = np.concatenate((mirrored[..., :1], mirrored[..., :-1]), axis=3)
    return [mirrored]


def decode(outputs: list[np.ndarray], contract: Contract) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints of a batch as the contract says.

    Args:
        outputs: Of the network: heatmaps (N, K, H, W), or SimCC's two vectors.
        contract: Of the file.

    Returns:
        (N, K, 2) float32 x, y in pixels of the crops and (N, K) scores.
    """
    codec = contract.codec
    if contract.decoder == 'simcc':
        keypoints, scores = decode_simcc(*outputs)
        factor = 1 / np.float32(codec['simcc_split_ratio'])
    else:
        size = np.array(contract.input_size, dtype=np.float32)
        heatmap_size = np.array(codec['heatmap_size'], dtype=np.float32)
        if contract.decoder == 'udp':
            keypoints, scores = decode_udp(outputs[0], codec['blur_kernel_size'])
            factor = size / (heatmap_size - 1)
        else:
            factor = size / heatmap_size
            if contract.decoder == 'msra':
                keypoints, scores = decode_msra(outputs[0])
            else:
                keypoints, scores = decode_msra_dark(outputs[0], codec['blur_kernel_size'])
    return keypoints * factor, scores
