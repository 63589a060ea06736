"""The networks, one file each."""

from .lgm_pose import LARM, LGMPose, MobileViMBlock, SFusion, SFusionNeck
from .wgnet import WGNet, WGNetNeck

__all__ = ['LARM', 'LGMPose', 'MobileViMBlock', 'SFusion', 'SFusionNeck', 'WGNet', 'WGNetNeck']
