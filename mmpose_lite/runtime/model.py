"""An exported pose network: crops in, keypoints in pixels of the crops out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .backends import open_network
from .contract import Contract
from .crops import Cropper
from .decode import decode, unflip
from .estimate import estimate


class PoseModel:
    """A network written by ``mmpose-lite export`` or ``quantize``. Needs numpy, OpenCV and one runtime.

    Args:
        path: ``.onnx``, or with OpenVINO also ``.xml`` with its ``.bin`` beside it.
        backend: ``'onnxruntime'`` or ``'openvino'``.
        threads: Of the CPU; ``None`` for all that this process may use.
        precision: ``'fp32'``, or with OpenVINO ``'bf16'``: faster on processors with bfloat16 units, less exact.
        flip_test: Average with the mirrored picture, at twice the cost.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the runtime is not installed.
        ValueError: If the file is damaged or not of mmpose_lite, or for an unknown backend or precision.

    Attributes:
        batch_size: Crops at once, mirrored ones counted, that are worth gathering.

    Example::

        model = PoseModel('lgm_pose.onnx', backend='openvino')
        keypoints, scores = model.estimate(cv2.imread('street.jpg'), boxes)  # boxes (N, 4): x1, y1, x2, y2
    """

    batch_size = 16

    def __init__(
        self,
        path: str | Path,
        backend: str = 'onnxruntime',
        threads: int | None = None,
        precision: str = 'fp32',
        flip_test: bool = False,
    ) -> None:
        self.network, self.backend = open_network(path, backend, threads, precision), backend
        self.contract = Contract.from_json(self.network.metadata, path)
        self.flip_test = flip_test
        self.cropper = Cropper(self.input_size, self.contract.padding, self.contract.use_udp)

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the crops in pixels."""
        return self.contract.input_size

    @property
    def keypoint_names(self) -> list[str]:
        """Names of the K keypoints."""
        return [self.contract.keypoint_names[i] for i in self.contract.kept]

    @property
    def num_keypoints(self) -> int:
        """K."""
        return len(self.contract.kept)

    @property
    def flip_indices(self) -> list[int]:
        """For each keypoint of the network the one that it becomes in a mirror."""
        return list(self.contract.flip_indices)

    @property
    def skeleton(self) -> list[tuple[int, int]]:
        """Pairs of keypoints to connect."""
        return list(self.contract.skeleton)

    @property
    def dataset_meta(self) -> dict:
        """What MMPose's visualizer draws by."""
        contract = self.contract
        return dict(
            keypoint_id2name=dict(enumerate(contract.keypoint_names)),
            num_keypoints=len(contract.keypoint_names),
            flip_indices=list(contract.flip_indices),
            skeleton_links=list(contract.skeleton),
            keypoint_colors=np.array(contract.keypoint_colors, dtype=np.uint8),
            skeleton_link_colors=np.array(contract.skeleton_colors, dtype=np.uint8),
            sigmas=np.array(contract.sigmas, dtype=np.float32),
        )

    def normalize(self, crops: np.ndarray) -> np.ndarray:
        """Crops (N, H, W, 3) BGR uint8 to the network's input (N, 3, H, W) float32."""
        if crops.dtype != np.uint8 or crops.shape[1:] != (*self.input_size[::-1], 3):
            expected = f'(N, {self.input_size[1]}, {self.input_size[0]}, 3) uint8'
            raise ValueError(f'crops of shape {crops.shape} and type {crops.dtype} must be {expected}')
        images = np.empty((len(crops), 3, *crops.shape[1:3]), dtype=np.float32)
        order = (2, 1, 0) if self.contract.color_order == 'RGB' else (0, 1, 2)
        for to, channel in enumerate(order):  # far faster than one call over a permuted array
            np.subtract(crops[..., channel], self.contract.mean[to], out=images[:, to], dtype=np.float32)
        images /= np.array(self.contract.std, dtype=np.float32)[:, None, None]
        return images

    def outputs(self, crops: np.ndarray) -> list[np.ndarray]:
        """What the network makes of crops: heatmaps (N, K, h, w), or SimCC's vectors; with flip test the averages."""
        images = self.normalize(crops)
        found = self.network(images)
        if self.flip_test:
            mirrored = unflip(self.network(np.ascontiguousarray(images[..., ::-1])), self.contract)
            found = [(a + b) * np.float32(0.5) for a, b in zip(found, mirrored, strict=True)]
        return found

    def __call__(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Estimate one pose per crop.

        Args:
            crops: (N, height, width, 3) BGR uint8, in ``input_size``.

        Returns:
            (N, K, 2) float32 x, y in pixels of the crops, and (N, K) scores.
        """
        if not len(crops):
            return np.zeros((0, self.num_keypoints, 2), np.float32), np.zeros((0, self.num_keypoints), np.float32)
        keypoints, scores = decode(self.outputs(crops), self.contract)
        kept = self.contract.output_keypoint_indices
        return (keypoints[:, kept], scores[:, kept]) if kept else (keypoints, scores)

    def estimate(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Estimate the pose of the person in each box of an image.

        Args:
            image: (H, W, 3) BGR uint8.
            boxes: (N, 4) or more columns: x1, y1, x2, y2 in pixels, of positive area.

        Returns:
            (N, K, 2) float32 x, y in pixels of the image, and (N, K) scores.
        """
        return estimate(self, [image], [boxes])[0]
