"""Running exported files: needs numpy, OpenCV and ONNX Runtime or OpenVINO, neither torch nor MMPose."""

from .backends import installed_backend
from .contract import Contract
from .detector import Detector
from .estimate import TopdownNetwork, estimate
from .model import PoseModel

__all__ = ['Contract', 'Detector', 'PoseModel', 'TopdownNetwork', 'estimate', 'installed_backend']
