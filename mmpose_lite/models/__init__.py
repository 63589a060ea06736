"""The networks, one file each."""

from .greit_hrnet import GreitHRNet
from .lgm_pose import LARM, LGMPose, MobileViMBlock, SFusion, SFusionNeck
from .wgnet import WGNet, WGNetNeck

__all__ = ['LARM', 'GreitHRNet', 'LGMPose', 'MobileViMBlock', 'SFusion', 'SFusionNeck', 'WGNet', 'WGNetNeck']
