"""Weights for others: without the training state, in a file that cannot run code, with a hash to know it by."""

from .. import _plugin  # noqa: F401

# isort: split
import hashlib
import json
import re
from pathlib import Path

import mmengine
import mmpose
import numpy as np
import safetensors.torch
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..checkpoint import CheckpointError, check_state_dict, load_from_local
from ..files import atomic_write, sha256
from ..version import __version__

_STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')  # buffers, of batch normalization


def _plain(value):
    """What JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in (sorted(value) if isinstance(value, set) else value)]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _check_against(config: str | Path, state_dict: dict, checkpoint: str) -> None:
    from mmpose.registry import MODELS

    if not Path(config).is_file():
        raise FileNotFoundError(f'config {config} does not exist: check the path')
    content = Config.fromfile(config)
    init_default_scope(content.get('default_scope', 'mmpose'))
    check_state_dict(MODELS.build(content.model), state_dict, checkpoint)


def _metadata(content: dict, state_dict: dict[str, torch.Tensor], checkpoint: Path, config: str | None) -> dict:
    """What a reader of the file should know of it."""
    meta = content.get('meta', {})
    source = re.sub(r'_\d{8}_\d{6}$', '', meta.get('experiment_name', ''))  # MMEngine adds the time
    size = re.search(r'input_size=[(\[]\s*(\d+),\s*(\d+)', str(meta.get('cfg', '')))
    weights = [v.numel() for k, v in state_dict.items() if v.is_floating_point() and not k.endswith(_STATISTICS)]
    known = dict(
        config=Path(config).stem if config else source or None,
        img_size=meta.get('img_size') or ([int(size[2]), int(size[1])] if size else None),  # height, width
        dataset_meta=_plain(meta.get('dataset_meta')),
        epoch=meta.get('epoch'),
        iter=meta.get('iter'),
        parameters=sum(weights),
        source_sha256=sha256(checkpoint),
        versions=dict(mmpose_lite=__version__, mmpose=mmpose.__version__, mmengine=mmengine.__version__),
    )
    return {key: value for key, value in known.items() if value is not None}


def publish(
    checkpoint: str | Path, out: str | Path, config: str | Path | None = None, half: bool = False
) -> tuple[Path, str, dict]:
    """Write the weights of a checkpoint as safetensors, the training state left out.

    Where MMEngine's EMAHook took part in the training, these are the averaged weights: it stores them in the place of
    the network's own. The same checkpoint always gives the same file.

    Args:
        checkpoint: A checkpoint of MMEngine, or a ``.safetensors`` file.
        out: The ``.safetensors`` file to write, or an existing folder, for ``<config>-<8 digits of the hash>``.
        config: Check that the weights are those of this config's network, and name the file after it; by default it is
            named after the config that the checkpoint was trained with.
        half: Store float16.

    Returns:
        The file, its sha256, and the metadata in it.

    Raises:
        CheckpointError: If the checkpoint cannot be used, or is not of this config's network.
        ValueError: If ``out`` is the checkpoint itself or neither a folder nor called ``.safetensors``.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    if not out.is_dir() and out.suffix != '.safetensors':
        raise ValueError(f'{out} is neither an existing folder nor a name that ends in .safetensors')
    if out.is_file() and checkpoint.is_file() and out.samefile(checkpoint):
        raise ValueError(f'{out} is the checkpoint itself: write to another file')
    content = load_from_local(str(checkpoint), map_location='cpu')
    state_dict = content.get('state_dict', content) if isinstance(content, dict) else None
    if not state_dict or not all(isinstance(value, torch.Tensor) for value in state_dict.values()):
        raise CheckpointError(f'{checkpoint} does not hold the weights of a network')
    # a copy each, as safetensors takes no tensors that share their memory
    state_dict = {name.removeprefix('module.'): value.clone().contiguous() for name, value in state_dict.items()}
    if config is not None:
        _check_against(config, state_dict, str(checkpoint))
    meta = _metadata(content if state_dict is not content else {}, state_dict, checkpoint, config)
    if half:
        state_dict = {k: v.half() if v.is_floating_point() else v for k, v in state_dict.items()}
    # one entry: safetensors stores several in any order, and the hash would change
    data = safetensors.torch.save(state_dict, dict(meta=json.dumps(meta, sort_keys=True)))
    digest = hashlib.sha256(data).hexdigest()
    if out.is_dir():
        out = out / f'{meta.get("config", checkpoint.stem)}-{digest[:8]}.safetensors'
    atomic_write(out, data)
    return out, digest, meta
