"""Running exported files: needs numpy, OpenCV and ONNX Runtime or OpenVINO, neither torch nor MMPose."""

from .contract import Contract
from .estimate import TopdownNetwork, estimate
from .model import PoseModel

__all__ = ['Contract', 'PoseModel', 'TopdownNetwork', 'estimate']
