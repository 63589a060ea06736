"""glibc's malloc for training on a CPU.

It maps blocks above a threshold, 32 MB at most, from the system and unmaps them when they are freed. So the large
tensors of every training step are mapped and cleared anew.
"""

import ctypes
import functools
import os
import platform

import torch
from mmengine.runner import Runner

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_memory() -> bool:
    """Make malloc keep what is freed for the next step; says whether it does now.

    Another C library is left alone, and so is one whose thresholds are set by the user (``MALLOC_..._``,
    ``GLIBC_TUNABLES``).
    """
    chosen = any(name.startswith('MALLOC_') or name == 'GLIBC_TUNABLES' for name in os.environ)
    if chosen or platform.libc_ver()[0] != 'glibc':
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # older ones take 32 MB at most; -1: never trimmed
    mapped = mallopt(M_MMAP_THRESHOLD, 2**31 - 1) or mallopt(M_MMAP_THRESHOLD, 2**25)
    return bool(mapped and mallopt(M_TRIM_THRESHOLD, -1))


def keep_memory_in_training() -> bool:
    """Call :func:`keep_memory` when a training on a CPU starts, unless the config has ``keep_memory=False``."""
    if torch.cuda.is_available() or platform.libc_ver()[0] != 'glibc':
        return False
    train = Runner.train

    @functools.wraps(train)
    def wrapper(self, *args, **kwargs):
        if self.cfg.get('keep_memory', True):
            keep_memory()
        return train(self, *args, **kwargs)

    Runner.train = wrapper
    return True
