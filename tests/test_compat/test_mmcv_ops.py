"""mmcv's operators in PyTorch against slow references, and against mmcv's compiled ones where they are installed."""

import importlib.machinery
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv import ops

from mmpose_lite._compat import mmcv_ops

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU'))]
EXTENSION = [
    path
    for suffix in importlib.machinery.EXTENSION_SUFFIXES
    for path in Path(importlib.util.find_spec('mmcv').origin).parent.glob(f'_ext{suffix}')
]


def _compiled():
    spec = importlib.util.spec_from_file_location('mmcv._ext', EXTENSION[0])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COMPILED = _compiled() if EXTENSION else None
needs_compiled = pytest.mark.skipif(COMPILED is None, reason='no compiled mmcv')


@pytest.fixture(params=['plain torch', 'torchvision'])
def way(request, monkeypatch):
    """Ours in both ways: without torchvision's operators and, where they are compiled, with them."""
    for name in ('nms', 'roi_align', 'deform_conv', 'modulated_deform_conv'):
        monkeypatch.setattr(importlib.import_module(f'mmcv.ops.{name}'), 'ext_module', mmcv_ops)
    if request.param == 'plain torch':
        monkeypatch.setattr(mmcv_ops, '_torchvision', lambda device: None)
    elif mmcv_ops._torchvision('cpu') is None:
        pytest.skip('torchvision has no operators for this torch')


def boxes(number: int, seed: int, ties: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 40, (number, 2))
    found = np.concatenate((start, start + rng.integers(0, 30, (number, 2))), 1).astype(np.float32)
    scores = rng.random(number).astype(np.float32)
    if ties:
        scores = (scores * 4).round() / 4
    return torch.from_numpy(found), torch.from_numpy(scores)


def overlap(a, b, offset: int) -> float:
    size = [max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + offset) for i in (0, 1)]
    area = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    union = area[0] + area[1] - size[0] * size[1]
    return size[0] * size[1] / union if union else math.nan


def slow_nms(found: list, scores: list, threshold: float, offset: int) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(found)), key=lambda i: -scores[i]):
        if not any(overlap(found[k], found[i], offset) > threshold for k in kept):
            kept.append(i)
    return kept


@pytest.mark.usefixtures('way')
@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('ties', [False, True], ids=['', 'ties'])
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('number', [0, 1, 2, 60])
def test_nms(number, offset, ties, device):
    found, scores = boxes(number, 3, ties)
    for threshold in (0.0, 0.313, 0.71, 1.0):
        dets, kept = ops.nms(found.to(device), scores.to(device), threshold, offset=offset)
        assert kept.tolist() == slow_nms(found.tolist(), scores.tolist(), threshold, offset)
        assert torch.equal(dets.cpu(), torch.cat((found, scores[:, None]), 1)[kept.cpu()])
        if COMPILED and not ties:
            assert torch.equal(COMPILED.nms(found, scores, threshold, offset), kept.cpu())


@pytest.mark.usefixtures('way')
def test_nms_of_equal_boxes_and_classes():
    found, scores = torch.tensor([[0.0, 0, 10, 10]] * 4), torch.full((4,), 0.5)
    assert ops.nms(found, scores, 0.5)[1].tolist() == [0]
    assert ops.batched_nms(found, scores, torch.tensor([0, 1, 0, 1]), dict(type='nms', iou_threshold=0.5))[
        1
    ].tolist() == [0, 1]
    assert ops.nms(found.numpy(), scores.numpy(), 0.5, score_threshold=0.6)[1].tolist() == []


@pytest.mark.usefixtures('way')
def test_nms_match():
    found, scores = boxes(40, 5)
    dets = torch.cat((found, scores[:, None]), 1)
    groups = [group.tolist() for group in ops.nms_match(dets, 0.3)]
    assert [group[0] for group in groups] == slow_nms(found.tolist(), scores.tolist(), 0.3 - 1e-9, 0)
    assert sorted(i for group in groups for i in group) == list(range(40))
    for first, *others in groups:
        assert all(overlap(found[first].tolist(), found[i].tolist(), 0) >= 0.3 for i in others)
    assert ops.nms_match(dets[:0], 0.3) == []
    if COMPILED:
        assert groups == COMPILED.nms_match(dets, 0.3)


def slow_soft_nms(found, scores, threshold, sigma, min_score, method, offset) -> tuple[list[int], list[float]]:
    left, scores, kept = list(range(len(found))), list(scores), []
    while left:
        best = max(left, key=lambda i: scores[i])
        left.remove(best)
        kept.append(best)
        for i in left:
            iou = overlap(found[best], found[i], offset)
            if method == 'gaussian':
                scores[i] *= math.exp(-(iou**2) / sigma)
            elif iou >= threshold:
                scores[i] *= 0 if method == 'naive' else 1 - iou
        left = [i for i in left if scores[i] >= min_score]
    return kept, [scores[i] for i in kept]


@pytest.mark.usefixtures('way')
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('number', [0, 1, 50])
def test_soft_nms(number, offset, method):
    found, scores = boxes(number, 7)
    found[:, 2:] += 1  # some area
    dets, kept = ops.soft_nms(found, scores, 0.3, 0.5, 0.05, method, offset)
    expected, lowered = slow_soft_nms(found.tolist(), scores.tolist(), 0.3, 0.5, 0.05, method, offset)
    assert kept.tolist() == expected
    torch.testing.assert_close(dets[:, 4], torch.tensor(lowered), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(dets[:, :4], found[kept])
    if COMPILED:
        filled = torch.zeros(number, 5)
        numbers = dict(naive=0, linear=1, gaussian=2)
        theirs = COMPILED.softnms(found, scores, filled, 0.3, 0.5, 0.05, numbers[method], offset)
        assert torch.equal(theirs, kept)
        torch.testing.assert_close(filled[: len(theirs)], dets)


def bilinear(image: torch.Tensor, y: float, x: float, *, border: bool) -> torch.Tensor:
    """A sample of (C, H, W): zeros further than a pixel off; on the way there the border (RoIAlign) or fading."""
    height, width = image.shape[1:]
    if border:
        if not (-1 <= y <= height and -1 <= x <= width):
            return image.new_zeros(len(image))
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    found = image.new_zeros(len(image))
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                found += image[:, row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return found


def slow_roi_align(features, rois, size, scale, ratio, mode, aligned):
    out = features.new_zeros(len(rois), features.shape[1], *size)
    for r, (index, *corners) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (corner * scale - (0.5 if aligned else 0) for corner in corners)
        width, height = x2 - x1, y2 - y1
        if not aligned:
            width, height = max(width, 1), max(height, 1)
        grid = [
            ratio if ratio > 0 else max(1, math.ceil(side / n)) for side, n in zip((height, width), size, strict=True)
        ]
        for i in range(size[0]):
            for j in range(size[1]):
                samples = [
                    bilinear(
                        features[int(index)],
                        y1 + height / size[0] * (i + (a + 0.5) / grid[0]),
                        x1 + width / size[1] * (j + (b + 0.5) / grid[1]),
                        border=True,
                    )
                    for a in range(grid[0])
                    for b in range(grid[1])
                ]
                samples = torch.stack(samples)
                out[r, :, i, j] = samples.mean(0) if mode == 'avg' else samples.amax(0)
    return out


ROIS = torch.tensor(
    [[0, 3, 4, 30, 50], [1, -9, -9, 20, 12], [0, 40, 40, 90, 70], [1, 10.3, 7.1, 10.3, 9.9], [1, 0, 0, 63, 47]]
)


@pytest.mark.usefixtures('way')
@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align(ratio, aligned, mode, device):
    features = torch.randn(2, 3, 12, 16)
    found = ops.roi_align(features.to(device), ROIS.to(device), (3, 2), 0.25, ratio, mode, aligned).cpu()
    expected = slow_roi_align(features, ROIS, (3, 2), 0.25, ratio, mode, aligned)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    if COMPILED:
        filled, argmax = torch.zeros_like(found), torch.zeros_like(found)
        COMPILED.roi_align_forward(
            features, ROIS, filled, argmax, argmax.clone(), aligned_height=3, aligned_width=2, spatial_scale=0.25,
            sampling_ratio=ratio, pool_mode=int(mode == 'avg'), aligned=aligned,
        )  # fmt: skip
        torch.testing.assert_close(found, filled, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures('way')
@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align_trains(ratio):
    features = torch.randn(2, 2, 6, 8, dtype=torch.float64, requires_grad=True)
    rois, factor = ROIS.double(), torch.randn(5, 2, 3, 2, dtype=torch.float64)
    (found,) = torch.autograd.grad((ops.roi_align(features, rois, (3, 2), 0.125, ratio) * factor).sum(), features)
    (expected,) = torch.autograd.grad(
        (slow_roi_align(features, rois, (3, 2), 0.125, ratio, 'avg', True) * factor).sum(), features
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(NotImplementedError, match=r'pool_mode.*mmcv==2'):
        ops.roi_align(features, rois, (3, 2), 0.125, ratio, 'max').sum().backward()


@pytest.mark.usefixtures('way')
def test_roi_align_of_no_region():
    features = torch.randn(1, 3, 8, 8, requires_grad=True)
    found = ops.roi_align(features, torch.zeros(0, 5), (7, 7), 1.0, 0, 'avg', True)
    assert found.shape == (0, 3, 7, 7)
    found.sum().backward()
    assert not features.grad.any()


def slow_deform_conv(x, offset, mask, weight, stride, padding, dilation, groups, deform_groups):
    number, channels = x.shape[:2]
    outputs, _, kernel_height, kernel_width = weight.shape
    out = []
    for n in range(number):
        for o in range(outputs):
            for i in range(offset.shape[2]):
                for j in range(offset.shape[3]):
                    total = 0
                    for c in range(channels // groups):
                        channel = o // (outputs // groups) * (channels // groups) + c
                        group = channel // (channels // deform_groups)
                        for k in range(kernel_height * kernel_width):
                            point = group * kernel_height * kernel_width + k
                            y = i * stride[0] - padding[0] + k // kernel_width * dilation[0]
                            z = j * stride[1] - padding[1] + k % kernel_width * dilation[1]
                            y = y + offset[n, 2 * point, i, j].item()
                            z = z + offset[n, 2 * point + 1, i, j].item()
                            sample = bilinear(x[n, channel : channel + 1], y, z, border=False)[0]
                            total += sample * weight[o, c, k // kernel_width, k % kernel_width] * mask[n, point, i, j]
                    out.append(total)
    return torch.stack(out).view(number, outputs, *offset.shape[2:])


SETTINGS = [((1, 1), (1, 1), (1, 1), 1, 1), ((2, 1), (0, 2), (1, 2), 2, 1), ((1, 2), (2, 1), (2, 1), 1, 2)]


def deformable(setting, device='cpu', dtype=torch.float32):
    stride, padding, dilation, groups, deform_groups = setting
    size = [
        (length + 2 * padding[i] - dilation[i] * (kernel - 1) - 1) // stride[i] + 1
        for i, (length, kernel) in enumerate(((7, 3), (6, 2)))
    ]
    tensors = (
        torch.randn(2, 4, 7, 6),
        2 * torch.randn(2, deform_groups * 2 * 6, *size),
        torch.rand(2, deform_groups * 6, *size),
        torch.randn(4, 4 // groups, 3, 2),
    )
    return [tensor.to(device, dtype) for tensor in tensors]


@pytest.mark.usefixtures('way')
@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('setting', SETTINGS, ids=['plain', 'groups', 'deform groups'])
def test_deformable_convolutions(setting, device):
    x, offset, mask, weight = deformable(setting)
    there = [tensor.to(device) for tensor in (x, offset, mask, weight)]
    found = ops.deform_conv2d(there[0], there[1], there[3], *setting).cpu()
    expected = slow_deform_conv(x, offset, torch.ones_like(mask), weight, *setting)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    bias = torch.randn(4)
    found = ops.modulated_deform_conv2d(*there, bias.to(device), *setting).cpu()
    expected = slow_deform_conv(x, offset, mask, weight, *setting) + bias.view(-1, 1, 1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@needs_compiled
@pytest.mark.usefixtures('way')
@pytest.mark.parametrize('setting', SETTINGS, ids=['plain', 'groups', 'deform groups'])
def test_deformable_convolutions_and_gradients_equal_the_compiled(setting, monkeypatch):
    leaves = [tensor.requires_grad_() for tensor in [*deformable(setting), torch.randn(4)]]
    x, offset, mask, weight, bias = leaves

    def results():
        plain = ops.deform_conv2d(x, offset, weight, *setting)
        modulated = ops.modulated_deform_conv2d(x, offset, mask, weight, bias, *setting)
        total = (plain * torch.linspace(0, 1, plain.numel()).view_as(plain)).sum() + (modulated**2).sum()
        return plain, modulated, *torch.autograd.grad(total, leaves)

    ours = results()
    for name in ('deform_conv', 'modulated_deform_conv'):
        monkeypatch.setattr(importlib.import_module(f'mmcv.ops.{name}'), 'ext_module', COMPILED)
    torch.testing.assert_close(ours, results(), rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures('way')
@pytest.mark.parametrize('setting', SETTINGS, ids=['plain', 'groups', 'deform groups'])
def test_deformable_convolutions_train(setting):
    tensors = [tensor.requires_grad_() for tensor in deformable(setting, dtype=torch.float64)]
    x, offset, mask, weight = tensors
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)
    arguments = (x, offset, mask, weight, bias, *setting)
    assert torch.autograd.gradcheck(ops.modulated_deform_conv2d, arguments, fast_mode=True)
    assert torch.autograd.gradcheck(ops.deform_conv2d, (x, offset, weight, *setting), fast_mode=True)


@pytest.mark.parametrize('device', DEVICES)
def test_deformable_attention(device):
    shapes = torch.tensor([[6, 5], [3, 2]], device=device)
    leaves = [
        tensor.to(device, torch.float64).requires_grad_()
        for tensor in (torch.randn(2, 36, 2, 4), torch.rand(2, 7, 2, 2, 3, 2), torch.rand(2, 7, 2, 2, 3))
    ]
    value, locations, weights = leaves
    from mmcv.ops import multi_scale_deform_attn as upstream

    starts = torch.tensor([0, 30], device=device)
    arguments = (value, shapes, starts, locations, weights)
    found = mmcv_ops.ms_deform_attn_forward(*arguments, im2col_step=64)
    assert found.shape == (2, 7, 8)
    one = value[1, :30, 1].T.reshape(4, 6, 5), value[1, 30:, 1].T.reshape(4, 3, 2)
    expected = sum(
        weights[1, 4, 1, level, point]
        * bilinear(
            image,
            locations[1, 4, 1, level, point, 1].item() * image.shape[1] - 0.5,
            locations[1, 4, 1, level, point, 0].item() * image.shape[2] - 0.5,
            border=False,
        )
        for level, image in enumerate(one)
        for point in range(3)
    )
    torch.testing.assert_close(found[1, 4, 4:], expected)
    grad = torch.randn_like(found)
    filled = [torch.zeros_like(leaf) for leaf in leaves]
    mmcv_ops.ms_deform_attn_backward(*(x.detach() for x in arguments), grad, *filled, im2col_step=64)
    plain = upstream.multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
    torch.testing.assert_close(filled, list(torch.autograd.grad(plain, leaves, grad)))


@pytest.mark.skipif(bool(EXTENSION), reason='mmcv is compiled')
def test_other_operators_name_themselves_and_the_remedy():
    boxes = torch.tensor([[5.0, 5, 4, 4, 0.1]])
    with pytest.raises(NotImplementedError, match=r'box_iou_rotated.*MMCV_WITH_OPS=1 pip install .*mmcv==2\.1\.0'):
        ops.box_iou_rotated(boxes, boxes)
    with pytest.raises(NotImplementedError, match='roi_pool_forward'):
        ops.RoIPool(2)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5))
    assert 'not compiled' in ops.get_compiler_version()
