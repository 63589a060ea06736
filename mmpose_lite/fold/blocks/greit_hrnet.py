"""Greit-HRNet, written for inference: no channel is split off, concatenated or shuffled.

A shuffle only renames channels, so the maps keep the order that they have and the weights that read or write them are
brought into that order, through all blocks up to the last fusion. A block passes half of the channels on as they are:
here they go through it with a weight of 1 and a depthwise kernel that is 1 in the middle. That is more arithmetic and
much less time, because the network is bound by copies.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmpose_lite.models.greit_hrnet import (
    Gate,
    GlobalSpatialWeighting,
    GreitBlock,
    GreitHRNet,
    GreitModule,
    GroupedChannelWeighting,
    LargeKernelStem,
)

from ..algebra import permute_inputs, permute_outputs

ONE = 40.0  # sigmoid(40) is 1 in all precisions


class FoldedGreitBlock(nn.Module):
    """A Greit block over whole maps.

    Args:
        block: The block, its batch norms fused.
        orders: For every branch, which channel of the unfolded network each channel of the map is.
    """

    def __init__(self, block: GreitBlock, orders: Sequence[Tensor]) -> None:
        super().__init__()
        self.channel_weighting = block.cross_resolution_weighting
        # the weighted half is the second one; -1 stands for channels that pass
        places = [torch.where(order < len(order) // 2, -1, order - len(order) // 2) for order in orders]
        groups = (slice(0, 2), slice(2, None))
        for gates, group in zip(self.channel_weighting.groups, groups, strict=False):
            together = _concatenated(places[group])
            for gate in gates:
                _widen_gate(gate, together, together)
        for weighting, place in zip(block.spatial_weighting, places, strict=True):
            _widen_inputs(weighting.mask.conv1, place)
            _widen_gate(weighting.gate, place, place)
        self.spatial_weightings = nn.ModuleList(map(FoldedSpatialWeighting, block.spatial_weighting))
        self.depthwise_convs = nn.ModuleList(
            _widened_depthwise(module.conv, place) for module, place in zip(block.depthwise_convs, places, strict=True)
        )

    def forward(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """Args and returns: maps (B, C_i, H / 2^i, W / 2^i)."""
        xs = self.channel_weighting(xs)
        layers = zip(self.spatial_weightings, self.depthwise_convs, xs, strict=True)
        return [weighting(conv(x)) for weighting, conv, x in layers]


class FoldedSpatialWeighting(nn.Module):
    """GSW whose product with the mask is a product of maps and a sum: runtimes keep their layout, a matrix product is
    made to change it.

    Args:
        weighting: The module, its batch norms fused.
    """

    def __init__(self, weighting: GlobalSpatialWeighting) -> None:
        super().__init__()
        self.mask, self.gate = weighting.mask, weighting.gate

    def forward(self, x: Tensor) -> Tensor:
        """Args and returns: (B, C, H, W)."""
        masked = x * self.mask(x)
        return x * self.gate(masked.sum((2, 3), keepdim=True))


def _concatenated(places: Sequence[Tensor]) -> Tensor:
    """Places in a concatenation of halves."""
    offset, shifted = 0, []
    for place in places:
        shifted.append(torch.where(place < 0, -1, place + offset))
        offset += len(place) // 2
    return torch.cat(shifted)


def _widen_inputs(module: nn.Module, places: Tensor) -> None:
    """Let a 1x1 convolution read its input from among more channels: channel p is its former input ``places[p]``."""
    old = module.conv
    conv = nn.Conv2d(len(places), old.out_channels, 1, bias=old.bias is not None).to(old.weight)
    weight = old.weight.new_zeros(conv.weight.shape)
    weight[:, places >= 0] = old.weight.detach()[:, places[places >= 0]]
    conv.weight.data = weight
    if old.bias is not None:
        conv.bias.data = old.bias.data
    module.conv = conv.eval()


def _widen_outputs(module: nn.Module, places: Tensor) -> None:
    """Let a 1x1 convolution before a sigmoid write more channels, 1 where ``places`` is negative."""
    old = module.conv
    conv = nn.Conv2d(old.in_channels, len(places), 1).to(old.weight)
    weight, bias = old.weight.new_zeros(conv.weight.shape), old.weight.new_full((len(places),), ONE)
    weight[places >= 0] = old.weight.detach()[places[places >= 0]]
    bias[places >= 0] = 0 if old.bias is None else old.bias.detach()[places[places >= 0]]
    conv.weight.data, conv.bias.data = weight, bias
    module.conv = conv.eval()


def _widen_gate(gate: Gate, reads: Tensor, writes: Tensor) -> None:
    _widen_inputs(gate.conv1, reads)
    _widen_outputs(gate.conv2, writes)


def _widened_depthwise(old: nn.Conv2d, places: Tensor) -> nn.Conv2d:
    """The depthwise 3x3 convolution over all channels, which leaves those that pass as they are."""
    channels = len(places)
    conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels).to(old.weight)
    weight, bias = old.weight.new_zeros(conv.weight.shape), old.weight.new_zeros(channels)
    weight[:, :, 1, 1] = 1
    weight[places >= 0] = old.weight.detach()[places[places >= 0]]
    bias[places >= 0] = 0 if old.bias is None else old.bias.detach()[places[places >= 0]]
    conv.weight.data, conv.bias.data = weight, bias
    return conv.eval()


class FoldedGreitModule(nn.Module):
    """Greit blocks over whole maps and the fusion, its factor of 2 for branch 1 inside the convolutions.

    Args:
        module: The module, its batch norms fused.
        orders: As for :class:`FoldedGreitBlock`.
    """

    def __init__(self, module: GreitModule, orders: Sequence[Tensor]) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for block in module.layers:
            self.layers.append(FoldedGreitBlock(block, orders))
            orders = [_shuffled_order(order) for order in orders]
        self.orders = orders
        self.fuse_layers = module.fuse_layers
        self.relu = module.relu
        for i, row in enumerate(self.fuse_layers):
            for j, convs in enumerate(row):
                if j > i:
                    permute_inputs(convs[0], orders[j])
                    permute_outputs(convs[0], orders[i])
                elif j < i:
                    permute_outputs(convs[0][0], orders[j])
                    permute_inputs(convs[0][2], orders[j])
                    last = convs[-1][2]
                    permute_outputs(last, orders[i])
                    if j == 0:
                        last.weight.data *= 2
                        last.bias.data *= 2

    def forward(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """Args and returns: maps (B, C_i, H / 2^i, W / 2^i)."""
        xs = list(self.layers(xs))
        xs[0] = 2 * xs[0] + self._from_coarser(0, xs)
        fused = [xs[0]]
        for i in range(1, len(xs)):
            y = xs[i]
            for j in range(i):
                y = y + self.fuse_layers[i][j](xs[j])
            fused.append(y if i == len(xs) - 1 else y + self._from_coarser(i, xs))
        return [self.relu(y) for y in fused]

    _from_coarser = GreitModule._from_coarser


def _shuffled_order(order: Tensor) -> Tensor:
    """Names of the channels after a shuffle of two halves: i becomes 2i, and C / 2 + i becomes 2i + 1."""
    half = len(order) // 2
    return torch.where(order < half, 2 * order, 2 * (order - half) + 1)


class FoldedStem(nn.Module):
    """The stem with a convolution for each half instead of one to be split, and without shuffle at the end.

    Args:
        stem: The stem, its batch norms fused.
    """

    def __init__(self, stem: LargeKernelStem) -> None:
        super().__init__()
        conv = stem.conv1.conv
        half = conv.out_channels // 2
        self.conv1, self.conv2 = (_rows(conv, rows) for rows in (slice(0, half), slice(half, None)))
        self.activate = stem.conv1.activate
        self.half1 = nn.Sequential(stem.lka_half1, stem.branch1)
        self.half2 = nn.Sequential(
            stem.expand_conv,
            stem.depthwise_conv,
            stem.linear_conv,
            stem.lka_half2_end,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, in_channels, H, W) to (B, channels, H / 4, W / 4), the halves one after the other."""
        x1, x2 = self.activate(self.conv1(x)), self.activate(self.conv2(x))
        return torch.cat((self.half1(x1), self.half2(x2)), dim=1)


def _rows(conv: nn.Conv2d, rows: slice) -> nn.Conv2d:
    """The part of a dense convolution that computes some of its outputs."""
    weight, bias = conv.weight.data[rows].clone(), conv.bias.data[rows].clone()
    part = nn.Conv2d(conv.in_channels, len(weight), conv.kernel_size, conv.stride, conv.padding).to(weight)
    part.weight.data, part.bias.data = weight, bias
    return part.eval()


def fold_greit(backbone: GreitHRNet) -> GreitHRNet:
    """Fold a backbone in place.

    Only the paper's network and its 30-layer form, whose first map alone is returned: rows of Table 6 without GCW or
    GSW, and backbones whose coarser maps are returned as well, stay as they are.
    """
    blocks = [block for block in backbone.modules() if isinstance(block, GreitBlock)]
    weightings = [w for block in blocks for w in (block.cross_resolution_weighting, *block.spatial_weighting)]
    if backbone.out_indices != (0,) or not all(
        isinstance(w, GroupedChannelWeighting | GlobalSpatialWeighting) for w in weightings
    ):
        return backbone
    stem_channels = 2 * backbone.stem.branch1[-1].conv.out_channels
    backbone.stem = FoldedStem(backbone.stem)
    orders = [_shuffled_order(torch.arange(stem_channels))]
    for index in range(backbone.num_stages):
        transition = getattr(backbone, f'transition{index}')
        sources = [*orders, orders[-1]]
        for number, layer in enumerate(transition):
            if isinstance(layer, nn.Sequential):
                depthwise, pointwise = (conv for conv in layer.modules() if isinstance(conv, nn.Conv2d))
                permute_outputs(depthwise, sources[number])
                permute_inputs(pointwise, sources[number])
                sources[number] = torch.arange(pointwise.out_channels)
        orders = sources
        stage = nn.Sequential()
        for module in getattr(backbone, f'stage{index}'):
            stage.append(FoldedGreitModule(module, orders))
            orders = stage[-1].orders
        setattr(backbone, f'stage{index}', stage)
    # the last fusion walks from the coarsest map up: a projection reads one branch and writes in the order of the next
    finer_orders = [*orders[-2::-1], None]
    for project, order, finer in zip(backbone.head_layer.projects, orders[::-1], finer_orders, strict=True):
        permute_outputs(project.depthwise_conv.conv, order)
        permute_inputs(project.pointwise_conv.conv, order)
        if finer is not None:
            permute_outputs(project.pointwise_conv.conv, finer)
    return backbone


FORMS = {GreitHRNet: fold_greit}
