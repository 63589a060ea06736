"""Poses of a list of images and videos, into files: what the demo does."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ..files import DISK_FULL
from .drawing import Drawer
from .files import is_camera, is_video, picture_file, read_image, result_file, write_image, write_json
from .poses import Frame, Poses
from .results import ResultLines
from .smoothing import PoseSmoother
from .topdown import TopdownPipeline
from .tracking import Tracker
from .video import VideoReader, VideoWriter


class Runner:
    """Takes images and videos through a pipeline and writes ``<stem>.json`` or ``<stem>.jsonl`` and drawn pictures.

    What goes wrong with one input is told on standard error and counted, and the next one's turn comes; a full disk
    stops everything.

    Args:
        pipeline: Finds the poses.
        out_dir: Folder of the results, made where it is missing.
        drawer: Draws pictures; ``None`` for results only.
        show: Show pictures in a window too; q or Esc there stops.
        track: Follow people through videos.
        smooth: Smooth their keypoints; needs ``track``.
        detect_every: Look for boxes in every n-th frame of a video only.
        resume: Skip inputs that have results, and go on with videos that have a part of theirs.

    Attributes:
        failed: Inputs that failed so far.
        poses: Poses found so far.
        skipped: Inputs that had results.
    """

    def __init__(
        self,
        pipeline: TopdownPipeline,
        out_dir: str | Path,
        drawer: Drawer | None = None,
        show: bool = False,
        track: bool = False,
        smooth: bool = False,
        detect_every: int = 1,
        resume: bool = False,
    ) -> None:
        if smooth and not track:
            raise ValueError('smoothing follows people through a video: give --track with --smooth')
        if track:
            Tracker(25)  # tells now, not at the first video, that a package is missing
        self.pipeline = pipeline
        self.out_dir = Path(out_dir)
        self.drawer = drawer
        self.show = show
        self.track = track
        self.smooth = smooth
        self.detect_every = detect_every
        self.resume = resume
        self.failed = self.poses = self.skipped = 0

    def __call__(self, paths: Iterable[Path]) -> None:
        """Work through images and videos, see :func:`mmpose_lite.inference.list_inputs`."""
        self.out_dir.mkdir(parents=True, exist_ok=True)
        todo = [path for path in paths if not self._finished(path)]
        for videos, group in itertools.groupby(todo, is_video):
            if videos:
                for path in group:
                    try:
                        self.video(path)
                    except (ValueError, OSError) as error:
                        self._report(error)
            else:
                self.images(list(group))

    def images(self, paths: list[Path]) -> None:
        """Poses of images; the people of several share batches."""
        with tqdm(total=len(paths), unit='image', disable=len(paths) == 1) as progress:
            for frame, poses in self.pipeline.stream(self._read(paths, progress)):
                try:
                    if self.drawer:
                        picture = self.drawer(frame.image, poses)
                        write_image(picture_file(frame.path, self.out_dir), picture)
                        self._display(picture, wait=0)
                    write_json(result_file(frame.path, self.out_dir), frame.path, poses)
                    self.poses += len(poses)
                except OSError as error:
                    self._report(error)
                progress.update()

    def _read(self, paths: list[Path], progress: tqdm) -> Iterator[Frame]:
        for path in paths:
            try:
                yield Frame(read_image(path), path)
            except (ValueError, OSError) as error:
                self._report(error)
                progress.update()

    def video(self, path: Path) -> None:
        """Poses of a video or a camera, frame by frame.

        Raises:
            FileNotFoundError: If there is no such file or camera.
            ValueError: If it is no video, or ends before its end; then the part that there is stays, with ``.partial``
                at the end of its name.
            OSError: If results cannot be written.
        """
        results = ResultLines(result_file(path, self.out_dir), self.resume)
        with ExitStack() as stack:
            video = stack.enter_context(VideoReader(path))
            stack.enter_context(results)
            progress = stack.enter_context(tqdm(desc=path.name, total=video.total or None, unit='frame'))
            writer = None
            if self.drawer:
                writer = stack.enter_context(VideoWriter(picture_file(path, self.out_dir), video.fps))
            try:
                for frame, poses in self._follow(video, results):
                    self.poses += len(poses)
                    if writer:
                        self._draw(writer, frame, poses)
                    progress.update()
            except KeyboardInterrupt:
                if not video.live:  # but it is how one stops a camera
                    raise
            if not video.count:
                raise ValueError(f'{path} has no frame that can be read: play it to see, or leave it out')
            if video.cut_short:
                raise ValueError(
                    f'{path} is cut short or damaged: {video.count} of {video.total} frames; their poses are in '
                    f'{results.partial}'
                )

    def _follow(self, video: VideoReader, results: ResultLines) -> Iterator[tuple[Frame, Poses]]:
        """Frames with poses, tracked and smoothed: those that an earlier run has done, then the rest."""
        tracker = Tracker(video.fps) if self.track else None
        smoother = PoseSmoother() if self.smooth else None
        frames = iter(video)
        stored = results.stored(self.pipeline.network.num_keypoints)
        for frame, poses in zip(itertools.islice(frames, results.count), stored, strict=False):
            if tracker:
                tracker(poses)
            if smoother:
                smoother.remember(poses, frame.time)
            yield frame, poses
        at_once = 1 if video.live else 8
        for frame, poses in self.pipeline.stream(frames, at_once, self.detect_every):
            if tracker:
                poses = tracker(poses)
            if smoother:
                poses = smoother(poses, frame.time)
            results.write(frame, poses)
            yield frame, poses

    def _draw(self, writer: VideoWriter, frame: Frame, poses: Poses) -> None:
        make = partial(self.drawer, frame.image, poses)
        if self.show:
            picture = make()
            self._display(picture, wait=1)
            writer.write(lambda: picture)
        else:
            writer.write(make)

    def _display(self, picture: np.ndarray, wait: int) -> None:
        if not self.show:
            return
        try:
            cv2.imshow('mmpose_lite', picture)
            key = cv2.waitKey(wait) & 0xFF
        except cv2.error as error:
            raise RuntimeError('there is no display for --show: leave it out') from error
        if key in (27, ord('q')):
            raise KeyboardInterrupt

    def _finished(self, path: Path) -> bool:
        finished = self.resume and not is_camera(path) and result_file(path, self.out_dir).is_file()
        self.skipped += finished
        return finished

    def _report(self, error: Exception) -> None:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise error
        tqdm.write(f'topdown_demo: {error}', file=sys.stderr)
        self.failed += 1
