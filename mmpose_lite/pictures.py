"""Decoding pictures so that a broken one is noticed and a sound one is not refused."""

import io
import re
from collections.abc import Callable
from contextlib import suppress

import cv2
import numpy as np

# what OpenCV is given; its decoders of rarer formats end the process on some broken files (JPEG 2000 in 4.11)
OPENCV_STARTS = (b'\xff\xd8', b'\x89PNG', b'BM', b'RIFF', b'II*', b'MM\0*', b'P1', b'P2', b'P3', b'P4', b'P5', b'P6')
JPEG, END_OF_IMAGE = b'\xff\xd8', b'\xff\xd9'
IN_SCAN = re.compile(rb'\xff[^\x00\xff\xd0-\xd7]')  # what ends a scan: no stuffed byte, no restart
START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
MORE = bytes(np.random.default_rng(0).integers(1, 255, 512, np.uint8))  # further data for a scan, without a marker
DAMAGED = 'is not an image, or is damaged or cut short: open it in a viewer, or leave it out'
# not those that Pillow hands to another program
PILLOW = ('AVIF', 'BMP', 'DDS', 'GIF', 'HEIF', 'ICO', 'JPEG', 'JPEG2000', 'MPO', 'PCX', 'PNG', 'PPM', 'QOI', 'SGI',
          'TGA', 'TIFF', 'WEBP')  # fmt: skip


def _walk_jpeg(content: bytes) -> tuple[int, bool, bool]:
    """Where the first picture in a JPEG file ends, whether an end marker is there, and whether it is progressive.

    What follows is no part of the picture: phones append a film, cameras a second picture.
    """
    position, progressive, scans = 2, False, 0
    while (marker := re.compile(rb'\xff([^\x00\xff])').search(content, position)) is not None:
        kind, position = marker.group(1)[0], marker.end()
        if kind == END_OF_IMAGE[1]:
            return marker.start(), scans > 0, progressive
        if kind == 1 or 0xD0 <= kind <= 0xD8:  # without a length
            continue
        if kind in START_OF_FRAME:
            progressive = kind in (0xC2, 0xC6, 0xCA, 0xCE)
        position += int.from_bytes(content[position : position + 2], 'big')
        if kind == 0xDA:
            scans += 1
            end = IN_SCAN.search(content, position)
            position = end.start() if end else len(content)
    return len(content.rstrip(b'\xff')), False, progressive


def decode_jpeg(content: bytes, decode: Callable[[bytes], np.ndarray | None]) -> np.ndarray | None:
    """Decode a JPEG, of which all of the picture must be there; the end marker need not be.

    libjpeg paints what a scan lacks grey, or leaves it coarse, and says nothing. Where that may be, the picture is
    decoded again with more data in its last scan: a complete one stays the same.

    Args:
        content: The bytes of the file.
        decode: From bytes to a picture, ``None`` where it cannot.

    Raises:
        OSError: If the picture is truncated.
    """
    end, ended, progressive = _walk_jpeg(content)
    body = content[:end]
    image = decode(body + END_OF_IMAGE)
    if image is None or not image.size:
        return None
    corners = image[:: max(1, len(image) - 1), :: max(1, image.shape[1] - 1)].reshape(-1, *image.shape[2:])
    grey = any(np.abs(corner.astype(int) - 128).max() <= 1 for corner in corners)
    if (not ended or progressive or grey) and not _same_with_more(body):
        raise OSError('truncated JPEG')
    return image


def _same_with_more(body: bytes) -> bool:
    """With Pillow, as OpenCV would print what is odd about the second."""
    from PIL.JpegImagePlugin import JpegImageFile

    pictures = []
    for more in (b'', MORE):
        try:
            with JpegImageFile(io.BytesIO(body + more + END_OF_IMAGE)) as file:
                pictures.append(np.asarray(file))
        except Exception:  # Pillow has many
            return False
    return np.array_equal(*pictures)


def decode_picture(content: bytes) -> np.ndarray:
    """Decode a picture of any format that OpenCV, Pillow or pillow-heif reads, from its content and not its name.

    Args:
        content: The bytes of the file.

    Returns:
        (H, W, 3) BGR uint8, turned as its EXIF tag says. Gray, transparent, 16-bit and CMYK pictures become plain ones.

    Raises:
        OSError: Says why not, without the name of the file.
    """
    if not content:
        raise OSError('is an empty file: copy or download it again')
    image = None
    with suppress(cv2.error):  # so OpenCV reports pictures beyond its limits
        try:
            if content.startswith(JPEG):
                image = decode_jpeg(content, _decode_cv2)
            elif content.startswith(OPENCV_STARTS):
                image = _decode_cv2(content)
        except OSError as error:
            raise OSError(DAMAGED) from error
    return _decode_pillow(content) if image is None else image


def _decode_cv2(content: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def _decode_pillow(content: bytes) -> np.ndarray:
    from PIL import Image, ImageOps

    heic = content[4:8] == b'ftyp' and content[8:12] in (b'heic', b'heix', b'mif1', b'msf1', b'heim', b'heis', b'hevc')
    if heic:
        try:
            import pillow_heif
        except ImportError as error:
            raise OSError("is a HEIC picture, which needs pillow-heif: pip install 'mmpose_lite[heic]'") from error
        pillow_heif.register_heif_opener()
    Image.init()
    try:
        with Image.open(io.BytesIO(content), formats=[name for name in PILLOW if name in Image.OPEN]) as file:
            return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(file).convert('RGB'))[..., ::-1])
    except Exception as error:  # Pillow has many
        hint = '; AVIF needs Pillow 11.3 or newer' if content[8:12] in (b'avif', b'avis') else ''
        raise OSError(DAMAGED + hint) from error
