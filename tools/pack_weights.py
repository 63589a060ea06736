"""Turn a checkpoint of MMEngine into a small safetensors file: weights alone, in float16, with the data set's meta.

python tools/pack_weights.py work_dirs/NAME/epoch_12.pth mmpose_lite/weights/NAME.safetensors
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from mmpose_lite.checkpoint import load_from_local


def pack(checkpoint: Path, out: Path) -> None:
    loaded = load_from_local(str(checkpoint), map_location='cpu')
    weights, aliases, names = {}, {}, {}
    for name, value in loaded['state_dict'].items():
        # layers that share a tensor: written once, the other names in the metadata, as safetensors does it
        first = names.setdefault((value.data_ptr(), value.shape), name) if value.numel() > 1 else name
        if first != name:
            aliases[name] = first
        else:
            weights[name] = value.half().contiguous() if value.is_floating_point() else value.contiguous()
    meta = {key: loaded['meta'][key] for key in ('dataset_meta', 'epoch', 'experiment_name') if key in loaded['meta']}
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + '.partial')
    save_file(weights, partial, metadata=dict(aliases, meta=json.dumps(meta, default=_plain)))
    partial.rename(out)
    parameters = sum(v.numel() for v in weights.values() if v.is_floating_point())
    print(f'{out}: {parameters / 1e6:.2f} M values, {out.stat().st_size / 1e6:.2f} MB')


def _plain(value: object) -> object:
    """Arrays and tensors of the data set's meta as lists."""
    if isinstance(value, torch.Tensor) or hasattr(value, 'tolist'):
        return value.tolist()
    raise TypeError(f'{type(value).__name__} cannot be written as JSON')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('out', type=Path)
    pack(**vars(parser.parse_args()))
