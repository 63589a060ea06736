"""MPII's test people, whose joints are not public: predictions for its evaluation."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmpose.datasets.datasets import MpiiDataset
from mmpose.registry import DATASETS, METRICS
from scipy.io import savemat

from ..files import atomic_path
from ..json_file import read_json


@DATASETS.register_module()
class MpiiTestDataset(MpiiDataset):
    """``MpiiDataset`` for ``mpii_test.json``, whose people have a center and a scale but no joints."""

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        if not Path(self.ann_file).is_file():
            return super()._load_annotations()  # whose error says what to do
        blank = dict(joints=[[1, 1]] * 16, joints_vis=[0] * 16)  # MMPose drops people whose joints are all 0
        people = [blank | person for person in read_json(self.ann_file)]
        named = self.ann_file
        with tempfile.TemporaryDirectory() as folder:
            self.ann_file = str(Path(folder) / Path(named).name)
            Path(self.ann_file).write_text(json.dumps(people), encoding='utf-8')
            try:
                return super()._load_annotations()
            except ValueError as error:
                raise ValueError(str(error).replace(self.ann_file, named)) from error
            finally:
                self.ann_file = named


@METRICS.register_module()
class MpiiPredictions(BaseMetric):
    """Writes predictions instead of a score: ``preds`` (N, 16, 2), 1-based pixels, in the order of the annotations.

    This is the ``pred.mat`` of HRNet's code.

    Args:
        outfile: The ``.mat`` file.
        collect_device: As for MMEngine's metrics.
    """

    def __init__(self, outfile: str, collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device, prefix='mpii')
        self.outfile = Path(outfile)

    def process(self, data_batch: Sequence[dict], data_samples: Sequence[dict]) -> None:
        """Collect the keypoints of a batch."""
        for sample in data_samples:
            self.results.append((sample['id'], sample['pred_instances']['keypoints'][0]))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the file; there is nothing to report."""
        people = dict(results)  # samplers of several processes repeat people
        preds = np.stack([people[number] for number in sorted(people)]) + 1.0
        self.outfile.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.outfile) as partial:
            savemat(partial, dict(preds=preds), appendmat=False)
        MMLogger.get_current_instance().info(f'{len(preds)} people written to {self.outfile}')
        return {}
