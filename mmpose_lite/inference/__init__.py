"""Top-down inference on images."""

from .boxes import BoxFile, PersonDetector, whole_image
from .files import list_images, read_image, write_image, write_json
from .topdown import Instance, TopdownPipeline, draw

__all__ = [
    'BoxFile',
    'Instance',
    'PersonDetector',
    'TopdownPipeline',
    'draw',
    'list_images',
    'read_image',
    'whole_image',
    'write_image',
    'write_json',
]
