"""LGM-Pose weights for another input size.

LARM's first MLP has one weight per patch position, so a checkpoint belongs to the input size it was trained at. Patch
positions form a grid, though, and what was learned at one place of it holds, nearly, at the same place of a finer or
coarser grid: ``resize_state_dict`` resamples the weights over the grid. The result is a start for training at the new
size (``load_from``), not a substitute for it.
"""

import math
import os
import re
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ..checkpoint import CheckpointError, load_from_local
from .lgm_pose import PATCH

Size = tuple[int, int]  # height, width in pixels
STRIDES = {2: 8, 3: 16}  # of the stages of LGMPose that hold a LARM
_LARM = re.compile(r'(?:^|\.)stages\.([23])\.\d\.global_rep\.between_(norm\.\w+|fc1\.weight|fc2\.\w+)$')


def _grid(size: Size, stride: int) -> Size:
    """Rows and columns of patches of a stage."""
    return size[0] // stride // PATCH, size[1] // stride // PATCH


def _resample(positions: Tensor, old: Size, new: Size) -> Tensor:
    """Bicubic resampling of (M, N_old), N row-major over the patches, to (M, N_new)."""
    maps = positions.double().unflatten(1, old).unsqueeze(1)
    maps = F.interpolate(maps, size=new, mode='bicubic', antialias=True, align_corners=False)
    return maps.flatten(1).to(positions.dtype)


def resize_state_dict(state_dict: dict[str, Tensor], from_size: Size, to_size: Size) -> dict[str, Tensor]:
    """Resample the LARM weights of an LGM-Pose from one input size to another; all other entries are kept.

    With N patches, ``between_norm`` (weight and bias: N), ``between_fc2`` (weight: h x N turned, bias: N) and
    ``between_fc1`` (weight: h x N) are taken as maps over the patches and resampled bicubically. ``between_fc1`` sums
    over the patches, so its weights are scaled by ``N_old / N_new`` as well. A ``between_norm`` over the channels is
    kept.

    Args:
        state_dict: Weights of a pose estimator with an LGM-Pose backbone, or of the backbone.
        from_size: Height and width of the input that the weights belong to.
        to_size: Height and width wanted, multiples of 32.

    Raises:
        ValueError: If a size is no multiple of 32, the weights hold no LARM, or belong to another size.
    """
    for name, size in (('from_size', from_size), ('to_size', to_size)):
        if min(size) <= 0 or size[0] % 32 or size[1] % 32:
            raise ValueError(f'{name}={tuple(size)} (height, width) must be multiples of 32')
    resized, found = dict(state_dict), False
    for key, value in state_dict.items():
        match = _LARM.search(key)
        if match is None:
            continue
        found = True
        stride, kind = STRIDES[int(match[1])], match[2]
        within = state_dict.get(f'{key[: match.start(2)].removesuffix("between_")}within_norm.weight')
        if kind.startswith('norm') and within is not None and len(within) != PATCH**2:
            continue  # norm_axis='channels'
        old, new = _grid(from_size, stride), _grid(to_size, stride)
        patches = value.shape[1] if kind == 'fc1.weight' else value.shape[0]
        if patches != math.prod(old):
            raise ValueError(
                f'{key} belongs to {patches} patches, but an input of {tuple(from_size)} (height, width) has '
                f'{math.prod(old)} at stride {stride}: name the size that the weights were trained at'
            )
        if old == new:
            continue
        if kind == 'fc1.weight':
            resized[key] = _resample(value, old, new) * (math.prod(old) / math.prod(new))
        elif kind == 'fc2.weight':
            resized[key] = _resample(value.T, old, new).T.contiguous()
        else:
            resized[key] = _resample(value[None], old, new)[0]
    if not found:
        raise ValueError(
            'there is no LARM among the weights: only LGM-Pose with MobileViM blocks belongs to an input size, '
            'weights of other networks are used as they are'
        )
    return resized


def _recorded_size(meta: dict) -> Size | None:
    """The input size that a checkpoint names: ours, or in the text (which is not executed) of MMEngine's config."""
    if 'img_size' in meta:
        return tuple(meta['img_size'])
    match = re.search(r'img_size=[(\[]\s*(\d+),\s*(\d+),?\s*[)\]]', str(meta.get('cfg', '')))
    return (int(match[1]), int(match[2])) if match else None


def resize_checkpoint(filename: str | Path, to_size: Size, out: str | Path, from_size: Size | None = None) -> Size:
    """Convert a checkpoint of LGM-Pose to another input size; the training state is dropped.

    The file is written beside ``out`` and renamed, so ``out`` is never half a checkpoint.

    Args:
        filename: A checkpoint of MMEngine, or ``.safetensors``.
        to_size: Height and width wanted.
        out: The ``.pth`` file to write.
        from_size: Height and width that the weights belong to; by default the size that the checkpoint names.

    Returns:
        The size that the weights belonged to.

    Raises:
        CheckpointError: Names the file if it is damaged, or none of an LGM-Pose of ``from_size``.
        ValueError: If ``out`` is the checkpoint itself or no ``.pth`` file.
    """
    out = Path(out)
    if out.suffix != '.pth':
        raise ValueError(f'{out} must end in .pth')
    if out.exists() and out.samefile(filename):
        raise ValueError(f'{out} is the checkpoint itself: write to another file')
    checkpoint = load_from_local(str(filename), map_location='cpu')
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'{filename} holds a {type(checkpoint).__name__}, not the weights of a network')
    meta = checkpoint.get('meta', {})
    recorded = _recorded_size(meta)
    if from_size is None and recorded is None:
        raise CheckpointError(f'checkpoint {filename} does not name its input size: give --from-size HEIGHT WIDTH')
    from_size = tuple(from_size or recorded)
    if recorded not in (None, from_size):
        raise CheckpointError(
            f'checkpoint {filename} was trained at {recorded} (height, width), not {from_size}: leave out --from-size'
        )
    try:
        state_dict = resize_state_dict(checkpoint.get('state_dict', checkpoint), from_size, to_size)
    except ValueError as error:
        raise CheckpointError(f'checkpoint {filename}: {error}') from error

    kept = {name: meta[name] for name in ('dataset_meta',) if name in meta}
    part = out.with_name(f'{out.name}.part')
    try:
        torch.save(dict(meta=dict(kept, img_size=tuple(to_size)), state_dict=state_dict), part)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return from_size
