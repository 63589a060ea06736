"""mmcv's operators in PyTorch against slow references, and against mmcv's compiled ones where they are installed."""

import importlib.util
import math
from importlib.machinery import ExtensionFileLoader

import numpy as np
import pytest
import torch

from mmpose_lite._compat import mmcv_ops

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU'))]


@pytest.fixture(params=['plain torch', 'torchvision'])
def _either(request, monkeypatch):
    """Once without and, where they are compiled, once with torchvision's operators."""
    if request.param == 'plain torch':
        monkeypatch.setattr(mmcv_ops, '_torchvision', lambda device: None)
    elif mmcv_ops._torchvision('cpu') is None:
        pytest.skip('torchvision has no operators for this torch')


@pytest.fixture
def compiled():
    """The compiled extension of mmcv."""
    spec = importlib.util.find_spec('mmcv')
    paths = [f'{spec.submodule_search_locations[0]}/_ext{suffix}' for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    for path in paths:
        loader = ExtensionFileLoader('mmcv._ext', path)
        if importlib.util.find_spec('os').loader and __import__('os').path.exists(path):
            module = importlib.util.module_from_spec(importlib.util.spec_from_file_location('mmcv._ext', path, loader=loader))
            loader.exec_module(module)
            return module
    return pytest.skip('no compiled mmcv')
