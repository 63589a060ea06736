"""Training with the channels last in memory."""

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmpose.models.backbones import litehrnet, shufflenet_v1, shufflenet_v2, utils
from torch import Tensor

from ..models import lgm_pose


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """MMPose's ``channel_shuffle`` of (B, C, H, W), but channels that come last in memory stay there."""
    if not x.is_contiguous(memory_format=torch.channels_last):
        return utils.channel_shuffle(x, groups)
    batch, channels, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(batch, height, width, groups, -1).transpose(3, 4)
    return pixels.reshape(batch, height, width, channels).permute(0, 3, 1, 2)


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep feature maps as (B, H, W, C) in memory, which spares attention its copies and suits tensor cores.

    Shapes and results stay what they are, but for rounding. ``--cfg-options
    default_hooks.channels_last.type=ChannelsLastHook``.
    """

    def before_train(self, runner) -> None:
        """Lay the weights out so; every convolution passes the layout on, and channel shuffles do from now on."""
        runner.model.to(memory_format=torch.channels_last)
        for module in (litehrnet, shufflenet_v1, shufflenet_v2, lgm_pose):
            module.channel_shuffle = channel_shuffle
