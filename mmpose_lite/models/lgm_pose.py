"""LGM-Pose: A Lightweight Global Modeling Network for Real-time Human Pose Estimation (Guo et al., 2025).

A single branch down (MobileNetV2 and MobileViM blocks) and up (deconvolutions and SFusion). The paper prints no
layer table: widths and block positions are those that reproduce all of its parameter and FLOP counts, see
``configs/lgm_pose/README.md``.
"""

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList, Sequential
from mmpose.models.backbones.utils import InvertedResidual, channel_shuffle
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ._base import FreezableBackbone

PATCH = 2  # side of a patch in pixels, P = PATCH ** 2 pixels per patch


def _conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1, act: str = 'SiLU'
) -> ConvModule:
    """Convolution, batch norm and activation; the size is kept at stride 1."""
    return ConvModule(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        groups=groups,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type=act),
    )


def _mobilenetv2(in_channels: int, out_channels: int, stride: int, act: str) -> InvertedResidual:
    """MobileNetV2 block with expansion 4, identity where the shape is kept."""
    return InvertedResidual(
        in_channels, out_channels, mid_channels=4 * in_channels, stride=stride, act_cfg=dict(type=act)
    )


class LARM(BaseModule):
    """Lightweight attentional representation module (Eq. 1, Fig. 2): two MLPs in place of self-attention.

    The map is cut into ``N = HW / 4`` patches of ``P = 4`` pixels (NPT-Op.1). The first MLP mixes the N patches at
    every pixel position and channel, the second (after NPT-Op.2) the P pixels inside every patch; NPT-Op.3 folds
    back. Eq. 1 adds nothing back to either MLP.

    Args:
        num_patches: N, which fixes the size of the input.
        hidden_channels: Width of the first MLP. It does not grow with N.
        residual: Add the input of each MLP to its output, as MLP-Mixer does. The paper's equation has no such sum.
        norm_channels: C, to normalize over the channels before both MLPs, as MLP-Mixer does. By default each norm runs
            over what its MLP mixes: the N patches, and the P pixels.
    """

    def __init__(
        self,
        num_patches: int,
        hidden_channels: int = 160,
        residual: bool = False,
        norm_channels: int | None = None,
    ) -> None:
        super().__init__()
        pixels = PATCH**2
        self.residual = residual
        self.over_channels = norm_channels is not None
        self.between_norm = nn.LayerNorm(norm_channels or num_patches)
        self.between_fc1 = nn.Linear(num_patches, hidden_channels)
        self.between_fc2 = nn.Linear(hidden_channels, num_patches)
        self.within_norm = nn.LayerNorm(norm_channels or pixels)
        self.within_fc1 = nn.Linear(pixels, 2 * pixels)
        self.within_fc2 = nn.Linear(2 * pixels, pixels)

    def _norm(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        """Normalize (B, C, ., .) over the channels or over the last axis."""
        return norm(x.transpose(1, 3)).transpose(1, 3) if self.over_channels else norm(x)

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W) with ``H * W == 4 * num_patches``."""
        batch, channels, height, width = x.shape
        # NPT-Op.1: (B, C, P, N)
        x = F.pixel_unshuffle(x, PATCH).reshape(batch, channels, PATCH**2, -1)
        y = self.between_fc2(F.gelu(self.between_fc1(self._norm(self.between_norm, x))))
        x = x + y if self.residual else y
        # NPT-Op.2: (B, C, N, P)
        x = x.transpose(2, 3)
        y = self.within_fc2(F.gelu(self.within_fc1(self._norm(self.within_norm, x))))
        x = x + y if self.residual else y
        # NPT-Op.3: (B, C, H, W)
        x = x.transpose(2, 3).reshape(batch, channels * PATCH**2, height // PATCH, width // PATCH)
        return F.pixel_shuffle(x, PATCH)


class TransformerLayer(BaseModule):
    """Pre-norm transformer layer of MobileViT: self-attention and a feed-forward network of ratio 2 with SiLU."""

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, 2 * channels)
        self.fc2 = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, N, C)."""
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, self.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.fc2(F.silu(self.fc1(self.norm2(x))))


class MobileViTTransformer(BaseModule):
    """Global representation of MobileViT (Mehta and Rastegari, 2022), the rival of LARM in Table 4.

    Self-attention runs between the patches, once for every pixel position in a patch.

    Args:
        channels: C.
        depth: Number of transformer layers.
        num_heads: Number of attention heads.
    """

    def __init__(self, channels: int, depth: int, num_heads: int = 4) -> None:
        super().__init__()
        self.layers = Sequential(*(TransformerLayer(channels, num_heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W), H and W even."""
        batch, channels, height, width = x.shape
        x = F.pixel_unshuffle(x, PATCH).reshape(batch, channels, PATCH**2, -1)
        x = x.permute(0, 2, 3, 1).flatten(0, 1)  # (B * P, N, C)
        x = self.norm(self.layers(x))
        x = x.unflatten(0, (batch, PATCH**2)).permute(0, 3, 1, 2)
        x = x.reshape(batch, channels * PATCH**2, height // PATCH, width // PATCH)
        return F.pixel_shuffle(x, PATCH)


class MobileViMBlock(BaseModule):
    """MobileViM block (Fig. 1): MobileViT's block with a global representation that is exchangeable.

    Args:
        in_channels: Width of the block, in and out.
        embed_channels: Width inside ``global_rep``.
        global_rep: Module that maps (B, embed_channels, H, W) to the same shape, :class:`LARM` in the paper.
        act: Activation of the convolutions.
    """

    def __init__(self, in_channels: int, embed_channels: int, global_rep: nn.Module, act: str = 'SiLU') -> None:
        super().__init__()
        self.local_rep = _conv(in_channels, in_channels, 3, act=act)
        self.expand = _conv(in_channels, embed_channels, 1, act=act)
        self.global_rep = global_rep
        self.reduce = _conv(embed_channels, in_channels, 1, act=act)
        self.fuse = _conv(2 * in_channels, in_channels, 3, act=act)

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, in_channels, H, W)."""
        y = self.reduce(self.global_rep(self.expand(self.local_rep(x))))
        return self.fuse(torch.cat((x, y), dim=1))


@MODELS.register_module()
class LGMPose(FreezableBackbone):
    """Encoder of LGM-Pose (Fig. 1, left half).

    Args:
        img_size: Height and width of the input in pixels, both multiples of 32. LARM's weights belong to patch
            positions, so the network runs at this size only. (MMPose's codecs name the same size width first.)
        in_channels: Channels of the image.
        widths: Channels of the stem and of the five stages, at strides 2, 2, 4, 8, 16 and 32.
        embed_channels: Width d inside the MobileViM blocks of stages 3 and 4.
        hidden_channels: Width of LARM's first MLP.
        residual: Skip connections inside LARM.
        norm_axis: What LARM's LayerNorms run over: ``'patches'`` (the patches, then the pixels of a patch) or
            ``'channels'`` (d, as in a transformer and MLP-Mixer). The paper does not say.
        block: ``'mobilevim'``, or ``'mobilevit'`` for the comparison of Table 4 (depths 2 and 4).
        act: Activation, ``'SiLU'`` or ``'ReLU6'``; the paper names none.
        out_indices: Stages to return, 0 to 4 for strides 2, 4, 8, 16 and 32. The decoder reads (2, 3, 4).
        frozen_stages: Freeze the stem and stages up to and including this index. -1 freezes nothing.
        norm_eval: Keep batch norm in evaluation mode while training.
        init_cfg: Initialization config of MMEngine.

    Raises:
        ValueError: For an unknown block or norm_axis, a size that is not a multiple of 32, or (in forward) another
            input size.
    """

    def __init__(
        self,
        img_size: tuple[int, int],
        in_channels: int = 3,
        widths: tuple[int, ...] = (16, 32, 48, 64, 80, 160),
        embed_channels: tuple[int, int] = (144, 192),
        hidden_channels: int = 160,
        residual: bool = False,
        norm_axis: str = 'patches',
        block: str = 'mobilevim',
        act: str = 'SiLU',
        out_indices: tuple[int, ...] = (2, 3, 4),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            init_cfg
            or [
                dict(type='Kaiming', layer='Conv2d', mode='fan_out'),
                dict(type='TruncNormal', layer='Linear', std=0.02),
                dict(type='Constant', layer=['_BatchNorm', 'LayerNorm'], val=1),
            ],
        )
        height, width = img_size
        if height % 32 or width % 32:
            raise ValueError(f'LGMPose: img_size={tuple(img_size)} (height, width) must be multiples of 32')
        if block not in ('mobilevim', 'mobilevit'):
            raise ValueError(f"LGMPose: block={block!r} must be 'mobilevim' or 'mobilevit'")
        if norm_axis not in ('patches', 'channels'):
            raise ValueError(f"LGMPose: norm_axis={norm_axis!r} must be 'patches' or 'channels'")
        self.img_size = (height, width)
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        def mobilevim(stage: int) -> MobileViMBlock:
            embed = embed_channels[stage - 3]
            if block == 'mobilevim':
                stride = 2**stage
                patches = (height // stride // PATCH) * (width // stride // PATCH)
                global_rep = LARM(patches, hidden_channels, residual, embed if norm_axis == 'channels' else None)
            else:
                global_rep = MobileViTTransformer(embed, depth=2 * (stage - 2))
            return MobileViMBlock(widths[stage], embed, global_rep, act)

        self.stem = _conv(in_channels, widths[0], 3, stride=2, act=act)
        self.stages = ModuleList(
            [
                Sequential(_mobilenetv2(widths[0], widths[1], 1, act)),
                Sequential(
                    _mobilenetv2(widths[1], widths[2], 2, act),
                    _mobilenetv2(widths[2], widths[2], 1, act),
                    _mobilenetv2(widths[2], widths[2], 1, act),
                ),
                Sequential(_mobilenetv2(widths[2], widths[3], 2, act), mobilevim(3)),
                Sequential(_mobilenetv2(widths[3], widths[4], 2, act), mobilevim(4)),
                Sequential(_mobilenetv2(widths[4], widths[5], 2, act)),
            ]
        )
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract features.

        Args:
            x: Images (B, in_channels, H, W) of the size the network was built for.

        Returns:
            One map (B, C, H / s, W / s) for each of ``out_indices``.
        """
        if tuple(x.shape[-2:]) != self.img_size:
            raise ValueError(
                f'LGMPose was built for img_size={self.img_size} (height, width) but got an input of '
                f'{tuple(x.shape[-2:])}: set backbone.img_size and the codec input_size to the same size'
            )
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


class SFusion(BaseModule):
    """Fusion of a decoder map with the encoder map of equal size (section 3.3, Table 5).

    The encoder map is brought to C channels, both are concatenated and shuffled into pairs (decoder channel i, encoder
    channel i), and a group convolution with two channels per group mixes each pair before a pointwise convolution.

    Args:
        channels: C, channels of the decoder map.
        lateral_channels: Channels of the encoder map.
        mode: ``'sfusion'``, or a row of Table 5: ``'dw_g1'`` (depthwise), ``'dw_g2'`` (two channels per group, not
            shuffled), ``'conv'`` (dense 3x3, no pointwise).
    """

    MODES = ('sfusion', 'dw_g1', 'dw_g2', 'conv')

    def __init__(self, channels: int, lateral_channels: int, mode: str = 'sfusion') -> None:
        super().__init__()
        fused = 2 * channels
        groups = dict(sfusion=channels, dw_g1=fused, dw_g2=channels, conv=1)[mode]
        self.shuffle = mode == 'sfusion'
        self.lateral = _conv(lateral_channels, channels, 1, act='ReLU')
        self.spatial = _conv(fused, fused, 3, groups=groups, act='ReLU')
        self.pointwise = nn.Identity() if mode == 'conv' else _conv(fused, fused, 1, act='ReLU')

    def forward(self, x: Tensor, lateral: Tensor) -> Tensor:
        """Fuse (B, C, H, W) of the decoder with (B, lateral_channels, H, W) of the encoder to (B, 2C, H, W)."""
        x = torch.cat((x, self.lateral(lateral)), dim=1)
        if self.shuffle:
            x = channel_shuffle(x, 2)
        return self.pointwise(self.spatial(x))


@MODELS.register_module()
class SFusionNeck(BaseModule):
    """Decoder of LGM-Pose (Fig. 1, right half): three deconvolutions, fused with the encoder after the first two.

    Args:
        in_channels: Channels of the encoder maps at strides 8, 16 and 32.
        channels: Output channels of the three deconvolutions.
        mode: How maps are fused: one of ``SFusion.MODES``, or ``'none'`` for no fusion (Table 5).
        init_cfg: Initialization config of MMEngine.

    Raises:
        ValueError: For an unknown mode.
    """

    def __init__(
        self,
        in_channels: tuple[int, int, int] = (64, 80, 160),
        channels: tuple[int, int, int] = (128, 128, 64),
        mode: str = 'sfusion',
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            init_cfg=init_cfg
            or [
                dict(type='Kaiming', layer='Conv2d', mode='fan_out'),
                dict(type='Normal', layer='ConvTranspose2d', std=0.001),
                dict(type='Constant', layer='_BatchNorm', val=1),
            ]
        )
        if mode not in (*SFusion.MODES, 'none'):
            raise ValueError(f"SFusionNeck: mode={mode!r} must be 'none' or one of {SFusion.MODES}")
        # finest map last: the decoder walks from stride 32 up to stride 8
        laterals = in_channels[1::-1]
        self.deconvs = ModuleList()
        self.fusions = ModuleList()
        previous = in_channels[2]
        for index, width in enumerate(channels):
            self.deconvs.append(
                Sequential(
                    nn.ConvTranspose2d(previous, width, kernel_size=2, stride=2, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                )
            )
            previous = width
            if mode != 'none' and index < len(laterals):
                self.fusions.append(SFusion(width, laterals[index], mode))
                previous = 2 * width

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Decode the encoder maps at strides 8, 16, 32 (in this order) into one map (B, channels[2], H / 4, W / 4)."""
        *laterals, x = feats
        for index, deconv in enumerate(self.deconvs):
            x = deconv(x)
            if index < len(self.fusions):
                x = self.fusions[index](x, laterals[-1 - index])
        return (x,)
