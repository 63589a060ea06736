"""Teaching a heatmap network what is not in its crop."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class BlankOutside(BaseTransform):
    """Ask for an empty heatmap where a labelled keypoint lies outside the crop, or outside the picture in it.

    MMPose's codecs give a keypoint outside the crop no weight, so that a network never sees that a part may be missing
    and draws legs into a portrait. It goes behind ``GenerateTarget`` with a heatmap codec.
    """

    def transform(self, results: dict) -> dict:
        """Give every labelled keypoint weight, and those beyond the picture's edge an empty heatmap.

        ``keypoint_weights`` (1, K) come from ``keypoints_visible`` (1, K), ``heatmaps`` (K, H, W) are changed by
        ``keypoints`` (1, K, 2) and ``img_shape``, both in pixels of the picture.
        """
        labelled = (results['keypoints_visible'] > 0.5).astype(np.float32)
        results['keypoint_weights'] = np.maximum(results['keypoint_weights'], labelled)
        keypoints, (height, width) = results['keypoints'][0], results['img_shape'][:2]
        beyond = ((keypoints < 0) | (keypoints >= (width, height))).any(axis=-1)
        results['heatmaps'][beyond] = 0
        return results
