"""Patches that make MMEngine's ways to train work: in several processes, in mixed precision, compiled."""

import functools
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.dist import utils as dist_utils
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner
from torch import distributed, nn


class CPUAmpOptimWrapper(AmpOptimWrapper):
    """MMEngine's ``AmpOptimWrapper``, which insists on a GPU, for a CPU.

    Args:
        loss_scale: ``'dynamic'``, a fixed factor, or the arguments of :class:`torch.amp.GradScaler`.
        dtype: ``'bfloat16'`` (the default on a CPU) or ``'float16'``.
        **options: Of ``OptimWrapper``.
    """

    def __init__(self, loss_scale: str | float | dict = 'dynamic', dtype: str | torch.dtype | None = None, **options):
        OptimWrapper.__init__(self, **options)
        dtype = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype or torch.bfloat16
        if dtype not in (torch.bfloat16, torch.float16):
            raise ValueError('optim_wrapper.dtype of mixed precision must be bfloat16 or float16')
        self.cast_dtype = dtype
        self._scale_update_param = loss_scale if isinstance(loss_scale, float) else None
        scale = dict(init_scale=loss_scale) if isinstance(loss_scale, float) else {}
        self.loss_scaler = torch.amp.GradScaler('cpu', **(loss_scale if isinstance(loss_scale, dict) else scale))

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Cast in the forward pass."""
        with OptimWrapper.optim_context(self, model), torch.autocast('cpu', self.cast_dtype):
            yield


def _init_process_group(backend: str, init_backend: str = 'torch', **options) -> None:
    distributed.init_process_group('gloo' if backend == 'nccl' else backend, **options)


def train_on_cpus() -> bool:
    """Let ``--launcher pytorch`` and ``--amp`` work on a machine without a GPU; says whether this is one."""
    if torch.cuda.is_available():
        return False
    dist_utils._init_dist_pytorch = _init_process_group  # which would select a GPU

    init = MMDistributedDataParallel.__init__

    @functools.wraps(init)
    def without_device_ids(self, module: nn.Module, **options) -> None:
        init(self, module, **{**options, 'device_ids': None})  # torch takes none for a module on a CPU

    MMDistributedDataParallel.__init__ = without_device_ids
    if hasattr(torch.amp, 'GradScaler'):  # torch 2.3
        OPTIM_WRAPPERS.register_module('AmpOptimWrapper', force=True, module=CPUAmpOptimWrapper)
    return True


def convert_bfloat16_to_numpy() -> bool:
    """Let MMPose's heads turn bfloat16 into arrays, which numpy cannot: they do so in training for the accuracy."""
    importlib.import_module('mmpose.models')  # which use it
    from mmpose.utils import tensor_utils

    to_numpy = tensor_utils.to_numpy
    try:
        to_numpy(torch.zeros(1, dtype=torch.bfloat16))
        return False
    except TypeError:
        pass

    def widen(x):
        if isinstance(x, (list, tuple)):
            return type(x)(map(widen, x))
        return x.float() if isinstance(x, torch.Tensor) and x.dtype == torch.bfloat16 else x

    @functools.wraps(to_numpy)
    def wrapper(x, *args, **kwargs):
        return to_numpy(widen(x), *args, **kwargs)

    for name, module in list(sys.modules.items()):  # most have their own reference to it
        if name.startswith('mmpose.') and getattr(module, 'to_numpy', None) is to_numpy:
            module.to_numpy = wrapper
    return True


def compile_networks() -> bool:
    """Make ``compile=True`` (or the arguments of :func:`torch.compile`) compile the network and nothing around it."""
    if not hasattr(torch.nn.Module, 'compile'):
        return False

    def compile_parts(self, target: str) -> None:
        options = self.cfg.get('compile')
        if not options:
            return
        options = {} if options is True else dict(options)
        model = getattr(self.model, 'module', self.model)
        for name in ('backbone', 'neck'):
            part = getattr(model, name, None)
            if part is not None and part._compiled_call_impl is None:
                part.compile(**options)
        head = getattr(model, 'head', None)
        if head is not None and 'forward' not in vars(head):  # heads call it by name
            head.forward = torch.compile(head.forward, **options)

    Runner._maybe_compile = compile_parts
    return True
