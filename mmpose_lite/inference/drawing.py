"""Skeletons on pictures."""

import cv2
import numpy as np

from .poses import Poses

KPT_THR = 0.2  # lowest score of keypoints that are drawn, unless another is asked for
BOX = (0, 200, 0)  # BGR
CERTAIN = 0.5  # a joint of this score is drawn in full, one at the threshold half as strong
SHIFT = 4  # OpenCV's fixed point for lines between pixels


class Drawer:
    """Draws people with the skeleton and the colours of a dataset, left and right in their own.

    Joints of a low score, hidden ones mostly, are lighter than certain ones.

    Args:
        dataset_meta: Of the pose model: skeleton and colours.
        kpt_thr: Keypoints below this score are left out.
        bboxes: Draw boxes, with the track id or else the score.
    """

    def __init__(self, dataset_meta: dict, kpt_thr: float = KPT_THR, bboxes: bool = True) -> None:
        self.links = [tuple(pair) for pair in dataset_meta['skeleton_links']]
        self.link_colors = _bgr(dataset_meta['skeleton_link_colors'], len(self.links))
        self.colors = _bgr(dataset_meta['keypoint_colors'], int(dataset_meta['num_keypoints']))
        self.kpt_thr = kpt_thr
        self.bboxes = bboxes

    def __call__(self, image: np.ndarray, poses: Poses) -> np.ndarray:
        """Draw on a copy of an image (H, W, 3), BGR uint8."""
        drawn = image.copy()
        heights = poses.bboxes[:, 3] - poses.bboxes[:, 1]
        for person in np.argsort(heights):  # the nearest on top
            # as thick as looks right on a person of this size
            width = max(1, round(float(min(heights[person], max(image.shape))) / 120))
            if self.bboxes:
                corners = np.clip(poses.bboxes[person], -32768, 32767).round().astype(int)
                cv2.rectangle(drawn, corners[:2], corners[2:], BOX, max(1, width // 2), cv2.LINE_AA)
            self._skeleton(drawn, poses.keypoints[person], poses.keypoint_scores[person], width)
            if self.bboxes:
                self._label(drawn, poses, person)
        return drawn

    def _skeleton(self, drawn: np.ndarray, keypoints: np.ndarray, scores: np.ndarray, width: int) -> None:
        seen = (scores >= self.kpt_thr) & (np.abs(keypoints) < 32768).all(axis=1)
        points = (keypoints.clip(-32768, 32767) * (1 << SHIFT)).round().astype(int)
        strengths = np.interp(scores, (self.kpt_thr, max(CERTAIN, self.kpt_thr + 1e-6)), (0.5, 1))
        for (a, b), color in zip(self.links, self.link_colors, strict=True):
            if seen[a] and seen[b]:
                tint = _lighter(color, min(strengths[a], strengths[b]))
                cv2.line(drawn, points[a], points[b], tint, width, cv2.LINE_AA, SHIFT)
        for k in np.flatnonzero(seen):
            radius = (width + 1) << SHIFT
            cv2.circle(drawn, points[k], radius, _lighter(self.colors[k], strengths[k]), -1, cv2.LINE_AA, SHIFT)

    def _label(self, drawn: np.ndarray, poses: Poses, person: int) -> None:
        tracked = poses.track_ids is not None and poses.track_ids[person] >= 0
        text = f'#{poses.track_ids[person]}' if tracked else f'{poses.bbox_scores[person]:.2f}'
        x, y = poses.bboxes[person, :2]
        corner = int(max(x, 0)) + 2, int(max(y, 0)) + 12
        for color, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(drawn, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, width, cv2.LINE_AA)


def _bgr(colors, number: int) -> list[tuple[int, int, int]]:
    """RGB rows, or one name for all, as OpenCV takes them; MMPose's blue where there are none."""
    rows = np.asarray(colors)
    if rows.ndim != 2:
        rows = np.tile((51, 153, 255), (number, 1))
    return [tuple(int(value) for value in row[::-1]) for row in rows]


def _lighter(color: tuple[int, int, int], strength: float) -> tuple[int, ...]:
    """Towards white, the less strength."""
    return tuple(round(255 - (255 - value) * float(strength)) for value in color)
