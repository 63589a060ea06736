"""Networks for inference only: the same function with less work.

Two steps, both exact up to rounding:

1. Batch norms go into the (transposed) convolutions that they surely follow, in any network: in ConvModules, in
   Sequentials, and in those blocks of MMPose's ResNet, HRNet and HRFormer that keep both as attributes.
2. Blocks of the networks of this package are exchanged for their forms in :mod:`mmpose_lite.fold.blocks`.
"""

import itertools
from collections.abc import Callable, Iterator

from mmcv.cnn import ConvModule
from mmcv.cnn.bricks import wrappers
from mmengine.model import Sequential
from mmpose.models.backbones import hrformer, hrnet, resnet, seresnet
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .blocks import greit_hrnet, hevitpose, lgm_pose, wgnet

# blocks of MMPose that run conv1, norm1, conv2, norm2 ... as they are numbered, and nothing between conv and norm
NUMBERED = (
    resnet.BasicBlock,
    resnet.Bottleneck,
    resnet.ResNet,
    resnet.ResNetV1d,
    seresnet.SEBottleneck,
    seresnet.SEResNet,
    hrnet.HRNet,
    hrformer.HRFormer,
)
# mmcv's wrappers differ from torch's classes on empty inputs only
CONVS = (nn.Conv2d, wrappers.Conv2d)
TRANSPOSED_CONVS = (nn.ConvTranspose2d, wrappers.ConvTranspose2d)
FORMS: dict[type, Callable[[nn.Module], nn.Module]] = {
    **lgm_pose.FORMS,
    **hevitpose.FORMS,
    **greit_hrnet.FORMS,
    **wgnet.FORMS,
}


def _conv_norm_pairs(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of children of which the second takes the output of the first and nobody else does."""
    if type(module) is ConvModule:
        if module.with_norm and tuple(module.order[:2]) == ('conv', 'norm') and not module.with_spectral_norm:
            yield 'conv', module.norm_name
    elif type(module) in (nn.Sequential, Sequential):
        yield from itertools.pairwise(module._modules)
    elif type(module) in NUMBERED:
        for number in itertools.takewhile(lambda i: hasattr(module, f'conv{i}'), itertools.count(1)):
            yield f'conv{number}', getattr(module, f'norm{number}_name')
    elif type(module) is hrformer.CrossFFN:
        yield from (('fc1', 'norm1'), ('dw3x3', 'norm2'), ('fc2', 'norm3'))


def fuse_batch_norms(model: nn.Module) -> int:
    """Take batch norms into the convolutions that they surely follow.

    Args:
        model: In eval mode. It can no longer be trained, nor take a checkpoint.

    Returns:
        How many were fused.
    """
    pairs = [(module, *names) for module in model.modules() for names in _conv_norm_pairs(module)]
    fused = 0
    for parent, conv_name, norm_name in pairs:
        conv, norm = parent._modules[conv_name], parent._modules[norm_name]
        if not isinstance(norm, _BatchNorm) or not norm.track_running_stats:
            continue
        transposed = type(conv) in TRANSPOSED_CONVS and conv.groups == 1
        if type(conv) in CONVS or transposed:
            parent._modules[conv_name] = fuse_conv_bn_eval(conv, norm, transpose=transposed)
            parent._modules[norm_name] = nn.Identity()
            fused += 1
    return fused


def exchange_blocks(model: nn.Module) -> nn.Module:
    """Bring this package's blocks into their inference forms.

    Args:
        model: In eval mode, its batch norms fused.

    Returns:
        The model, or the form of it if it is itself such a block.
    """
    for name, child in model.named_children():
        model._modules[name] = exchange_blocks(child)
    # a form takes a block apart: afterwards there is nothing to exchange inside
    return FORMS[type(model)](model).eval() if type(model) in FORMS else model


def fold(model: nn.Module) -> nn.Module:
    """Fold, in place, all that folds exactly.

    Args:
        model: In eval mode. It can no longer be trained, nor take a checkpoint.

    Returns:
        The same model; a single block of this package may be another module afterwards.

    Raises:
        ValueError: If the model, or a part of it, is in training mode.
    """
    training = next((name for name, module in model.named_modules() if module.training), None)
    if training is not None:
        raise ValueError(f'fold: {training or "the model"} is in training mode, call model.eval() before folding')
    fuse_batch_norms(model)
    return exchange_blocks(model)
