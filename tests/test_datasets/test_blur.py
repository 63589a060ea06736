import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope, init_default_scope
from mmpose.registry import TRANSFORMS


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)


def sharpness(image: np.ndarray) -> float:
    return float(np.abs(np.diff(image.astype(float), axis=1)).mean())


def test_width_is_drawn_anew():
    blur = TRANSFORMS.build(dict(type='Blur', sigma=(0.5, 2)))
    np.random.seed(0)
    found = [sharpness(blur(dict(img=picture()))['img']) for _ in range(20)]
    bounds = [sharpness(cv2.GaussianBlur(picture(), (0, 0), sigma)) for sigma in (2, 0.5)]
    assert bounds[0] <= min(found) < max(found) <= bounds[1]
    assert len(set(found)) > 10


def test_equal_widths_are_in_use():
    blur = TRANSFORMS.build(dict(type='Blur', sigma=(1, 1)))
    expected = cv2.GaussianBlur(picture(), (0, 0), 1)
    assert np.array_equal(blur(dict(img=picture()))['img'], expected)


def test_none():
    blur = TRANSFORMS.build(dict(type='Blur', sigma=(0, 0)))
    assert np.array_equal(blur(dict(img=picture()))['img'], picture())


@pytest.mark.parametrize('sigma', [(-1, 1), (2, 1)])
def test_what_is_no_range_is_refused(sigma):
    with pytest.raises(ValueError, match=r'sigma must be \(low, high\)'):
        TRANSFORMS.build(dict(type='Blur', sigma=sigma))


def test_mmdet_finds_it():
    init_default_scope('mmdet')
    from mmdet.registry import TRANSFORMS as DETECTION

    with DefaultScope.overwrite_default_scope('mmdet'):
        assert DETECTION.build(dict(type='Blur', sigma=(0, 1))).sigma == (0, 1)
