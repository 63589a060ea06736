"""Training with the channels last in memory."""

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep feature maps as (B, H, W, C) in memory, which spares attention its copies and suits tensor cores.

    Shapes and results stay what they are, but for rounding. ``--cfg-options
    default_hooks.channels_last.type=ChannelsLastHook``.
    """

    def before_train(self, runner) -> None:
        """Lay the weights out so; every convolution passes the layout on."""
        runner.model.to(memory_format=torch.channels_last)
