"""The runtime's numpy decodes and crops what MMPose does."""

import numpy as np
import pytest
import torch
from mmpose.codecs import MSRAHeatmap, SimCCLabel, UDPHeatmap
from mmpose.codecs.utils import generate_gaussian_heatmaps
from mmpose.datasets.transforms import TopdownAffine
from mmpose.models.utils.tta import flip_heatmaps, flip_vectors
from mmpose.structures.bbox import bbox_xyxy2cs, get_udp_warp_matrix, get_warp_matrix

from mmpose_lite.runtime.contract import Contract
from mmpose_lite.runtime.crops import Cropper, warp_matrix
from mmpose_lite.runtime.decode import decode, decode_msra, unflip

SIZE, MAP = (48, 64), (12, 16)
CODECS = {
    'msra': (MSRAHeatmap(SIZE, MAP, sigma=2), {}),
    'msra_dark': (MSRAHeatmap(SIZE, MAP, sigma=2, unbiased=True, blur_kernel_size=7), dict(blur_kernel_size=7)),
    'udp': (UDPHeatmap(SIZE, MAP, sigma=2, blur_kernel_size=7), dict(blur_kernel_size=7)),
}


def contract(decoder: str, **codec) -> Contract:
    names = tuple('abcde')
    return Contract(
        'config', SIZE, (0.0,) * 3, (1.0,) * 3, 'RGB', decoder, codec, ('heatmaps',), names, (1, 0, 2, 4, 3),
        ((0, 1),), (0.1,) * 5, ((0, 0, 0),) * 5, ((0, 0, 0),), shift_heatmap=True,
    )  # fmt: skip


def blobs(number: int) -> np.ndarray:
    """Heatmaps (N, 5, 16, 12) of keypoints inside, near borders and outside, with noise."""
    rng = np.random.default_rng(0)
    places = rng.uniform(-1, (13, 17), (number, 5, 2))
    places[0] = [(0, 0), (11, 15), (0, 7), (5, 15), (11, 0)]
    maps = np.stack([generate_gaussian_heatmaps(MAP, p[None], np.ones((1, 5)), 1.5)[0] for p in places])
    return (maps + rng.uniform(0, 0.05, maps.shape)).astype(np.float32)


@pytest.mark.parametrize('name', CODECS)
def test_heatmaps(name):
    codec, arguments = CODECS[name]
    heatmaps = blobs(40)
    keypoints, scores = decode([heatmaps], contract(name, heatmap_size=MAP, **arguments))
    assert keypoints.dtype == scores.dtype == np.float32
    for found, height, one in zip(keypoints, scores, heatmaps, strict=True):
        expected, expected_height = codec.decode(one)
        np.testing.assert_allclose(found, expected[0], atol=2e-3)
        np.testing.assert_array_equal(height, expected_height[0])


def test_msra_everywhere():
    """Peaks on every pixel, ties, nothing above zero."""
    maps = np.random.default_rng(0).random((60, 5, 6, 7), dtype=np.float32)
    for peak, (y, x) in enumerate(np.ndindex(6, 7)):
        maps[peak, :, y, x] = 2
    maps[50:53] = np.array([-1, 0, 1], dtype=np.float32)[:, None, None, None]
    codec = MSRAHeatmap((7, 6), (7, 6), sigma=2)
    for found, one in zip(decode_msra(maps)[0], maps, strict=True):
        np.testing.assert_array_equal(found, codec.decode(one)[0][0])


def test_simcc():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 5, 96)).astype('f4'), rng.normal(size=(9, 5, 128)).astype('f4')
    x[3, 2] = -1
    keypoints, scores = decode([x, y], contract('simcc', simcc_split_ratio=2.0))
    expected, expected_scores = SimCCLabel(SIZE, simcc_split_ratio=2.0).decode(x, y)
    np.testing.assert_array_equal(keypoints, expected)
    np.testing.assert_array_equal(scores, expected_scores)


def test_flip():
    heatmaps, order = blobs(3), [1, 0, 2, 4, 3]
    expected = flip_heatmaps(torch.from_numpy(heatmaps), order, shift_heatmap=True)
    np.testing.assert_array_equal(unflip([heatmaps], contract('msra'))[0], expected)
    x, y = heatmaps[..., 0], heatmaps[:, :, 0]
    expected = flip_vectors(torch.from_numpy(x), torch.from_numpy(y), order)
    for found, vector in zip(unflip([x, y], contract('simcc')), expected, strict=True):
        np.testing.assert_array_equal(found, vector)


@pytest.mark.parametrize('use_udp', [False, True])
def test_crops(use_udp):
    """The same geometry, to the last bit of the matrix, for boxes of all shapes."""
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0, 300, (20, 4)).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    cropper = Cropper(SIZE, 1.25, use_udp)
    centers, scales = cropper.geometry(boxes)
    expected_centers, expected_scales = bbox_xyxy2cs(boxes, padding=1.25)
    np.testing.assert_array_equal(centers, expected_centers)
    np.testing.assert_array_equal(scales, TopdownAffine._fix_aspect_ratio(expected_scales, SIZE[0] / SIZE[1]))
    of_mmpose = get_udp_warp_matrix if use_udp else get_warp_matrix
    for center, scale in zip(centers, scales, strict=True):
        expected = of_mmpose(center, scale, 0.0, output_size=SIZE)
        np.testing.assert_allclose(
            warp_matrix(center, scale, SIZE, use_udp), expected, rtol=2e-7, atol=1e-12
        )  # float32
