"""How sharp a picture is, made less of a hint."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Blur(BaseTransform):
    """Blur by a Gaussian of a width drawn anew for each picture.

    In small photographs only far people are sharp, near ones are not. A network that was trained on enlarged pieces of
    them takes what is sharp for far; blurred in training and in use, it cannot. It works in MMPose's pipelines and in
    MMDetection's.

    Args:
        sigma: Lowest and highest standard deviation in pixels, 0 for none. Two equal ones in use.
    """

    def __init__(self, sigma: tuple[float, float]) -> None:
        low, high = sigma
        if not 0 <= low <= high:
            raise ValueError(f'sigma must be (low, high) with 0 <= low <= high, got {sigma}')
        self.sigma = sigma

    def transform(self, results: dict) -> dict:
        """Blur ``img`` (H, W, 3)."""
        if (sigma := np.random.uniform(*self.sigma)) > 0:
            results['img'] = cv2.GaussianBlur(results['img'], (0, 0), sigma)
        return results
