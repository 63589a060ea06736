"""Training a small network with a larger one as its teacher; afterwards it is the network that it is without."""

from functools import cached_property

import torch
from mmpose.models.heads import HeatmapHead
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..torch_backend.loading import load_weights, prepare_for_inference, read_config


@MODELS.register_module()
class DistilledPoseEstimator(TopdownPoseEstimator):
    """Any top-down heatmap network, trained to agree with a larger one as well as with the labels.

    It is MMPose's ``TopdownPoseEstimator`` with another loss, ``(1 - weight) * loss_kpt + weight * loss_distill``, that
    of "Fast Human Pose Estimation" (Zhang, Zhu, Ye; CVPR 2019, arXiv:1811.05419). Both terms come from the head's own
    loss function, and the log shows them weighted. The teacher also answers for joints that nobody labelled, so in
    ``loss_distill`` all joints count alike.

    The teacher is read when the first loss is asked for and is no part of this module: checkpoints are those of the
    plain network and load with its config, which is the one for tests and export.

    Args:
        teacher: ``dict(config=..., checkpoint=...)``, files of a network for the same keypoints, input size, codec and
            normalization. It sees each crop as the student does, runs in eval mode and never learns.
        weight: Share of the distillation, 0 to 1.
        **estimator: Of ``TopdownPoseEstimator``; the head must be a ``HeatmapHead``.

    Raises:
        ValueError: If the weight is no share, or the head draws no heatmaps.
    """

    def __init__(self, teacher: dict, weight: float = 0.5, **estimator) -> None:
        super().__init__(**estimator)
        if not 0 <= weight <= 1:
            raise ValueError(f'weight={weight}: the share of the distillation loss must be from 0 to 1')
        if not isinstance(self.head, HeatmapHead):
            raise ValueError(f'distillation is of heatmaps, which {type(self.head).__name__} lacks: use a HeatmapHead')
        self.teacher_files = teacher
        self.weight = weight
        self.preprocessing = estimator.get('data_preprocessor')

    @cached_property  # keeps the teacher out of parameters(), state_dict() and train()
    def teacher(self) -> nn.Module:
        """The frozen teacher.

        Raises:
            FileNotFoundError: If a file is missing.
            CheckpointError: If the weights are damaged or not of the config's network.
            ValueError: If the teacher wants its crops normalized otherwise.
        """
        config, checkpoint = self.teacher_files['config'], self.teacher_files['checkpoint']
        model = read_config(config).model
        if model.get('data_preprocessor') != self.preprocessing:
            raise ValueError(
                f'the teacher {config} has the data_preprocessor {model.get("data_preprocessor")}, the student '
                f'{self.preprocessing}: they see the same crops, so give the student that of the teacher'
            )
        teacher = MODELS.build(model)
        load_weights(teacher, checkpoint)
        prepare_for_inference(teacher, 'cpu')
        return teacher.eval().requires_grad_(False)

    def loss(self, inputs: Tensor, data_samples: list) -> dict:
        """The head's losses and ``loss_distill``.

        Args:
            inputs: (B, 3, H, W), normalized.
            data_samples: B samples with the labels' heatmaps.

        Raises:
            ValueError: If the teacher's heatmaps are of another shape, besides what :attr:`teacher` raises.
        """
        with torch.no_grad():
            target = self.teacher.to(inputs.device)(inputs, None)
        measure = self.head.loss_module
        drawn = []  # the head keeps its heatmaps to itself and its loss function
        hook = measure.register_forward_pre_hook(lambda _, given: drawn.append(given[0]))
        try:
            losses = super().loss(inputs, data_samples)
        finally:
            hook.remove()
        heatmaps = drawn[0]
        if not isinstance(target, Tensor) or target.shape != heatmaps.shape:
            shape = tuple(target.shape[1:]) if isinstance(target, Tensor) else 'no heatmaps'
            raise ValueError(
                f'the teacher {self.teacher_files["config"]} gives {shape}, the student heatmaps of '
                f'{tuple(heatmaps.shape[1:])} (keypoints, height, width): choose one of the same keypoints and sizes'
            )
        losses = {name: (1 - self.weight) * value if 'loss' in name else value for name, value in losses.items()}
        everywhere = target.new_ones(target.shape[:2], dtype=torch.float32)
        losses['loss_distill'] = self.weight * measure(heatmaps, target, everywhere)
        return losses
