"""Track ids by supervision's ByteTrack (Zhang et al.: ByteTrack, ECCV 2022)."""

import warnings

import numpy as np

from .poses import Poses


class Tracker:
    """Gives people of a video ids that stay with them.

    A person gets an id on the second frame that shows them (on the first frame of the video at once), and keeps it
    through a second of absence. Boxes of a low score give nobody an id, but carry on the ids of people seen before.

    Args:
        fps: Frames per second.
        score_thr: Boxes from this score on are people of their own.

    Raises:
        ImportError: If supervision is not installed, or is a version without ByteTrack.
    """

    LOWEST = 0.1  # score below which ByteTrack looks at no box

    def __init__(self, fps: float, score_thr: float = 0.35) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # deprecated since 0.28; its successor needs numpy 2
                import supervision

                # it starts tracks from its threshold and a tenth on
                activation = max(0.0, round(score_thr - 0.1, 6))
                self._tracker = supervision.ByteTrack(activation, frame_rate=max(1, round(fps)))
        except (ImportError, AttributeError) as error:
            raise ImportError(
                "tracking needs supervision with ByteTrack: pip install 'mmpose_lite[tracking]'"
            ) from error
        self._detections = supervision.Detections
        self.score_thr = score_thr

    def assign(self, boxes: np.ndarray) -> np.ndarray:
        """Track ids (N,) of the boxes (N, 5) of the next frame, -1 for those without."""
        found = self._detections(
            xyxy=boxes[:, :4].astype(np.float32),
            confidence=boxes[:, 4].astype(np.float32),
            data=dict(row=np.arange(len(boxes))),
        )
        tracked = self._tracker.update_with_detections(found)
        ids = np.full(len(boxes), -1)
        if len(tracked):
            ids[tracked.data['row']] = tracked.tracker_id
        return ids

    def select(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the boxes (N, 5) of the next frame those that count, and their track ids: the good and the followed."""
        ids = self.assign(boxes)
        keep = (boxes[:, 4] >= np.float32(self.score_thr)) | (ids >= 0)
        return boxes[keep], ids[keep]

    def __call__(self, poses: Poses) -> Poses:
        """The poses of the next frame with track ids."""
        ids = self.assign(np.column_stack((poses.bboxes, poses.bbox_scores)))
        return Poses(poses.bboxes, poses.bbox_scores, poses.keypoints, poses.keypoint_scores, ids)
