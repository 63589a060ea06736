"""Networks by name or file, with the fastest runtime that is installed."""

from __future__ import annotations

import difflib
import importlib.util
from pathlib import Path

from ..runtime import Detector, PoseModel, TopdownNetwork, installed_backend
from ..runtime.detector import BOX_THR
from ..zoo.shipped import ShippedWeights, read_shipped
from .boxes import BoxSource
from .topdown import TopdownPipeline

BACKENDS = ('auto', 'openvino', 'onnxruntime', 'torch')
EXPORTED = ('.onnx', '.xml')


def choose_backend(backend: str = 'auto', config: bool = False, device: str = 'cpu') -> str:
    """What ``'auto'`` stands for: torch for a config or a GPU, else the fastest runtime that is installed.

    Args:
        backend: One of :data:`BACKENDS`.
        config: Whether the network is a config with weights.
        device: Where torch would run it.

    Raises:
        ImportError: If nothing that could run it is installed.
        ValueError: For an unknown backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend={backend!r} must be one of {", ".join(BACKENDS)}')
    if backend != 'auto':
        return backend
    if config or device != 'cpu':
        return 'torch'
    found = installed_backend() or ('torch' if importlib.util.find_spec('torch') else None)
    if found is None:
        raise ImportError("no runtime is installed: pip install 'mmpose_lite[onnx]' or 'mmpose_lite[openvino]'")
    return found


def _exported(network: str | Path | None) -> bool:
    return Path(network or '').suffix in EXPORTED


def _is_config(network: str | Path | None, weights: str | Path | None) -> bool:
    """Whether a network is a config.

    Raises:
        ValueError: For a config without weights or weights without a config.
    """
    if weights is not None and (network is None or _exported(network)):
        raise ValueError(f'{weights}: weights go together with a config')
    if weights is None and Path(network or '').suffix == '.py':
        raise ValueError(f'{network} is a config: name its weights too')
    return weights is not None


def find_shipped(task: str, name: str | Path | None) -> ShippedWeights:
    """The weights of a name, or the default ones.

    Raises:
        FileNotFoundError: If they are missing or damaged.
        ValueError: If there are none of this name; the nearest names are offered.
    """
    entries = [entry for entry in read_shipped() if entry.task == task]
    found = [entry for entry in entries if (entry.default if name is None else str(name) in (entry.short, entry.name))]
    if not found:
        names = [entry.short for entry in entries]
        nearest = difflib.get_close_matches(str(name), names, 3, 0) or names
        raise ValueError(
            f'{name} is no {task} network that ships, no exported file and no config: '
            f'those that ship are {", ".join(nearest)}'
        )
    return found[0]


def load_pose(
    pose: str | Path | None = None,
    weights: str | Path | None = None,
    backend: str = 'auto',
    threads: int | None = None,
    device: str = 'cpu',
    precision: str = 'fp32',
    flip_test: bool = False,
) -> TopdownNetwork:
    """A pose network; arguments as :func:`load`."""
    config = _is_config(pose, weights)
    backend = choose_backend(backend, config, device)
    if backend != 'torch':
        if config:
            raise ValueError(f'{pose}: {backend} runs exported files, which `mmpose-lite export` makes of a config')
        exported = pose if _exported(pose) else find_shipped('pose', pose).checked_onnx
        return PoseModel(exported, backend, threads, precision, flip_test)
    if _exported(pose):
        raise ValueError(f'{pose} is an exported file, which onnxruntime or openvino runs, not torch')
    from ..torch_backend import PoseNetwork

    if not config:
        entry = find_shipped('pose', pose)
        pose, weights = entry.config, entry.checked_file
    return PoseNetwork(pose, weights, device, flip_test)


def load_detector(
    detector: str | Path | None = None,
    weights: str | Path | None = None,
    backend: str = 'auto',
    threads: int | None = None,
    device: str = 'cpu',
    score_thr: float = BOX_THR,
    nms_thr: float = 0.5,
    category: int = 0,
) -> BoxSource:
    """A person detector; arguments as :func:`load`. A config is run by torch whatever runs the pose network."""
    config = _is_config(detector, weights)
    backend = choose_backend('torch' if config else backend, config, device)
    if _exported(detector) and backend == 'torch':
        backend = installed_backend() or 'onnxruntime'
    if backend != 'torch':
        exported = detector if _exported(detector) else find_shipped('detection', detector).checked_onnx
        return Detector(exported, backend, threads, score_thr, nms_thr, category)
    from ..torch_backend import PersonDetector

    if not config:
        entry = find_shipped('detection', detector)
        detector, weights = entry.config, entry.checked_file
    return PersonDetector(detector, weights, device, score_thr, nms_thr, category)


def load(
    pose: str | Path | None = None,
    detector: str | Path | None = None,
    backend: str = 'auto',
    *,
    weights: str | Path | None = None,
    detector_weights: str | Path | None = None,
    threads: int | None = None,
    device: str = 'cpu',
    flip_test: bool = False,
    score_thr: float = BOX_THR,
) -> TopdownPipeline:
    """Everything from a picture to poses, as ``mmpose-lite pose`` has it.

    Args:
        pose: Pose network: the name of one that ships (``'lgm-pose'``, the default), a file of ``mmpose-lite export``,
            or a config.
        detector: Person detector, likewise (``'rtmdet-nano'``).
        backend: ``'openvino'``, ``'onnxruntime'``, ``'torch'``, or ``'auto'``: the first of these that is installed,
            but torch for a config.
        weights: Of the pose network's config.
        detector_weights: Of the detector's config.
        threads: Of the processor, for exported networks; by default all.
        device: ``'cpu'`` or ``'cuda:0'``, for torch.
        flip_test: Average with the mirrored picture, at half the speed.
        score_thr: Boxes below this score are dropped.

    Raises:
        FileNotFoundError: If a file is missing.
        ImportError: If a runtime is not installed.
        ValueError: For unknown names, and combinations that do not work.

    Example::

        pipeline = load()
        poses = pipeline(cv2.imread('photo.jpg'))
        poses.keypoints  # (people, 17, 2) in pixels of the photo
    """
    network = load_pose(pose, weights, backend, threads, device, flip_test=flip_test)
    boxes = load_detector(detector, detector_weights, backend, threads, device, score_thr)
    return TopdownPipeline(network, boxes)
