"""Skeletons on pictures, with MMPose's visualizer."""

import cv2
import numpy as np

from .poses import Poses


class Drawer:
    """Draws people with the skeleton and the colours of a dataset, left and right in their own.

    Args:
        dataset_meta: Of the pose model: skeleton and colours.
        kpt_thr: Keypoints below this score are left out.
        bboxes: Draw boxes, with the track id or else the score.
    """

    def __init__(self, dataset_meta: dict, kpt_thr: float = 0.3, bboxes: bool = True) -> None:
        from .. import _plugin  # noqa: F401

        # isort: split
        from mmpose.visualization import PoseLocalVisualizer

        self.visualizer = PoseLocalVisualizer()
        self.visualizer.set_dataset_meta(dataset_meta)
        self.kpt_thr = kpt_thr
        self.bboxes = bboxes

    def __call__(self, image: np.ndarray, poses: Poses) -> np.ndarray:
        """Draw on a copy of an image (H, W, 3), BGR uint8."""
        if not len(poses):
            return image.copy()
        visualizer = self.visualizer
        drawn = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        heights = poses.bboxes[:, 3] - poses.bboxes[:, 1]
        for person in np.argsort(heights):  # the nearest on top
            # as thick as looks right on a person of this size
            visualizer.line_width = max(1, round(float(min(heights[person], max(image.shape))) / 120))
            visualizer.radius = visualizer.line_width + 1
            sample = poses[person].to_datasample()
            visualizer.add_datasample('pose', drawn, sample, draw_gt=False, draw_bbox=self.bboxes, kpt_thr=self.kpt_thr)
            drawn = visualizer.get_image()
            if self.bboxes:
                drawn = self._label(drawn, poses, person)
        return cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)

    def _label(self, drawn: np.ndarray, poses: Poses, person: int) -> np.ndarray:
        tracked = poses.track_ids is not None and poses.track_ids[person] >= 0
        text = f'#{poses.track_ids[person]}' if tracked else f'{poses.bbox_scores[person]:.2f}'
        x, y = poses.bboxes[person, :2]
        corner = int(max(x, 0)) + 2, int(max(y, 0)) + 12
        for color, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(drawn, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, width, cv2.LINE_AA)
        return drawn
