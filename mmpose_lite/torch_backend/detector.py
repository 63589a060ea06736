"""The person detector: frames in, boxes out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmcv.ops import nms
from mmengine.registry import DefaultScope
from mmpose.utils import adapt_mmdet_pipeline

from ..errors import check_threshold
from ..runtime.detector import BOX_THR, thicken
from ..zoo.shipped import or_shipped
from .loading import load_weights, prepare_for_inference, read_config

if TYPE_CHECKING:
    from ..inference.poses import Frame


class PersonDetector:
    """Any detector of MMDetection.

    Args:
        config: Its config file. Without one, and without weights, it is the detector that ships.
        checkpoint: Its weights, ``.pth`` or ``.safetensors``.
        device: Where it runs, ``'cpu'`` or ``'cuda:0'``.
        score_thr: Boxes below this score are dropped.
        nms_thr: Of two boxes that overlap by more than this intersection over union, the better one stays.
        category: Index of the class that is kept, 0 for people in COCO.

    Raises:
        FileNotFoundError: If a file is missing.
        CheckpointError: If the weights are not of this network.
        ValueError: If only one of config and checkpoint is given, a threshold is not from 0 to 1, or the detector has
            no such class.
    """

    def __init__(
        self,
        config: str | Path | None = None,
        checkpoint: str | Path | None = None,
        device: str = 'cpu',
        score_thr: float = BOX_THR,
        nms_thr: float = 0.5,
        category: int = 0,
    ) -> None:
        try:
            from mmdet.apis import init_detector  # slow to import, and only needed here
            from mmdet.utils import get_test_pipeline_cfg
        except ModuleNotFoundError as error:
            raise ImportError(f"a detector needs MMDetection ({error}): pip install 'mmpose_lite[mmpose]'") from error
        from mmengine.dataset import Compose

        config, checkpoint = or_shipped('detection', config, checkpoint)
        self.name = Path(config).stem
        with warnings.catch_warnings(record=True):  # it warns that it got no checkpoint
            self.model = init_detector(read_config(config), palette='random', device='cpu')
        load_weights(self.model, checkpoint)
        prepare_for_inference(self.model, device)
        steps = get_test_pipeline_cfg(adapt_mmdet_pipeline(self.model.cfg))
        steps[0].type = 'mmdet.LoadImageFromNDArray'
        self.prepare = Compose(steps)
        self.score_thr = check_threshold('the lowest score of boxes', score_thr)
        self.nms_thr = check_threshold('the overlap of boxes', nms_thr)
        self.category = category
        head = getattr(self.model, 'bbox_head', None) or getattr(
            getattr(self.model, 'roi_head', None), 'bbox_head', None
        )
        classes = getattr(head, 'num_classes', None)
        if category < 0 or (classes and category >= classes):
            raise ValueError(f'person class {category} is none of the detector, which has {classes}, counted from 0')

    @torch.inference_mode()
    def __call__(self, frames: Sequence[Frame]) -> list[np.ndarray]:
        """Detect people."""
        with DefaultScope.overwrite_default_scope('mmdet'):
            data = [self.prepare(dict(img=thicken(frame.image), img_id=0)) for frame in frames]
            batch = {name: [item[name] for item in data] for name in ('inputs', 'data_samples')}
            return [self._people(sample.pred_instances.cpu()) for sample in self.model.test_step(batch)]

    def _people(self, found) -> np.ndarray:
        keep = (found.labels == self.category) & (found.scores >= self.score_thr)
        boxes, scores = found.bboxes[keep].float().contiguous(), found.scores[keep].float().contiguous()
        if not len(boxes):
            return np.zeros((0, 5), dtype=np.float32)
        return nms(boxes, scores, self.nms_thr)[0].numpy()
