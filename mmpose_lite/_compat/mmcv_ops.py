"""Operators of mmcv in PyTorch: what ``mmcv._ext`` is where no compiled one is installed.

``mmcv-lite`` is mmcv without its compiled extension. :func:`.patches.provide_mmcv_operators` puts this module in the
extension's place. The functions have the names, arguments and results of mmcv 2.1.0's own, and its callers in
``mmcv.ops`` pass tensors to be filled. Those of torchvision do the work where they are compiled for the device, plain
torch elsewhere. Operators that are not here raise an error when they are called.
"""

import functools
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

COMPILE = 'pip uninstall -y mmcv-lite && MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0'


def __getattr__(name: str) -> Callable:
    """An operator that is not here: it can be imported, and says so when it is called."""
    if name.startswith('__'):
        raise AttributeError(name)

    def unavailable(*args, **kwargs):
        raise NotImplementedError(f'mmcv operator {name} needs a compiled mmcv: {COMPILE}')

    unavailable.__name__ = name
    return unavailable


def get_compiler_version() -> str:
    """For mmcv's report of the environment."""
    return 'none: mmcv is not compiled'


get_compiling_cuda_version = get_compiler_version


@functools.cache
def _torchvision(device: str) -> ModuleType | None:
    """``torchvision.ops`` if its operators are compiled for this kind of device."""
    try:
        import torchvision.ops

        torchvision.ops.nms(torch.zeros(1, 4, device=device), torch.zeros(1, device=device), 0.5)
        return torchvision.ops
    except (ImportError, RuntimeError, AttributeError):
        return None


def _fill(targets: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for target, value in zip(targets, values, strict=True):
        target.copy_(value)


def _gradients(function: Callable[..., Tensor], inputs: Sequence[Tensor], grad_output: Tensor) -> Sequence[Tensor]:
    """Gradients of ``function(*inputs)``, which is computed again."""
    with torch.enable_grad():
        inputs = [x.detach().requires_grad_() for x in inputs]
        return torch.autograd.grad(function(*inputs), inputs, grad_output)


# ------------------------------------------------------------------------------------------------ suppression


def _overlaps(box: Tensor, boxes: Tensor, areas: tuple[Tensor, Tensor]) -> Tensor:
    """Intersection over union of a box (4,) with boxes (N, 4); NaN where both have no area."""
    size = (torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])).clamp(min=0)
    intersection = size[:, 0] * size[:, 1]
    return intersection / (areas[0] + areas[1] - intersection)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes (N, 4) that are left, best score first; of equal scores, the first box."""
    boxes = torch.cat((boxes[:, :2], boxes[:, 2:] + offset), 1)
    ops = _torchvision(boxes.device.type)
    if ops is not None:
        return ops.nms(boxes, scores, iou_threshold)
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept, left = [], torch.arange(len(boxes), device=boxes.device)
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[~(_overlaps(boxes[best], boxes[left], (areas[best], areas[left])) > iou_threshold)]
    return order[torch.stack(kept)] if kept else order


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Of boxes with scores (N, 5), each one kept with those that it suppresses, best score first."""
    boxes, scores = dets[:, :4], dets[:, 4]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    groups, left = [], scores.argsort(descending=True, stable=True)
    while len(left):
        best, left = left[0], left[1:]
        matched = _overlaps(boxes[best], boxes[left], (areas[best], areas[left])) >= iou_threshold
        groups.append([int(best), *left[matched].tolist()])
        left = left[~matched]
    return groups


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017) of boxes (N, 4) on the CPU.

    Args:
        boxes: Boxes.
        scores: Their scores (N,).
        dets: (N, 5), filled with the boxes that are left and their new scores.
        iou_threshold: Overlap from which methods 0 and 1 lower a score.
        sigma: Width of method 2.
        min_score: A box whose score falls below it is dropped.
        method: 0 drops, 1 lowers linearly, 2 by a Gaussian.
        offset: 0, or 1 for boxes that contain their last pixel.

    Returns:
        The indices of the boxes that are left.
    """
    boxes, scores = boxes.numpy(), scores.numpy().copy()
    corners = boxes + np.array([0, 0, offset, offset], boxes.dtype)
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    order = np.arange(len(boxes))  # [kept, left, dropped], and elements change places as in mmcv, which decides ties
    count, kept = len(boxes), 0
    while kept < count:
        best = kept + scores[order[kept:count]].argmax()
        order[[kept, best]] = order[[best, kept]]
        box, left = order[kept], order[kept + 1 : count]
        size = np.minimum(corners[box, 2:], corners[left, 2:]) - np.maximum(corners[box, :2], corners[left, :2])
        intersection = size.clip(min=0).prod(axis=1)
        with np.errstate(invalid='ignore'):  # boxes of no area
            overlap = intersection / (areas[box] + areas[left] - intersection)
        if method == 2:
            scores[left] *= np.exp(-(overlap**2) / sigma)
        else:
            scores[left] *= np.where(overlap >= iou_threshold, 0 if method == 0 else 1 - overlap, 1)
        kept += 1
        place = kept
        while (scores[order[kept:count]] < min_score).any() and place < count:
            if scores[order[place]] < min_score:
                count -= 1
                order[[place, count]] = order[[count, place]]
            else:
                place += 1
    order = torch.from_numpy(order[:count])
    dets[:count, :4], dets[:count, 4] = torch.from_numpy(boxes)[order], torch.from_numpy(scores)[order]
    return order


# ------------------------------------------------------------------------------------------------ RoIAlign


def _positions(start: Tensor, bin_size: Tensor, bins: int, grid: int, length: int) -> tuple[Tensor, Tensor]:
    """Where bins sample along one axis: neighbours and weights, (R, bins, grid, 2) each."""
    steps = torch.arange(bins * grid, device=start.device).view(bins, grid)
    offsets = (steps // grid) + (steps % grid + 0.5) / grid
    position = start[:, None, None] + bin_size[:, None, None] * offsets
    inside = (position >= -1) & (position <= length)
    position = position.clamp(0, length - 1)
    low = position.floor()
    high_weight = position - low
    weights = torch.stack((1 - high_weight, high_weight), -1) * inside[..., None]
    return torch.stack((low, (low + 1).clamp(max=length - 1)), -1).long(), weights


def _sample_bins(features: Tensor, rois: Tensor, size: tuple[int, int], grid: tuple[int, int], average: bool) -> Tensor:
    """The average or the maximum of ``grid`` samples in each bin of each region: (R, C, *size)."""
    channels, height, width = features.shape[1:]
    rows, row_weights = _positions(rois[:, 2], rois[:, 4] / size[0], size[0], grid[0], height)
    columns, column_weights = _positions(rois[:, 1], rois[:, 3] / size[1], size[1], grid[1], width)
    # to (R, bin rows, bin columns, grid rows, grid columns, neighbours in y, and in x)
    pixels = rows[:, :, None, :, None, :, None] * width + columns[:, None, :, None, :, None, :]
    weights = row_weights[:, :, None, :, None, :, None] * column_weights[:, None, :, None, :, None, :]
    pixels = pixels + (rois[:, 0].long() * height * width).view(-1, *[1] * 6)
    bag = 4 * grid[0] * grid[1] if average else 4
    found = F.embedding_bag(
        pixels.reshape(-1, bag),
        features.permute(0, 2, 3, 1).reshape(-1, channels),
        mode='sum',
        per_sample_weights=weights.reshape(-1, bag),
    ).view(len(rois), *size, -1, channels)
    found = found[..., 0, :] / (grid[0] * grid[1]) if average else found.amax(3)
    return found.permute(0, 3, 1, 2)


def _roi_align(
    features: Tensor,
    rois: Tensor,
    size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    average: bool,
) -> Tensor:
    ops = _torchvision(features.device.type)
    if ops is not None and average:
        return ops.roi_align(features, rois, size, spatial_scale, sampling_ratio, aligned)
    corners = rois[:, 1:].float() * spatial_scale - (0.5 if aligned else 0)
    extent = corners[:, 2:] - corners[:, :2]
    regions = torch.cat((rois[:, :1].float(), corners[:, :2], extent if aligned else extent.clamp(min=1)), 1)
    grids = (regions[:, [4, 3]] / regions.new_tensor(size)).ceil().long().clamp(min=1)
    if sampling_ratio > 0:
        grids.fill_(sampling_ratio)
    pieces, places = [], []
    for grid in grids.unique(dim=0).tolist():
        chosen = (grids == grids.new_tensor(grid)).all(1).nonzero()[:, 0]
        # at most 32 MB of pixel numbers at a time
        for part in chosen.split(max(1, 2**20 // (size[0] * size[1] * grid[0] * grid[1]))):
            pieces.append(_sample_bins(features.float(), regions[part], size, grid, average))
            places.append(part)
    if not pieces:
        return features.new_zeros(0, features.shape[1], *size) + features.sum() * 0
    return torch.cat(pieces)[torch.cat(places).argsort()].to(features.dtype)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill ``output`` (R, C, height, width) from features (N, C, H, W) in rois (R, 5) of image, x1, y1, x2, y2."""
    size = (aligned_height, aligned_width)
    output.copy_(_roi_align(input, rois, size, spatial_scale, sampling_ratio, aligned, average=pool_mode == 1))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill ``grad_input``; of averages only."""
    if pool_mode != 1:
        raise NotImplementedError(f'training through RoIAlign with pool_mode="max" needs a compiled mmcv: {COMPILE}')
    size = (aligned_height, aligned_width)
    options = (rois, size, spatial_scale, sampling_ratio, aligned, True)
    # linear in its input, so any will do
    _fill([grad_input], _gradients(lambda x: _roi_align(x, *options), [torch.zeros_like(grad_input)], grad_output))


# ------------------------------------------------------------------------------------------------ deformable


def _deform_conv(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    deform_groups: int,
) -> Tensor:
    """Deformable convolution.

    Args:
        input: (N, C, H, W).
        offset: (N, 2 * deform_groups * K, OH, OW), of K = kernel height * width points y and x in turn.
        weight: (O, C / groups, kernel height, kernel width).
        mask: (N, deform_groups * K, OH, OW), or None.
        stride: Of y and x, as the next two.
        padding: Zeros around the input.
        dilation: Distance of the kernel's points.
        groups: Groups of channels of the convolution.
        deform_groups: Groups of channels that share offsets.

    Returns:
        (N, O, OH, OW).
    """
    ops = _torchvision(input.device.type)
    if ops is not None:
        return ops.deform_conv2d(input, offset, weight, None, stride, padding, dilation, mask)
    number, channels, height, width = input.shape
    kernel, (out_height, out_width) = weight.shape[2:], offset.shape[2:]
    points = kernel[0] * kernel[1]
    offset = offset.view(number * deform_groups, points, 2, out_height, out_width)

    def start(axis: int, outputs: int) -> tuple[Tensor, Tensor]:
        taps = torch.arange(kernel[axis], device=input.device) * dilation[axis] - padding[axis]
        return taps, torch.arange(outputs, device=input.device) * stride[axis]

    (taps_y, y), (taps_x, x) = start(0, out_height), start(1, out_width)
    y = offset[:, :, 0] + taps_y.repeat_interleave(kernel[1]).view(-1, 1, 1) + y.view(-1, 1)
    x = offset[:, :, 1] + taps_x.repeat(kernel[0]).view(-1, 1, 1) + x
    grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), -1).flatten(1, 2)
    folded = input.reshape(number * deform_groups, channels // deform_groups, height, width)
    samples = F.grid_sample(folded, grid.to(folded.dtype), padding_mode='zeros', align_corners=False)
    samples = samples.view(number, deform_groups, -1, points, out_height * out_width)
    if mask is not None:
        samples = samples * mask.reshape(number, deform_groups, 1, points, -1)
    samples = samples.reshape(number, groups, channels // groups * points, -1)
    return (weight.view(groups, weight.shape[0] // groups, -1) @ samples).view(number, -1, out_height, out_width)


def _options(*, kW, kH, dW, dH, padW, padH, dilationW, dilationH, group, deformable_group, im2col_step, scale=1):
    return (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group


def deform_conv_forward(
    input: Tensor, weight: Tensor, offset: Tensor, output: Tensor, columns: Tensor, ones: Tensor, **options
) -> None:
    """Fill ``output``; see :func:`_deform_conv`."""
    output.copy_(_deform_conv(input, offset, weight, None, *_options(**options)))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **options,
) -> None:
    """Fill ``grad_input`` and ``grad_offset``."""
    gradients = _gradients(
        lambda x, moved: _deform_conv(x, moved, weight, None, *_options(**options)), [input, offset], grad_output
    )
    _fill([grad_input, grad_offset], gradients)


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    **options,
) -> None:
    """Fill ``grad_weight``; the output is linear in the weights, so any will do."""
    gradients = _gradients(
        lambda weight: _deform_conv(input, offset, weight, None, *_options(**options)),
        [torch.zeros_like(grad_weight)],
        grad_output,
    )
    _fill([grad_weight], gradients)


def _modulated(input: Tensor, weight: Tensor, bias: Tensor, offset: Tensor, mask: Tensor, options: dict) -> Tensor:
    stride, padding, dilation = ((options[f'{name}_h'], options[f'{name}_w']) for name in ('stride', 'pad', 'dilation'))
    output = _deform_conv(
        input, offset, weight, mask, stride, padding, dilation, options['group'], options['deformable_group']
    )
    return output + bias.view(-1, 1, 1) if options['with_bias'] else output


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    **options,
) -> None:
    """Fill ``output``; see :func:`_deform_conv`."""
    output.copy_(_modulated(input, weight, bias, offset, mask, options))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    **options,
) -> None:
    """Fill all the gradients; that of the bias where there is one."""
    inputs, targets = [input, weight, offset, mask], [grad_input, grad_weight, grad_offset, grad_mask]
    without_bias = dict(options, with_bias=False)
    gradients = _gradients(lambda x, w, o, m: _modulated(x, w, bias, o, m, without_bias), inputs, grad_output)
    _fill(targets, gradients)
    if options['with_bias']:
        grad_bias.copy_(grad_output.sum((0, 2, 3)))


# ------------------------------------------------------------------------------------------------ attention


def ms_deform_attn_forward(
    value: Tensor, spatial_shapes: Tensor, level_start_index: Tensor, locations: Tensor, weights: Tensor, **options
) -> Tensor:
    """Multi-scale deformable attention, by mmcv's own function in PyTorch."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    return multi_scale_deformable_attn_pytorch(value, spatial_shapes, locations, weights)


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    locations: Tensor,
    weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_locations: Tensor,
    grad_weights: Tensor,
    **options,
) -> None:
    """Fill the gradients."""
    gradients = _gradients(
        lambda v, at, w: ms_deform_attn_forward(v, spatial_shapes, level_start_index, at, w),
        [value, locations, weights],
        grad_output,
    )
    _fill([grad_value, grad_locations, grad_weights], gradients)
