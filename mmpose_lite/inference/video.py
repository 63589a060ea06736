"""Videos and cameras in, videos out, with decoding and encoding in threads of their own."""

import contextlib
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from .files import is_camera
from .poses import Frame

QUEUE_SIZE = 16  # frames: enough to bridge a pause of the other side, a few hundred megabytes at 4K


class VideoReader:
    """Frames of a video file or of a camera, upright, read ahead by a thread. A context manager.

    Args:
        path: A file that OpenCV can open, or the number of a camera.

    Attributes:
        fps: Frames per second as the file says, 25 where it does not say.
        total: Number of frames as the file says, 0 where it does not say; a camera has none.
        live: Whether it is a camera. A camera's frames are dropped, not queued, while nobody takes them.
        count: Frames handed out so far.

    Raises:
        FileNotFoundError: If there is no such file or camera.
        ValueError: If it is not a video.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.live = is_camera(self.path)
        if self.live:
            self.capture = cv2.VideoCapture(int(str(path)))
            if not self.capture.isOpened():
                raise FileNotFoundError(f'no camera {path}: plug one in, or check its number (0 is the first)')
        else:
            if not self.path.is_file():
                raise FileNotFoundError(f'{path} does not exist: check the path')
            if not self.path.stat().st_size:
                raise ValueError(f'{path} is an empty file: copy or download it again')
            self.capture = cv2.VideoCapture(str(path))
            if not self.capture.isOpened():
                raise ValueError(f'{path} is not a video, or is damaged or cut short: play it to see, or leave it out')
        self.capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # off in some builds of OpenCV
        fps = self.capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 0 < fps <= 1000 else 25.0
        self.total = 0 if self.live else max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.count = 0
        self._queue: queue.Queue = queue.Queue(1 if self.live else QUEUE_SIZE)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name='reader', daemon=True)

    @property
    def cut_short(self) -> bool:
        """Whether clearly fewer frames came than the file promised (some formats promise only about so many)."""
        return self.count < 0.98 * self.total - 2

    def __enter__(self) -> 'VideoReader':
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._stop.set()
        self._thread.join()
        self.capture.release()

    def __iter__(self) -> Iterator[Frame]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            self.count += 1
            yield item

    def _read(self) -> None:
        try:
            start, index = time.monotonic(), 0
            while not self._stop.is_set():
                ok, image = self.capture.read()
                if not ok:
                    break
                if self.live:
                    seconds = time.monotonic() - start
                else:
                    seconds = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                    if not seconds > 0:  # not every format has times
                        seconds = index / self.fps
                self._put(Frame(image, self.path, index, seconds))
                index += 1
            self._put(None)
        except Exception as error:  # handed to whoever iterates
            self._put(error)

    def _put(self, item: Frame | Exception | None) -> None:
        while not self._stop.is_set():
            try:
                return self._queue.put(item, timeout=0.1)
            except queue.Full:
                if self.live:
                    with contextlib.suppress(queue.Empty):
                        self._queue.get_nowait()


class VideoWriter:
    """Writes an MP4 (MPEG-4 part 2) in a thread. A context manager.

    The file is ``<stem>.partial.mp4`` while it is written and takes its name when complete; after an error the part is
    left, as playable as it is.

    Args:
        path: The file.
        fps: Frames per second.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self.partial = path.with_name(f'{path.stem}.partial{path.suffix}')
        self.fps = fps
        self.count = 0
        self._error: Exception | None = None
        self._queue: queue.Queue = queue.Queue(QUEUE_SIZE)
        self._thread = threading.Thread(target=self._write, name='writer', daemon=True)

    def __enter__(self) -> 'VideoWriter':
        self._thread.start()
        return self

    def write(self, make: Callable[[], np.ndarray]) -> None:
        """Add a frame, (H, W, 3) BGR uint8, that the writer's thread gets by calling ``make``."""
        if self._error:
            raise self._error
        self._queue.put(make)

    def __exit__(self, kind, *error) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            if self._error:
                raise self._error
            if self.count:
                self._check()
                os.replace(self.partial, self.path)

    def _write(self) -> None:
        writer = None
        while (make := self._queue.get()) is not None:
            if self._error:
                continue  # keep taking, so that nobody waits for a place in the queue
            try:
                image = make()
                if writer is None:
                    fourcc = cv2.VideoWriter_fourcc(*'mp4v')
                    writer = cv2.VideoWriter(str(self.partial), fourcc, self.fps, image.shape[1::-1])
                    if not writer.isOpened():
                        raise OSError(f'{self.partial} cannot be written: check the folder and the free disk space')
                writer.write(image)
                self.count += 1
            except Exception as error:  # raised in the caller's thread
                self._error = error
        if writer is not None:
            writer.release()

    def _check(self) -> None:
        """OpenCV does not say when writing fails, as on a full disk."""
        capture = cv2.VideoCapture(str(self.partial))
        written = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        if written != self.count:
            raise OSError(f'{self.partial} holds {written} of {self.count} frames: check the free disk space')
