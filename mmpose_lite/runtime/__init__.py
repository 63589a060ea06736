"""Running exported files: needs numpy, OpenCV and ONNX Runtime or OpenVINO, neither torch nor MMPose."""

from .contract import Contract
from .model import PoseModel

__all__ = ['Contract', 'PoseModel']
