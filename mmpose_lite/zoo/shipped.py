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
        short: What it is called on the command line.
        task: ``'pose'`` or ``'detection'``.
        file: The weights.
        onnx: The same network, exported.
        config: The config that they were trained with.
        keypoints: Names of the format and number of keypoints, None for a detector.
        parameters: How many values are learned.
        data: What it was trained on.
        score: Measured by ``mim test`` on what, in which metric.
        licence: Of the weights.
        sha256: Of the weights.
        onnx_sha256: Of the exported network.
        default: Whether the demo takes it where none is named.
    """

    name: str
    short: str
    task: str
    file: Path
    onnx: Path
    config: Path
    keypoints: str | None
    parameters: int
    data: str
    score: str
    licence: str
    sha256: str
    onnx_sha256: str
    default: bool

    @property
    def intact(self) -> bool:
        """Whether both files are there and those that were recorded."""
        return _is(self.file, self.sha256) and _is(self.onnx, self.onnx_sha256)

    @property
    def checked_file(self) -> Path:
        """The weights.

        Raises:
            FileNotFoundError: If they are missing or damaged.
        """
        return _check(self.file, self.sha256)

    @property
    def checked_onnx(self) -> Path:
        """The exported network; see :attr:`checked_file`."""
        return _check(self.onnx, self.onnx_sha256)

    def as_json(self) -> dict:
        """What ``mmpose-lite info --weights --json`` prints."""
        paths = {name: str(getattr(self, name)) for name in ('file', 'onnx', 'config')}
        return dict(asdict(self), **paths, intact=self.intact)


def _is(file: Path, digest: str) -> bool:
    return file.is_file() and sha256(file) == digest


def _check(file: Path, digest: str) -> Path:
    if not _is(file, digest):
        raise FileNotFoundError(f'{file} is missing or damaged: install mmpose_lite again, or name weights')
    return file


def read_shipped() -> list[ShippedWeights]:
    """All weights that ship."""
    configs = zoo_root() / 'configs'
    entries = json.loads((FOLDER / 'index.json').read_bytes())
    return [
        ShippedWeights(
            **{
                **entry,
                'file': FOLDER / entry['file'],
                'onnx': FOLDER / entry['onnx'],
                'config': configs / entry['config'],
            }
        )
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
    return weights.config, weights.checked_file


def as_table(entries: list[ShippedWeights]) -> str:
    """What ``mmpose-lite info --weights`` prints."""
    lines = []
    for entry in entries:
        lines += [
            f'{entry.short}{" (used where none is named)" if entry.default else ""}',
            f'  file        {entry.file} ({entry.file.stat().st_size / 1e6:.1f} MB, '
            f'{"intact" if entry.intact else "DAMAGED: install mmpose_lite again"})',
            f'  exported    {entry.onnx} ({entry.onnx.stat().st_size / 1e6:.1f} MB)',
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
