"""What is left of a pose estimator at inference."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn


class Inference(nn.Module):
    """What is left of a pose estimator at inference: backbone, neck and head, without pre- and postprocessing."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = model.neck if getattr(model, 'with_neck', False) else nn.Identity()
        self.head = model.head
        self.eval()  # an exporter restores the mode that it found here in all of them

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Images (B, 3, H, W) to heatmaps (B, K, h, w), or to SimCC's (B, K, x) and (B, K, y)."""
        outputs = self.stages(x)[-1]
        return outputs[0] if len(outputs) == 1 else outputs

    def stages(self, x: Tensor) -> list[tuple[Tensor, ...]]:
        """What backbone, neck and head return."""
        feats = self.backbone(x)
        decoded = self.neck(feats)
        outputs = self.head(decoded)
        while isinstance(outputs, list):  # of several stages MMPose decodes the last
            outputs = outputs[-1]
        return [tuple(_tensors(stage)) for stage in (feats, decoded, outputs)]


def _tensors(nested: Tensor | Sequence) -> Iterator[Tensor]:
    if isinstance(nested, Tensor):
        yield nested
    else:
        for item in nested:
            yield from _tensors(item)
