"""WGNet: Lightweight Human Pose Estimation Based on Self-Attention Mechanism (Luo and Gao).

An hourglass of depthwise convolutions whose block, WNet, attends within windows and across them. The paper prints
costs and no widths: widths, kernels and expansions are those that reproduce all of its parameter counts and its FLOP
count, see ``configs/wgnet/README.md``.
"""

import math
from itertools import pairwise

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList, Sequential
from mmpose.models.backbones.utils import InvertedResidual, SELayer
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ._base import FreezableBackbone

PATCH = 4  # longer side of a patch in tokens

# (U, a, ph, V, a, pw): a map of U x V windows, each of a x a patches, each of ph x pw tokens
Grid = tuple[int, int, int, int, int, int]


def window_grid(height: int, width: int) -> Grid:
    """Cut a map into the windows that make both attentions together cheapest (Table 1).

    The patch has the aspect ratio of the map, as the paper's 4x3 has on 4:3 maps; a square map gets 4x4, because 64
    and 32 are no multiples of 3. The map then has ``n x n`` patches. Per token, attention within windows of ``a x a``
    patches costs ``a^2`` (Eq. 1) and attention across them ``n^2 / a^2`` (Eq. 2): ``a`` is the divisor of ``n`` with
    the least sum, the larger one where two are equal.

    Raises:
        ValueError: If no such patch tiles the map.
    """
    divisor = math.gcd(height, width)
    rows, columns = height // divisor, width // divisor
    scale = PATCH // max(rows, columns)
    if scale == 0 or divisor % scale:
        raise ValueError(
            f'a map of {height}x{width} (height x width) cannot be tiled with patches of its own aspect ratio '
            f'and at most {PATCH} tokens a side'
        )
    n = divisor // scale
    a = min((a for a in range(n, 0, -1) if n % a == 0), key=lambda a: a**2 + (n // a) ** 2)
    return n // a, a, rows * scale, n // a, a, columns * scale


def to_grid(x: Tensor, grid: Grid) -> Tensor:
    """View a map (B, C, H, W) as (B, U, a, ph, V, a, pw, C), without a copy."""
    return x.permute(0, 2, 3, 1).reshape(-1, *grid, x.shape[1])


def from_grid(x: Tensor, grid: Grid) -> Tensor:
    """Copy (B, U, a, ph, V, a, pw, C) into a map (B, C, H, W), channels last in memory: convolutions like that."""
    height, width = math.prod(grid[:3]), math.prod(grid[3:])
    return x.reshape(-1, height, width, x.shape[-1]).permute(0, 3, 1, 2)


class GridAttention(BaseModule):
    """Pre-norm residual self-attention within groups of tokens; a subclass says which tokens form a group.

    Tokens stay in group order from the norm to the sum and change order through permuted views, so that every change,
    the one from windows to global groups included, costs one copy. There is no position bias (Swin's tables would
    lift Table 4's 4.9 M to 5.0 M); the depthwise convolutions around carry the position. As in Eq. 1, the concatenated
    heads are not projected.

    Args:
        channels: C.
        head_dim: Channels per head.

    Raises:
        ValueError: If ``channels`` is not a multiple of ``head_dim``.
    """

    # axes of (B, U, a, ph, V, a, pw, C): two that number the groups, four that number the tokens of a group
    order: tuple[int, ...]

    def __init__(self, channels: int, head_dim: int = 32) -> None:
        super().__init__()
        if channels % head_dim:
            raise ValueError(f'WGNet: widths ({channels} is one of them) must be multiples of head_dim={head_dim}')
        self.channels = channels
        self.head_dim = head_dim
        self.inverse = tuple(self.order.index(axis) for axis in range(8))
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """Args and returns: (B, U, a, ph, V, a, pw, C), where ``grid`` holds the sizes between B and C."""
        sizes = [(*grid, self.channels)[axis - 1] for axis in self.order[1:]]
        tokens = math.prod(sizes[2:6])
        x = x.permute(self.order).reshape(-1, tokens, self.channels)  # (B * groups, tokens, C)
        x = x + self._attend(self.norm(x), tokens)
        return x.reshape(-1, *sizes).permute(self.inverse)

    def _attend(self, x: Tensor, tokens: int) -> Tensor:
        qkv = self.qkv(x).reshape(-1, tokens, 3, self.channels // self.head_dim, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B * groups, heads, tokens, head_dim)
        x = F.scaled_dot_product_attention(q, k, v)
        return x.transpose(1, 2).reshape(-1, tokens, self.channels)


class WindowAttention(GridAttention):
    """Attention within windows (Eq. 1): ``U * V`` groups of ``a * ph * a * pw`` tokens."""

    order = (0, 1, 4, 2, 3, 5, 6, 7)  # (B, U, V, a, ph, a, pw, C)


class GlobalAttention(GridAttention):
    """Attention across windows (Eq. 2): ``a * a`` groups of ``U * ph * V * pw`` tokens.

    A group stitches together the patch at one position of every window. The unit is a patch and not a token: only
    then has Eq. 2 its factor 24, twice the 12 tokens of a 4x3 patch.
    """

    order = (0, 2, 5, 1, 3, 4, 6, 7)  # (B, a, a, U, ph, V, pw, C)


def _ds_conv(in_channels: int, out_channels: int) -> Sequential:
    """Depthwise separable convolution of kernel 5 and stride 2."""
    norm, depthwise = dict(type='BN'), dict(stride=2, padding=2, groups=in_channels)
    return Sequential(
        ConvModule(in_channels, in_channels, 5, **depthwise, norm_cfg=norm, act_cfg=None),
        ConvModule(in_channels, out_channels, 1, norm_cfg=norm, act_cfg=dict(type='ReLU6')),
    )


def _irb(channels: int, expand: int) -> InvertedResidual:
    """MobileNetV2 block that keeps the shape, with its skip."""
    return InvertedResidual(channels, channels, mid_channels=expand * channels, act_cfg=dict(type='ReLU6'))


class WNet(BaseModule):
    """Block of WGNet: window attention, global attention, and an inverted residual for a feed-forward network.

    Args:
        channels: C.
        full: Attend over the whole map (s4). This counts as window attention and leaves no global one: Table 1 has a
            dash where the window is the map.
        head_dim: Channels per head.
        repeats: Pairs of window and global attention ("repeatedly").
        ffn_expand: Expansion of the inverted residual.
        window_attn: Have window attention (Table 4).
        global_attn: Have global attention (Table 4).
    """

    def __init__(
        self,
        channels: int,
        full: bool = False,
        head_dim: int = 32,
        repeats: int = 2,
        ffn_expand: int = 2,
        window_attn: bool = True,
        global_attn: bool = True,
    ) -> None:
        super().__init__()
        self.full = full
        kinds = [WindowAttention] * window_attn + [GlobalAttention] * (global_attn and not full)
        self.attns = ModuleList(kind(channels, head_dim) for kind in kinds * repeats)
        self.ffn = _irb(channels, ffn_expand)

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W)."""
        if len(self.attns) > 0:
            # plain integers: a traced model keeps its spatial size and leaves the batch free
            height, width = int(x.shape[2]), int(x.shape[3])
            grid = (1, 1, height, 1, 1, width) if self.full else window_grid(height, width)
            x = to_grid(x, grid)
            for attn in self.attns:
                x = attn(x, grid)
            x = from_grid(x, grid)
        return self.ffn(x)


def _check_size(height: int, width: int) -> None:
    """Refuse inputs that windows cannot tile. What tiles the map of s3 tiles those of s1 and s2, and s4 has none."""
    try:
        if height % 32 or width % 32:
            raise ValueError('both sides must be multiples of 32')
        window_grid(height // 16, width // 16)
    except ValueError as error:
        raise ValueError(
            f'WGNet: an input of {height}x{width} (height x width) does not fit, resize to a multiple of 128x96 (4:3), '
            f'64x64 (1:1) or 96x128 (3:4): {error}'
        ) from error


def _init_cfg() -> list[dict]:
    return [
        dict(type='Kaiming', layer='Conv2d', mode='fan_out'),
        dict(type='TruncNormal', layer='Linear', std=0.02),
        dict(type='Constant', layer=['_BatchNorm', 'LayerNorm'], val=1),
    ]


@MODELS.register_module()
class WGNet(FreezableBackbone):
    """Encoder of WGNet: stem and stages s1 to s4.

    A stage is what section 3 lists: downsampling by 2 (a depthwise separable convolution), an inverted residual and a
    WNet. No weight belongs to an input size, so one checkpoint runs at every admissible size.

    Args:
        in_channels: Channels of the image.
        widths: Channels of the four stages, at strides 4, 8, 16 and 32.
        stem_width: Channels of the stem, at stride 2.
        expand: Expansion of the inverted residuals outside WNet.
        wnet: Arguments of :class:`WNet`.
        out_indices: Stages to return, 0 to 3. WGNetNeck reads all. Stages after the last of them are not built,
            because their weights would get no gradient.
        frozen_stages: 0 freezes the stem, i also stages s1 to si. -1 freezes nothing.
        norm_eval: Keep batch norm in evaluation mode while training.
        init_cfg: Initialization config of MMEngine.

    Raises:
        ValueError: For an argument out of its range, or (in forward) an input size that windows cannot tile.
    """

    def __init__(
        self,
        in_channels: int = 3,
        widths: tuple[int, int, int, int] = (96, 160, 192, 384),
        stem_width: int = 32,
        expand: int = 3,
        wnet: dict | None = None,
        out_indices: tuple[int, ...] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or _init_cfg())
        if len(widths) != 4:
            raise ValueError(f'WGNet: widths={widths} must have four entries, one per stage')
        if not out_indices or not set(out_indices) <= set(range(4)):
            raise ValueError(f'WGNet: out_indices={out_indices} must be stages from 0 (s1) to 3 (s4)')
        if frozen_stages not in range(-1, 5):
            raise ValueError(f'WGNet: frozen_stages={frozen_stages} must be from -1 (none) to 4 (s4)')
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        self.stem = _ds_conv(in_channels, stem_width)
        self.stages = ModuleList()
        previous = stem_width
        for index, width in enumerate(widths[: max(out_indices) + 1]):
            attend = WNet(width, full=index == 3, **(wnet or {}))
            self.stages.append(Sequential(_ds_conv(previous, width), _irb(width, expand), attend))
            previous = width
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract features.

        Args:
            x: Images (B, in_channels, H, W), H x W a multiple of 128x96, 64x64 or 96x128. Other sizes are refused and
                not padded: padding would break the symmetry that flip test relies on.

        Returns:
            One map (B, widths[i], H / s, W / s) for each of ``out_indices``, s = 4, 8, 16, 32.
        """
        _check_size(int(x.shape[2]), int(x.shape[3]))
        x = self.stem(x)
        outs = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def frozen_modules(self) -> tuple[nn.Module, ...]:
        """Stem and first stages."""
        return (self.stem, *self.stages)[: self.frozen_stages + 1]


class UpStage(BaseModule):
    """Stage of the up path: deconvolution, sum with the encoder map of equal size, WNet, squeeze and excitation.

    Args:
        in_channels: Channels of the coarse map.
        channels: C, channels of the encoder map and of the result.
        se_ratio: Squeeze ratio.
        wnet: Arguments of :class:`WNet`.
    """

    def __init__(self, in_channels: int, channels: int, se_ratio: int, wnet: dict) -> None:
        super().__init__()
        self.up = Sequential(
            nn.ConvTranspose2d(in_channels, channels, kernel_size=2, stride=2, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU6(inplace=True),
        )
        self.wnet = WNet(channels, **wnet)
        self.se = SELayer(channels, ratio=se_ratio)

    def forward(self, x: Tensor, lateral: Tensor) -> Tensor:
        """Fuse (B, in_channels, H, W) with (B, C, 2H, 2W) of the encoder to (B, C, 2H, 2W)."""
        return self.se(self.wnet(self.up(x) + lateral))


@MODELS.register_module()
class WGNetNeck(BaseModule):
    """Up path of WGNet: d1 to d3, from stride 32 to stride 4.

    Args:
        in_channels: Channels of the encoder maps, finest map first.
        se_ratio: Squeeze ratio of squeeze and excitation.
        wnet: Arguments of :class:`WNet`.
        init_cfg: Initialization config of MMEngine.

    Raises:
        ValueError: In forward, for a wrong number of maps.
    """

    def __init__(
        self,
        in_channels: tuple[int, ...] = (96, 160, 192, 384),
        se_ratio: int = 16,
        wnet: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg or [*_init_cfg(), dict(type='Normal', layer='ConvTranspose2d', std=0.001)])
        coarse_to_fine = tuple(in_channels)[::-1]
        self.ups = ModuleList(UpStage(coarse, fine, se_ratio, wnet or {}) for coarse, fine in pairwise(coarse_to_fine))

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Decode the encoder maps, finest first, into one map (B, in_channels[0], H / 4, W / 4)."""
        *laterals, x = feats
        if len(laterals) != len(self.ups):
            raise ValueError(
                f'WGNetNeck takes {len(self.ups) + 1} maps, one for each of in_channels, but got {len(feats)}: '
                'set out_indices of the backbone accordingly'
            )
        for up, lateral in zip(self.ups, reversed(laterals), strict=True):
            x = up(x, lateral)
        return (x,)
