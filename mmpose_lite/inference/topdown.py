"""Top-down inference: person boxes, then a pose in each box, many people and frames at a time."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..runtime import TopdownNetwork, estimate
from .boxes import BoxSource, clean_boxes
from .poses import Frame, Poses
from .sparse import sparse_boxes
from .tracking import Tracker


def batched(items: Iterable, size: int) -> Iterator[list]:
    """Lists of ``size`` items, the last maybe shorter."""
    items = iter(items)
    while chunk := list(itertools.islice(items, size)):
        yield chunk


class TopdownPipeline:
    """Poses of the people in pictures.

    Args:
        network: A :class:`PoseNetwork` with a config and weights, or a :class:`mmpose_lite.runtime.PoseModel` with an
            exported file.
        boxes: Where person boxes come from, see :mod:`mmpose_lite.inference.boxes`; only :meth:`estimate` works
            without.
        batch_size: Most crops that go through the network at once, mirrored ones counted; by default what the network
            likes best.

    Example::

        network = PoseNetwork('CONFIG.py', 'WEIGHTS.pth')  # or PoseNetwork() or PoseModel('FILE.onnx', 'openvino')
        pipeline = TopdownPipeline(network, PersonDetector())
        poses = pipeline(cv2.imread('photo.jpg'))
        poses.keypoints  # (people, keypoints, 2) in pixels of the photo
    """

    def __init__(self, network: TopdownNetwork, boxes: BoxSource | None = None, batch_size: int | None = None) -> None:
        self.network = network
        self.dataset_meta = network.dataset_meta
        self.boxes = boxes
        self.batch_size = batch_size
        self.left_out = 0  # boxes so far that had no pose to find

    def __call__(self, image: np.ndarray, path: str | Path = '') -> Poses:
        """Find the people in an image (H, W, 3), BGR uint8, and their poses.

        The path is what a box file looks the image up by. Where nobody is found there are no poses.
        """
        return next(self.stream([Frame(image, Path(path))]))[1]

    def stream(
        self,
        frames: Iterable[Frame],
        frames_at_once: int = 8,
        detect_every: int = 1,
        tracker: Tracker | None = None,
    ) -> Iterator[tuple[Frame, Poses]]:
        """Find people in frame after frame.

        Args:
            frames: Any iterable; of it, no more than ``frames_at_once + detect_every`` are held.
            frames_at_once: Frames whose people share batches. 1 for the least delay.
            detect_every: Look for boxes in every n-th frame only; see :func:`sparse_boxes`.
            tracker: Gives the people of one video their ids, and takes those of a low score whom it follows.

        Yields:
            Each frame and its poses, in order.
        """
        if self.boxes is None:
            raise ValueError('this pipeline has no source of boxes: give boxes=..., or call estimate with your own')
        if detect_every == 1:
            groups = batched(frames, frames_at_once)
            boxed = (zip(group, self.boxes(group), strict=True) for group in groups)
        else:
            boxed = batched(sparse_boxes(frames, self.boxes, detect_every, frames_at_once > 1), frames_at_once)
        for group in map(list, boxed):
            pairs = [(frame, clean_boxes(found, frame)) for frame, found in group]
            self.left_out += sum(len(found) for _, found in group) - sum(len(found) for _, found in pairs)
            ids = [None] * len(pairs)
            if tracker:
                selected = [tracker.select(found) for _, found in pairs]
                pairs = [(frame, found) for (frame, _), (found, _) in zip(pairs, selected, strict=True)]
                ids = [track_ids for _, track_ids in selected]
            poses = self.estimate([frame.image for frame, _ in pairs], [found for _, found in pairs])
            poses = [replace(found, track_ids=track_ids) for found, track_ids in zip(poses, ids, strict=True)]
            yield from zip((frame for frame, _ in pairs), poses, strict=True)

    def estimate(self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]) -> list[Poses]:
        """Poses in given boxes: the people of all images go through the network in common batches.

        Args:
            images: Each (H, W, 3) BGR uint8, of any size.
            boxes: For each image (N, 5): x1, y1, x2, y2 in pixels, of positive area, and a score.

        Returns:
            For each image its poses, in the order of the boxes.
        """
        boxes = [np.asarray(found, dtype=np.float32).reshape(-1, 5) for found in boxes]
        found = estimate(self.network, images, boxes, self.batch_size)
        return [Poses(b[:, :4], b[:, 4], *pose) for b, pose in zip(boxes, found, strict=True)]
