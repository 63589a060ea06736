"""The weights that come with the package, for photographs to be tried on without training anything."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..files import PACKAGE, sha256, zoo_root

FOLDER = PACKAGE / 'weights'


@dataclass(frozen=True)
class ShippedWeights:
    """A file of weights and what there is to know of it; ``mmpose_lite/weights/README.md`` tells more.

    Args:
        name: What it is called in ``weights/index.json``.
        task: ``'pose'`` or ``'detection'``.
        file: The weights.
        config: The config that they were trained with.
        keypoints: Names of the format and number of keypoints, None for a detector.
        parameters: How many values are learned.
        data: What it was trained on.
        score: Measured by ``mim test`` on what, in which metric.
        licence: Of the weights.
        sha256: Of the file.
        default: Whether the demo takes it where none is named.
    """

    name: str
    task: str
    file: Path
    config: Path
    keypoints: str | None
    parameters: int
    data: str
    score: str
    licence: str
    sha256: str
    default: bool

    @property
    def intact(self) -> bool:
        """Whether the file is there and the one that was recorded."""
        return self.file.is_file() and sha256(self.file) == self.sha256

    def as_json(self) -> dict:
        """What ``mmpose-lite info --weights --json`` prints."""
        return dict(asdict(self), file=str(self.file), config=str(self.config), intact=self.intact)


def read_shipped() -> list[ShippedWeights]:
    """All weights that ship."""
    configs = zoo_root() / 'configs'
    entries = json.loads((FOLDER / 'index.json').read_bytes())
    return [
        ShippedWeights(**{**entry, 'file': FOLDER / entry['file'], 'config': configs / entry['config']})
        for entry in entries
    ]


def or_shipped(task: str, config: str | Path | None, checkpoint: str | Path | None) -> tuple[str | Path, str | Path]:
    """The config and weights that were named, or those that ship for the task.

    Raises:
        ValueError: If only one of the two is named.
        FileNotFoundError: If the weights that ship are missing or damaged.
    """
    if (config is None) != (checkpoint is None):
        raise ValueError(f'a {task} network needs both its config and its weights, or neither to take those that ship')
    if config is not None:
        return config, checkpoint
    weights = next(entry for entry in read_shipped() if entry.task == task and entry.default)
    if not weights.intact:
        raise FileNotFoundError(f'{weights.file} is missing or damaged: install mmpose_lite again, or name weights')
    return weights.config, weights.file


def as_table(entries: list[ShippedWeights]) -> str:
    """What ``mmpose-lite info --weights`` prints."""
    lines = []
    for entry in entries:
        lines += [
            f'{entry.name}{" (used where none is named)" if entry.default else ""}',
            f'  file        {entry.file} ({entry.file.stat().st_size / 1e6:.1f} MB, '
            f'{"intact" if entry.intact else "DAMAGED: install mmpose_lite again"})',
            f'  config      {entry.config}',
            f'  keypoints   {entry.keypoints or "none, it finds people"}',
            f'  parameters  {entry.parameters / 1e6:.2f} M',
            f'  data        {entry.data}',
            f'  score       {entry.score}',
            f'  licence     {entry.licence}',
            f'  sha256      {entry.sha256}',
            '',
        ]
    return '\n'.join(lines[:-1])
