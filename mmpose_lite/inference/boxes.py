"""Where person boxes come from: an mmdet detector, a file of COCO results, or the whole image.

A source is called with some frames and returns for each of them (N, 5) float32: x1, y1, x2, y2 in pixels and a score.
"""

import json
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from mmcv.ops import nms
from mmengine.registry import DefaultScope
from mmpose.utils import adapt_mmdet_pipeline

from ..shipped import or_shipped
from .loading import load_weights, make_ready, read_config
from .poses import Frame

BoxSource = Callable[[Sequence[Frame]], list[np.ndarray]]

logger = logging.getLogger(__name__)

LARGEST = 1e5  # pixels; drawing counts in 32 bits


def clean_boxes(boxes: np.ndarray, frame: Frame) -> np.ndarray:
    """Leave out, with a warning, boxes without a pose to find: not finite or huge, of no area, or off the picture."""
    boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 5)
    height, width = frame.image.shape[:2]
    good = (np.abs(boxes) < LARGEST).all(axis=1)  # false for NaN too
    good &= (boxes[:, 2:4] > boxes[:, :2]).all(axis=1)
    good &= (boxes[:, :2] < (width, height)).all(axis=1) & (boxes[:, 2:4] > 0).all(axis=1)
    if not good.all():
        where = frame.path if frame.index is None else f'{frame.path}, frame {frame.index}'
        logger.warning(
            '%s: %d of %d boxes left out: not finite or huge, of no area, or off the picture',
            where,
            (~good).sum(),
            len(good),
        )
    return boxes[good]


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
        ValueError: If only one of config and checkpoint is given.
    """

    def __init__(
        self,
        config: str | Path | None = None,
        checkpoint: str | Path | None = None,
        device: str = 'cpu',
        score_thr: float = 0.3,
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
        with warnings.catch_warnings(record=True):  # it warns that it got no checkpoint
            self.model = init_detector(read_config(config), palette='random', device='cpu')
        load_weights(self.model, checkpoint)
        make_ready(self.model, device)
        steps = get_test_pipeline_cfg(adapt_mmdet_pipeline(self.model.cfg))
        steps[0].type = 'mmdet.LoadImageFromNDArray'
        self.prepare = Compose(steps)
        self.score_thr = score_thr
        self.nms_thr = nms_thr
        self.category = category

    @torch.inference_mode()
    def __call__(self, frames: Sequence[Frame]) -> list[np.ndarray]:
        """Detect people."""
        with DefaultScope.overwrite_default_scope('mmdet'):
            data = [self.prepare(dict(img=frame.image, img_id=0)) for frame in frames]
            batch = {name: [item[name] for item in data] for name in ('inputs', 'data_samples')}
            return [self._people(sample.pred_instances.cpu()) for sample in self.model.test_step(batch)]

    def _people(self, found) -> np.ndarray:
        keep = (found.labels == self.category) & (found.scores >= self.score_thr)
        boxes, scores = found.bboxes[keep].float().contiguous(), found.scores[keep].float().contiguous()
        if not len(boxes):
            return np.zeros((0, 5), dtype=np.float32)
        return nms(boxes, scores, self.nms_thr)[0].numpy()


class BoxFile:
    """Person boxes from a JSON file of COCO results: a list of ``{image_id, category_id, bbox: [x, y, w, h], score}``.

    An entry belongs to the image whose file name, stem, or stem read as a number is its ``image_id``. In a video,
    ``image_id`` is the number of the frame, from 0, or with several videos ``'<file name>:<number>'``.

    Args:
        path: The file.
        score_thr: Boxes below this score are dropped.
        category: COCO category that is kept, 1 for people.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not hold COCO results.
    """

    def __init__(self, path: str | Path, score_thr: float = 0.3, category: int = 1) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f'box file {path} does not exist: check the path')
        self.boxes: dict[str, list] = {}
        try:
            for entry in json.loads(Path(path).read_text()):
                x, y, width, height = (float(value) for value in entry['bbox'])
                if entry.get('category_id', category) == category and entry['score'] >= score_thr:
                    row = (x, y, x + width, y + height, float(entry['score']))
                    self.boxes.setdefault(str(entry['image_id']), []).append(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f'{path} is not a JSON list of COCO results ({type(error).__name__}: {error}): each entry needs '
                'image_id, bbox [x, y, width, height] and score'
            ) from error

    def __call__(self, frames: Sequence[Frame]) -> list[np.ndarray]:
        """Boxes of these frames, none where the file has none."""
        return [np.array(self._rows(frame), dtype=np.float32).reshape(-1, 5) for frame in frames]

    def _rows(self, frame: Frame) -> list:
        path = frame.path
        if frame.index is not None:
            names = (f'{path.name}:{frame.index}', f'{path.stem}:{frame.index}', str(frame.index))
        else:
            names = (path.name, path.stem, str(int(path.stem)) if path.stem.isdecimal() else path.stem)
        return next((self.boxes[name] for name in names if name in self.boxes), [])


def whole_image(frames: Sequence[Frame]) -> list[np.ndarray]:
    """One box around everything, for pictures that are already cropped to a person."""
    return [np.array([[0, 0, *frame.image.shape[1::-1], 1]], dtype=np.float32) for frame in frames]
