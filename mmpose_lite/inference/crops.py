"""Cutting people out of pictures with MMPose's geometry, and putting what was found there back."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmpose.datasets.transforms import TopdownAffine
from mmpose.structures.bbox import bbox_xyxy2cs, get_udp_warp_matrix, get_warp_matrix


class Cropper:
    """The test pipeline of a top-down config (GetBBoxCenterScale, TopdownAffine) for many boxes at once.

    Args:
        pipeline: The config's ``test_dataloader.dataset.pipeline``.
        config: Name of the config, for the message.

    Raises:
        ValueError: If the pipeline has other steps.
    """

    def __init__(self, pipeline: Sequence[dict], config: str | Path = 'the config') -> None:
        steps = {step['type'].rpartition('.')[2]: step for step in pipeline}
        if set(steps) != {'LoadImage', 'GetBBoxCenterScale', 'TopdownAffine', 'PackPoseInputs'}:
            raise ValueError(
                f'test pipeline of {config} is {", ".join(steps)}; only LoadImage, GetBBoxCenterScale, TopdownAffine, '
                'PackPoseInputs is supported: name a config of a top-down network'
            )
        self.padding = steps['GetBBoxCenterScale'].get('padding', 1.25)
        self.size = tuple(steps['TopdownAffine']['input_size'])  # width, height
        self.warp_matrix = get_udp_warp_matrix if steps['TopdownAffine'].get('use_udp') else get_warp_matrix

    def geometry(self, bboxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centres and sizes, each (N, 2), of the regions that belong to boxes (N, 4) as x1, y1, x2, y2."""
        centers, scales = bbox_xyxy2cs(bboxes, padding=self.padding)
        return centers, TopdownAffine._fix_aspect_ratio(scales, self.size[0] / self.size[1])

    def crop(self, images: Sequence[np.ndarray], centers: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Cut one region out of each image; an image may come several times.

        Returns:
            (N, height, width, 3) uint8.
        """
        crops = np.empty((len(images), *self.size[::-1], 3), dtype=np.uint8)
        for image, center, scale, crop in zip(images, centers, scales, crops, strict=True):
            matrix = self.warp_matrix(center, scale, 0.0, output_size=self.size)
            cv2.warpAffine(image, matrix, self.size, dst=crop, flags=cv2.INTER_LINEAR)
        return crops

    def to_image(self, keypoints: np.ndarray, centers: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Take keypoints (N, K, 2) from pixels of the crops to pixels of the images."""
        centers, scales = centers[:, None], scales[:, None]
        return keypoints / np.array(self.size) * scales + centers - 0.5 * scales
