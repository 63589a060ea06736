"""Track ids by ByteTrack (Zhang et al., ECCV 2022), of Roboflow's ``trackers``."""

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
        ImportError: If ``trackers`` is not installed.
    """

    LOWEST = 0.1  # score below which ByteTrack looks at no box

    def __init__(self, fps: float, score_thr: float = 0.35) -> None:
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
            track_activation_threshold=score_thr,
            high_conf_det_threshold=max(0.0, score_thr - 0.1),
            minimum_consecutive_frames=1,
        )
        self._detections = Detections
        self._started = False
        self.score_thr = score_thr

    def assign(self, boxes: np.ndarray) -> np.ndarray:
        """Track ids (N,) of the boxes (N, 5) of the next frame, -1 for those without."""
        found = self._detections(
            xyxy=boxes[:, :4].astype(np.float32),
            confidence=boxes[:, 4].astype(np.float32),
            data=dict(row=np.arange(len(boxes))),
        )
        if not self._started:
            self._tracker.update(found)  # seen twice, people of the first frame have their ids on it
            self._started = True
        tracked = self._tracker.update(found)
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
