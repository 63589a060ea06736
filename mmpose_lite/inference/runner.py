"""Poses of a list of images and videos, into files: what the demo does."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ..files import DISK_FULL
from ..json_file import read_json
from .drawing import Drawer
from .files import (
    is_camera,
    is_video,
    make_folder,
    picture_file,
    place_results,
    read_image,
    result_file,
    write_image,
    write_json,
)
from .poses import Frame, Poses
from .results import ResultLines
from .smoothing import PoseSmoother
from .topdown import TopdownPipeline, batched
from .tracking import Tracker
from .video import VideoReader, VideoWriter

NO_DISPLAY = 'there is no display to show pictures on: show none'


class NoDisplay(RuntimeError):
    """Pictures cannot be shown."""


def check_display() -> None:
    """Open a window in a process of its own: without a display, Qt ends the process that asks it for one.

    Raises:
        NoDisplay: If that fails.
    """
    probe = "import cv2; cv2.namedWindow('mmpose_lite'); cv2.waitKey(1); cv2.destroyAllWindows()"
    if subprocess.run([sys.executable, '-c', probe], capture_output=True, check=False).returncode:
        raise NoDisplay(NO_DISPLAY)


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
        score_thr: People of a lower score are left out, but those who are followed.

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
        score_thr: float = 0.3,
    ) -> None:
        if smooth and not track:
            raise ValueError('smoothing follows people through a video: turn tracking on too')
        if track:
            Tracker(25)  # tells now, not at the first video, that a package is missing
        if show:
            check_display()
        self.pipeline = pipeline
        self.out_dir = Path(out_dir)
        self.drawer = drawer
        self.show = show
        self.track = track
        self.smooth = smooth
        self.detect_every = detect_every
        self.resume = resume
        self.score_thr = score_thr
        self.failed = self.poses = self.skipped = 0
        self._results: dict[Path, Path] = {}

    def __call__(self, inputs: Mapping[Path, Path] | Iterable[Path]) -> None:
        """Work through images and videos.

        Args:
            inputs: Their paths, or by path the results without their ending; see
                :func:`mmpose_lite.inference.list_inputs`.
        """
        self._results = dict(inputs) if isinstance(inputs, Mapping) else place_results(inputs, self.out_dir)
        make_folder(self.out_dir)
        todo = []
        for path in self._results:
            with self._reporting():
                if not self._finished(path):
                    todo.append(path)
        for videos, group in itertools.groupby(todo, is_video):
            if videos:
                for path in group:
                    with self._reporting(path):
                        self.video(path)
            else:
                self.images(list(group))

    def images(self, paths: list[Path]) -> None:
        """Poses of images; the people of several share batches."""
        with tqdm(total=len(paths), unit='image', disable=len(paths) == 1) as progress:
            for group in batched(self._read(paths, progress), 8):
                for frame, poses in self._estimate(group):
                    with self._reporting(frame.path):
                        self._write(frame, poses)
                    progress.update()

    def _base(self, path: Path) -> Path:
        """The results of an input without their ending."""
        return self._results.get(path) or place_results([path], self.out_dir)[path]

    def _write(self, frame: Frame, poses: Poses) -> None:
        """Results first: a picture may fail."""
        base = self._base(frame.path)
        make_folder(base.parent)
        write_json(result_file(frame.path, base), frame.path, poses)
        self.poses += len(poses)
        if self.drawer:
            picture = self.drawer(frame.image, poses)
            write_image(picture_file(frame.path, base), picture)
            self._display(picture, wait=0)

    def _estimate(self, group: list[Frame]) -> Iterator[tuple[Frame, Poses]]:
        """Poses of some pictures; if one of them cannot be done the others are."""
        try:
            pairs = list(self._stream(group))
        except Exception:
            pairs = []
            for frame in group:
                with self._reporting(frame.path):
                    pairs += self._stream([frame])
        yield from pairs

    def _stream(self, frames: Iterable[Frame], **options) -> Iterator[tuple[Frame, Poses]]:
        for frame, poses in self.pipeline.stream(frames, **options):
            if poses.track_ids is None and (poses.bbox_scores < self.score_thr).any():
                poses = poses[poses.bbox_scores >= self.score_thr]
            yield frame, poses

    def _read(self, paths: list[Path], progress: tqdm) -> Iterator[Frame]:
        for path in paths:
            failed = self.failed
            with self._reporting(path):
                yield Frame(read_image(path), path)
            progress.update(self.failed - failed)

    def video(self, path: Path) -> None:
        """Poses of a video or a camera, frame by frame.

        Raises:
            FileNotFoundError: If there is no such file or camera.
            ValueError: If it is no video, or ends before its end; then the part that there is stays, with ``.partial``
                at the end of its name.
            OSError: If results cannot be written.
        """
        base = self._base(path)
        make_folder(base.parent)
        results = ResultLines(result_file(path, base), self.resume, reopen=self.drawer is not None)
        with ExitStack() as stack:
            video = stack.enter_context(VideoReader(path))
            stack.enter_context(results)
            progress = stack.enter_context(tqdm(desc=path.name, total=video.total or None, unit='frame'))
            writer = None
            if self.drawer:
                writer = stack.enter_context(VideoWriter(picture_file(path, base), video.fps))
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
            if why := video.damage:
                raise ValueError(
                    f'{path} is cut short or damaged: {why}; the poses of {video.count} frames are in {results.partial}'
                )
            if results.count > video.count:
                raise ValueError(
                    f'{results.partial} has {results.count} frames and {path} has {video.count}: it is of another '
                    'video. Remove it, or take another output folder'
                )
            if not video.live and (check := getattr(self.pipeline.boxes, 'check_video', None)):
                check(path, video.count)

    def _follow(self, video: VideoReader, results: ResultLines) -> Iterator[tuple[Frame, Poses]]:
        """Frames with poses, tracked and smoothed: those that an earlier run has done, then the rest."""
        tracker = Tracker(video.fps, self.score_thr) if self.track else None
        smoother = PoseSmoother() if self.smooth else None
        frames = iter(video)
        stored = results.stored(self.pipeline.network.num_keypoints)
        for frame, poses in zip(itertools.islice(frames, results.count), stored, strict=False):
            if tracker:
                tracker(poses)  # for its memory
            if smoother:
                smoother.remember(poses, frame.time)
            yield frame, poses
        at_once = 1 if video.live else 8
        for frame, poses in self._stream(
            frames, frames_at_once=at_once, detect_every=self.detect_every, tracker=tracker
        ):
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
            raise NoDisplay(NO_DISPLAY) from error
        if key in (27, ord('q')):
            raise KeyboardInterrupt

    def _finished(self, path: Path) -> bool:
        """Whether all that this run would write of an input is there.

        Raises:
            ValueError: If its results are of another keypoint set.
        """
        if not self.resume or is_camera(path):
            return False
        base = self._base(path)
        result, picture = result_file(path, base), picture_file(path, base)
        pictures = (picture, *(picture.with_suffix(suffix) for suffix in ('.jpg', '.png')))
        if not result.is_file() or (self.drawer and not any(file.is_file() for file in pictures)):
            return False
        try:
            if is_video(path):
                with result.open('rb') as lines:
                    instances = json.loads(next(lines))['instances']
            else:
                instances = read_json(result)['instances']
            if not isinstance(instances, list):
                return False
        except (ValueError, KeyError, TypeError, StopIteration):
            return False  # not a whole file: done again
        try:
            Poses.from_instances(instances, self.pipeline.network.num_keypoints)
        except ValueError as error:
            raise ValueError(f'{result} is of another run: {error}. Remove it, or take another folder') from error
        self.skipped += 1
        return True

    @contextmanager
    def _reporting(self, path: Path | None = None) -> Iterator[None]:
        """Whatever goes wrong with one input is told, and the next one's turn comes."""
        try:
            yield
        except (NoDisplay, GeneratorExit):
            raise
        except Exception as error:
            if not isinstance(error, OSError | ValueError) and path is not None:
                said = ' '.join(str(error).split())
                error = ValueError(f'{path} cannot be done ({type(error).__name__}: {said})')
            self.report(error)

    def report(self, error: Exception) -> None:
        """Tell what is wrong with an input, and count it."""
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise error
        tqdm.write(f'mmpose-lite: {error}', file=sys.stderr)
        self.failed += 1
