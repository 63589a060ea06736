"""The networks, one file each."""

from .. import _plugin  # noqa: F401
from .greit_hrnet import GreitHRNet
from .hevitpose import CGSRMHA, HEViTPose
from .lgm_pose import LARM, LGMPose, MobileViMBlock, SFusion, SFusionNeck
from .wgnet import WGNet, WGNetNeck

__all__ = [
    'CGSRMHA',
    'LARM',
    'GreitHRNet',
    'HEViTPose',
    'LGMPose',
    'MobileViMBlock',
    'SFusion',
    'SFusionNeck',
    'WGNet',
    'WGNetNeck',
]
