"""Whole pictures are read whatever follows them; a part of one is noticed whatever its end."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from mmpose_lite.datasets.loading import decode_image
from mmpose_lite.pictures import decode_picture


@pytest.fixture(scope='module')
def photo() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (180, 240, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def jpeg(picture: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture[..., ::-1]).save(file, 'JPEG', **options)
    return file.getvalue()


KINDS = [dict(), dict(progressive=True), dict(restart_marker_rows=1), dict(subsampling=0, quality=95)]


@pytest.mark.parametrize('decode', [decode_picture, decode_image])
@pytest.mark.parametrize('options', KINDS, ids=str)
def test_jpeg_ends(photo, options, decode):
    content = jpeg(photo, **options)
    film = b'\0\0\0\x18ftypmp42' + jpeg(photo)[:500] + b'\xff\xd8 \xff\xda\0\x08 more \xff\xd9 \xff\xda'
    expected = decode(content)
    for sound in (
        content + film,
        content + content,
        content + b'\xff\xda',
        content[:-1],
        content[:-2],
        content + b'\xff',
    ):
        np.testing.assert_array_equal(decode(sound), expected)
    for share in (0.3, 0.5, 0.9, 0.98):
        part = content[: int(share * len(content))].rstrip(b'\xff')
        for end in (b'', b'\xff\xd9', b'\xff\xd9' + film):
            with pytest.raises(OSError, match=r'truncated|cut short'):
                decode(part + end)


def test_grey_pictures_are_whole():
    """Grey is what libjpeg paints where data is missing, and what some pictures are."""
    for shape in ((100, 100), (100, 100, 3)):
        grey = np.full(shape, 128, np.uint8)
        content = cv2.imencode('.jpg', grey)[1].tobytes()
        assert decode_picture(content).shape == (100, 100, 3)
        assert decode_image(content[:-2]).shape == (100, 100, 3)


def test_turned_jpeg_cut(photo):
    """The grey part may be at any side."""
    exif = Image.Exif()
    for turn in range(1, 9):
        exif[0x0112] = turn
        content = jpeg(photo, exif=exif)
        decode_picture(content)
        with pytest.raises(OSError, match='cut short'):
            decode_picture(content[: len(content) // 2] + b'\xff\xd9')


@pytest.mark.parametrize('form', ['AVIF', 'HEIF', 'PPM', 'TGA', 'JPEG2000', 'GIF', 'PCX'])
def test_formats(photo, form):
    """By content: no name is known."""
    if form == 'HEIF':
        pytest.importorskip('pillow_heif').register_heif_opener()
    file = io.BytesIO()
    if form not in Image.registered_extensions().values():
        pytest.skip(f'this Pillow does not write {form}')
    Image.fromarray(photo[..., ::-1]).save(file, form)
    image = decode_picture(file.getvalue())
    assert image.shape == photo.shape
    assert np.abs(image.astype(int) - photo).mean() < (25 if form == 'GIF' else 6)
    with pytest.raises(OSError, match='damaged or cut short'):
        decode_picture(file.getvalue()[:15])


def test_heic_without_its_reader(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'pillow_heif', None)
    with pytest.raises(OSError, match=r"pip install 'mmpose_lite\[heic\]'"):
        decode_picture(b'\0\0\0\x18ftypheic' + bytes(50))
