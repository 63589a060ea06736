"""Teaching a heatmap network what is not in its crop."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class BlankOutside(BaseTransform):
    """Ask for an empty heatmap where a labelled keypoint lies outside the crop.

    MMPose's codecs give such a keypoint no weight, so that a network never sees that a part may be missing and draws
    legs into a portrait. It goes behind ``GenerateTarget`` with a heatmap codec.
    """

    def transform(self, results: dict) -> dict:
        """Give every labelled keypoint weight: ``keypoint_weights`` (1, K) from ``keypoints_visible`` (1, K)."""
        labelled = (results['keypoints_visible'] > 0.5).astype(np.float32)
        results['keypoint_weights'] = np.maximum(results['keypoint_weights'], labelled)
        return results
