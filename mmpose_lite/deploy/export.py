"""From a config and weights to an ONNX file that is known to do the same."""

import copy
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..files import sha256
from ..fold import Inference, fold
from ..runtime.contract import KEY, Contract, Metadata
from ..version import __version__
from . import detector
from .graph import OPSET, export_network, write_onnx
from .verify import Check, ExportError, verify

__all__ = ['Export', 'ExportError', 'export', 'export_network', 'load_model']

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        path: The file.
        contract: What it says about itself.
        checks: How it compares with PyTorch.
    """

    path: Path
    contract: Metadata
    checks: list[Check] | list[str]


def load_model(config: str | Path, checkpoint: str | Path | None = None) -> tuple[torch.nn.Module, Contract]:
    """Build a top-down network in eval mode, with its contract.

    Raises:
        FileNotFoundError: If a file is missing.
        CheckpointError: If the weights are damaged or not of this network.
        ValueError: If the config is of a network that cannot be exported.
    """
    import onnx
    from mmengine.registry import init_default_scope
    from mmpose import __version__ as mmpose_version
    from mmpose.apis import init_model

    from ..torch_backend.loading import load_weights, read_config
    from .contract import make_contract

    cfg = read_config(config)
    if cfg.get('model', {}).get('type', '').rpartition('.')[2] != 'TopdownPoseEstimator':
        raise ValueError(f'{config} does not configure a TopdownPoseEstimator: name a td-*.py config')
    init_default_scope('mmpose')
    model = init_model(cfg.copy(), device='cpu')
    digest = None
    if checkpoint is None:
        logger.warning('no checkpoint: random weights, good for measuring time only')
    else:
        meta = load_weights(model, checkpoint)
        model.dataset_meta = meta.get('dataset_meta') or model.dataset_meta
        digest = sha256(Path(checkpoint))
    contract = make_contract(model, cfg, config, digest)
    versions = dict(mmpose_lite=__version__, mmpose=mmpose_version, torch=torch.__version__, onnx=onnx.__version__)
    return model, replace(contract, versions=versions)


def export(
    config: str | Path,
    checkpoint: str | Path | None,
    out: str | Path,
    fp16: bool = False,
    opset: int = OPSET,
    on_check: Callable[[str], None] = logger.info,
) -> Export:
    """Write a network as ONNX, after running it and comparing it with PyTorch.

    Args:
        config: Config of a TopdownPoseEstimator with heatmaps or SimCC, or of an RTMDet of MMDetection.
        checkpoint: Its weights, ``.pth`` or ``.safetensors``; ``None`` for random ones (not of a detector).
        out: File to write, ``.onnx``.
        fp16: Store weights in half precision: half the size. Computation stays in float32.
        opset: ONNX operator set.
        on_check: Told about each step.

    Raises:
        ImportError: If onnx or ONNX Runtime is not installed.
        ValueError: If the network cannot be exported, or (:class:`ExportError`) the file differs from it. Then
            nothing is written.
    """
    out = Path(out)
    if out.suffix != '.onnx':
        raise ValueError(f'{out} must end in .onnx')
    try:
        import onnx
        import onnxruntime  # noqa: F401  (the verification needs it)
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed: pip install 'mmpose_lite[onnx]'") from error
    from ..torch_backend.loading import read_config

    if 'bbox_head' in read_config(config).get('model', {}):
        network, contract, compare = _detector(config, checkpoint)
        names = detector.OUTPUTS
    else:
        model, contract = load_model(config, checkpoint)
        network, names = Inference(fold(copy.deepcopy(model))), None

        def compare(path: Path, contract: Contract) -> list[Check]:
            return verify(path, Inference(model), network, contract)

    versions = contract.versions | dict(opset=opset, exporter='torch.onnx.export (TorchScript)')
    contract = replace(contract, precision='fp16' if fp16 else 'fp32', versions=versions)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f'{out.stem}.partial.onnx')
    try:
        try:
            write_onnx(network, contract.input_size, partial, opset=opset, names=names)
        except RuntimeError as error:  # the exporter's own kinds of error among them
            raise ExportError(f'{config}: torch.onnx cannot export this network: {error}') from error
        graph = onnx.load(partial)
        if fp16:
            halve_weights(graph)
        graph.producer_name, graph.producer_version = 'mmpose_lite', __version__
        onnx.helper.set_model_props(graph, {KEY: contract.to_json()})
        onnx.checker.check_model(graph)
        onnx.save(graph, partial)
        checks = compare(partial, contract)
        for check in checks:
            on_check(str(check))
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    return Export(out, contract, checks)


def _detector(config: str | Path, checkpoint: str | Path | None) -> tuple[torch.nn.Module, Metadata, Callable]:
    """A detector to export, its contract, and what compares a file of it with PyTorch."""
    import mmdet
    import onnx

    from ..torch_backend import PersonDetector

    if checkpoint is None:
        raise ValueError(f'{config} is of a detector, which is exported with its weights: name them')
    people = PersonDetector(config, checkpoint, score_thr=detector.LOWEST)
    network = detector.Detections(people.model).eval()
    contract = detector.make_contract(people, config, sha256(checkpoint))
    versions = dict(mmpose_lite=__version__, mmdet=mmdet.__version__, torch=torch.__version__, onnx=onnx.__version__)

    def compare(path: Path, contract: Metadata) -> list[str]:
        return detector.verify(path, network, people, contract)

    return network, replace(contract, versions=versions), compare


def halve_weights(graph) -> None:
    """Store float32 weights as float16 and cast them back when the file is loaded, in place.

    Args:
        graph: onnx.ModelProto.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    casts, weights = [], []
    for weight in graph.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type == TensorProto.FLOAT and values.size > 16:  # small ones are scalars and the like
            name = weight.name
            weights.append(numpy_helper.from_array(values.astype('float16'), f'{name}.half'))
            casts.append(helper.make_node('Cast', [f'{name}.half'], [name], to=TensorProto.FLOAT))
        else:
            weights.append(onnx.TensorProto.FromString(weight.SerializeToString()))
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(weights)
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
