"""Reading checkpoints without running what is in them, and refusing those of another network."""

from . import _plugin  # noqa: F401

# isort: split
import json
import pickle
import re
from _codecs import encode
from collections import OrderedDict
from pathlib import Path
from pickle import UnpicklingError
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop
from safetensors import SafetensorError, safe_open
from torch import nn

from .errors import CheckpointError
from .files import check_content, sha256

TORCH_VERSION = tuple(int(part) for part in torch.__version__.split('.')[:2])


def _history_buffer_method(owner: object, name: str):
    """Stand in for ``getattr`` in MMEngine's checkpoints, whose HistoryBuffers pickle their statistics by name."""
    if (owner is HistoryBuffer or isinstance(owner, HistoryBuffer)) and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    raise UnpicklingError(f'getattr({owner!r}, {name!r})')


def _safe_globals() -> list:
    """What MMEngine's training checkpoints hold besides tensors and plain types."""
    # asked for what rebuilds them, since numpy 2 renamed numpy.core; files of either numpy load with either
    array, scalar = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    rebuilders = [
        (function, f'numpy.{module}.multiarray.{name}')
        for module in ('core', '_core')
        for function, name in ((array, '_reconstruct'), (scalar, 'scalar'))
    ]
    return [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in '?' + np.typecodes['AllInteger'] + np.typecodes['AllFloat']},
        *rebuilders,
        (_history_buffer_method, 'builtins.getattr'),
    ]


class _RestrictedUnpickler(pickle.Unpickler):
    """Finds nothing but tensors and :func:`_safe_globals`: for a torch whose safe loader does not take the latter."""

    tensors = {
        f'{item.__module__}.{item.__name__}': item
        for item in (OrderedDict, encode, torch.Size, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter)
    }

    def find_class(self, module: str, name: str):
        """Look a global up."""
        module = module.replace('__builtin__', 'builtins')  # its name in protocol 2
        allowed = dict(self.tensors)
        for item in _safe_globals():
            item, key = item if isinstance(item, tuple) else (item, f'{item.__module__}.{item.__name__}')
            allowed[key] = item
        if f'{module}.{name}' in allowed:
            return allowed[f'{module}.{name}']
        raise UnpicklingError(f'Unsupported global: GLOBAL {module}.{name} was not allowed')


def _unpickle(path: Path, map_location: str | torch.device | None) -> dict:
    if TORCH_VERSION >= (2, 6):
        with torch.serialization.safe_globals(_safe_globals()):
            return torch.load(path, map_location=map_location, weights_only=True)
    restricted = SimpleNamespace(
        __name__='restricted_pickle',
        Unpickler=_RestrictedUnpickler,
        load=lambda file, **options: _RestrictedUnpickler(file, **options).load(),
    )
    return torch.load(path, map_location=map_location, pickle_module=restricted, weights_only=False)


def split_hash(filename: str) -> tuple[str, str | None]:
    """Take ``FILE#sha256=HASH`` apart; HASH is the first 8 or more digits, None where there is none."""
    match = re.fullmatch(r'(.+)#sha256=([0-9a-fA-F]{8,64})', filename)
    return (match[1], match[2].lower()) if match else (filename, None)


def published_hash(name: str) -> str | None:
    """The first 8 digits of the hash of published weights, by their file name ``NAME-<8 digits>.EXT``."""
    match = re.search(r'-([0-9a-f]{8})\.\w+$', name)
    return match[1] if match else None


def _verify(path: Path, expected: str) -> None:
    actual = sha256(path)
    if not actual.startswith(expected):
        raise CheckpointError(
            f'checkpoint {path} has the sha256 {actual}, not {expected}: it is damaged or another file, get it again'
        )


def _parse_meta(text: str) -> dict:
    """Metadata of a safetensors file."""
    meta = json.loads(text)
    names = meta.get('dataset_meta', {}).get('keypoint_id2name')
    if names:  # the keys of JSON are strings
        meta['dataset_meta']['keypoint_id2name'] = {int(index): name for index, name in names.items()}
    return meta


def load_from_local(filename: str, map_location: str | torch.device | None = None) -> dict:
    """Load a checkpoint file with torch's safe loader or safetensors; nothing in the file is executed.

    Args:
        filename: A ``.pth`` file of MMEngine (training state included) or a ``.safetensors`` file, whose metadata
            entry ``meta`` (JSON) becomes the checkpoint's ``meta``. With ``#sha256=HASH`` behind it, the file must have
            that hash; so must a ``.safetensors`` file whose name ends in ``-<8 digits of its hash>``.
        map_location: As in :func:`torch.load`.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file is truncated or no checkpoint, has another hash than it should, or would run code
            when unpickled.
    """
    filename, expected = split_hash(filename)
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {filename} does not exist: check the path')
    try:
        check_content(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if expected is None and path.suffix == '.safetensors':  # MMEngine names .pth files by the hash of something else
        expected = published_hash(path.name)
    if expected:
        _verify(path, expected)
    if path.suffix == '.safetensors':
        device = str(map_location) if map_location is not None else 'cpu'
        try:
            with safe_open(path, framework='pt', device=device) as file:
                metadata = file.metadata() or {}
                state_dict = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise CheckpointError(f'checkpoint {filename} is damaged ({error}): copy or download it again') from error
        # tensors that layers share are stored once, the other names in the metadata
        state_dict.update({alias: state_dict[name] for alias, name in metadata.items() if name in state_dict})
        return dict(state_dict=state_dict, meta=_parse_meta(metadata.get('meta', '{}')))
    try:
        return _unpickle(path, map_location)
    except UnpicklingError as error:
        culprit = str(error).partition('Unsupported global: GLOBAL ')[2].partition(' was not')[0]
        if culprit or 'getattr(' in str(error) or 'reduce' in str(error) or 'whose module' in str(error):
            culprit = culprit or str(error).splitlines()[-1]
            raise CheckpointError(
                f'checkpoint {filename} refused: unpickling it would run code ({culprit}). If you trust its author, '
                'load it where it was made and save its state_dict alone'
            ) from error
        raise CheckpointError(f'{filename} is not a checkpoint or is damaged: copy or download it again') from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        # torch reports a truncated zip archive as a RuntimeError of its C++ reader
        raise CheckpointError(
            f'checkpoint {filename} is truncated or damaged: take an earlier one, or copy or download it again'
        ) from error


def check_state_dict(model: nn.Module, state_dict: dict, filename: str, prefixes: tuple[str, ...] = ('',)) -> None:
    """Raise unless the state dict has every entry of the model, in the same shape.

    Args:
        model: The network that the checkpoint is for.
        state_dict: The checkpoint's weights.
        filename: Its file, for the message.
        prefixes: Only look at entries that start with one of these.

    Raises:
        CheckpointError: Names the file, the first entries that differ and the remedy.
    """
    state_dict = {name.removeprefix('module.'): value for name, value in state_dict.items()}
    problems = []
    for name, value in model.state_dict().items():
        if not name.startswith(prefixes) or name.endswith('num_batches_tracked') or 'data_preprocessor' in name:
            continue
        if name not in state_dict:
            problems.append(f'{name} is missing')
        elif state_dict[name].shape != value.shape:
            problems.append(f'{name} is {tuple(state_dict[name].shape)}, not {tuple(value.shape)}')
    if problems:
        shown = '; '.join(problems[:3]) + (f'; and {len(problems) - 3} more' if len(problems) > 3 else '')
        raise CheckpointError(
            f'checkpoint {filename} is not of this network, or of another input size or keypoint set: {shown}. '
            'Use the config that the checkpoint was trained with'
        )


@HOOKS.register_module()
class CheckpointGuardHook(Hook):
    """Stop when a checkpoint does not fit the network, where MMEngine only warns and goes on with random weights.

    For a test or a resumed run every entry must fit; when a run merely starts from weights (``load_from``), the head
    may differ, as it does in fine-tuning for other keypoints.
    """

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check the weights before MMEngine loads them."""
        if runner._resume and not {'epoch', 'iter'} <= checkpoint.get('meta', {}).keys():
            raise CheckpointError(
                f'{runner._load_from} holds weights alone, no training to resume. For one that starts from them write '
                'load_from into its config file: beside --resume, --cfg-options load_from names what is resumed'
            )
        model = getattr(runner.model, 'module', runner.model)
        fine_tuning = isinstance(runner._train_loop, BaseLoop) and not runner._resume  # a test leaves it unbuilt
        prefixes = ('backbone.', 'neck.') if fine_tuning else ('',)
        check_state_dict(model, checkpoint.get('state_dict', checkpoint), runner._load_from or '', prefixes)
