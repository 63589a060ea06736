"""One-Euro smoothing of tracked poses (Casiez, Roussel and Vogel: 1 Euro Filter, CHI 2012)."""

import math
from dataclasses import dataclass

import numpy as np

from .poses import Poses


@dataclass
class _State:
    keypoints: np.ndarray  # (K, 2) smoothed
    velocity: np.ndarray  # (K, 2) smoothed, pixels per second
    time: float


def _weight(cutoff: np.ndarray | float, step: float) -> np.ndarray | float:
    """Share of the new value in an exponential average with this cut-off frequency in hertz (equation 3)."""
    turn = 2 * math.pi * cutoff * step
    return turn / (turn + 1)


class PoseSmoother:
    """Calms resting keypoints and lets moving ones go.

    Speeds count in heights of the person's box, so the same settings fit near and far people. A keypoint in steady
    motion trails by at most ``1 / (2 pi beta)`` heights.

    Args:
        min_cutoff: Cut-off frequency at rest in hertz: lower is calmer.
        beta: Hertz by which it rises per height per second: higher trails less.
        velocity_cutoff: Cut-off frequency of the speed estimate in hertz.
        forget_after: Seconds after which a person who went away starts afresh.
    """

    def __init__(
        self, min_cutoff: float = 1.0, beta: float = 8.0, velocity_cutoff: float = 1.0, forget_after: float = 1.0
    ) -> None:
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.velocity_cutoff = velocity_cutoff
        self.forget_after = forget_after
        self._states: dict[int, _State] = {}

    def __call__(self, poses: Poses, time: float) -> Poses:
        """Smooth the keypoints of everybody who has a track id; ``time`` in seconds must grow from call to call."""
        self._forget(time)
        keypoints = poses.keypoints.copy()
        for row, track in enumerate(poses.track_ids):
            if track >= 0:
                keypoints[row] = self._smooth(int(track), poses, row, time)
        return Poses(poses.bboxes, poses.bbox_scores, keypoints, poses.keypoint_scores, poses.track_ids)

    def remember(self, poses: Poses, time: float) -> None:
        """Take in poses that are smooth already, to go on from them."""
        self._forget(time)
        for row, track in enumerate(poses.track_ids if poses.track_ids is not None else ()):
            if track >= 0:
                found, state = poses.keypoints[row].astype(float), self._states.get(int(track))
                step = time - state.time if state else 0
                velocity = (found - state.keypoints) / step if step > 0 else np.zeros_like(found)
                self._states[int(track)] = _State(found, velocity, time)

    def _smooth(self, track: int, poses: Poses, row: int, time: float) -> np.ndarray:
        found, state = poses.keypoints[row].astype(float), self._states.get(track)
        step = time - state.time if state else 0
        if step <= 0:
            self._states[track] = _State(found, np.zeros_like(found), time)
            return found
        share = _weight(self.velocity_cutoff, step)
        velocity = share * (found - state.keypoints) / step + (1 - share) * state.velocity
        height = max(float(poses.bboxes[row, 3] - poses.bboxes[row, 1]), 1.0)
        speed = np.linalg.norm(velocity, axis=1, keepdims=True) / height
        share = _weight(self.min_cutoff + self.beta * speed, step)
        smooth = share * found + (1 - share) * state.keypoints
        self._states[track] = _State(smooth, velocity, time)
        return smooth

    def _forget(self, time: float) -> None:
        self._states = {track: state for track, state in self._states.items() if time - state.time <= self.forget_after}
