"""What the backbones share."""

from collections.abc import Iterable

from mmpose.models.backbones.base_backbone import BaseBackbone
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class FreezableBackbone(BaseBackbone):
    """A backbone of which stages can be frozen.

    Attributes:
        frozen_stages: How much is frozen; each backbone counts in its own way.
        norm_eval: Keep batch norm in evaluation mode while training.
    """

    frozen_stages: int
    norm_eval: bool

    def frozen_modules(self) -> Iterable[nn.Module]:
        """The parts that ``frozen_stages`` names."""
        raise NotImplementedError

    def _freeze_stages(self) -> None:
        for module in self.frozen_modules():
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> 'FreezableBackbone':
        """Set the mode, keeping frozen stages (and with ``norm_eval`` all batch norms) in evaluation mode."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
