"""Parameters and FLOPs of a network, by the counters that papers of this field used.

One multiply-accumulate is one FLOP for every counter. They differ in what they see, so a number without the name of
its counter means little:

========== =========================================================================================================
mmcv       hooks on modules, as ``get_model_complexity_info`` of mmcv 1.x: convolutions and linear layers (with the
           convolutions' bias additions; transposed convolutions at input positions), 2 per element of a norm layer,
           1 per element of a ReLU, pooling or nn.Upsample. Blind to functional calls: matrix products, attention
torchstat  hooks on modules, as the package torchstat, which Lite-HRNet and its descendants used: convolutions and
           linear layers, 2 per element of a batch norm, 1 per element of a ReLU, bins of an adaptive pooling; a
           module that is called twice counts once. Papers then print M = 2 ** 20
mmengine   ``mmengine.analysis``: traced operators, norms included, fused attention not included
traced     the same with the two products of fused attention
macs       convolutions, transposed convolutions (at input positions), linear layers and all matrix products, those
           of attention included (``torch.utils.flop_counter``)
========== =========================================================================================================
"""

import math
from collections.abc import Callable

import torch
from mmengine.analysis import FlopAnalyzer
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils.flop_counter import FlopCounterMode

COUNTERS = ('mmcv', 'torchstat', 'mmengine', 'traced', 'macs')


class _Tensors(nn.Module):
    """A pose estimator (or any other module) as a plain function of the image batch."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor):
        # MMPose's estimators take data samples too, and a mode
        return getattr(self.model, '_forward', self.model)(inputs)


def count_parameters(model: nn.Module) -> int:
    """Number of parameters, frozen ones included and buffers (batch norm statistics) not."""
    return sum(p.numel() for p in model.parameters())


@torch.no_grad()
def count(model: nn.Module, input_shape: tuple[int, int, int], counter: str = 'mmengine') -> int:
    """FLOPs (multiply-accumulates) of one forward pass of one image.

    Args:
        model: A pose estimator or any module that maps a batch of images; it is put in evaluation mode meanwhile.
        input_shape: (channels, height, width).
        counter: One of ``COUNTERS``.

    Raises:
        ValueError: For an unknown counter.
    """
    if counter not in COUNTERS:
        raise ValueError(f'counter={counter!r} must be one of {COUNTERS}')
    was_training = model.training
    model.eval()
    try:
        image = torch.zeros(1, *input_shape, device=next(model.parameters()).device)
        if counter in ('mmengine', 'traced'):
            analyzer = FlopAnalyzer(_Tensors(model), (image,))
            if counter == 'traced':
                analyzer.set_op_handle('aten::scaled_dot_product_attention', _attention_macs)
            return int(analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())
        if counter == 'macs':
            # the math backend spells attention out as the two products it consists of
            with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as mode:
                _Tensors(model)(image)
            return mode.get_total_flops() // 2
        return _count_modules(model, image, _mmcv_rule if counter == 'mmcv' else _torchstat_rule, counter == 'mmcv')
    finally:
        model.train(was_training)


def _attention_macs(inputs: list, outputs: list) -> int:
    """Of ``q @ k.T`` and of the weights with v, from the jit's values for q (..., N, c), k (..., M, c) and v."""
    q, k = (value.type().sizes() for value in inputs[:2])
    return 2 * math.prod(q) * k[-2]


def _count_modules(
    model: nn.Module, image: Tensor, rule: Callable[[nn.Module, Tensor, Tensor], int], every_call: bool
) -> int:
    """Sum ``rule(module, input, output)`` over the leaf modules, for every call or only for the last of each."""
    flops: dict[nn.Module, int] = {}

    def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        previous = flops.get(module, 0) if every_call else 0
        flops[module] = previous + rule(module, inputs[0], output)

    handles = [m.register_forward_hook(hook) for m in model.modules() if not any(m.children())]
    try:
        _Tensors(model)(image)
    finally:
        for handle in handles:
            handle.remove()
    return sum(flops.values())


def _conv_macs(module: _ConvNd, x: Tensor, y: Tensor) -> int:
    positions = x if isinstance(module, _ConvTransposeNd) else y
    macs = module.weight.numel() * positions[0, 0].numel() * len(x)
    return macs + (y.numel() if module.bias is not None else 0)


def _mmcv_rule(module: nn.Module, x: Tensor, y: Tensor) -> int:
    if isinstance(module, _ConvNd):
        return _conv_macs(module, x, y)
    if isinstance(module, nn.Linear):
        return x.numel() * module.out_features
    if isinstance(module, (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)):
        affine = getattr(module, 'affine', False) or getattr(module, 'elementwise_affine', False)
        return x.numel() * (2 if affine else 1)
    if isinstance(module, (nn.ReLU, nn.PReLU, nn.ELU, nn.LeakyReLU, nn.ReLU6, nn.Upsample)):
        return y.numel()
    if isinstance(module, (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d)):
        return x.numel()
    return 0


def _torchstat_rule(module: nn.Module, x: Tensor, y: Tensor) -> int:
    if isinstance(module, _ConvNd):
        return _conv_macs(module, x, y)
    if isinstance(module, nn.Linear):
        return x.numel() * module.out_features
    if isinstance(module, _BatchNorm):
        return x.numel() * (2 if module.affine else 1)
    if isinstance(module, (nn.ReLU, nn.PReLU, nn.ELU, nn.LeakyReLU, nn.ReLU6, nn.AdaptiveAvgPool2d)):
        return y.numel()
    return 0
