"""Top-down inference: person boxes, then a pose in each box."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.apis import inference_topdown, init_model
from mmpose.structures import PoseDataSample
from mmpose.visualization import PoseLocalVisualizer

from ..checkpoint import check_state_dict, load_from_local

BoxSource = Callable[[np.ndarray, Path | None], np.ndarray]


@dataclass
class Instance:
    """A person and their pose, in pixels of the image.

    Attributes:
        bbox: x1, y1, x2, y2.
        bbox_score: Score of the box.
        keypoints: (K, 2) x, y.
        keypoint_scores: (K,) heights of the heatmap peaks.
    """

    bbox: list[float]
    bbox_score: float
    keypoints: list[list[float]]
    keypoint_scores: list[float]


class TopdownPipeline:
    """Poses of the people in an image.

    Args:
        pose_config: Config file of a top-down pose estimator of MMPose or of this package.
        pose_checkpoint: Its weights, ``.pth`` or ``.safetensors``.
        boxes: Where person boxes come from, see :mod:`mmpose_lite.inference.boxes`.
        device: Where the pose estimator runs, ``'cpu'`` or ``'cuda:0'``.
        batch_size: Most people that go through the network at once.

    Raises:
        FileNotFoundError: If a file is missing.
        CheckpointError: If the weights are damaged or not of this network.
    """

    def __init__(
        self,
        pose_config: str | Path,
        pose_checkpoint: str | Path,
        boxes: BoxSource,
        device: str = 'cpu',
        batch_size: int = 32,
    ) -> None:
        config = Config.fromfile(pose_config)
        if config.get('model', {}).get('type') != 'TopdownPoseEstimator':
            raise ValueError(f'{pose_config} does not configure a TopdownPoseEstimator: name a td-*.py config')
        state_dict = load_from_local(str(pose_checkpoint)).get('state_dict', {})
        check_state_dict(init_model(config.copy(), device='cpu'), state_dict, str(pose_checkpoint))
        self.model = init_model(config, str(pose_checkpoint), device=device)
        self.boxes = boxes
        self.batch_size = batch_size

    def __call__(self, image: np.ndarray, path: Path | None = None) -> list[Instance]:
        """Find people and their poses.

        Args:
            image: (H, W, 3) BGR uint8.
            path: The image's file, which a box file is looked up by.

        Returns:
            One instance per person, an empty list where there is nobody.
        """
        boxes = self.boxes(image, path)
        instances = []
        for start in range(0, len(boxes), self.batch_size):
            chunk = boxes[start : start + self.batch_size]
            for box, sample in zip(chunk, inference_topdown(self.model, image, chunk[:, :4]), strict=True):
                pose = sample.pred_instances
                instances.append(
                    Instance(
                        bbox=box[:4].tolist(),
                        bbox_score=float(box[4]),
                        keypoints=pose.keypoints[0].tolist(),
                        keypoint_scores=pose.keypoint_scores[0].tolist(),
                    )
                )
        return instances


def draw(image: np.ndarray, instances: list[Instance], dataset_meta: dict, kpt_thr: float = 0.3) -> np.ndarray:
    """Draw boxes and skeletons with MMPose's visualizer.

    Args:
        image: (H, W, 3) BGR uint8.
        instances: What to draw; keypoints below ``kpt_thr`` are left out.
        dataset_meta: Of the pose model: skeleton and colours.
        kpt_thr: Threshold of keypoint scores.

    Returns:
        A new image, BGR uint8.
    """
    if not instances:
        return image.copy()
    # as thick as looks right on a picture of this size
    size = max(1, round(min(image.shape[:2]) / 200))
    visualizer = PoseLocalVisualizer(radius=size + 1, line_width=size)
    visualizer.set_dataset_meta(dataset_meta)
    columns = {name: np.array([getattr(i, name) for i in instances]) for name in asdict(instances[0])}
    pred = InstanceData(
        bboxes=columns['bbox'],
        bbox_scores=columns['bbox_score'],
        keypoints=columns['keypoints'],
        keypoint_scores=columns['keypoint_scores'],
    )
    sample = PoseDataSample(pred_instances=pred)
    rgb = np.ascontiguousarray(image[..., ::-1])
    visualizer.add_datasample('pose', rgb, sample, draw_gt=False, draw_bbox=True, kpt_thr=kpt_thr)
    return np.ascontiguousarray(visualizer.get_image()[..., ::-1])
