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

from .decoders import open_video
from .files import is_camera, native_path
from .poses import Frame

QUEUE_SIZE = 16  # frames: enough to bridge a pause of the other side, a few hundred megabytes at 4K


class VideoReader:
    """Frames of a video file or of a camera, upright, read ahead by a thread. A context manager.

    Files are decoded by PyAV where it is installed (``mmpose_lite[video]``), else by OpenCV, which knows fewer formats
    and says less about damage.

    Args:
        path: A file, or the number of a camera.

    Attributes:
        fps: Frames per second by the time stamps, 25 where there are none.
        total: Number of frames, about; 0 where it is not known, as of a camera.
        live: Whether it is a camera. A camera's frames are dropped, not queued, while nobody takes them.
        count: Frames handed out so far.

    Raises:
        FileNotFoundError: If there is no such file or camera.
        ValueError: If it is not a video, or there is no decoder for it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.live = is_camera(self.path)
        self.source = open_video(self.path, self.live)
        self.fps, self.total = self.source.fps, self.source.total
        self.count = 0
        self._queue: queue.Queue = queue.Queue(1 if self.live else QUEUE_SIZE)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name='reader', daemon=True)

    @property
    def damage(self) -> str:
        """Why not all frames came, after the last one; empty if all did."""
        return '' if self.live else self.source.damage()

    def __enter__(self) -> 'VideoReader':
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._stop.set()
        self._thread.join()
        self.source.close()

    def __iter__(self) -> Iterator[Frame]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            self.count += 1
            yield item

    def _read(self) -> None:
        try:
            start, seconds = time.monotonic(), -math.inf
            for index, (image, stamp) in enumerate(self.source.frames()):
                if self.live:
                    seconds = time.monotonic() - start
                elif stamp is None or not stamp > seconds:  # not every format has times, and some go back
                    seconds = max(seconds + 1 / self.fps, 0.0)
                else:
                    seconds = stamp
                self._put(Frame(image, self.path, index, seconds))
                if self._stop.is_set():
                    break
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


def fit(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture scaled into this width and height, in the middle, with black beside it; as it is if it has the size."""
    if image.shape[1::-1] == size:
        return image
    zoom = min(size[0] / image.shape[1], size[1] / image.shape[0])
    width, height = (max(1, min(side, round(zoom * old))) for side, old in zip(size, image.shape[1::-1], strict=True))
    canvas = np.zeros((*size[::-1], 3), np.uint8)
    x, y = (size[0] - width) // 2, (size[1] - height) // 2
    canvas[y : y + height, x : x + width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return canvas


class VideoWriter:
    """Writes an MP4 (MPEG-4 part 2) in a thread. A context manager.

    The file is ``<stem>.partial.mp4`` while it is written and takes its name when complete; after an error the part is
    left, as playable as it is. Frames of another size than the first are scaled into its size.

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
        writer, native = None, contextlib.ExitStack()
        while (make := self._queue.get()) is not None:
            if self._error:
                continue  # keep taking, so that nobody waits for a place in the queue
            try:
                image = make()
                if writer is None:
                    fourcc = cv2.VideoWriter_fourcc(*'mp4v')
                    size = image.shape[1::-1]
                    name = native.enter_context(native_path(self.partial))
                    writer = cv2.VideoWriter(name, fourcc, self.fps, size)
                    if not writer.isOpened():
                        raise OSError(self._refusal(size))
                writer.write(fit(image, size))
                self.count += 1
            except Exception as error:  # raised in the caller's thread
                self._error = error
        if writer is not None:
            writer.release()
        native.close()

    def _refusal(self, size: tuple[int, int]) -> str:
        if not self.partial.parent.is_dir():
            return f'{self.partial} cannot be written: there is no such folder, or it was deleted meanwhile'
        return (
            f'{self.partial} cannot be written as a video of {size[0]} x {size[1]}: check the folder and the free disk '
            'space, or draw nothing'
        )

    def _check(self) -> None:
        """OpenCV does not say when writing fails, as on a full disk."""
        if not self.partial.is_file():
            raise OSError(f'{self.partial} is gone: it, or its folder, was deleted meanwhile')
        with native_path(self.partial) as name:
            capture = cv2.VideoCapture(name)
            written = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
            capture.release()
        if written != self.count:
            raise OSError(f'{self.partial} holds {written} of {self.count} frames: check the free disk space')
