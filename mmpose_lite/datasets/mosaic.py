"""Other people around the person of a crop."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

from .loading import LoadIntactImage


@TRANSFORMS.register_module()
class CropMosaic(BaseTransform):
    """Continue a picture with those of three other people: a mosaic of 2x2 for top-down training.

    What lies beside a person is then another person, as in photographs of several, where a crop at the picture's edge
    would be black. The sample's own picture stays as it is, in a corner drawn at random; the others are scaled to
    people of its person's size, start with the near edge of their person's box, and reach as far as the person is
    large. Keypoints and box go on naming the sample's person.

    It goes right behind ``LoadIntactImage``. The others are read from the data set, which MMPose hands to the pipeline,
    so that what is drawn depends on NumPy's generator alone: with ``ProgressSeedHook`` a resumed run repeats it. That
    costs reading three pictures more. One that is broken is logged and leaves its place black.

    Args:
        prob: Share of the samples that get neighbours.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob
        self.load = LoadIntactImage(skip_broken=True)

    def transform(self, results: dict) -> dict:
        """Extend ``img`` (H, W, 3); shift ``keypoints`` (1, K, 2), ``bbox`` (1, 4) and ``bbox_center`` (1, 2)."""
        if np.random.random() >= self.prob:
            return results
        image, dataset = results['img'], results['dataset']
        size = np.array(image.shape[1::-1])  # here and below x before y
        corners = results['bbox'].reshape(2, 2)
        person = _length(corners)
        extent = int(np.ceil(person))
        side = np.random.choice((-1, 1), 2)  # left or right, above or below
        offset = np.where(side < 0, extent, 0)
        canvas = np.zeros((*(size + extent)[::-1], *image.shape[2:]), image.dtype)
        _part(canvas, offset, size)[:] = image
        for direction in side * ((1, 0), (0, 1), (1, 1)):
            other = self.load(dataset.get_data_info(np.random.randint(len(dataset))))
            if other is None:
                continue
            low, high = box = np.clip(other['bbox'].reshape(2, 2), 0, other['img'].shape[1::-1])
            zoom = person / _length(other['bbox'].reshape(2, 2))
            place = np.where(direction == 0, size, extent)
            # what comes to lie where: the near edges on the seam, or the centres beside each other
            theirs = np.choose(direction + 1, (high, box.mean(axis=0), low))
            ours = np.choose(direction + 1, (place, corners.mean(axis=0), 0))
            matrix = np.column_stack((np.eye(2) * zoom, ours - zoom * theirs))
            start = offset + np.choose(direction + 1, (-place, 0, size))
            _part(canvas, start, place)[:] = cv2.warpAffine(other['img'], matrix, place.tolist())
        results.update(img=canvas, img_shape=canvas.shape[:2])
        shift = offset.astype(np.float32)
        results['bbox'] = results['bbox'] + np.tile(shift, 2)
        for name in {'keypoints', 'bbox_center'} & results.keys():
            results[name] = results[name] + shift
        return results


def _length(corners: np.ndarray) -> float:
    """Longer side of a box ((x1, y1), (x2, y2)) in pixels, at least 1."""
    return max(1.0, float(np.ptp(corners, axis=0).max()))


def _part(image: np.ndarray, start: np.ndarray, size: np.ndarray) -> np.ndarray:
    (x, y), (width, height) = start, size
    return image[y : y + height, x : x + width]
