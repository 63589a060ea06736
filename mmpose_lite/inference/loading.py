"""Weights into networks, and networks ready to run."""

import itertools
from pathlib import Path

import torch
from mmcv.cnn import ConvModule
from mmengine.config import Config
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..checkpoint import check_state_dict, load_from_local


def read_config(path: str | Path) -> Config:
    """Read a config file.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'config {path} does not exist: check the path')
    return Config.fromfile(path)


def load_weights(model: nn.Module, checkpoint: str | Path) -> dict:
    """Load a checkpoint's weights, all of them or none, and return its ``meta``.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the weights are damaged or not of this network.
    """
    content = load_from_local(str(checkpoint), map_location='cpu')
    state_dict = content.get('state_dict', content)
    check_state_dict(model, state_dict, str(checkpoint))
    state_dict = {name.removeprefix('module.'): value for name, value in state_dict.items()}
    model.load_state_dict(state_dict, strict=False)  # a checkpoint may hold more, such as an averaged copy
    return content.get('meta') or {}


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


def make_ready(model: nn.Module, device: str | torch.device) -> torch.memory_format:
    """Put a network on its device, as fast as it gets there, and return the memory format that it likes best."""
    if torch.device(device).type == 'cuda' and not torch.cuda.is_available():
        raise ValueError(f'--device {device}: torch sees no GPU here; use cpu, or install a torch for CUDA')
    fuse_batch_norms(model.eval())
    # on a CPU, depthwise convolutions above all are faster so
    layout = torch.channels_last if torch.device(device).type == 'cpu' else torch.contiguous_format
    model.to(device, memory_format=layout)
    return layout
