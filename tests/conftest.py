"""Shared fixtures: quiet, small, offline."""

import logging
import os
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # see README, "Limits": spinning threads are ten times slower

import pytest
import torch

import mmpose_lite  # noqa: F401  (mends the stack before anything imports MMPose)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _mmpose_scope():
    from mmengine.logging import MMLogger
    from mmengine.registry import init_default_scope

    torch.manual_seed(0)
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    init_default_scope('mmpose')


@pytest.fixture(scope='session')
def toy_root(tmp_path_factory) -> Path:
    """A few generated people in both formats."""
    from mmpose_lite.datasets.toy.people import make_toy_people

    root = tmp_path_factory.mktemp('data') / 'toy'
    make_toy_people(root, 8, 4, seed=3, progress=False)
    return root
