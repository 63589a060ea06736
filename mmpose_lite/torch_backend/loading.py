"""Weights into networks, and networks ready to run."""

from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from ..checkpoint import check_state_dict, load_from_local
from ..fold import fold


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


def prepare_for_inference(model: nn.Module, device: str | torch.device) -> torch.memory_format:
    """Put a network on its device, as fast as it gets there, and return the memory format that it likes best."""
    try:
        torch.device(device)
    except RuntimeError as error:
        raise ValueError(f'device {device} is unknown: use cpu, cuda or cuda:1') from error
    if torch.device(device).type == 'cuda' and not torch.cuda.is_available():
        raise ValueError(f'device {device}: torch sees no GPU here; use cpu, or install a torch for CUDA')
    fold(model.eval())
    # on a CPU, depthwise convolutions above all are faster so
    layout = torch.channels_last if torch.device(device).type == 'cpu' else torch.contiguous_format
    model.to(device, memory_format=layout)
    return layout
