"""Any top-down network of MMPose and any detector of mmdet, run by PyTorch."""

from .. import _plugin  # noqa: F401
from .detector import PersonDetector
from .network import PoseNetwork

__all__ = ['PersonDetector', 'PoseNetwork']
