"""Whether an exported file does what the network does, and which part is to blame where it does not."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..datasets.toy.figures import draw_scene
from ..fold import Inference
from ..runtime.contract import Contract
from ..runtime.crops import Cropper
from ..runtime.decode import decode
from .graph import write_onnx

PIXELS = dict(fp32=0.01, fp16=0.05)  # of keypoints, by the precision of the weights
TOLERANCE = dict(fp32=1e-4, fp16=5e-3)  # of the outputs, by the precision of the weights
PROBES, STEP = 8, 0.25  # the smallest step between pixels of outputs is half a pixel of the crop, SimCC's


class ExportError(ValueError):
    """A file that does not do what the network does."""


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: What went in.
        batch: How many at once.
        error: Largest difference of an output, as a fraction of the largest absolute value of that output.
        pixels: Largest difference of a decoded keypoint, in pixels of the crop, among those compared.
        compared: Keypoints whose place is certain: differences within the tolerance do not take them to another pixel.
        keypoints: All keypoints.
    """

    name: str
    batch: int
    error: float
    pixels: float
    compared: int
    keypoints: int

    def __str__(self) -> str:
        undecided = self.keypoints - self.compared
        return (
            f'{self.name}, batch {self.batch}: outputs differ by {self.error:.1e} of their largest value, '
            f'{self.compared} keypoints by {self.pixels:.4f} px'
            + (f' ({undecided} not compared, their peak is a tie within the tolerance)' if undecided else '')
        )


def toy_crops(contract: Contract, number: int, seed: int = 0) -> np.ndarray:
    """Crops (N, H, W, 3) BGR uint8 of generated people."""
    rng = np.random.default_rng(seed)
    cropper, images, boxes = Cropper(contract.input_size, contract.padding, contract.use_udp), [], []
    while len(images) < number:
        scene = draw_scene(rng, (320, 320), 2)
        for person in scene.people:
            x, y, width, height = person.bbox
            images.append(scene.image)
            boxes.append((x, y, x + width, y + height))
    return cropper.crop(images[:number], *cropper.geometry(np.array(boxes[:number], dtype=np.float32)))


def normalize(crops: np.ndarray, contract: Contract) -> np.ndarray:
    """Crops (N, H, W, 3) BGR uint8 as the network takes them, (N, 3, H, W) float32."""
    images = crops[..., ::-1] if contract.color_order == 'RGB' else crops
    images = (images.astype(np.float32) - np.float32(contract.mean)) / np.float32(contract.std)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def relative_error(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Largest difference as a fraction of the largest absolute value, over outputs; infinite for NaN."""
    errors = [float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-12)) for a, b in zip(found, expected, strict=True)]
    return float(np.nan_to_num(max(errors, key=lambda e: np.inf if np.isnan(e) else e), nan=np.inf))


def decided(expected: Sequence[np.ndarray], contract: Contract, tolerance: float) -> np.ndarray:
    """Which keypoints (N, K) stay about where they are whatever happens to the outputs within the tolerance.

    Random weights make almost flat heatmaps, on which the peak is a draw between pixels. Such a keypoint says nothing
    about an export. It is found out by decoding the outputs again with random errors of that size.
    """
    rng = np.random.default_rng(0)
    keypoints = decode(list(expected), contract)[0]
    certain = np.ones(keypoints.shape[:2], dtype=bool)
    for _ in range(PROBES):
        moved = [o + tolerance * np.abs(o).max() * rng.choice([-1, 1], o.shape).astype(o.dtype) for o in expected]
        certain &= np.abs(decode(moved, contract)[0] - keypoints).max(axis=2) <= STEP
    return certain


def compare(
    name: str, found: Sequence[np.ndarray], expected: Sequence[np.ndarray], contract: Contract, tolerance: float
) -> Check:
    """Compare outputs (N, K, ...) and what they are decoded to."""
    certain = decided(expected, contract, tolerance)
    moved = np.abs(decode(list(found), contract)[0] - decode(list(expected), contract)[0]).max(axis=2)[certain]
    error, pixels = relative_error(found, expected), float(moved.max(initial=0))
    return Check(name, len(certain), error, pixels, int(certain.sum()), certain.size)


@torch.no_grad()
def run_torch(network: nn.Module, images: np.ndarray) -> list[np.ndarray]:
    """Outputs of a PyTorch network."""
    found = network(torch.from_numpy(images))
    return [output.float().numpy() for output in (found if isinstance(found, tuple) else (found,))]


def open_onnx(path: str | Path) -> Callable[[np.ndarray], list[np.ndarray]]:
    """A function from images (N, 3, H, W) to a file's outputs, the whole batch at once."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    return lambda images: session.run(None, {'input': images})


def verify(path: str | Path, network: Inference, folded: Inference, contract: Contract) -> list[Check]:
    """Run a file with ONNX Runtime and compare it with PyTorch, on noise and on crops of people, at batch 1 and 3.

    Args:
        path: ONNX file.
        network: The network as it was trained.
        folded: The one that was exported.
        contract: Of the file.

    Raises:
        ExportError: If outputs or keypoints differ too much; says by how much and from which stage on.
    """
    tolerance = TOLERANCE[contract.precision]
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((3, 3, *contract.input_size[::-1])).astype(np.float32)
    people = normalize(toy_crops(contract, 3), contract)
    checks, run = [], None
    for name, images in (('noise', noise[:1]), ('noise', noise), ('people', people[:1]), ('people', people)):
        expected = run_torch(network, images)
        try:
            run = run or open_onnx(path)
            found = run(images)
        except Exception as error:  # each operator has its own
            raise ExportError(f'ONNX Runtime cannot run the export at batch {len(images)}: {error}') from error
        check = compare(name, found, expected, contract, tolerance)
        if not (check.error <= tolerance and check.pixels <= PIXELS[contract.precision]):
            blame = first_different_stage(network, folded, images, contract, tolerance)
            limits = f'allowed are {tolerance:.0e} and {PIXELS[contract.precision]} px'
            raise ExportError(f'nothing written: the export differs. {check}; {limits}. First to differ: {blame}')
        checks.append(check)
    return checks


class _Stages(nn.Module):
    """A network that returns what each of its stages does."""

    def __init__(self, network: Inference) -> None:
        super().__init__()
        self.network = network.eval()
        self.eval()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All maps of backbone and neck, then the outputs."""
        return tuple(tensor for stage in self.network.stages(x) for tensor in stage)


def first_different_stage(
    network: Inference, folded: Inference, images: np.ndarray, contract: Contract, tolerance: float
) -> str:
    """``folding``, ``backbone``, ``neck`` or ``head``, or the graph that was written (weights, runtime)."""
    if relative_error(run_torch(folded, images), run_torch(network, images)) > tolerance:
        return 'folding (the folded network differs in PyTorch already)'
    with torch.no_grad():
        stages = [len(stage) for stage in folded.stages(torch.from_numpy(images))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'stages.onnx'
        write_onnx(_Stages(folded), contract.input_size, path, names=[f'stage{i}' for i in range(sum(stages))])
        found, expected = open_onnx(path)(images), run_torch(_Stages(folded), images)
    start = 0
    for name, number in zip(('backbone', 'neck', 'head'), stages, strict=True):
        part = slice(start, start + number)
        if relative_error(found[part], expected[part]) > tolerance:
            return name
        start += number
    return 'the file (its stages alone agree: optimization or precision of the weights)'
