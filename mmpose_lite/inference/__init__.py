"""Top-down inference on images and videos."""

from .boxes import BoxFile, BoxSource, whole_image
from .drawing import Drawer
from .files import Inputs, list_inputs, read_image, shard, write_image, write_json
from .load import load
from .poses import Frame, Poses
from .runner import Runner
from .smoothing import PoseSmoother
from .topdown import TopdownPipeline
from .tracking import Tracker
from .video import VideoReader, VideoWriter

__all__ = [
    'BoxFile',
    'BoxSource',
    'Drawer',
    'Frame',
    'Inputs',
    'PersonDetector',
    'PoseNetwork',
    'PoseSmoother',
    'Poses',
    'Runner',
    'TopdownPipeline',
    'Tracker',
    'VideoReader',
    'VideoWriter',
    'list_inputs',
    'load',
    'read_image',
    'shard',
    'whole_image',
    'write_image',
    'write_json',
]


def __getattr__(name: str) -> type:
    """The classes that need PyTorch, imported when they are asked for: the rest of this package does without."""
    if name in ('PersonDetector', 'PoseNetwork'):
        from .. import torch_backend

        return getattr(torch_backend, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
