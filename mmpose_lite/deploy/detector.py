"""From a config of an RTMDet and weights to an ONNX file that finds the same boxes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from ..datasets.toy.figures import draw_scene
from ..runtime.detector import INTERPOLATIONS, Detector, DetectorContract
from ..torch_backend import PersonDetector
from .verify import TOLERANCE, ExportError, relative_error

OUTPUTS = ['boxes', 'scores']
PICTURES = ((640, 480), (300, 500), (512, 128), (96, 128))  # width and height
PIXELS, SCORE = dict(fp32=0.1, fp16=1.0), dict(fp32=1e-3, fp16=0.02)  # by the precision of the weights
LOWEST = 0.3


class Detections(nn.Module):
    """Normalized images to boxes (B, N, 4) in pixels of the input, not clipped, and scores (B, N, classes)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Decode every point of every level."""
        scores, distances = self.model.bbox_head(self.model.extract_feat(images))
        sizes = [tuple(int(side) for side in level.shape[2:]) for level in scores]
        points = torch.cat(self.model.bbox_head.prior_generator.grid_priors(sizes, device=images.device))
        scores = torch.cat([level.flatten(2) for level in scores], 2).sigmoid().transpose(1, 2)
        distances = torch.cat([level.flatten(2) for level in distances], 2).transpose(1, 2)
        return torch.cat((points - distances[..., :2], points + distances[..., 2:]), 2), scores


def make_contract(detector: PersonDetector, config: str | Path, checkpoint_sha256: str | None) -> DetectorContract:
    """The contract of a detector.

    Raises:
        ValueError: If it is no RTMDet, or its pictures are prepared in a way that the runtime does not know.
    """
    model = detector.model
    kind, head = type(model).__name__, type(model.bbox_head).__name__ if hasattr(model, 'bbox_head') else 'none'
    if kind != 'RTMDet' or head not in ('RTMDetHead', 'RTMDetSepBNHead'):
        raise ValueError(f'{config} is a {kind} with the head {head}: of detectors only RTMDet can be exported')
    steps = {type(step).__name__: step for step in detector.prepare.transforms}
    known = {'LoadImageFromNDArray', 'Resize', 'Blur', 'Pad', 'LoadAnnotations', 'PackDetInputs'}
    before, test = model.data_preprocessor, model.test_cfg
    resize, pad = steps.get('Resize'), steps.get('Pad')
    if unknown := set(steps) - known:
        raise ValueError(f'{config}: the step {unknown.pop()} of its test pipeline cannot be exported')
    if not (resize and resize.keep_ratio and pad and pad.size) or resize.interpolation not in INTERPOLATIONS:
        raise ValueError(f'{config}: its test pipeline must have Resize with keep_ratio and Pad with a size')
    if test.nms.type != 'nms':
        raise ValueError(f'{config}: NMS of type {test.nms.type!r} cannot be exported, only nms')
    normalized = getattr(before, '_enable_normalize', False)
    return DetectorContract(
        config=Path(config).stem,
        input_size=tuple(int(side) for side in pad.size),
        mean=tuple(before.mean.flatten().tolist()) if normalized else (0.0,) * 3,
        std=tuple(before.std.flatten().tolist()) if normalized else (1.0,) * 3,
        color_order='RGB' if before._channel_conversion else 'BGR',
        classes=tuple(str(name) for name in (model.dataset_meta or {}).get('classes') or ())[
            : model.bbox_head.num_classes
        ]
        or tuple(str(index) for index in range(model.bbox_head.num_classes)),
        pad_value=tuple(float(value) for value in np.broadcast_to(pad.pad_val.get('img', 0), 3)),
        interpolation=resize.interpolation,
        blur=float(steps['Blur'].sigma[0]) if 'Blur' in steps else 0.0,
        score_thr=float(test.score_thr),
        nms_pre=int(test.nms_pre),
        nms_thr=float(test.nms.iou_threshold),
        max_per_img=int(test.max_per_img),
        checkpoint_sha256=checkpoint_sha256,
    )


def verify(path: Path, network: nn.Module, detector: PersonDetector, contract: DetectorContract) -> list[str]:
    """Run a file and compare it with PyTorch: outputs on noise, and boxes on pictures of several sizes.

    Raises:
        ExportError: If they differ.
    """
    found = Detector(path, score_thr=detector.score_thr, nms_thr=detector.nms_thr, category=detector.category)
    width, height = contract.input_size
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 3, height, width), dtype=np.float32))
    with torch.no_grad(), DefaultScope.overwrite_default_scope('mmdet'):
        expected = [output.numpy() for output in network(noise)]
    error = relative_error(found.network(noise.numpy()), expected)
    if error > TOLERANCE[contract.precision]:
        raise ExportError(f'the exported detector differs from PyTorch by {error:.1e} of its largest output')
    said = [f'noise, batch 3: outputs differ by {error:.1e} of their largest value']
    rng, total = np.random.default_rng(1), 0
    for size in PICTURES:
        picture = draw_scene(rng, size, 2).image
        ours, theirs = found.detect(picture), detector([SimpleNamespace(image=picture)])[0]
        # a box that near the threshold may fall on either side of it
        ours, theirs = (found[found[:, 4] > LOWEST + SCORE[contract.precision]] for found in (ours, theirs))
        if len(ours) != len(theirs):
            raise ExportError(f'a picture of {size[0]}x{size[1]}: {len(ours)} boxes, {len(theirs)} by PyTorch')
        pixels, scores = np.abs(ours[:, :4] - theirs[:, :4]).max(initial=0), np.abs(ours - theirs)[:, 4].max(initial=0)
        if pixels > PIXELS[contract.precision] or scores > SCORE[contract.precision]:
            raise ExportError(
                f'a picture of {size[0]}x{size[1]}: boxes differ by {pixels:.3f} px, {scores:.1e} in score'
            )
        said.append(f'{size[0]}x{size[1]}: {len(ours)} boxes differ by at most {pixels:.4f} px, {scores:.1e} in score')
        total += len(ours)
    return said if total else [*said, 'nobody was found in these pictures: their boxes were not compared']
