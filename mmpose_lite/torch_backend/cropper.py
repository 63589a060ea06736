"""Cutting people out of pictures as a config's test pipeline does."""

from collections.abc import Sequence
from pathlib import Path

from ..runtime import crops


class Cropper(crops.Cropper):
    """The test pipeline of a top-down config (GetBBoxCenterScale, TopdownAffine) for many boxes at once.

    Args:
        pipeline: The config's ``test_dataloader.dataset.pipeline``.
        config: Name of the config, for the message.

    Raises:
        ValueError: If the pipeline has other steps.
    """

    def __init__(self, pipeline: Sequence[dict], config: str | Path = 'the config') -> None:
        steps = {step['type'].rpartition('.')[2]: step for step in pipeline}
        if set(steps) != {'LoadImage', 'GetBBoxCenterScale', 'TopdownAffine', 'PackPoseInputs'}:
            raise ValueError(
                f'test pipeline of {config} is {", ".join(steps)}; only LoadImage, GetBBoxCenterScale, TopdownAffine, '
                'PackPoseInputs is supported: name a config of a top-down network'
            )
        padding = steps['GetBBoxCenterScale'].get('padding', 1.25)
        affine = steps['TopdownAffine']
        super().__init__(affine['input_size'], padding, affine.get('use_udp', False))
