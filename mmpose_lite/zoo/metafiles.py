"""The networks that the metafiles list: what they cost, beside what their papers print."""

from .. import _plugin  # noqa: F401

# isort: split
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from pathlib import Path

import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..files import zoo_root
from .complexity import COUNTERS, count, count_parameters

ROUNDING = dict(rounded=ROUND_HALF_UP, truncated=ROUND_DOWN)


@dataclass(frozen=True)
class Printed:
    """A number as a paper prints it.

    Args:
        text: Number and unit, for example ``'0.90 G'``.
        digits: How the paper came to its digits, ``'rounded'`` or ``'truncated'``.
        unit: What the number is a multiple of.
    """

    text: str
    digits: str
    unit: int

    def matches(self, value: int) -> bool:
        """Whether the paper's rule turns the value into the printed digits."""
        number = Decimal(self.text.split()[0])
        return (Decimal(value) / self.unit).quantize(number, ROUNDING[self.digits]) == number


@dataclass(frozen=True)
class Entry:
    """A model of a metafile.

    Args:
        name: Name of the config, without ``.py``.
        collection: The network that it belongs to.
        config: The config file.
        input_size: Height and width in pixels.
        recorded: The metafile's ``Parameters`` and FLOPs, by ``'parameters'`` and the name of the counter.
        parameters: Parameters that the paper prints, if it does.
        flops: FLOPs that the paper prints, if it does.
        counter: The counter that the paper used.
        note: Why a printed number is not met.
    """

    name: str
    collection: str
    config: Path
    input_size: tuple[int, int]
    recorded: dict[str, int]
    parameters: Printed | None
    flops: Printed | None
    counter: str | None
    note: str


@dataclass(frozen=True)
class Cost:
    """An entry's own numbers: ``'parameters'`` and FLOPs by the name of the counter."""

    entry: Entry
    numbers: dict[str, int]

    @property
    def parameters_exact(self) -> bool | None:
        """Whether the printed parameters are met; None where none are printed."""
        printed = self.entry.parameters
        return printed.matches(self.numbers['parameters']) if printed else None

    @property
    def flops_exact(self) -> bool | None:
        """Whether the printed FLOPs are met by the paper's counter; None where none are printed."""
        printed = self.entry.flops
        return printed.matches(self.numbers[self.entry.counter]) if printed else None


def _entry(root: Path, model: dict, collection: dict) -> Entry:
    # as MIM does, a model inherits what its collection says
    data = {**collection.get('Metadata', {}), **model['Metadata']}
    height, _, width = str(data['Input']).partition('x')
    digits = data.get('Paper Digits', 'rounded')
    flops_digits, unit = data.get('Paper FLOPs Digits', digits), data.get('Paper FLOPs Unit', 10**9)
    recorded = dict(parameters=data['Parameters'], mmengine=data['FLOPs'])
    recorded |= {name: data[f'FLOPs ({name})'] for name in COUNTERS if f'FLOPs ({name})' in data}
    return Entry(
        name=model['Name'],
        collection=collection['Name'],
        config=root / model['Config'],
        input_size=(int(height), int(width)),
        recorded=recorded,
        parameters=Printed(data['Paper Parameters'], digits, 10**6) if 'Paper Parameters' in data else None,
        flops=Printed(data['Paper FLOPs'], flops_digits, unit) if 'Paper FLOPs' in data else None,
        counter=data.get('Paper FLOPs Counter'),
        note=data.get('Paper Note', ''),
    )


def read_zoo(root: Path | None = None) -> list[Entry]:
    """Read the models of all metafiles that ``model-index.yml`` imports.

    Args:
        root: Folder of ``model-index.yml``; that of this package by default.

    Raises:
        ValueError: Names the metafile and the model that lacks something.
    """
    root = root or zoo_root()
    entries = []
    for path in yaml.safe_load((root / 'model-index.yml').read_text('utf-8'))['Import']:
        metafile = yaml.safe_load((root / path).read_text('utf-8'))
        collections = {collection['Name']: collection for collection in metafile['Collections']}
        for model in metafile['Models']:
            try:
                entries.append(_entry(root, model, collections[model['In Collection']]))
            except (KeyError, AttributeError, ValueError) as error:
                raise ValueError(f'{path}: {model.get("Name")}: {error!r}') from error
    return entries


def measure(entry: Entry, counters: Iterable[str] = ('mmengine', 'macs')) -> Cost:
    """Build the config and count its parameters and FLOPs, by ``counters`` and the counter of the paper."""
    from mmpose.registry import MODELS

    init_default_scope('mmpose')
    model = MODELS.build(Config.fromfile(entry.config).model)
    numbers = dict(parameters=count_parameters(model))
    for counter in dict.fromkeys((*counters, entry.counter)):
        if counter is not None:
            numbers[counter] = count(model, (3, *entry.input_size), counter)
    return Cost(entry, numbers)


def as_json(costs: list[Cost]) -> list[dict]:
    """One plain dict per model, for machines."""

    def printed(number: Printed | None, exact: bool | None) -> dict | None:
        return number and dict(text=number.text, digits=number.digits, unit=number.unit, exact=exact)

    return [
        dict(
            name=cost.entry.name,
            collection=cost.entry.collection,
            config=str(cost.entry.config),
            input_size=dict(zip(('height', 'width'), cost.entry.input_size, strict=True)),
            parameters=cost.numbers['parameters'],
            parameters_printed=printed(cost.entry.parameters, cost.parameters_exact),
            flops={name: number for name, number in cost.numbers.items() if name != 'parameters'},
            flops_printed=printed(cost.entry.flops, cost.flops_exact),
            flops_printed_counter=cost.entry.counter,
            note=cost.entry.note,
        )
        for cost in costs
    ]


_VERDICT = {True: 'exact', False: 'off', None: ''}
_HEADER = ('input', 'parameters', 'printed', '', 'FLOPs, paper', 'printed', '', 'mmengine', 'macs')


def as_table(costs: list[Cost]) -> str:
    """A table for readers, with what its words mean."""
    blocks: dict[str, list[tuple[str, ...]]] = {}
    for cost in costs:
        entry, numbers = cost.entry, cost.numbers
        row = (
            entry.name,
            f'{entry.input_size[0]}x{entry.input_size[1]}',
            f'{numbers["parameters"]:,}',
            entry.parameters.text if entry.parameters else '',
            _VERDICT[cost.parameters_exact],
            f'{numbers[entry.counter]:,}' if entry.flops else '',
            entry.flops.text if entry.flops else '',
            _VERDICT[cost.flops_exact],
            f'{numbers["mmengine"]:,}',
            f'{numbers["macs"]:,}',
        )
        blocks.setdefault(entry.collection, []).append(row)

    rows = [(name, *_HEADER) for name in blocks] + [row for block in blocks.values() for row in block]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = (0, 4, 7)  # name and verdicts

    def line(row: tuple[str, ...]) -> str:
        cells = (c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        return '  '.join(cells).rstrip()

    lines = []
    for collection, block in blocks.items():
        entries = [cost.entry for cost in costs if cost.entry.collection == collection]
        lines += [line((collection, *_HEADER)), *(line(row) for row in block), *_conventions(entries), '']

    verdicts = [exact for cost in costs for exact in (cost.parameters_exact, cost.flops_exact) if exact is not None]
    lines.append(f'{sum(verdicts)} of {len(verdicts)} printed numbers are met to the printed digit.')
    for cost in costs:
        if False in (cost.parameters_exact, cost.flops_exact):
            lines.append(f'  off: {cost.entry.name}: {cost.entry.note or "not explained"}')
    lines += [
        'FLOPs are multiply-accumulates of one image, as the config builds the network. mmengine does not see fused',
        'attention (WGNet, HEViTPose, the MobileViT block of LGM-Pose); macs sees all products and nothing else.',
    ]
    return '\n'.join(lines)


def _conventions(entries: list[Entry]) -> list[str]:
    """How the paper counted and printed, in words."""
    return list(
        dict.fromkeys(
            f'FLOPs, paper: counted by {entry.counter}, {entry.flops.digits}, '
            f'G = {entry.flops.unit:,}; parameters {entry.parameters.digits}'
            for entry in entries
            if entry.flops and entry.parameters
        )
    )
