"""Reading pictures so that a broken one is noticed."""

import functools
import logging
import multiprocessing
from pathlib import Path

import cv2
import mmcv
import numpy as np
from mmengine import fileio
from mmengine.logging import print_log
from mmpose.datasets.transforms import LoadImage
from mmpose.registry import TRANSFORMS

from ..pictures import JPEG, OPENCV_STARTS, decode_jpeg, decode_picture


def decode_image(content: bytes, flag: str = 'color', backend: str = 'cv2') -> np.ndarray:
    """Decode a whole picture.

    Args:
        content: The bytes of its file.
        flag: As in :func:`mmcv.imfrombytes`.
        backend: As in :func:`mmcv.imfrombytes`.

    Returns:
        BGR picture of shape (H, W, 3), turned as its EXIF entry says.

    Raises:
        OSError: If the picture is truncated or cannot be decoded. Damage inside a JPEG that leaves all of it there goes
            unnoticed: libjpeg mends it as well as it can.
    """
    decode = functools.partial(mmcv.imfrombytes, flag=flag, backend=backend)
    try:
        if content.startswith(JPEG):
            image = decode_jpeg(content, decode)
        elif content.startswith(OPENCV_STARTS) or not content or flag != 'color':
            image = decode(content)
        else:
            image = decode_picture(content)
    except (cv2.error, ValueError, SyntaxError) as error:  # Pillow raises a SyntaxError on a broken PNG
        raise OSError('empty or not an image') from error
    if image is None:
        raise OSError('truncated or not an image')
    return image


@TRANSFORMS.register_module()
class LoadIntactImage(LoadImage):
    """MMPose's ``LoadImage``, with one error that names the file for every broken picture, a truncated JPEG included.

    Args:
        skip_broken: Take another sample instead (at random, as MMEngine does when a pipeline returns nothing) and log
            the file with the number of skips so far. In training only: a test must not leave samples out.
        **options: Of ``LoadImage``.
    """

    def __init__(self, skip_broken: bool = False, **options) -> None:
        super().__init__(**options)
        self.skip_broken = skip_broken
        self.num_skipped = multiprocessing.Value('i') if skip_broken else None  # one for all data loader workers

    def transform(self, results: dict) -> dict | None:
        """Load the picture at ``results['img_path']``, unless ``results['img']`` holds it already.

        Raises:
            OSError: Names the broken or missing picture and the remedies.
        """
        if 'img' in results:
            return super().transform(results)
        path = results['img_path']
        try:
            content = fileio.get(path, backend_args=self.backend_args)
            image = decode_image(content, self.color_type, self.imdecode_backend)
        except OSError as error:
            reason = 'no such file' if isinstance(error, FileNotFoundError) else str(error)
            if not self.skip_broken:
                raise OSError(
                    f'cannot load image {path}: {reason}. Mend or remove it (`mmpose-lite check-data CONFIG` lists all '
                    'such files), or skip it with --cfg-options train_dataloader.dataset.pipeline.0.skip_broken=True'
                ) from error
            with self.num_skipped.get_lock():
                self.num_skipped.value += 1
                count = self.num_skipped.value
            print_log(f'skipped broken image {path}: {reason}; {count} skips so far', 'current', logging.WARNING)
            return None
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


def read_size(path: str | Path) -> tuple[int, int]:
    """Decode a whole picture and return its width and height.

    Raises:
        OSError: If it is missing, truncated or cannot be decoded.
    """
    height, width = decode_image(Path(path).read_bytes()).shape[:2]
    return width, height
