"""Images in, pictures and JSON out."""

import codecs
import glob
import io
import json
import logging
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..files import atomic_path, check_content
from ..pictures import decode_picture
from .poses import Poses

WRITTEN_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff'}
IMAGE_SUFFIXES = WRITTEN_SUFFIXES | {
    '.jfif', '.jpe', '.dib', '.jp2', '.pgm', '.ppm', '.pnm', '.tga', '.avif', '.heic', '.heif', '.ico', '.dds', '.pcx',
    '.sgi', '.qoi',
}  # fmt: skip
VIDEO_SUFFIXES = {
    '.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.gif', '.ts', '.mts', '.m2ts', '.flv',
    '.3gp', '.3g2', '.asf', '.ogv', '.vob', '.mxf', '.mjpeg', '.mjpg', '.h264', '.264', '.h265', '.hevc',
}  # fmt: skip
VIDEO_STARTS = (
    b'GIF8', b'\x1aE\xdf\xa3', b'FLV', b'OggS', b'\0\0\x01\xba', b'\0\0\x01\xb3', b'\0\0\0\x01', b'\0\0\x01\x67',
    b'\x30\x26\xb2\x75', b'\x06\x0e\x2b\x34',
)  # fmt: skip
VIDEO_BOXES = {b'ftyp', b'moov', b'mdat', b'free', b'wide', b'skip', b'pnot'}
STILLS = (b'RIFF', b'\x89PNG', b'II*', b'MM\0*')  # formats of which some files hold several pictures
IMAGE_BRANDS = {b'avif', b'avis', b'heic', b'heix', b'heim', b'heis', b'hevc', b'mif1', b'msf1'}

logger = logging.getLogger(__name__)


@dataclass
class Inputs:
    """What the arguments stand for.

    Attributes:
        results: By each image, video or camera, in order, its results without their ending: ``OUT/photo``.
        errors: What could not be taken, each naming its argument.
    """

    results: dict[Path, Path] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)


def is_camera(path: Path) -> bool:
    """Whether an input is the number of a camera."""
    return str(path).isdecimal() and len(str(path)) < 6 and not path.exists()


def is_video(path: Path) -> bool:
    """Whether an input has frames: a video, an animated GIF, a camera. A name that does not say it is looked into."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES or is_camera(path):
        return True
    try:
        if suffix in IMAGE_SUFFIXES or not path.is_file():
            return False
        with path.open('rb') as file:
            start = file.read(377)
    except OSError:  # is reported when its turn comes
        return False
    if start[4:8] in VIDEO_BOXES:
        return start[8:12] not in IMAGE_BRANDS
    stream = {start[place : place + 1] for place in (0, 188, 376)} == {b'G'}
    return start.startswith(VIDEO_STARTS) or (start[:4] == b'RIFF' and start[8:12] == b'AVI ') or stream


def decode_text(content: bytes) -> str:
    """Text in UTF-8, or in UTF-16 with its byte order mark; other bytes stay as in names of files."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode('utf-16', 'replace')
    return content.removeprefix(codecs.BOM_UTF8).decode('utf-8', 'surrogateescape')


def _standard_input() -> str:
    binary = getattr(sys.stdin, 'buffer', None)
    # names are bytes: the locale's encoding takes them apart as it will put them together again
    text = decode_text(binary.read()) if binary else sys.stdin.read()
    return os.fsdecode(text.encode('utf-8', 'surrogateescape')) if binary else text.removeprefix('\ufeff')


def _expand(item: str) -> Iterator[Path]:
    """Files that one argument stands for.

    Raises:
        OSError: If it stands for none.
    """
    if not item.strip():
        raise FileNotFoundError('an input is an empty text: name a file (was a variable not set?)')
    if re.match('data:|[A-Za-z][A-Za-z0-9+.-]+:/', item) and not os.path.exists(item):
        raise FileNotFoundError(f'{item} is an address, which is not taken: download it and name the file')
    path = Path(item)
    if path.is_dir():
        known = IMAGE_SUFFIXES | VIDEO_SUFFIXES
        files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith('.'))
        found = [p for p in files if p.suffix.lower() in known]
        skipped = [p.name for p in files if p.suffix.lower() not in known]
        if skipped:
            names = ', '.join(skipped[:5]) + (', ...' if len(skipped) > 5 else '')
            logger.warning(
                '%s: %d files skipped, which their names do not call images or videos: %s', item, len(skipped), names
            )
        if not found:
            raise FileNotFoundError(f'folder {item} has no image or video in it ({", ".join(sorted(known))})')
        yield from found
    elif path.exists() or not glob.has_magic(item):
        yield path  # a missing one is reported when its turn comes
    else:
        found = sorted(glob.glob(item, recursive=True))
        if not found:
            raise FileNotFoundError(f'no file matches {item}: check the pattern')
        yield from (path for name in found if not (path := Path(name)).is_dir())


def result_file(path: Path, results: Path) -> Path:
    """Where the poses of an input go, JSON for an image, JSON Lines for a video; ``results`` as in :class:`Inputs`."""
    return results.with_name(results.name + ('.jsonl' if is_video(path) else '.json'))


def picture_file(path: Path, results: Path) -> Path:
    """Where the drawn picture or video goes: in the format of the input if that is one we write, or JPEG and MP4."""
    suffix = '.mp4' if is_video(path) else path.suffix if path.suffix.lower() in WRITTEN_SUFFIXES else '.jpg'
    whole_name = results.name == path.name and suffix == path.suffix
    return results if whole_name else results.with_name(results.name + suffix)


def _clashing(results: dict[Path, Path], draw: bool) -> list[Path]:
    """Inputs that would write a file that another one writes."""
    written = {
        path: {result_file(path, base), picture_file(path, base)} if draw else {result_file(path, base)}
        for path, base in results.items()
    }
    writers = Counter(file for files in written.values() for file in files)
    return [path for path, files in written.items() if any(writers[file] > 1 for file in files)]


def place_results(paths: Iterable[Path], out_dir: Path, draw: bool = True) -> dict[Path, Path]:
    """Results of each input without their ending: ``out_dir/<stem>``.

    Where two have one stem the folders of the inputs are mirrored; where they are in one folder the whole name is kept.

    Raises:
        ValueError: If two inputs would still write the same file, or an input would be overwritten.
    """
    paths = list(paths)
    results = {path: out_dir / (f'webcam{path}' if is_camera(path) else path.stem or 'input') for path in paths}
    if clashing := _clashing(results, draw):
        folders = {path: Path(os.path.abspath(path)).parent for path in paths}
        root = os.path.commonpath(folders.values())
        results = {path: out_dir / folders[path].relative_to(root) / base.name for path, base in results.items()}
        clashing = _clashing(results, draw)
    for path in clashing:
        results[path] = results[path].with_name(path.name)
    if clashing := _clashing(results, draw):
        raise ValueError(f'{clashing[0]} and {clashing[1]} would write the same file: give one another name')
    if draw:
        inputs = {os.path.realpath(path): path for path in paths}
        for path, base in results.items():
            if (overwritten := inputs.get(os.path.realpath(picture_file(path, base)))) is not None:
                raise ValueError(
                    f'{overwritten} would be overwritten by the drawn copy of {path}: choose another output folder, or '
                    'draw nothing'
                )
    return results


def list_inputs(inputs: Iterable[str | Path], out_dir: Path, draw: bool = True) -> Inputs:
    """Images and videos that the arguments stand for, in order and each once.

    Args:
        inputs: Files, folders (not what is below them), glob patterns, numbers of cameras, and ``-`` for such a list
            on standard input.
        out_dir: Where results will go.
        draw: Whether pictures go there too.

    Raises:
        FileNotFoundError: If nothing at all is left to do.
        ValueError: If two inputs would write the same file, or an input would be overwritten.
    """
    paths, errors = {}, []

    def items() -> Iterator[str]:
        for item in inputs:
            if str(item) == '-':
                yield from (line.strip() for line in _standard_input().splitlines() if line.strip())
            else:
                yield str(item)

    for item in items():
        try:
            for path in _expand(item):
                paths.setdefault(os.path.abspath(path), path)
        except (OSError, ValueError) as error:
            errors.append(error)
    if not paths:
        said = '; '.join(map(str, errors))
        raise FileNotFoundError(said or 'no input: name image or video files, folders or patterns')
    return Inputs(place_results(paths.values(), Path(out_dir), draw), errors)


def shard(paths: Sequence[Path]) -> tuple[list[Path], int]:
    """The inputs that are this process's under torchrun or SLURM, and the number of processes.

    Every process gets the same list and takes its own part of it, so no two write the same file.

    Raises:
        ValueError: If the environment's number of this process is impossible.
    """
    for rank, world in (('RANK', 'WORLD_SIZE'), ('SLURM_PROCID', 'SLURM_NTASKS')):
        if rank in os.environ and world in os.environ:
            try:
                number, size = int(os.environ[rank]), int(os.environ[world])
            except ValueError:
                number, size = -1, 0
            if not 0 <= number < size:
                raise ValueError(
                    f'{rank}={os.environ[rank]} and {world}={os.environ[world]}: the number of a process, from 0, must '
                    'be below the number of processes'
                )
            return list(paths[number::size]), size
    return list(paths), 1


def check_file(path: Path) -> None:
    """Say what is wrong with an input that cannot be opened.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is a folder.
    """
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(f'{path} is a link to nothing or to itself: check where it points')
    if path.is_dir():
        raise ValueError(f'{path} is a folder: name the files in it')
    if not path.exists():
        raise FileNotFoundError(f'{path} does not exist: check the path')


def read_image(path: Path) -> np.ndarray:
    """Read an image as (H, W, 3) BGR uint8, turned as its EXIF tag says.

    Gray, transparent, 16-bit and CMYK pictures become plain colour pictures. The content decides, not the name.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a whole image.
    """
    path = Path(path)
    check_file(path)
    content = path.read_bytes()
    check_content(path, content)
    if content.startswith(STILLS) and (number := _pictures_in(content)) > 1:
        logger.warning('%s holds %d pictures: the first is taken', path, number)
    try:
        return decode_picture(content)
    except OSError as error:
        raise ValueError(f'{path} {error}') from error


def _pictures_in(content: bytes) -> int:
    try:
        with Image.open(io.BytesIO(content)) as file:
            return getattr(file, 'n_frames', 1)
    except Exception:  # Pillow has many; the decoder will say what is wrong
        return 1


@contextmanager
def native_path(path: Path) -> Iterator[str]:
    """A name that libraries in C++ can take, for names that are not valid text: a link beside all others.

    OpenCV ends the process on such a name.
    """
    try:
        str(path).encode()
        yield str(path)
    except UnicodeEncodeError:
        suffix = path.suffix if path.suffix.isascii() else ''
        with tempfile.TemporaryDirectory(prefix='mmpose_lite') as folder:
            link = Path(folder, f'file{suffix}')
            link.symlink_to(os.path.abspath(path))
            yield str(link)


def make_folder(path: Path) -> None:
    """Make an output folder and those above it.

    Raises:
        NotADirectoryError: If something else has its name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(f'{path} is, or lies below, a file: name another folder for the output') from error


def write_json(path: Path, image: Path, poses: Poses) -> None:
    """Write the poses of an image."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(dict(image=str(image), instances=poses.to_instances())), 'utf-8')


def write_image(path: Path, image: np.ndarray) -> Path:
    """Write a picture in the format of its suffix, or where that has no room for its size as JPEG or PNG.

    Returns:
        The file that was written.

    Raises:
        OSError: If no format takes it.
    """
    for suffix in dict.fromkeys((path.suffix, '.jpg', '.png')):
        try:
            ok, encoded = cv2.imencode(suffix, image)
        except cv2.error:
            continue
        if ok:
            path = path.with_suffix(suffix)
            with atomic_path(path) as partial:
                partial.write_bytes(encoded.tobytes())
            return path
    raise OSError(f'{path} could not be encoded: a picture of {image.shape[1]} x {image.shape[0]}')
