"""Track ids by supervision's ByteTrack (Zhang et al.: ByteTrack, ECCV 2022)."""

import warnings

import numpy as np

from .poses import Poses


class Tracker:
    """Gives people of a video ids that stay with them.

    A person gets an id on the second frame that shows them (on the first frame of the video at once), and keeps it
    through a second of absence.

    Args:
        fps: Frames per second.

    Raises:
        ImportError: If supervision is not installed, or is a version without ByteTrack.
    """

    def __init__(self, fps: float) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # deprecated since 0.28; its successor needs numpy 2
                import supervision

                self._tracker = supervision.ByteTrack(frame_rate=max(1, round(fps)))
        except (ImportError, AttributeError) as error:
            raise ImportError(
                "tracking needs supervision with ByteTrack: pip install 'mmpose_lite[tracking]'"
            ) from error
        self._detections = supervision.Detections

    def __call__(self, poses: Poses) -> Poses:
        """The poses of the next frame with track ids."""
        found = self._detections(
            xyxy=poses.bboxes.astype(np.float32),
            confidence=poses.bbox_scores.astype(np.float32),
            data=dict(row=np.arange(len(poses))),
        )
        tracked = self._tracker.update_with_detections(found)
        ids = np.full(len(poses), -1)
        if len(tracked):
            ids[tracked.data['row']] = tracked.tracker_id
        return Poses(poses.bboxes, poses.bbox_scores, poses.keypoints, poses.keypoint_scores, ids)
