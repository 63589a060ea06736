"""Weights into networks."""

from pathlib import Path

from torch import nn

from ..checkpoint import check_state_dict, load_from_local


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
