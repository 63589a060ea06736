"""What a training run needs around its network: checkpoints that survive, repeatable epochs, logs to look at."""

from .. import _plugin  # noqa: F401
from .checkpoints import ResumableCheckpointHook
from .curves import CurvesHook, SamplesHook
from .distillation import DistilledPoseEstimator
from .memory_format import ChannelsLastHook
from .randomness import ProgressSeedHook

__all__ = [
    'ChannelsLastHook',
    'CurvesHook',
    'DistilledPoseEstimator',
    'ProgressSeedHook',
    'ResumableCheckpointHook',
    'SamplesHook',
]
