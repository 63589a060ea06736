"""Patches that make the frozen upstream stack work with current packages.

Each patch looks at what is installed and does nothing where upstream is healthy. :func:`apply` runs once, when
``mmpose_lite`` is imported and before MMPose is.
"""

import functools
import importlib
import importlib.util
import inspect
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace

import numpy as np
import torch

from . import hub, malloc, training


@dataclass
class Patch:
    """A patch and what became of it.

    Attributes:
        name: Short name.
        reason: The fault upstream and the versions that have it.
        run: Applies the patch where it is needed and says whether it was.
        applied: Whether it was needed here.
    """

    name: str
    reason: str
    run: Callable[[], bool]
    applied: bool = False


_libraries: list[torch.library.Library] = []  # definitions live as long as their Library object


def define_torchvision_operators() -> bool:
    """Let a torchvision whose compiled part does not fit this torch be imported (its Python transforms then work)."""
    try:
        importlib.import_module('torchvision')
        return False
    except RuntimeError as error:
        if 'operator torchvision::' not in str(error):
            raise
    except ImportError as error:
        raise ImportError(
            f'MMPose needs torchvision ({error}): pip install torchvision, the one that goes with torch '
            f'{torch.__version__}'
        ) from error
    for name in [name for name in sys.modules if name.partition('.')[0] == 'torchvision']:
        del sys.modules[name]
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for operator in ('nms', 'qnms'):
        library.define(f'{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    _libraries.append(library)
    importlib.import_module('torchvision')
    return True


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def provide_mmcv_operators() -> bool:
    """Put :mod:`.mmcv_ops` in the place of ``mmcv._ext`` where there is none, or one that does not load."""
    reinstall = 'pip uninstall -y mmcv mmcv-lite && pip install mmcv-lite==2.1.0'
    try:
        missing = importlib.util.find_spec('mmcv._ext') is None
    except ImportError as error:
        raise ImportError(f'MMPose needs mmcv ({error}): {reinstall}') from error
    if _installed('mmcv') and _installed('mmcv-lite'):
        warnings.warn(f'mmcv and mmcv-lite are both installed, into one folder: {reinstall}', stacklevel=2)
    if not missing:
        try:
            importlib.import_module('mmcv._ext')
            return False
        except ImportError as error:
            warnings.warn(
                f'the compiled operators of mmcv do not load ({error}); those of mmpose_lite take their place. '
                f'To be rid of them: {reinstall}',
                stacklevel=2,
            )
    from . import mmcv_ops

    sys.modules['mmcv._ext'] = mmcv_ops
    return True


def load_coco_masks() -> bool:
    """Give xtcocotools, which is compiled for numpy 1, the masks of pycocotools where its own do not load."""
    if importlib.util.find_spec('xtcocotools') is None:
        raise ImportError(
            'MMPose needs xtcocotools: pip install cython && pip install --no-build-isolation xtcocotools'
        )
    try:
        importlib.import_module('xtcocotools._mask')
        return False
    except (ImportError, ValueError) as error:
        try:
            masks = importlib.import_module('pycocotools._mask')
        except (ImportError, ValueError) as other:
            raise ImportError(
                f'xtcocotools does not load with numpy {version("numpy")} ({error}), and pycocotools, which could '
                f'take its place, does not either ({other}): pip install --upgrade pycocotools'
            ) from error
    sys.modules['xtcocotools._mask'] = masks
    return True


def draw_circles_of_arrays() -> bool:
    """Let MMPose's visualizers draw circles whose radius is an array of one element, as they pass it."""
    from mmpose.visualization import opencv_backend_visualizer as upstream

    try:
        int(np.ones(1))
        return False
    except TypeError:
        pass
    draw = upstream.OpencvBackendVisualizer.draw_circles

    @functools.wraps(draw)
    def draw_circles(self, center, radius, *args, **kwargs):
        return draw(self, center, radius if np.ndim(radius) == 0 else np.asarray(radius).item(), *args, **kwargs)

    upstream.OpencvBackendVisualizer.draw_circles = draw_circles
    return True


def use_safe_checkpoint_loader() -> bool:
    """Read checkpoints, wherever they come from, with torch's safe loader or safetensors; verify hashes."""
    hub.use_safe_loaders()
    return True


def read_annotations_in_any_encoding() -> bool:
    """Read COCO's and MPII's files in UTF-8, with a byte order mark or without, whatever the locale."""
    from mmpose.datasets.datasets.body import mpii_dataset
    from xtcocotools.coco import COCO

    from ..json_file import read_json

    mpii_dataset.json = SimpleNamespace(load=lambda file: read_json(file.name))
    plain = COCO.__init__
    if hasattr(plain, 'any_encoding') or 'ann_data' not in inspect.signature(plain).parameters:
        return False

    @functools.wraps(plain)
    def init(self, annotation_file=None, test_index=None, ann_data=None):
        if annotation_file is not None and ann_data is None:
            ann_data = read_json(annotation_file)
        plain(self, annotation_file, test_index, ann_data)

    init.any_encoding = True
    COCO.__init__ = init
    return True


def name_broken_annotation_files() -> bool:
    """Make CocoDataset and MpiiDataset name the annotation file they cannot read, instead of a bare KeyError."""
    from mmpose.datasets.datasets import CocoDataset, MpiiDataset
    from mmpose.datasets.datasets.base import BaseCocoStyleDataset

    def explain(load: Callable, layout: str) -> Callable:
        @functools.wraps(load)
        def wrapper(self):
            try:
                instances, images = load(self)
                if not instances:
                    raise ValueError('no person in it')
                return instances, images
            except (KeyError, TypeError, ValueError, IndexError, AttributeError, AssertionError, OSError) as error:
                where = self.ann_file
                if isinstance(error, AssertionError) and 'does not exist' in str(error):
                    raise FileNotFoundError(
                        f'{error}. Point COCO_ROOT or MPII_ROOT (or dataset.ann_file) at your data.'
                    ) from error
                kind = (
                    'not valid JSON' if isinstance(error, json.JSONDecodeError) else f'{type(error).__name__}: {error}'
                )
                raise ValueError(
                    f'{where} is not {layout} ({kind}). Check dataset.ann_file and dataset.type.'
                ) from error

        wrapper.explained = True
        return wrapper

    def never_empty(load: Callable) -> Callable:
        @functools.wraps(load)
        def wrapper(self):
            found = load(self)
            if not found:
                raise ValueError(
                    f'{self.bbox_file or self.ann_file}: nobody in it can be used: all are crowds, lack keypoints or '
                    'a box of their category. `mmpose-lite check-data CONFIG` says which'
                )
            return found

        wrapper.explained = True
        return wrapper

    changed = False
    if not hasattr(BaseCocoStyleDataset.load_data_list, 'explained'):
        BaseCocoStyleDataset.load_data_list = never_empty(BaseCocoStyleDataset.load_data_list)
        changed = True
    for dataset, layout in ((CocoDataset, 'a COCO keypoint file'), (MpiiDataset, "MMPose's JSON form of MPII")):
        if not hasattr(dataset._load_annotations, 'explained'):
            dataset._load_annotations = explain(dataset._load_annotations, layout)
            changed = True
    return changed


PATCHES = (
    Patch(
        'torchvision operators',
        'a torchvision wheel built for CUDA over a CPU torch fails to import: operator torchvision::nms does not exist',
        define_torchvision_operators,
    ),
    Patch(
        'mmcv operators',
        'mmcv has no binary for torch > 2.1, and mmcv-lite has no operators: No module named mmcv._ext',
        provide_mmcv_operators,
    ),
    Patch(
        'COCO masks',
        'xtcocotools <= 1.14.3 is compiled for numpy 1: numpy.dtype size changed',
        load_coco_masks,
    ),
    Patch(
        'circles',
        'mmpose <= 1.3.2 takes the integer of an array, which numpy >= 2.4 refuses: only 0-dimensional arrays',
        draw_circles_of_arrays,
    ),
    Patch(
        'checkpoint loading',
        'mmengine <= 0.10.7 runs the code in a checkpoint (torch < 2.6) or cannot load its own (torch >= 2.6)',
        use_safe_checkpoint_loader,
    ),
    Patch(
        'annotation encoding',
        'xtcocotools <= 1.14.3 reads annotations in the encoding of the locale, and stops at a byte order mark',
        read_annotations_in_any_encoding,
    ),
    Patch(
        'annotation errors',
        'mmpose <= 1.3.2 reports a wrong annotation file as a bare KeyError or TypeError',
        name_broken_annotation_files,
    ),
    Patch(
        'training on CPUs',
        'mmengine <= 0.10.7 has several processes and mixed precision on GPUs only',
        training.train_on_cpus,
    ),
    Patch(
        'memory on CPUs',
        'glibc maps the large tensors of every training step anew; off: --cfg-options keep_memory=False',
        malloc.keep_memory_in_training,
    ),
    Patch(
        'bfloat16',
        'mmpose <= 1.3.2 cannot train in bfloat16: Got unsupported ScalarType BFloat16',
        training.convert_bfloat16_to_numpy,
    ),
    Patch(
        'torch.compile',
        'mmengine <= 0.10.7 compiles the training step, sample records and numpy included: TorchRuntimeError',
        training.compile_networks,
    ),
)


@functools.cache
def apply() -> None:
    """Apply every patch that this machine needs, once."""
    for patch in PATCHES:
        patch.applied = patch.run()
