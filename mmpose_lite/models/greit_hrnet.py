"""Greit-HRNet: Grouped Lightweight High-Resolution Network for Human Pose Estimation (Han and Wang, 2024).

Lite-HRNet with three replacements, each of which can be switched off (Table 6): channel weighting by groups of
resolutions (GCW), global spatial weighting (GSW) and a stem with large kernels (LKS). Whatever the paper leaves open
is a constructor argument, see ``configs/greit_hrnet/README.md``. Parameter names are those of MMPose's ``LiteHRNet``,
so its checkpoints load into the common parts.

The forward passes are not written as the equations are but as the faster forms that compute the same function (the
tests hold the literal forms and compare): inputs are multiples of 32, so every branch is exactly twice as large as the
next one and pooling and upsampling have constant factors.
"""

from collections.abc import Callable, Sequence

import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule
from mmpose.models.backbones.litehrnet import IterativeHead, LiteHRModule, SpatialWeighting, Stem
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from ._base import FreezableBackbone

# (bias, norm) of the first and of the second convolution of a gate
GATE_STYLES = {
    'bias': ((True, False), (True, False)),
    'norm': ((False, True), (False, False)),
    'lite': ((False, True), (False, True)),
    'dite': ((False, True), (True, False)),
}


def _shuffled(x1: Tensor, x2: Tensor) -> Tensor:
    """Concatenate two halves (B, C, H, W) to (B, 2C, H, W) and shuffle channels with 2 groups, in a single copy."""
    if x1.stride(1) == 1:  # channels last stays so, or the next convolution has to copy it back
        return torch.stack([x.permute(0, 2, 3, 1) for x in (x1, x2)], dim=-1).flatten(3).permute(0, 3, 1, 2)
    return torch.stack((x1, x2), dim=2).flatten(1, 2)


class Gate(BaseModule):
    """Weights between 0 and 1 from two 1x1 convolutions: ``sigmoid(conv2(relu(conv1(x))))``.

    The paper numbers the two the other way round (Eq. 3 to 5 and 9) and writes neither bias nor norm. Neither does
    Lite-HRNet's for its channel weighting, whose code has batch norm there.

    Args:
        in_channels: Channels of the input.
        mid_channels: Channels between the convolutions.
        out_channels: Channels of the weights.
        style: ``'norm'`` (batch norm after the first, no bias), ``'dite'`` (batch norm after the first, bias in the
            second, as Dite-HRNet), ``'lite'`` (batch norm after both, as Lite-HRNet's channel weighting) or ``'bias'``
            (in both).
    """

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int, style: str) -> None:
        super().__init__()
        if mid_channels < 1:
            raise ValueError(
                f'GreitHRNet: a reduction ratio leaves none of {in_channels} channels, choose a smaller one'
            )
        (bias1, norm1), (bias2, norm2) = GATE_STYLES[style]
        norm1, norm2 = (dict(type='BN') if norm else None for norm in (norm1, norm2))
        self.conv1 = ConvModule(in_channels, mid_channels, 1, bias=bias1, norm_cfg=norm1)
        sigmoid = dict(type='Sigmoid')
        self.conv2 = ConvModule(mid_channels, out_channels, 1, bias=bias2, norm_cfg=norm2, act_cfg=sigmoid)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to weights (B, out_channels, H, W)."""
        return self.conv2(self.conv1(x))


def _weight_channels(xs: Sequence[Tensor], gates: Sequence[Callable[[Tensor], Tensor]]) -> list[Tensor]:
    """Weight the channels of several resolutions by gates in series that see them all, pooled to the smallest.

    Weights are constant inside a pooling cell, so ``pool(x * up(w)) == pool(x) * w``: the maps are pooled once, the
    gates run on the pooled map and each map is multiplied once, by the product of the weights.

    Args:
        xs: Maps (B, C_i, H / 2^i, W / 2^i), the largest first.
        gates: Each maps (B, sum of C_i, h, w) to weights of the same shape.

    Returns:
        Maps of the shapes of ``xs``.
    """
    factors = [2 ** (len(xs) - 1 - i) for i in range(len(xs))]
    pooled = torch.cat([F.avg_pool2d(x, f) if f > 1 else x for x, f in zip(xs, factors, strict=True)], dim=1)
    weight = gates[0](pooled)
    for gate in gates[1:]:
        weight = weight * gate(pooled * weight)
    weights = weight.split([x.shape[1] for x in xs], dim=1)
    return [
        x * (F.interpolate(w, scale_factor=f, mode='nearest') if f > 1 else w)
        for x, w, f in zip(xs, weights, factors, strict=True)
    ]


class CrossResolutionWeighting(Gate):
    """Lite-HRNet's channel weighting, which GCW replaces: one gate over all branches, with batch norm.

    Takes the channels of the weighted half of every branch.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__(sum(channels), sum(channels) // 8, sum(channels), style='lite')

    def forward(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """Weight maps (B, C_i, H / 2^i, W / 2^i), the largest first."""
        return _weight_channels(xs, (super().forward,))


class GroupedChannelWeighting(BaseModule):
    """GCW (Eq. 3 to 5, Table 2): channel weighting apart for the high resolutions and for the low ones.

    Branches 1 and 2 are the high group, 3 and 4 the low one. Each is pooled to the smaller size within its own group.

    Args:
        channels: Channels of the weighted half of every branch.
        ratio: Reduction of the gates; the paper gives none, 8 is Lite-HRNet's.
    """

    STACK = 2  # gates in series: the "two stacked GCW modules"

    def __init__(self, channels: Sequence[int], ratio: int = 8) -> None:
        super().__init__()
        totals = [sum(group) for group in (channels[:2], channels[2:]) if group]
        self.groups = nn.ModuleList(
            nn.ModuleList(Gate(total, total // ratio, total, style='norm') for _ in range(self.STACK))
            for total in totals
        )

    def forward(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """Weight maps (B, C_i, H / 2^i, W / 2^i), the largest first."""
        members = (xs[:2], xs[2:])
        return [y for group, gates in zip(members, self.groups, strict=False) for y in _weight_channels(group, gates)]


class GlobalSpatialWeighting(BaseModule):
    """GSW: a mask over the pixels sums the map up to a vector, which weights the channels.

    Args:
        channels: C.
        mask_channels: C', channels between the convolutions of the mask; the paper gives no value.
        ratio: Reduction of the "SE operation"; the paper gives none.
    """

    def __init__(self, channels: int, mask_channels: int = 16, ratio: int = 8) -> None:
        super().__init__()
        self.mask = Gate(channels, mask_channels, 1, style='bias')
        self.gate = Gate(channels, channels // ratio, channels, style='dite')

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W). Raises ValueError for a batch of one where batch norm is in training."""
        if self.gate.conv1.with_norm and self.gate.conv1.norm.training and len(x) == 1:
            raise ValueError(
                'GreitHRNet cannot train on a batch of one picture: batch norm in GSW would see one value per channel. '
                'Set drop_last=True in train_dataloader if it is the last one of an epoch, or backbone.norm_eval=True'
            )
        # a sum over the pixels, (B, C, HW) x (B, HW, 1): one product, the masked map is never built
        context = torch.matmul(x.flatten(2), self.mask(x).flatten(2).transpose(1, 2))
        return x * self.gate(context.unsqueeze(3))


class LargeKernelAttention(BaseModule):
    """LKA of VAN (Guo et al., 2022): ``x * pw(dw7_dilation3(dw5(x)))``, a receptive field of 23 pixels.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.conv_spatial = nn.Conv2d(channels, channels, 7, padding=9, dilation=3, groups=channels)
        self.conv1 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W)."""
        return x * self.conv1(self.conv_spatial(self.conv0(x)))

    def init_weights(self) -> None:
        """Draw the weights so that attention is 1 and x passes: the last convolution by normal(0, 0.001) with a bias of
        1, the two before it by VAN's rule, normal(0, sqrt(2 / fan_out)).

        By VAN's rule alone the stem starts with something like the square of an image, few large values among many
        small ones, and the network learns later (research/README.md). By 0.001 alone the output is 1e-8, which the
        batch norm that follows cannot rescale: its eps is larger.
        """
        super().init_weights()
        for conv in (self.conv0, self.conv_spatial, self.conv1):
            fan_out = conv.out_channels // conv.groups * conv.kernel_size[0] * conv.kernel_size[1]
            nn.init.normal_(conv.weight, std=0.001 if conv is self.conv1 else (2 / fan_out) ** 0.5)
            nn.init.constant_(conv.bias, float(conv is self.conv1))


class LargeKernelStem(Stem):
    """LKS (Fig. 2): Lite-HRNet's stem, to stride 4, with "two LKA modules": first in one half, last in the other.

    Args:
        in_channels: Channels of the image.
        channels: Channels of the output.
        attention: False is Lite-HRNet's stem.
        norm_cfg: Norm of the convolutions.
    """

    def __init__(self, in_channels: int, channels: int, attention: bool, norm_cfg: dict) -> None:
        super().__init__(in_channels, channels, channels, expand_ratio=1, norm_cfg=norm_cfg)
        self.lka_half1 = LargeKernelAttention(channels // 2) if attention else nn.Identity()
        self.lka_half2_end = LargeKernelAttention(channels // 2) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, in_channels, H, W) to (B, channels, H / 4, W / 4)."""
        x1, x2 = self.conv1(x).chunk(2, dim=1)
        x1 = self.branch1(self.lka_half1(x1))
        x2 = self.linear_conv(self.depthwise_conv(self.expand_conv(x2)))
        return _shuffled(x1, self.lka_half2_end(x2))

    def init_weights(self) -> None:
        """Give LKA its own rule and nothing else.

        The backbone has drawn all convolutions as Lite-HRNet's authors do; the inherited method would draw those in a
        ConvModule anew by Kaiming's rule.
        """
        for module in self.children():
            if isinstance(module, LargeKernelAttention):
                module.init_weights()
        self.is_init = True


class GreitBlock(BaseModule):
    """Greit block: channel weighting, depthwise convolution and spatial weighting on one half of each branch.

    Args:
        channels: Channels of the branches, the largest map first.
        channel_weighting: Module that weights a list of maps, one of half the channels per branch.
        spatial_weightings: One module per branch.
        norm_cfg: As for the backbone.
    """

    def __init__(
        self,
        channels: Sequence[int],
        channel_weighting: nn.Module,
        spatial_weightings: Sequence[nn.Module],
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        self.cross_resolution_weighting = channel_weighting
        self.depthwise_convs = nn.ModuleList(
            ConvModule(c // 2, c // 2, 3, padding=1, groups=c // 2, norm_cfg=norm_cfg, act_cfg=None) for c in channels
        )
        self.spatial_weighting = nn.ModuleList(spatial_weightings)

    def forward(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """Args and returns: maps (B, C_i, H / 2^i, W / 2^i)."""
        kept, weighted = zip(*(x.chunk(2, dim=1) for x in xs), strict=True)
        weighted = self.cross_resolution_weighting(weighted)
        weighted = [conv(x) for conv, x in zip(self.depthwise_convs, weighted, strict=True)]
        weighted = [weighting(x) for weighting, x in zip(self.spatial_weighting, weighted, strict=True)]
        return [_shuffled(x1, x2) for x1, x2 in zip(kept, weighted, strict=True)]


class GreitModule(LiteHRModule):
    """Greit blocks, then every resolution receives all others "by direct addition" (Lite-HRNet's fusion).

    Lite-HRNet's code starts each sum from branch 1 and adds branch 1 again, in place: row 1 is ``2 x_1 + ...`` and row
    i is ``2 f_i1(y_1) + ...`` with y_1 the finished row 1 before its ReLU. Its authors note that 0.5 to 1 AP is lost
    without, so it is kept. The double call of f_i1 is replaced by a factor of 2.

    Args:
        channels: Channels of the branches, the largest map first.
        blocks: The blocks of the module.
        norm_cfg: As for the backbone.
    """

    def __init__(self, channels: Sequence[int], blocks: Sequence[GreitBlock], norm_cfg: dict) -> None:
        # no blocks of the ancestor, only its fusion
        super().__init__(len(channels), 0, list(channels), 1, 'LITE', multiscale_output=True, norm_cfg=norm_cfg)
        self.layers = nn.Sequential(*blocks)
        for row in self.fuse_layers[1:]:
            for module in row[0].modules():
                if isinstance(module, _BatchNorm) and module.momentum is not None:
                    # the running statistics of one call are to equal those of the ancestor's two
                    module.momentum = 1 - (1 - module.momentum) ** 2

    def forward(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """Args and returns: maps (B, C_i, H / 2^i, W / 2^i)."""
        xs = list(self.layers(xs))
        xs[0] = 2 * xs[0] + self._from_coarser(0, xs)
        fused = [xs[0]]
        for i in range(1, len(xs)):
            y = 2 * self.fuse_layers[i][0](xs[0])
            for j in range(1, i):
                y = y + self.fuse_layers[i][j](xs[j])
            y = y + xs[i]
            fused.append(y if i == len(xs) - 1 else y + self._from_coarser(i, xs))
        return [self.relu(y) for y in fused]

    def _from_coarser(self, row: int, xs: Sequence[Tensor]) -> Tensor:
        """Sum of the coarser branches at the size of ``row``, with one addition at full size instead of several.

        Nearest upsampling by 4 is nearest upsampling by 2 twice, so the sums are taken on the way up.
        """
        y = None
        for j in range(len(xs) - 1, row, -1):
            conv, norm, _ = self.fuse_layers[row][j]
            term = norm(conv(xs[j]))
            y = F.interpolate(term if y is None else term + y, scale_factor=2, mode='nearest')
        return y


@MODELS.register_module()
class GreitHRNet(FreezableBackbone):
    """Greit-HRNet (Table 1), and every row of its ablation down to Lite-HRNet (Table 6).

    Args:
        num_modules: Modules in stages 2, 3 and 4: (2, 4, 2) is Greit-HRNet-18, (3, 8, 3) Greit-HRNet-30.
        gcw: Grouped channel weighting; False is Lite-HRNet's conditional channel weighting.
        gsw: Global spatial weighting; False is Lite-HRNet's spatial weighting.
        lks: Large kernel stem; False is Lite-HRNet's stem.
        in_channels: Channels of the image.
        stem_channels: Channels of the stem.
        widths: Channels of the branches at strides 4, 8, 16 and 32.
        num_blocks: Blocks per module.
        gcw_ratio: Reduction of GCW's gates.
        gsw_channels: C' of GSW's mask.
        gsw_ratio: Reduction of GSW's "SE operation".
        out_indices: Maps of the last fusion to return, 0 to 3 for strides 4, 8, 16 and 32, with ``(widths[0],
            widths[0], widths[1], widths[2])`` channels. The pose head reads (0,). Leave 0 in when training: the
            fusion runs from stride 32 up, and what lies above the smallest index gets no gradient.
        frozen_stages: 0 freezes the stem, k also the first k of the three stages with their transitions, -1 nothing.
        norm_cfg: Norm of all convolutions but those of the gates.
        norm_eval: Keep batch norm in evaluation mode while training.
        init_cfg: Initialization config of MMEngine. By default Lite-HRNet's, normal(0, 0.001) for convolutions, but
            for LKA.

    Raises:
        ValueError: For inconsistent arguments, or (in forward) an input whose sides are not multiples of 32.
    """

    def __init__(
        self,
        num_modules: tuple[int, int, int] = (2, 4, 2),
        gcw: bool = True,
        gsw: bool = True,
        lks: bool = True,
        in_channels: int = 3,
        stem_channels: int = 32,
        widths: tuple[int, int, int, int] = (40, 80, 160, 320),
        num_blocks: int = 2,
        gcw_ratio: int = 8,
        gsw_channels: int = 16,
        gsw_ratio: int = 8,
        out_indices: tuple[int, ...] = (0,),
        frozen_stages: int = -1,
        norm_cfg: dict | None = None,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            init_cfg=init_cfg
            or [
                dict(type='Normal', layer='Conv2d', std=0.001),
                dict(type='Constant', layer='_BatchNorm', val=1),
            ]
        )
        if any(width % 2 for width in (stem_channels, *widths)):
            raise ValueError(f'GreitHRNet: {stem_channels=} and {widths=} are split in halves and must be even')
        if len(widths) != len(num_modules) + 1:
            raise ValueError(f'GreitHRNet: {widths=} must have one entry more than {num_modules=}')
        if not out_indices or not set(out_indices) <= set(range(len(widths))):
            raise ValueError(f'GreitHRNet: {out_indices=} must be taken from 0 to {len(widths) - 1}')
        if not -1 <= frozen_stages <= len(num_modules):
            raise ValueError(f'GreitHRNet: {frozen_stages=} must be from -1 to {len(num_modules)}')
        norm_cfg = norm_cfg or dict(type='BN')
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.num_stages = len(num_modules)

        def block(channels: tuple[int, ...]) -> GreitBlock:
            halves = [c // 2 for c in channels]
            weighting = GroupedChannelWeighting(halves, gcw_ratio) if gcw else CrossResolutionWeighting(halves)
            spatial = [
                GlobalSpatialWeighting(c, gsw_channels, gsw_ratio) if gsw else SpatialWeighting(c, ratio=4)
                for c in halves
            ]
            return GreitBlock(channels, weighting, spatial, norm_cfg)

        def separable(c_in: int, c_out: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(c_in, c_in, 3, stride=stride, padding=1, groups=c_in, bias=False),
                build_norm_layer(norm_cfg, c_in)[1],
                nn.Conv2d(c_in, c_out, 1, bias=False),
                build_norm_layer(norm_cfg, c_out)[1],
                nn.ReLU(inplace=True),
            )

        self.stem = LargeKernelStem(in_channels, stem_channels, lks, norm_cfg)
        previous = (stem_channels,)
        for index, modules in enumerate(num_modules):
            channels = tuple(widths[: index + 2])
            kept = [
                nn.Identity() if old == new else separable(old, new, stride=1)
                for old, new in zip(previous, channels, strict=False)
            ]
            coarser = nn.Sequential(separable(previous[-1], channels[-1], stride=2))
            self.add_module(f'transition{index}', nn.ModuleList([*kept, coarser]))
            # torch's Sequential, not MMEngine's: that would pass init_weights on to ConvModule and its Kaiming rule
            stage = (
                GreitModule(channels, [block(channels) for _ in range(num_blocks)], norm_cfg) for _ in range(modules)
            )
            self.add_module(f'stage{index}', nn.Sequential(*stage))
            previous = channels
        self.head_layer = IterativeHead(list(previous), norm_cfg=norm_cfg)
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract features.

        Args:
            x: Images (B, in_channels, H, W), H and W multiples of 32.

        Returns:
            One map (B, C, H / s, W / s) for each of ``out_indices``, in that order.
        """
        if x.shape[2] % 32 or x.shape[3] % 32:
            raise ValueError(
                f'GreitHRNet got an input of {tuple(x.shape[-2:])} (height, width): both must be multiples of 32, '
                'choose the input_size of the codec so'
            )
        xs = [self.stem(x)]
        for index in range(self.num_stages):
            transition, stage = getattr(self, f'transition{index}'), getattr(self, f'stage{index}')
            coarser = transition[-1](xs[-1])
            xs = stage([*(layer(x) for layer, x in zip(transition, xs, strict=False)), coarser])
        feats = self.head_layer(xs)
        return tuple(feats[index] for index in self.out_indices)

    def frozen_modules(self) -> list[nn.Module]:
        """Stem and first stages, with their transitions."""
        names = [f'{part}{i}' for i in range(self.frozen_stages) for part in ('transition', 'stage')]
        return [self.stem, *map(self.get_submodule, names)] if self.frozen_stages >= 0 else []
