"""An exported person detector: pictures in, boxes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from ..errors import check_threshold
from .backends import open_network
from .contract import Metadata

BOX_THR = 0.35  # lowest score of boxes, unless another is asked for
THINNEST = 32  # length over width of pictures for a detector, which makes nothing of thinner ones
INTERPOLATIONS = dict(
    nearest=cv2.INTER_NEAREST,
    bilinear=cv2.INTER_LINEAR,
    bicubic=cv2.INTER_CUBIC,
    area=cv2.INTER_AREA,
    lanczos=cv2.INTER_LANCZOS4,
)


@dataclass(frozen=True)
class DetectorContract(Metadata):
    """What an exported detector says about itself.

    Args:
        config: Name of the config.
        input_size: Width and height of the network's input in pixels.
        mean: Subtracted from each channel, in the network's order of channels.
        std: What the difference is divided by.
        color_order: What the network takes, ``'RGB'`` or ``'BGR'``; pictures come as BGR.
        classes: Names of the classes.
        pad_value: BGR of what is left of the input beside the picture.
        interpolation: How pictures are resized, one of :data:`INTERPOLATIONS`.
        blur: Standard deviation of a Gaussian blur after resizing, 0 for none.
        score_thr: Boxes below this score never come out.
        nms_pre: Most boxes that take part in NMS.
        nms_thr: Intersection over union of the network's own NMS.
        max_per_img: Most boxes that come out.
        precision: Of the weights in the file, ``'fp32'`` or ``'fp16'``.
        checkpoint_sha256: Of the checkpoint file, ``None`` for random weights.
        versions: Of the software that wrote the file.
    """

    task: ClassVar[str] = 'detection'

    config: str
    input_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    color_order: str
    classes: tuple[str, ...]
    pad_value: tuple[float, float, float]
    interpolation: str
    blur: float
    score_thr: float
    nms_pre: int
    nms_thr: float
    max_per_img: int
    precision: str = 'fp32'
    checkpoint_sha256: str | None = None
    versions: dict | None = None


def thicken(image: np.ndarray) -> np.ndarray:
    """With black on the right or below, where a picture would be scaled down to no width or height."""
    height, width = image.shape[:2]
    right, below = max(0, height // THINNEST - width), max(0, width // THINNEST - height)
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT) if right or below else image


def nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Greedy non-maximum suppression of boxes (N, 4) x1, y1, x2, y2: indices of those that stay, best first."""
    order = np.argsort(-scores, kind='stable')
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order):
        first, order = order[0], order[1:]
        kept.append(first)
        low, high = np.maximum(boxes[first, :2], boxes[order, :2]), np.minimum(boxes[first, 2:], boxes[order, 2:])
        shared = (high - low).clip(0).prod(axis=1)
        order = order[shared <= threshold * (areas[first] + areas[order] - shared)]
    return np.array(kept, dtype=int)


class Detector:
    """A detector written by ``mmpose-lite export``. Needs numpy, OpenCV and one runtime.

    Args:
        path: ``.onnx``, or with OpenVINO also ``.xml`` with its ``.bin`` beside it.
        backend: ``'onnxruntime'`` or ``'openvino'``.
        threads: Of the CPU; ``None`` for all that this process may use.
        score_thr: Boxes below this score are dropped.
        nms_thr: Of two boxes that overlap by more than this intersection over union, the better one stays.
        category: Index of the class that is kept, 0 for people in COCO.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the runtime is not installed.
        ValueError: If the file is damaged or not an exported detector, a threshold is not from 0 to 1, or the detector
            has no such class.

    Example::

        detector = Detector('rtmdet.onnx')
        detector.detect(cv2.imread('street.jpg'))  # (N, 5): x1, y1, x2, y2 in pixels, and a score
    """

    def __init__(
        self,
        path: str | Path,
        backend: str = 'onnxruntime',
        threads: int | None = None,
        score_thr: float = BOX_THR,
        nms_thr: float = 0.5,
        category: int = 0,
    ) -> None:
        self.network, self.backend = open_network(path, backend, threads), backend
        self.contract = DetectorContract.from_json(self.network.metadata, path)
        self.score_thr = check_threshold('the lowest score of boxes', score_thr)
        self.nms_thr = check_threshold('the overlap of boxes', nms_thr)
        self.category = category
        classes = len(self.contract.classes)
        if not 0 <= category < classes:
            raise ValueError(f'person class {category} is none of the detector, which has {classes}, counted from 0')

    def __call__(self, frames: Sequence) -> list[np.ndarray]:
        """Boxes (N, 5) of each frame, which has an ``image``."""
        return [self.detect(frame.image) for frame in frames]

    def detect(self, image: np.ndarray) -> np.ndarray:
        """Find people in a picture (H, W, 3) BGR uint8: (N, 5) float32 x1, y1, x2, y2 in its pixels, and a score."""
        contract = self.contract
        pixels, factors = self._prepare(thicken(image))
        boxes, scores = (output[0] for output in self.network(pixels))
        scores = scores[:, self.category]
        # those below the wanted score suppress none above it
        best = np.flatnonzero((scores > contract.score_thr) & (scores >= self.score_thr))
        best = best[np.argsort(-scores[best], kind='stable')][: contract.nms_pre]
        boxes, scores = boxes[best].clip(0, contract.input_size * 2) / (factors * 2), scores[best]
        solid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        boxes, scores = boxes[solid].astype(np.float32), scores[solid]
        kept = nms(boxes, scores, contract.nms_thr)[: contract.max_per_img]
        kept = kept[nms(boxes[kept], scores[kept], self.nms_thr)]
        return np.column_stack((boxes[kept], scores[kept]))

    def _prepare(self, image: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
        """The network's input (1, 3, H, W), and what width and height of the picture were scaled by."""
        contract = self.contract
        width, height = contract.input_size
        h, w = image.shape[:2]
        scale = min(max(width, height) / max(h, w), min(width, height) / min(h, w))  # as mmcv's rescale_size
        size = int(w * scale + 0.5), int(h * scale + 0.5)
        resized = cv2.resize(image, size, interpolation=INTERPOLATIONS[contract.interpolation])
        if contract.blur:
            resized = cv2.GaussianBlur(resized, (0, 0), contract.blur)
        padded = np.empty((height, width, 3), np.uint8)
        padded[:] = np.array(contract.pad_value, np.uint8)
        padded[: size[1], : size[0]] = resized
        pixels = padded[..., ::-1] if contract.color_order == 'RGB' else padded
        pixels = (pixels.astype(np.float32) - np.float32(contract.mean)) / np.float32(contract.std)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))[None], (size[0] / w, size[1] / h)
