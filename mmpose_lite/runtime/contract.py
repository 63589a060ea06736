"""What an exported file says about itself: everything between a picture and keypoints except the network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import ClassVar

KEY = 'mmpose_lite'  # of the metadata entry, in ONNX files and in OpenVINO's
FORMAT = 1
DECODERS = ('msra', 'msra_dark', 'udp', 'simcc')


class Metadata:
    """What is stored as JSON in a file, in the fields of a dataclass.

    Attributes:
        task: What the network is for; files without one are of pose networks.
    """

    task: ClassVar[str]

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self) | dict(task=self.task, format=FORMAT))

    @classmethod
    def from_json(cls, text: str | None, path: object) -> Metadata:
        """Read what a file holds.

        Raises:
            ValueError: If that is nothing, damaged, or of a network for something else.
        """
        remedy = 'export it again with `mmpose-lite export CONFIG CHECKPOINT -o FILE.onnx`'
        if not text:
            raise ValueError(f'{path} has no mmpose_lite metadata (input size, codec, keypoints): {remedy}')
        try:
            values = json.loads(text)
            if values['format'] > FORMAT:
                raise ValueError(f'{path} was written by a newer mmpose_lite (format {values["format"]}): upgrade')
            if values.get('task', 'pose') != cls.task:
                raise ValueError(f'{path} is a {values.get("task", "pose")} network, not {cls.task}')
            return cls(**{f.name: _tuples(values[f.name]) for f in fields(cls) if f.name in values})
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f'{path} has damaged metadata ({type(error).__name__}: {error}): {remedy}') from error


@dataclass(frozen=True)
class Contract(Metadata):
    """The contract between an exported network and who runs it, stored as JSON in the file.

    Args:
        config: Name of the config.
        input_size: Width and height of the crops in pixels.
        mean: Subtracted from each channel, in the network's order of channels.
        std: What the difference is divided by.
        color_order: What the network takes, ``'RGB'`` or ``'BGR'``; pictures come as BGR.
        decoder: How keypoints are read: ``'msra'`` (peak and a quarter pixel towards the higher neighbour),
            ``'msra_dark'`` and ``'udp'`` (Taylor expansion at the peak of blurred heatmaps), or ``'simcc'`` (a
            maximum for x, one for y).
        codec: Arguments of MMPose's codec: ``heatmap_size`` (width, height) and ``sigma`` for heatmaps,
            ``simcc_split_ratio`` for SimCC.
        outputs: Names of the outputs: ``heatmaps``, or ``simcc_x`` and ``simcc_y``.
        keypoint_names: One name per output channel.
        flip_indices: For each keypoint the one that it becomes in a mirror.
        skeleton: Pairs of keypoints to connect.
        sigmas: COCO's deviations, one per keypoint, which OKS is computed with.
        keypoint_colors: RGB per keypoint.
        skeleton_colors: RGB per pair.
        shift_heatmap: Whether the flip test moves mirrored heatmaps by a pixel.
        padding: Factor by which the box of a person is enlarged.
        use_udp: Whether crops follow UDP (corner pixels on corner pixels).
        output_keypoint_indices: Keypoints that are kept, where the config keeps some only.
        precision: Of the weights in the file: ``'fp32'``, ``'fp16'`` or ``'int8'``.
        checkpoint_sha256: Of the checkpoint file, ``None`` for random weights.
        versions: Of the software that wrote the file, the operator set and the exporter.
    """

    task: ClassVar[str] = 'pose'

    config: str
    input_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    color_order: str
    decoder: str
    codec: dict
    outputs: tuple[str, ...]
    keypoint_names: tuple[str, ...]
    flip_indices: tuple[int, ...]
    skeleton: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    keypoint_colors: tuple[tuple[int, int, int], ...]
    skeleton_colors: tuple[tuple[int, int, int], ...]
    shift_heatmap: bool = False
    padding: float = 1.25
    use_udp: bool = False
    output_keypoint_indices: tuple[int, ...] | None = None
    precision: str = 'fp32'
    checkpoint_sha256: str | None = None
    versions: dict = field(default_factory=dict)

    @property
    def kept(self) -> tuple[int, ...]:
        """Indices of the keypoints that come out."""
        return self.output_keypoint_indices or tuple(range(len(self.keypoint_names)))

    @classmethod
    def from_json(cls, text: str | None, path: object) -> Contract:
        """Read what a file holds; see :meth:`Metadata.from_json`."""
        contract = super().from_json(text, path)
        if contract.decoder not in DECODERS:
            raise ValueError(f'{path} asks for the decoder {contract.decoder!r}; known are {", ".join(DECODERS)}')
        return contract


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
