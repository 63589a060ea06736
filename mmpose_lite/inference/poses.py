"""What travels between the steps: frames in, poses out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import supervision
    from mmpose.structures import PoseDataSample


@dataclass
class Frame:
    """A picture and where it comes from.

    Args:
        image: (H, W, 3) BGR uint8.
        path: Its file; the file of the video; or the name of a camera.
        index: Number of the frame in a video, from 0; ``None`` for a single picture.
        time: Seconds since the start of the video.
    """

    image: np.ndarray
    path: Path = Path()
    index: int | None = None
    time: float = 0.0


@dataclass
class Poses:
    """The people of one picture, in its pixels.

    Args:
        bboxes: (N, 4) x1, y1, x2, y2.
        bbox_scores: (N,).
        keypoints: (N, K, 2) x, y.
        keypoint_scores: (N, K) heights of the heatmap peaks.
        track_ids: (N,) whole numbers that stay with a person through a video, -1 where a person is not yet followed;
            ``None`` without tracking.
    """

    bboxes: np.ndarray
    bbox_scores: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    track_ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.bboxes)

    def __getitem__(self, index: int | slice | np.ndarray | list) -> Poses:
        """The person of a number, or the people of a slice, a list of numbers or a mask (N,): always ``Poses``."""
        rows = np.arange(len(self))[index]
        return Poses(*(None if column is None else column[np.atleast_1d(rows)] for column in vars(self).values()))

    def to_instances(self) -> list[dict]:
        """Plain types for JSON: one dictionary per person, rounded to a thousandth of a pixel."""
        columns = dict(
            bbox=np.round(self.bboxes.astype(float), 3).tolist(),
            bbox_score=np.round(self.bbox_scores.astype(float), 4).tolist(),
            keypoints=np.round(self.keypoints.astype(float), 3).tolist(),
            keypoint_scores=np.round(self.keypoint_scores.astype(float), 4).tolist(),
        )
        if self.track_ids is not None:
            columns['track_id'] = [None if track < 0 else track for track in self.track_ids.tolist()]
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    @classmethod
    def from_instances(cls, instances: list[dict], num_keypoints: int) -> Poses:
        """The reverse of :meth:`to_instances`.

        Raises:
            ValueError: If they are broken, or have another number of keypoints.
        """
        shapes = dict(bbox=(4,), bbox_score=(), keypoints=(num_keypoints, 2), keypoint_scores=(num_keypoints,))
        try:
            found = {len(person['keypoints']) for person in instances} - {num_keypoints}
            if found:
                raise ValueError(f'people have {found.pop()} keypoints, the network has {num_keypoints}')
            columns = [
                np.array([person[name] for person in instances], dtype=np.float32).reshape(-1, *shape)
                for name, shape in shapes.items()
            ]
        except (KeyError, TypeError) as error:
            raise ValueError(f'not the people of a picture ({type(error).__name__}: {error})') from error
        ids = None
        if instances and 'track_id' in instances[0]:
            ids = np.array([-1 if person['track_id'] is None else person['track_id'] for person in instances])
        return cls(*columns, ids)

    def to_datasample(self) -> PoseDataSample:
        """As MMPose's estimators return it, for its visualizers and evaluators."""
        from mmengine.structures import InstanceData
        from mmpose.structures import PoseDataSample

        pred = InstanceData(
            bboxes=self.bboxes,
            bbox_scores=self.bbox_scores,
            keypoints=self.keypoints,
            keypoint_scores=self.keypoint_scores,
            keypoints_visible=self.keypoint_scores,
        )
        if self.track_ids is not None:
            pred.track_ids = self.track_ids
        return PoseDataSample(pred_instances=pred)

    def to_supervision(self) -> supervision.KeyPoints:
        """As a ``supervision.KeyPoints``, with ``tracker_id`` among its data where people are tracked.

        Raises:
            ImportError: If supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise ImportError("supervision is not installed: pip install 'mmpose_lite[tracking]'") from error
        data = dict(bbox=self.bboxes, bbox_score=self.bbox_scores)
        if self.track_ids is not None:
            data['tracker_id'] = self.track_ids
        if not len(self):
            return supervision.KeyPoints.empty()
        return supervision.KeyPoints(
            xy=self.keypoints.astype(np.float32),
            confidence=self.keypoint_scores.astype(np.float32),
            class_id=np.zeros(len(self), dtype=int),
            data=data,
        )
