"""LGM-Pose's blocks, written for inference."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpose_lite.models.lgm_pose import LARM, PATCH, SFusion

from ..algebra import into_linear


class FoldedLARM(nn.Module):
    """LARM without NPT-Op.2: the map stays (B, P, C, N) from NPT-Op.1 to NPT-Op.3.

    The first MLP works on the last axis. The second is a pair of 1x1 convolutions from P to P channels, and its norm a
    few operations on large tensors, where a library normalizes 4 numbers at a time. The affine halves of both norms
    are part of the linear layers that follow, unless the norms run over the channels, which these layers do not mix.

    Args:
        larm: The block.
    """

    def __init__(self, larm: LARM) -> None:
        super().__init__()
        self.residual = larm.residual
        self.between_fc2 = larm.between_fc2
        if larm.over_channels:
            self.between_norm = _AxisNorm(larm.between_norm, 2)
            self.between_fc1 = larm.between_fc1
            self.within_norm = _AxisNorm(larm.within_norm, 2)
            within_fc1 = larm.within_fc1
        else:
            self.between_norm = nn.LayerNorm(larm.between_norm.normalized_shape, larm.between_norm.eps, False)
            self.between_fc1 = into_linear(larm.between_norm, larm.between_fc1)
            self.within_norm = _AxisNorm(nn.LayerNorm(PATCH**2, larm.within_norm.eps, False), 1)
            within_fc1 = into_linear(larm.within_norm, larm.within_fc1)
        self.within_conv1 = _pointwise(within_fc1)
        self.within_conv2 = _pointwise(larm.within_fc2)

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W)."""
        _, channels, height, width = x.shape
        rows, columns = height // PATCH, width // PATCH
        # NPT-Op.1: (B, P, C, N)
        x = x.reshape(-1, channels, rows, PATCH, columns, PATCH).permute(0, 3, 5, 1, 2, 4)
        x = x.reshape(-1, PATCH**2, channels, rows * columns)
        y = self.between_fc2(F.gelu(self.between_fc1(self.between_norm(x))))
        x = x + y if self.residual else y
        y = self.within_conv2(F.gelu(self.within_conv1(self.within_norm(x))))
        x = x + y if self.residual else y
        # NPT-Op.3: (B, C, H, W)
        x = x.reshape(-1, PATCH, PATCH, channels, rows, columns).permute(0, 3, 4, 1, 5, 2)
        return x.reshape(-1, channels, height, width)


class _AxisNorm(nn.Module):
    """LayerNorm over one axis of (B, P, C, N): 1 (without affine) or 2."""

    def __init__(self, norm: nn.LayerNorm, axis: int) -> None:
        super().__init__()
        self.axis, self.eps, self.affine = axis, norm.eps, norm.elementwise_affine
        if self.affine:
            self.weight = nn.Parameter(norm.weight.detach()[:, None].clone(), requires_grad=False)
            self.bias = nn.Parameter(norm.bias.detach()[:, None].clone(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(self.axis, keepdim=True)
        x = x * torch.rsqrt(x.square().mean(self.axis, keepdim=True) + self.eps)
        return x * self.weight + self.bias if self.affine else x


def _pointwise(linear: nn.Linear) -> nn.Conv2d:
    """The 1x1 convolution that is this linear layer over the channels."""
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1).to(linear.weight)
    conv.weight.data = linear.weight.data[:, :, None, None].clone()
    conv.bias.data = linear.bias.data.clone()
    return conv.eval()


class FoldedSFusion(nn.Module):
    """SFusion by depthwise convolutions, without concatenation of its inputs and without shuffle.

    Group i of the group convolution sees decoder channel i and encoder channel i and has outputs 2i and 2i + 1: each
    is the sum of two depthwise convolutions. Even outputs come first and odd ones last, the pointwise convolution
    takes its columns in that order. Kernels for two channels per group are several times slower.

    Args:
        fusion: The block, in mode ``'sfusion'``, its batch norms fused.
    """

    def __init__(self, fusion: SFusion) -> None:
        super().__init__()
        self.lateral = fusion.lateral
        spatial, self.pointwise = fusion.spatial.conv, fusion.pointwise
        self.activate = fusion.spatial.activate
        channels = spatial.groups
        self.from_decoder, self.from_encoder = (
            nn.ModuleList(
                _depthwise(spatial.weight[out::2, source : source + 1], spatial.bias[out::2] if source == 0 else None)
                for out in range(2)
            )
            for source in range(2)
        )
        weight = self.pointwise.conv.weight
        weight.data = weight.data.unflatten(1, (channels, 2)).transpose(1, 2).flatten(1, 2).contiguous()

    def forward(self, x: Tensor, lateral: Tensor) -> Tensor:
        """Fuse (B, C, H, W) of the decoder with (B, lateral_channels, H, W) of the encoder to (B, 2C, H, W)."""
        lateral = self.lateral(lateral)
        pairs = zip(self.from_decoder, self.from_encoder, strict=True)
        x = torch.cat([self.activate(decoder(x) + encoder(lateral)) for decoder, encoder in pairs], dim=1)
        return self.pointwise(x)


def _depthwise(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Depthwise convolution that keeps the size, from kernels (C, 1, k, k)."""
    channels, _, kernel, _ = weight.shape
    conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=bias is not None)
    conv.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return conv.eval()


def fold_sfusion(fusion: SFusion) -> nn.Module:
    """The folded form of a fusion; rows of Table 5 other than SFusion stay as they are."""
    return FoldedSFusion(fusion) if fusion.shuffle else fusion


FORMS = {LARM: FoldedLARM, SFusion: fold_sfusion}
