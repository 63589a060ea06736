"""What the four backbones share."""

from collections.abc import Sequence

from mmpose.models.backbones.base_backbone import BaseBackbone
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class Backbone(BaseBackbone):
    """Backbone that keeps its first parts, or all its batch norms, in evaluation mode while it trains.

    Args:
        frozen_stages: See the subclass.
        norm_eval: Keep batch norm in evaluation mode while training.
        init_cfg: Initialization config of MMEngine.
    """

    def __init__(self, frozen_stages: int, norm_eval: bool, init_cfg: dict | list[dict] | None) -> None:
        super().__init__(init_cfg)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

    def _frozen(self) -> Sequence[nn.Module]:
        """The modules that ``frozen_stages`` freezes: the stem and so many stages."""
        return (self.stem, *self.stages)[: self.frozen_stages + 2] if self.frozen_stages >= 0 else ()

    def _freeze_stages(self) -> None:
        for module in self._frozen():
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> 'Backbone':
        """Set the mode, keeping frozen stages (and with ``norm_eval`` all batch norms) in evaluation mode."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
