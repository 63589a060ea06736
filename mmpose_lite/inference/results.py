"""The poses of a video as JSON Lines, one frame after the other, and going on where a run was stopped."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..files import naming_full_disk
from .poses import Frame, Poses


class ResultLines:
    """Writes ``{"frame": i, "time": seconds, "instances": [...]}`` line by line. A context manager.

    The file is ``<name>.partial`` while it is written and takes its name when complete, so that whatever stops a run
    leaves whole lines that can be read and gone on from.

    Args:
        path: The file.
        resume: Keep the lines of a partial file; :meth:`stored` hands them out.
        reopen: With ``resume``, keep those of a finished file too, which then is a partial one again.
    """

    def __init__(self, path: Path, resume: bool = False, reopen: bool = False) -> None:
        self.path = path
        self.partial = path.with_name(f'{path.name}.partial')
        self.count = 0
        self._reopen = resume and reopen and path.is_file()
        self._resume = self._reopen or (resume and self.partial.is_file())

    def __enter__(self) -> 'ResultLines':
        if self._reopen:
            os.replace(self.path, self.partial)
        if self._resume:
            self._drop_broken_end()
        self._kept = self.count
        self._file = self.partial.open('a' if self._resume else 'w', encoding='utf-8')
        return self

    def __exit__(self, kind, *error) -> None:
        with suppress(OSError):  # a full disk was reported when a line was written
            self._file.close()
        unchanged = self._reopen and self.count == self._kept  # drawing failed, the poses were whole
        if kind is None or unchanged:
            with naming_full_disk(self.path):
                os.replace(self.partial, self.path)
        elif not self.count:
            self.partial.unlink(missing_ok=True)

    def _drop_broken_end(self) -> None:
        with self.partial.open('rb+') as file:
            good = 0
            for line in file:
                try:
                    row = json.loads(line)
                    if not line.endswith(b'\n') or row['frame'] != self.count or not isinstance(row['instances'], list):
                        break
                except (ValueError, KeyError, TypeError, RecursionError):
                    break
                good += len(line)
                self.count += 1
            file.truncate(good)

    def stored(self, num_keypoints: int) -> Iterator[Poses]:
        """Poses of the frames that an earlier run has done.

        Raises:
            ValueError: If they are of another keypoint set.
        """
        if self._resume:
            with self.partial.open(encoding='utf-8') as file:
                for line, number in zip(file, range(self.count), strict=False):
                    try:
                        yield Poses.from_instances(json.loads(line)['instances'], num_keypoints)
                    except ValueError as error:
                        raise ValueError(
                            f'{self.partial} cannot be gone on from, frame {number}: {error}. Remove it, or take '
                            'another output folder'
                        ) from error

    def write(self, frame: Frame, poses: Poses) -> None:
        """Add a frame; the line is with the operating system when this returns."""
        line = dict(frame=frame.index, time=round(frame.time, 4), instances=poses.to_instances())
        with naming_full_disk(self.path):
            self._file.write(json.dumps(line) + '\n')
            self._file.flush()
        self.count += 1
