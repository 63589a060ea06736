"""The packages that run an exported network, behind one call: (N, 3, H, W) float32 in, a list of arrays out."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from ..files import check_content
from .contract import KEY

logger = logging.getLogger(__name__)

PRECISIONS = dict(fp32='f32', bf16='bf16')


def _import(package: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{package} is not installed: pip install 'mmpose_lite[{extra}]'") from error


def _threads(threads: int | None) -> int:
    if threads is not None and not 1 <= threads <= 1024:
        raise ValueError(f'threads={threads} must be from 1 to 1024')
    return threads or (len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1)


class OnnxRuntime:
    """ONNX Runtime on the CPU. Arguments as :class:`mmpose_lite.runtime.PoseModel`."""

    suffixes = ('.onnx',)

    def __init__(self, path: Path, threads: int | None = None, precision: str = 'fp32') -> None:
        if precision != 'fp32':
            raise ValueError(f"precision={precision!r} is for backend='openvino' only")
        onnxruntime = _import('onnxruntime', 'onnx')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _threads(threads)
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')  # waiting must not cost others' time
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            path,
            options,
            providers=['CPUExecutionProvider'],
            # SiLU in one operator leaves the blocked layout of the convolutions around it: LGM-Pose took a third longer
            disabled_optimizers=['QuickGeluFusion'],
        )
        self.metadata = self.session.get_modelmeta().custom_metadata_map.get(KEY)

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Run the network. One picture at a time: more at once take longer each, as they leave the caches."""
        found = [self.session.run(None, {'input': images[i : i + 1]}) for i in range(len(images))]
        return [np.concatenate(output) for output in zip(*found, strict=True)]


class OpenVINO:
    """OpenVINO on the CPU. Arguments as :class:`mmpose_lite.runtime.PoseModel`.

    A network of free batch runs slower than one of batch 1, and larger batches take longer per picture. So pictures
    go one by one, side by side where there are as many as threads.
    """

    suffixes = ('.onnx', '.xml')

    def __init__(self, path: Path, threads: int | None = None, precision: str = 'fp32') -> None:
        if precision not in PRECISIONS:
            raise ValueError(f'precision={precision!r} must be one of {", ".join(PRECISIONS)}')
        self.openvino = _import('openvino', 'openvino')
        self.threads = _threads(threads)
        self.precision = PRECISIONS[precision]
        self.core = self.openvino.Core()
        if precision == 'bf16' and 'BF16' not in self.core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
            logger.warning('this processor has no bfloat16 units: precision="bf16" gains nothing here')
        self.network = self.core.read_model(path)
        entries = [entry for entry in ([KEY], ['framework', KEY]) if self.network.has_rt_info(entry)]
        self.metadata = self.network.get_rt_info(entries[0]).astype(str) if entries else None
        self.network.reshape({0: [1, *(d.get_length() for d in self.network.input(0).partial_shape[1:])]})
        self.requests: dict[int, list] = {}

    def _requests(self, streams: int) -> list:
        if streams not in self.requests:
            settings = dict(
                INFERENCE_NUM_THREADS=self.threads, NUM_STREAMS=streams, INFERENCE_PRECISION_HINT=self.precision
            )
            compiled = self.core.compile_model(self.network, 'CPU', settings)
            self.requests[streams] = [compiled.create_infer_request() for _ in range(streams)]
        return self.requests[streams]

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Run the network."""
        requests = self._requests(self.threads if len(images) >= self.threads else 1)
        shapes = [[d.get_length() for d in output.partial_shape[1:]] for output in self.network.outputs]
        outputs = [np.empty((len(images), *shape), dtype=np.float32) for shape in shapes]

        def keep(i: int) -> None:
            request = requests[i % len(requests)]
            request.wait()
            for k, output in enumerate(outputs):
                output[i] = request.get_output_tensor(k).data[0]

        # in turn and without callbacks, which would run Python in the runtime's threads
        for i in range(len(images)):
            if i >= len(requests):
                keep(i - len(requests))
            requests[i % len(requests)].start_async({0: images[i : i + 1]})
        for i in range(max(0, len(images) - len(requests)), len(images)):
            keep(i)
        return outputs


BACKENDS: dict[str, Callable] = dict(onnxruntime=OnnxRuntime, openvino=OpenVINO)


def installed_backend() -> str | None:
    """The fastest runtime that is installed, None if there is none."""
    packages = dict(openvino='openvino', onnxruntime='onnxruntime')
    return next((name for name, package in packages.items() if importlib.util.find_spec(package)), None)


def open_network(path: str | Path, backend: str, threads: int | None = None, precision: str = 'fp32') -> Callable:
    """Load an exported file.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the runtime is not installed.
        ValueError: If the file is damaged, or for an unknown backend or precision.
    """
    path = Path(path)
    if backend not in BACKENDS:
        raise ValueError(f'backend={backend!r} must be one of {", ".join(BACKENDS)}')
    if path.suffix not in BACKENDS[backend].suffixes:
        readable = ' and '.join(BACKENDS[backend].suffixes)
        raise ValueError(f'{path}: {backend} reads {readable} files here; see `mmpose-lite export --help`')
    for file in (path, path.with_suffix('.bin')) if path.suffix == '.xml' else (path,):
        if not file.is_file():
            raise FileNotFoundError(f'{file} does not exist: check the path')
    check_content(path)
    try:
        return BACKENDS[backend](path, threads, precision)
    except (ImportError, ValueError):
        raise
    except Exception as error:  # each runtime has its own kinds
        said = ' '.join(str(error).split())
        raise ValueError(f'{path} is damaged, cut short or no network: export or copy it again ({said})') from error
