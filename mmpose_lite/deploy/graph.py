"""A network as a plain ONNX graph: batch free, every other size a constant, folded, float32."""

import copy
import inspect
import io
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..fold import Inference, fold

OPSET = 17  # the first with LayerNormalization
BATCH = 11  # traced with a batch that is a prime and that hardly any other size is a multiple of
SIZES = (torch.Tensor.size, torch.Tensor.shape.__get__)
# since torch 2.5 this asks for the exporter that leaves the smaller graphs here, faster than the newer one does
EXPORTER = dict(dynamo=False) if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}
RESHAPES = (torch.Tensor.reshape, torch.Tensor.view, torch.reshape)


def adaptive_avg_pool2d(x: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """The same as torch's, of operators that every runtime has: one pooling where sizes divide, else means of slices.

    Args:
        x: (B, C, H, W) with H and W known.
        output_size: Height and width; ``None`` keeps a side.
    """
    wanted = (output_size,) * 2 if isinstance(output_size, int) else output_size
    for dim, size in zip((2, 3), wanted, strict=True):
        have = int(x.shape[dim])
        size = have if size is None else int(size)
        if have % size == 0:
            kernel = (have // size, 1) if dim == 2 else (1, have // size)
            x = F.avg_pool2d(x, kernel) if have > size else x
        else:
            ends = [(i * have // size, -(-(i + 1) * have // size)) for i in range(size)]
            x = torch.cat([x.narrow(dim, a, b - a).mean(dim, keepdim=True) for a, b in ends], dim=dim)
    return x


class ConstantShapes(TorchFunctionMode):
    """Trace with only the batch free.

    A traced size is a tensor and leaves a chain of operators in the graph, even where it can never change; some
    operators (adaptive pooling) cannot be exported with such a size at all. Here sizes are plain integers unless they
    are a multiple of the batch that is traced with, and a reshape names the free one as -1.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Called by torch in place of every function."""
        kwargs = kwargs or {}
        if function in SIZES:
            size = function(*args, **kwargs)
            return tuple(map(_known, size)) if isinstance(size, tuple) else _known(size)
        if function in RESHAPES and not isinstance((args[1:] or [None])[0], torch.dtype):
            x, *shape = args
            shape = shape or list(kwargs.values())
            shape = shape[0] if isinstance(shape[0], (tuple, list)) else shape
            return x.reshape(_with_free_size(x, shape))
        if function in (torch.Tensor.flatten, torch.flatten) and args[0].dim():
            return args[0].reshape(_with_free_size(args[0], _flatten(*args, **kwargs)))
        if function is torch.Tensor.unflatten:
            x, dim, sizes = args
            dim %= x.dim()
            return x.reshape(_with_free_size(x, _splice(x, dim, dim + 1, sizes)))
        if function in (torch.Tensor.chunk, torch.chunk):
            return _chunk(*args, **kwargs)
        if function is F.interpolate:
            return _interpolate(*args, **kwargs)
        if function is F.adaptive_avg_pool2d:
            return adaptive_avg_pool2d(*args, **kwargs)
        if function is F.scaled_dot_product_attention and len(args) == 3 and not kwargs:
            q, k, v = args
            return (q * (1 / math.sqrt(int(q.shape[-1]))) @ k.transpose(-2, -1)).softmax(-1) @ v
        return function(*args, **kwargs)


def _known(size: int | Tensor) -> int | Tensor:
    return size if int(size) % BATCH == 0 else int(size)


def _splice(x: Tensor, start: int, stop: int, sizes: Sequence) -> list:
    return [*x.shape[:start], *sizes, *x.shape[stop:]]


def _flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> list:
    start, stop = start_dim % x.dim(), end_dim % x.dim() + 1
    return _splice(x, start, stop, [-1])


def _chunk(x: Tensor, chunks: int, dim: int = 0) -> Tensor | tuple[Tensor, ...]:
    if isinstance(_known(x.shape[dim]), Tensor):
        return x.chunk(chunks, dim)
    return x.split(-(-int(x.shape[dim]) // chunks), dim)


def _interpolate(x: Tensor, size: int | Sequence | None = None, scale_factor: float | None = None, **kwargs) -> Tensor:
    """By a factor, which the graph holds as a constant, where it is exact."""
    if size is not None:
        size = [int(n) for n in ((size, size) if isinstance(size, int) else size)]
        have = [int(n) for n in x.shape[2:]]
        if all(n % h == 0 for n, h in zip(size, have, strict=True)):
            size, scale_factor = None, [n // h for n, h in zip(size, have, strict=True)]
    return F.interpolate(x, size, scale_factor, **kwargs)


def _with_free_size(x: Tensor, shape: Sequence[int | Tensor]) -> list[int | Tensor]:
    """A target shape in which the only free size is -1: BATCH is a prime, so it is where its multiple went."""
    sizes = [int(size) for size in shape]
    if -1 in sizes:
        sizes[sizes.index(-1)] = math.prod(int(size) for size in x.shape) // -math.prod(sizes)
    free = [i for i, size in enumerate(sizes) if size % BATCH == 0]
    if len(free) == 1:
        sizes[free[0]] = -1
        return sizes
    return [shape[i] if i in free else size for i, size in enumerate(sizes)]


def export_network(
    model: nn.Module, input_size: tuple[int, int], path: str | Path, *, dynamic_batch: bool = True, opset: int = OPSET
) -> None:
    """Write a pose estimator as ONNX: input ``input`` (B, 3, H, W) normalized float32, folded, weights included.

    Outputs are ``heatmaps`` (B, K, h, w), or ``simcc_x`` (B, K, x) and ``simcc_y`` (B, K, y).

    Args:
        model: TopdownPoseEstimator of MMPose or of this package, in eval mode; it stays as it is.
        input_size: Width and height.
        path: File to write.
        dynamic_batch: Leave the batch free; else it is 1.
        opset: ONNX operator set.
    """
    write_onnx(Inference(fold(copy.deepcopy(model))), input_size, path, dynamic_batch=dynamic_batch, opset=opset)


def write_onnx(
    network: nn.Module,
    input_size: tuple[int, int],
    path: str | Path,
    *,
    dynamic_batch: bool = True,
    opset: int = OPSET,
    names: Sequence[str] | None = None,
) -> None:
    """:func:`export_network` without the folding, for an :class:`Inference` or (with names of outputs) any module."""
    parameter = next(network.parameters())
    images = torch.zeros(BATCH if dynamic_batch else 1, 3, *input_size[::-1], device=parameter.device)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')  # sizes that become constants, which is the intention
        names = names or (['heatmaps'] if isinstance(network(images[:1]), Tensor) else ['simcc_x', 'simcc_y'])
        with ConstantShapes():
            torch.onnx.export(
                network,
                (images,),
                buffer,
                input_names=['input'],
                output_names=names,
                dynamic_axes={name: {0: 'batch'} for name in ('input', *names)} if dynamic_batch else None,
                opset_version=opset,
                **EXPORTER,
            )
    partial = Path(f'{path}.partial')
    partial.write_bytes(buffer.getvalue())
    os.replace(partial, path)
