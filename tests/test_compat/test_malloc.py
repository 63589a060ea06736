"""Memory of training steps that is kept by the process."""

import platform
import subprocess
import sys

import pytest
from mmengine.runner import Runner

from mmpose_lite._compat import malloc

FAULTS = """
import resource, sys
import torch
from mmpose_lite._compat.malloc import keep_memory
kept = sys.argv[1] == 'True' and keep_memory()
for step in range(12):
    if step == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(12_000_000).add_(1)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='another C library')
def test_memory_is_not_mapped_anew():
    def faults(*arguments: str, **environment: str) -> tuple[bool, int]:
        command = [sys.executable, '-W', 'ignore', '-c', FAULTS, *arguments]
        out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()
        return out[0] == 'True', int(out[1])

    plain, kept, chosen = faults('False'), faults('True'), faults('True', MALLOC_MMAP_THRESHOLD_='1000000')
    assert (plain[0], kept[0], chosen[0]) == (False, True, False)
    assert kept[1] < 0.1 * plain[1]
    assert chosen[1] > 0.5 * plain[1]


@pytest.mark.parametrize('library', [('', ''), ('musl', '1')])
def test_other_libraries_are_left_alone(monkeypatch, library):
    monkeypatch.setattr(malloc.platform, 'libc_ver', lambda: library)
    monkeypatch.setattr(malloc.ctypes, 'CDLL', lambda name: pytest.fail('loaded'))
    train = Runner.train
    assert not malloc.keep_memory()
    assert not malloc.keep_memory_in_training()
    assert Runner.train is train


@pytest.mark.parametrize(('options', 'calls'), [({}, 1), ({'keep_memory': False}, 0)])
def test_one_option_turns_it_off(monkeypatch, options, calls):
    called = []
    monkeypatch.setattr(malloc, 'keep_memory', lambda: called.append(1))
    monkeypatch.setattr(malloc.platform, 'libc_ver', lambda: ('glibc', '2.36'))
    monkeypatch.setattr(malloc.torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(Runner, 'train', lambda self: 'trained')
    assert malloc.keep_memory_in_training()
    runner = Runner.__new__(Runner)
    runner.cfg = options
    assert runner.train() == 'trained'
    assert len(called) == calls
