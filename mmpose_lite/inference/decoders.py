"""What decodes videos: PyAV where it is installed, else OpenCV. Both go by what is in the file, not by its header."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from ..files import check_content
from .files import check_file, native_path

CONVERT = 'convert it: ffmpeg -i INPUT -c:v libx264 OUTPUT.mp4'
DATED = {'matroska', 'webm', 'avi', 'asf', 'flv'}  # containers whose header says how long all of it is
FROZEN = 5  # pictures that are the same to the last bit


def open_video(path: Path, live: bool = False) -> AvVideo | CvVideo:
    """Open a video, or a camera by its number.

    Raises:
        FileNotFoundError: If there is no such file or camera.
        ValueError: If it is not a video, or there is no decoder for it.
    """
    if live:
        return CvVideo(path, live=True)
    check_file(path)
    check_content(path)
    if not path.stat().st_size:
        raise ValueError(f'{path} is an empty file: copy or download it again')
    try:
        import av  # noqa: F401
    except ImportError:
        return CvVideo(path)
    return AvVideo(path)


def _rate(fps: float | None) -> float | None:
    return fps if fps and math.isfinite(fps) and 0.01 < fps <= 1000 else None


class AvVideo:
    """A file through PyAV.

    Its packets are counted first, without decoding: that gives the true number and rate of the frames, and whether all
    is there that the container promised.

    Attributes:
        fps: Frames per second by the time stamps.
        total: Number of frames, about.
    """

    def __init__(self, path: Path) -> None:
        import av

        self.path, self.count, self.broken, self.last = path, 0, 0, None
        self._file = path.open('rb')
        try:
            self._scan(av)
            self._file.seek(0)
            self._container = av.open(self._file)
        except (av.FFmpegError, ValueError, OverflowError) as error:
            self._file.close()
            if isinstance(error, NoVideo):
                raise
            raise NoVideo(
                f'{path} is not a video, or is damaged or cut short: play it to see, or leave it out'
            ) from error

    def _scan(self, av) -> None:
        with av.open(self._file) as container:
            if not container.streams.video:
                raise NoVideo(f'{self.path} is not a video: there are no pictures in it')
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise NoVideo(f'{self.path}: PyAV has no decoder for its codec: {CONVERT}')
            packets, times, end, self._lost = 0, [], 0.0, ''
            try:
                for packet in container.demux():
                    if not packet.size or packet.is_discard:
                        continue
                    stamp = packet.dts if packet.pts is None else packet.pts
                    seconds = None if stamp is None else float(stamp * packet.time_base)
                    if seconds is not None:
                        end = max(end, seconds + float((packet.duration or 0) * packet.time_base))
                    if packet.stream_index == stream.index:
                        packets += 1
                        if seconds is not None:
                            times.append(seconds)
            except av.FFmpegError as error:
                self._lost = f'it cannot be read on ({error.strerror})'
            self.total = packets
            span = max(times) - min(times) if times else 0.0
            self._first, self._until = (min(times), max(times)) if span else (0.0, None)
            said = _rate(float(stream.average_rate or 0))
            measured = _rate((packets - 1) / span) if span else None
            close = said and measured and abs(said / measured - 1) < 0.01  # time stamps are rounded, rates are not
            self.fps = said if close or not measured else measured
            self.fps = self.fps or _rate(float(stream.guessed_rate or 0)) or 25.0
            names = set(container.format.name.split(','))
            promised = (container.duration or 0) / av.time_base if names & DATED else 0.0
            if 'avi' in names and said:  # whose duration is that of what is there
                promised = max(promised, stream.frames / said)
            end -= max(0.0, (container.start_time or 0) / av.time_base)
            if 'mov' in names and packets < stream.frames and not whole_mp4(self.path):
                self._lost = self._lost or f'{packets} of {stream.frames} frames are there'
            if self._lost:
                self.total = max(packets, stream.frames)
            elif end < 0.98 * promised - 2 / self.fps:
                self._lost = f'{end:.1f} of {promised:.1f} seconds are there'
                self.total = round(packets * promised / end) if end > 0 else 0

    def frames(self) -> Iterator[tuple[np.ndarray, float | None]]:
        """Pictures (H, W, 3) BGR uint8, upright, each of its own size, and their times in seconds."""
        import av

        stream, start = self._container.streams.video[0], None
        stream.thread_type = 'AUTO'
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError:
                break  # the scan has met it too
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                self.broken += 1
                continue
            for frame in decoded:
                try:
                    image = frame.to_ndarray(format='bgr24')
                except (av.FFmpegError, ValueError, MemoryError):
                    self.broken += 1
                    continue
                if turns := round(frame.rotation / 90) % 4:
                    image = np.ascontiguousarray(np.rot90(image, turns))
                self.last = frame.time
                start = frame.time if start is None else start
                self.count += 1
                yield image, None if frame.time is None else frame.time - start

    def damage(self) -> str:
        """Why not all frames came; empty if all did."""
        if self._lost:
            return self._lost
        if self.broken > 0.02 * self.total + 2:
            return f'{self.broken} of {self.total} frames cannot be decoded'
        if self._until is not None and self.last is not None:
            missing = self._until - self.last
            if missing > 0.02 * (self._until - self._first) + 3 / self.fps:
                return f'nothing can be decoded in the last {missing:.1f} seconds'
        return ''

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        self._file.close()


class NoVideo(ValueError):
    """Names a file that cannot be played, and the remedy."""


class CvVideo:
    """A file or a camera through OpenCV.

    Attributes:
        fps: Frames per second by the time stamps of the first frames.
        total: Number of frames as the file says, 0 where it does not say.
    """

    def __init__(self, path: Path, live: bool = False) -> None:
        self.path, self.live, self.count, self.seconds, self._frozen = path, live, 0, 0.0, 0
        self._stack = ExitStack()
        if live:
            if logging := getattr(cv2.utils, 'logging', None):  # it would print which drivers know no such camera
                logging.setLogLevel(logging.LOG_LEVEL_SILENT)
            self.capture = cv2.VideoCapture(int(str(path)))
            if not self.capture.isOpened():
                raise FileNotFoundError(f'no camera {path}: plug one in, or check its number (0 is the first)')
        else:
            self._name = self._stack.enter_context(native_path(path))
            self.capture = cv2.VideoCapture(self._name)
            if not self.capture.isOpened():
                self._stack.close()
                raise NoVideo(f'{path} is not a video, or is damaged or cut short: play it to see, or leave it out')
        self.capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # off in some builds of OpenCV
        said = _rate(self.capture.get(cv2.CAP_PROP_FPS))
        number = self.capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.total = int(number) if not live and 0 < number < 1e9 else 0
        self._promised = self.total / said if said else 0.0
        self.fps = said or 25.0
        if not live:
            self.fps = self._measured() or self.fps

    def _measured(self, most: int = 100) -> float | None:
        """The rate of the first frames, where it is clearly not the one that the file says."""
        capture, times = cv2.VideoCapture(self._name), []
        while len(times) < most and capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        capture.release()
        if not times:
            codec = struct.pack('<I', int(self.capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF).decode(
                'ascii', 'replace'
            )
            codec = re.sub(r'[^\w-]', '', codec) or 'unknown'
            self.close()
            raise NoVideo(
                f'{self.path} has no frame that can be read: OpenCV has no decoder for its codec ({codec}), or it is '
                f"damaged. pip install 'mmpose_lite[video]', or {CONVERT}"
            )
        span = times[-1] - times[0]
        rate = _rate((len(times) - 1) / span) if span > 0 else None
        return rate if rate and abs(rate / self.fps - 1) > 0.02 else None

    def frames(self) -> Iterator[tuple[np.ndarray, float | None]]:
        """Pictures (H, W, 3) BGR uint8, upright, and their times in seconds."""
        before = None
        while True:
            ok, image = self.capture.read()
            if not ok:
                break
            same = before is not None and before.shape == image.shape and np.array_equal(before, image)
            self._frozen = self._frozen + 1 if same else 0
            before = image
            stamp = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            self.seconds = max(self.seconds, stamp)
            self.count += 1
            yield image, stamp if stamp > 0 else None

    def damage(self) -> str:
        """Why not all frames came, or may not be what they seem; empty if all did."""
        short = self.count < 0.98 * self.total - 2
        if short and self.seconds + 1 / self.fps < 0.98 * self._promised - 2 / self.fps and not whole_mp4(self.path):
            return f'{self.count} of {self.total} frames'
        if self._frozen >= FROZEN:
            # it does so where the size of the pictures changes
            return (
                f'the last {self._frozen + 1} frames are one picture to the last bit, so OpenCV may have stopped '
                "there: pip install 'mmpose_lite[video]'"
            )
        return ''

    def close(self) -> None:
        """Close the file."""
        self.capture.release()
        self._stack.close()


def whole_mp4(path: Path) -> bool:
    """Whether a file is an MP4 with all of its boxes; then frames that are left out are so by its edit list."""
    size, position, kinds = path.stat().st_size, 0, set()
    with path.open('rb') as file:
        while position + 8 <= size:
            file.seek(position)
            head = file.read(16)
            length, kind = struct.unpack('>I4s', head[:8])
            if length == 1 and len(head) == 16:
                length = struct.unpack('>Q', head[8:])[0]
            if length == 0:
                length = size - position
            if length < 8 or position + length > size:
                return False
            kinds.add(kind)
            position += length
    return {b'moov', b'mdat'} <= kinds
