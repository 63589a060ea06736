"""Track ids by ByteTrack (Zhang et al., ECCV 2022), of Roboflow's ``trackers``."""

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
        ImportError: If ``trackers`` is not installed.
    """

    def __init__(self, fps: float) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                from supervision import Detections
                from trackers import ByteTrackTracker
        except ImportError as error:
            raise ImportError(f"tracking needs trackers ({error}): pip install 'mmpose_lite[tracking]'") from error
        # thresholds of the original ByteTrack are for detectors surer of themselves than small ones are
        self._tracker = ByteTrackTracker(
            frame_rate=max(1, fps),
            track_activation_threshold=0.35,
            high_conf_det_threshold=0.25,
            minimum_consecutive_frames=1,
        )
        self._detections = Detections
        self._started = False

    def __call__(self, poses: Poses) -> Poses:
        """The poses of the next frame with track ids."""
        found = self._detections(
            xyxy=poses.bboxes.astype(np.float32),
            confidence=poses.bbox_scores.astype(np.float32),
            data=dict(row=np.arange(len(poses))),
        )
        if not self._started:
            self._tracker.update(found)  # seen twice, people of the first frame have their ids on it
            self._started = True
        tracked = self._tracker.update(found)
        ids = np.full(len(poses), -1)
        if len(tracked):
            ids[tracked.data['row']] = tracked.tracker_id
        return Poses(poses.bboxes, poses.bbox_scores, poses.keypoints, poses.keypoint_scores, ids)
