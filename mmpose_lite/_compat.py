"""Mends that make the frozen upstream stack work on today's machines.

Each mend looks at what is installed and does nothing where upstream is healthy. :func:`apply` runs once, when
``mmpose_lite`` is imported and before MMPose is.
"""

import functools
import importlib
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch

from . import _training, hub


@dataclass
class Mend:
    """A mend and what became of it.

    Attributes:
        name: Short name.
        reason: The fault upstream and the versions that have it.
        run: Applies the mend where it is needed and says whether it was.
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
    except ImportError:
        return False  # MMPose's own message on a missing torchvision is clear
    for name in [name for name in sys.modules if name.partition('.')[0] == 'torchvision']:
        del sys.modules[name]
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for operator in ('nms', 'qnms'):
        library.define(f'{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    _libraries.append(library)
    importlib.import_module('torchvision')
    return True


def use_safe_checkpoint_loader() -> bool:
    """Read checkpoints, wherever they come from, with torch's safe loader or safetensors; verify hashes."""
    hub.use_safe_loaders()
    return True


def read_annotations_in_any_encoding() -> bool:
    """Read COCO files in UTF-8, with a byte order mark or without, whatever the locale."""
    from xtcocotools.coco import COCO

    from .json_file import read_json

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

    changed = False
    for dataset, layout in ((CocoDataset, 'a COCO keypoint file'), (MpiiDataset, "MMPose's JSON form of MPII")):
        if not hasattr(dataset._load_annotations, 'explained'):
            dataset._load_annotations = explain(dataset._load_annotations, layout)
            changed = True
    return changed


MENDS = (
    Mend(
        'torchvision operators',
        'a torchvision wheel built for CUDA over a CPU torch fails to import: operator torchvision::nms does not exist',
        define_torchvision_operators,
    ),
    Mend(
        'checkpoint loading',
        'mmengine <= 0.10.7 runs the code in a checkpoint (torch < 2.6) or cannot load its own (torch >= 2.6)',
        use_safe_checkpoint_loader,
    ),
    Mend(
        'annotation encoding',
        'xtcocotools <= 1.14.3 reads annotations in the encoding of the locale, and stops at a byte order mark',
        read_annotations_in_any_encoding,
    ),
    Mend(
        'annotation errors',
        'mmpose <= 1.3.2 reports a wrong annotation file as a bare KeyError or TypeError',
        name_broken_annotation_files,
    ),
    Mend(
        'training on CPUs',
        'mmengine <= 0.10.7 has several processes and mixed precision on GPUs only',
        _training.train_on_cpus,
    ),
    Mend(
        'bfloat16',
        'mmpose <= 1.3.2 cannot train in bfloat16: Got unsupported ScalarType BFloat16',
        _training.convert_bfloat16_to_numpy,
    ),
    Mend(
        'torch.compile',
        'mmengine <= 0.10.7 compiles the training step, sample records and numpy included: TorchRuntimeError',
        _training.compile_networks,
    ),
)


@functools.cache
def apply() -> None:
    """Apply every mend that this machine needs, once."""
    for mend in MENDS:
        mend.applied = mend.run()
