"""HEViTPose: towards high-accuracy and efficient 2D human pose estimation with cascaded group spatial reduction
attention (Sci. Rep. 2026, doi:10.1038/s41598-026-35859-x, arXiv:2311.13615).

An EfficientViT whose attention is exchanged for CGSR-MHA and whose patch embedding overlaps more, under the
deconvolutions of SimpleBaseline. Norms, biases and the sharing of weights that the paper leaves open follow from its
printed counts, see ``configs/hevitpose/README.md``.
"""

import torch
from mmengine.model import BaseModule, ModuleList, Sequential
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ._base import FreezableBackbone


def conv_bn(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    zero_init: bool = False,
) -> nn.Sequential:
    """Convolution without bias and batch norm; maps H to ``ceil(H / stride)`` for odd kernels.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: Side of the kernel, odd.
        stride: Stride.
        groups: Groups of the convolution.
        zero_init: Start the norm at weight 0, so that a residual branch starts as identity.
    """
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    norm = nn.BatchNorm2d(out_channels)
    if zero_init:
        nn.init.zeros_(norm.weight)
    return nn.Sequential(conv, norm)


def to_tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, HW, C), without a copy if x is channels_last."""
    return x.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, height: int, width: int) -> Tensor:
    """(B, HW, C) to a channels_last (B, C, H, W), without a copy if the tokens are contiguous."""
    return tokens.unflatten(1, (height, width)).permute(0, 3, 1, 2)


@MODELS.register_module()
class CGSRMHA(BaseModule):
    r"""Cascaded group spatial reduction multi-head attention (Eqs. 6-10, Fig. 3c).

    The channels are cut into G groups of ``c = C / G``. Group g attends from all pixels of its map to a map reduced
    r times, and hands its result on to the next group::

        F_g = X_g + Y_{g-1}    (F_1 = X_1)
        Q = LN(F_g) Wq
        K, V = LN(SR(F_g)) Wk, LN(SR(F_g)) Wv    (F_g itself if r = 1: no SR, no LN)
        Y_g = LN(softmax(Q K^T / sqrt(c / h)) V Wo)
        out = Linear(concat(Y_1 .. Y_G))

    One SR convolution and one set of Wq, Wk, Wv, Wo serve all groups; norms are per group. SR is a dense convolution
    of kernel ``2r - 1``, the overlapping scheme of the patch embedding, and maps H to ``ceil(H / r)``: any size runs.
    The groups cannot be batched, as each starts from the result of the one before.

    Args:
        embed_dims: Channels C in and out.
        num_groups: Number of groups G; divides ``embed_dims``.
        reduction: Spatial reduction ratio r of keys and values. Defaults to 2.
        num_heads: Attention heads h in every group; divides ``embed_dims / num_groups``.
        init_cfg: Initialization config of MMEngine.

    Raises:
        ValueError: If widths, groups and heads do not divide, or for an unknown option.
    """

    def __init__(
        self,
        embed_dims: int,
        num_groups: int = 4,
        reduction: int = 2,
        num_heads: int = 8,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_groups < 1 or embed_dims % num_groups:
            raise ValueError(f'CGSRMHA: num_groups={num_groups} must divide the width, embed_dims={embed_dims}')
        dims = embed_dims // num_groups
        if num_heads < 1 or dims % num_heads:
            raise ValueError(
                f'CGSRMHA: num_heads={num_heads} must divide the width of a group, embed_dims / num_groups = {dims}'
            )
        if reduction < 1:
            raise ValueError(f'CGSRMHA: reduction={reduction} must be 1 (none) or more')
        self.num_groups = num_groups
        self.num_heads = num_heads
        reduced = reduction > 1

        def norms(present: bool = True) -> nn.ModuleList:
            return nn.ModuleList(nn.LayerNorm(dims) if present else nn.Identity() for _ in range(num_groups))

        self.q_norms, self.kv_norms, self.out_norms = norms(), norms(reduced), norms()
        kernel_size = 2 * reduction - 1
        self.reduce = nn.Conv2d(dims, dims, kernel_size, reduction, reduction - 1) if reduced else nn.Identity()
        # the four c x c matrices and the names are those of nn.MultiheadAttention
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dims, dims))
        self.out_proj_weight = nn.Parameter(torch.empty(dims, dims))
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj_weight)
        self.proj = nn.Conv2d(embed_dims, embed_dims, 1)  # zero, so that a residual block starts as identity
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def _attend(self, x: Tensor, kv: Tensor) -> Tensor:
        """Multi-head attention of (B, N, c) to (B, M, c), of width c / h per head."""
        dims = x.shape[-1]
        weights = self.in_proj_weight.split((dims, 2 * dims))
        heads = (self.num_heads, dims // self.num_heads)
        q = F.linear(x, weights[0]).unflatten(-1, heads).transpose(1, 2)
        k, v = F.linear(kv, weights[1]).chunk(2, dim=-1)
        k = k.unflatten(-1, heads).transpose(1, 2)
        v = v.unflatten(-1, heads).transpose(1, 2)
        x = F.scaled_dot_product_attention(q, k, v)  # (B, h, N, c / h)
        return F.linear(x.transpose(1, 2).flatten(2), self.out_proj_weight)

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W)."""
        height, width = x.shape[-2:]
        groups = to_tokens(x).chunk(self.num_groups, dim=-1)  # (B, HW, c) each
        outs: list[Tensor] = []
        for index, feat in enumerate(groups):
            if outs:
                feat = feat + outs[-1]
            kv = to_tokens(self.reduce(to_map(feat, height, width)))  # (B, ceil(H / r) * ceil(W / r), c)
            out = self._attend(self.q_norms[index](feat), self.kv_norms[index](kv))
            outs.append(self.out_norms[index](out))
        return self.proj(to_map(torch.cat(outs, dim=-1), height, width))


class CascadedGroupAttention(BaseModule):
    """Windowed cascaded group attention of EfficientViT (Liu et al., 2023), the paper's baseline.

    Each head sees its own slice of the channels plus the result of the head before it, inside windows of
    ``window_size``; the map is padded with zeros to a multiple of it.

    Args:
        embed_dims: Channels C in and out.
        key_dims: Width of queries and keys.
        query_kernels: Side of the depthwise convolution over the queries for each head. The number of heads divides
            ``embed_dims``; values are ``embed_dims / heads`` wide.
        window_size: Side of a window in pixels.

    Raises:
        ValueError: If the number of heads does not divide the width.
    """

    def __init__(
        self,
        embed_dims: int,
        key_dims: int = 16,
        query_kernels: tuple[int, ...] = (7, 5, 3, 3),
        window_size: int = 7,
    ) -> None:
        super().__init__()
        num_heads = len(query_kernels)
        if embed_dims % num_heads:
            raise ValueError(
                f'CascadedGroupAttention: query_kernels={query_kernels}, one per head, are {num_heads}, '
                f'which must divide embed_dims={embed_dims}'
            )
        dims = embed_dims // num_heads
        self.widths = (key_dims, key_dims, dims)
        self.window_size = window_size
        self.qkv = nn.ModuleList(conv_bn(dims, sum(self.widths), 1) for _ in range(num_heads))
        self.query = nn.ModuleList(conv_bn(key_dims, key_dims, kernel, groups=key_dims) for kernel in query_kernels)
        self.position_bias = nn.Parameter(torch.zeros(num_heads, window_size**2))
        self.proj = nn.Sequential(nn.ReLU(inplace=True), conv_bn(embed_dims, embed_dims, 1, zero_init=True))
        # pairs of pixels share a bias if they lie equally many rows and columns apart
        rows, columns = torch.meshgrid(*2 * [torch.arange(window_size)], indexing='ij')
        rows, columns = rows.flatten(), columns.flatten()
        offsets = window_size * (rows[:, None] - rows).abs() + (columns[:, None] - columns).abs()
        self.register_buffer('offsets', offsets, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W)."""
        channels, height, width = x.shape[1:]
        side = self.window_size
        x = F.pad(x, (0, -width % side, 0, -height % side))
        rows, columns = x.shape[2] // side, x.shape[3] // side
        windows = x.reshape(-1, channels, rows, side, columns, side).permute(0, 2, 4, 1, 3, 5)
        windows = windows.reshape(-1, channels, side, side)  # (B * rows * columns, C, w, w)
        outs: list[Tensor] = []
        for index, feat in enumerate(windows.chunk(len(self.qkv), dim=1)):
            if outs:
                feat = feat + outs[-1]
            q, k, v = self.qkv[index](feat).split(self.widths, dim=1)
            q = to_tokens(self.query[index](q))
            bias = self.position_bias[index][self.offsets]
            out = F.scaled_dot_product_attention(q, to_tokens(k), to_tokens(v), attn_mask=bias)
            outs.append(to_map(out, side, side))
        windows = self.proj(torch.cat(outs, dim=1)).reshape(-1, rows, columns, channels, side, side)
        x = windows.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, rows * side, columns * side)
        return x[..., :height, :width]


class Residual(BaseModule):
    """``x + branch(x)``."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W)."""
        return x + self.branch(x)


def local_layers(channels: int) -> Sequential:
    """A depthwise 3x3 convolution and a feed-forward network of ratio 2, both residual, identity at initialization."""
    dwconv = conv_bn(channels, channels, 3, groups=channels, zero_init=True)
    ffn = nn.Sequential(
        conv_bn(channels, 2 * channels, 1),
        nn.ReLU(inplace=True),
        conv_bn(2 * channels, channels, 1, zero_init=True),
    )
    return Sequential(Residual(dwconv), Residual(ffn))


class HEViTBlock(BaseModule):
    """Sandwich of a token mixer between local layers (Fig. 3b).

    Args:
        channels: Channels C in and out.
        mixer: Module that maps (B, C, H, W) to the same shape, :class:`CGSRMHA` in the paper.
    """

    def __init__(self, channels: int, mixer: nn.Module) -> None:
        super().__init__()
        self.before = local_layers(channels)
        self.mixer = mixer
        self.after = local_layers(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W)."""
        x = self.before(x)
        return self.after(x + self.mixer(x))


class SqueezeExcite(BaseModule):
    """Channel gate ``x * sigmoid(W2 relu(W1 mean(x)))`` with biases.

    MMPose's ``SELayer`` computes the same with a pooling module, which the counter of the paper would have seen.
    """

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, hidden_channels, 1)
        self.act = nn.ReLU(inplace=True)
        self.excite = nn.Conv2d(hidden_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W)."""
        gate = self.excite(self.act(self.squeeze(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


def subsample(in_channels: int, out_channels: int) -> Sequential:
    """The "Subsample & OPE" box of Fig. 3, stride 2: EfficientViT's patch merging between local layers."""
    mid_channels = 4 * in_channels
    patch_merging = nn.Sequential(
        conv_bn(in_channels, mid_channels, 1),
        nn.ReLU(inplace=True),
        conv_bn(mid_channels, mid_channels, 3, stride=2, groups=mid_channels),
        nn.ReLU(inplace=True),
        SqueezeExcite(mid_channels, in_channels),
        conv_bn(mid_channels, out_channels, 1),
    )
    return Sequential(local_layers(in_channels), patch_merging, local_layers(out_channels))


def patch_embedding(in_channels: int, out_channels: int, overlap: int) -> nn.Sequential:
    """Patch embedding at stride 4 whose patches overlap by 1, 3 or 7 pixels (PEOW).

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the map.
        overlap: 1 for two 3x3 convolutions, 3 for one of 7x7, 7 for one of 15x15 at stride 8 that a transposed
            convolution brings back to stride 4.
    """
    if overlap == 1:
        half = out_channels // 2
        return nn.Sequential(
            conv_bn(in_channels, half, 3, stride=2),
            nn.ReLU(inplace=True),
            conv_bn(half, out_channels, 3, stride=2),
        )
    if overlap == 3:
        return conv_bn(in_channels, out_channels, 7, stride=4)
    return nn.Sequential(
        conv_bn(in_channels, 2 * out_channels, 15, stride=8),
        nn.ConvTranspose2d(2 * out_channels, out_channels, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
    )


@MODELS.register_module()
class HEViTPose(FreezableBackbone):
    """Backbone of HEViTPose (Fig. 3a, Table 1), base size by default.

    ======= =============== ========= ========= ========= =========
    size    widths          depths    groups    reduction num_heads
    ======= =============== ========= ========= ========= =========
    T       64, 128, 192    1, 2, 3   4, 4, 4   8, 4, 2   2, 4, 8
    S       128, 192, 224   1, 2, 3   4, 3, 2   8, 4, 2   2, 4, 8
    B       128, 256, 384   1, 2, 3   4, 4, 4   8, 4, 2   2, 4, 8
    ======= =============== ========= ========= ========= =========

    Any input size runs; maps are ``ceil(size / stride)``. The heatmaps of a head at stride 4 are a quarter of the input
    only if its height and width are multiples of 16. In channels_last memory format attention needs no copies.

    Args:
        widths: Channels of the three stages, at strides 4, 8 and 16.
        depths: Number of blocks in each stage.
        groups: Groups of CGSR-MHA in each stage; divide the widths.
        reductions: Spatial reduction ratio of CGSR-MHA in each stage.
        num_heads: Heads in a group of CGSR-MHA in each stage; divide ``widths / groups``.
        peow: Overlap of the patch embedding in pixels: 1, 3 or 7.
        mixer: ``'cgsr'``, or ``'cga'`` for the windowed attention of EfficientViT-M4, the baseline of the ablations, to
            which ``groups``, ``reductions``, ``num_heads`` and the five options below do not apply.
        in_channels: Channels of the image.
        out_indices: Stages to return, 0 to 2.
        frozen_stages: Freeze the stem and stages up to and including this index. -1 freezes nothing.
        norm_eval: Keep batch norm in evaluation mode while training.
        init_cfg: Initialization config of MMEngine. By default convolutions keep torch's initialization and residual
            branches start at zero.

    Raises:
        ValueError: For an unknown option, tuples of unequal length, or widths, groups and heads that do not divide.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (128, 256, 384),
        depths: tuple[int, ...] = (1, 2, 3),
        groups: tuple[int, ...] = (4, 4, 4),
        reductions: tuple[int, ...] = (8, 4, 2),
        num_heads: tuple[int, ...] = (2, 4, 8),
        peow: int = 3,
        mixer: str = 'cgsr',
        in_channels: int = 3,
        out_indices: tuple[int, ...] = (2,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        num_stages = len(widths)
        stage_args = dict(depths=depths, groups=groups, reductions=reductions, num_heads=num_heads)
        for name, value in stage_args.items():
            if len(value) != num_stages:
                raise ValueError(
                    f'HEViTPose: {name}={tuple(value)} must hold one number for each of the '
                    f'{num_stages} stages of widths={tuple(widths)}'
                )
        if peow not in (1, 3, 7):
            raise ValueError(f'HEViTPose: peow={peow} must be 1, 3 or 7')
        if mixer not in ('cgsr', 'cga'):
            raise ValueError(f"HEViTPose: mixer={mixer!r} must be 'cgsr' or 'cga'")
        if not set(out_indices) <= set(range(num_stages)):
            raise ValueError(f'HEViTPose: out_indices={tuple(out_indices)} must lie in 0 to {num_stages - 1}')
        if not -1 <= frozen_stages < num_stages:
            raise ValueError(f'HEViTPose: frozen_stages={frozen_stages} must lie in -1 to {num_stages - 1}')
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        def make_block(stage: int) -> HEViTBlock:
            if mixer == 'cga':
                return HEViTBlock(widths[stage], CascadedGroupAttention(widths[stage]))
            attention = CGSRMHA(
                widths[stage],
                groups[stage],
                reductions[stage],
                num_heads[stage],
            )
            return HEViTBlock(widths[stage], attention)

        self.stem = patch_embedding(in_channels, widths[0], peow)
        self.stages = ModuleList()
        for stage, depth in enumerate(depths):
            layers = [subsample(widths[stage - 1], widths[stage])] if stage else []
            layers += [make_block(stage) for _ in range(depth)]
            self.stages.append(Sequential(*layers))
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract features.

        Args:
            x: Images (B, in_channels, H, W).

        Returns:
            One map (B, widths[i], ceil(H / s), ceil(W / s)) at stride s = 4, 8, 16 for each i of
            ``out_indices``.
        """
        x = self.stem(x)
        outs = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def frozen_modules(self) -> tuple[nn.Module, ...]:
        """Stem and first stages."""
        return (self.stem, *self.stages[: self.frozen_stages + 1]) if self.frozen_stages >= 0 else ()
