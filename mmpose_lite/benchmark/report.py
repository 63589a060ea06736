"""The report of a run, in Markdown.

Speed is a ratio against a peer in the same run. Absolute times appear for a GPU only; ``results.json`` has them all.
"""

import statistics
from collections.abc import Iterator

from .claims import PAPERS, TARGETS, Claim
from .networks import parse
from .ratios import Setting, disagreement, median, p90, settings
from .run import COUNTERS


def markdown(results: dict, against: str) -> str:
    """Tables of a run.

    Args:
        results: What ``results.json`` holds.
        against: Label of the network whose time is 1.
    """
    parts = [_head(results), _networks(results)]
    for setting in settings(results):
        parts.append(f'## {_words(setting)}')
        parts += [_times(setting, against), _gains(setting), _use(setting)]
        if setting.batch == 1:
            parts += [
                _claims('Speed ratios that the papers claim', PAPERS, setting),
                _claims("This project's targets", TARGETS, setting),
            ]
    parts.append(_remarks(results))
    return '\n\n'.join(part for part in parts if part) + '\n'


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    lines = [header, ['---', *['---:'] * (len(header) - 1)], *rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _words(setting: Setting) -> str:
    threads = f'{setting.threads} thread{"s" * (setting.threads > 1)}'
    return f'{threads}, batch {setting.batch}'


def _name(results: dict, label: str) -> str:
    """Title of a network, with its size where that is not the run's; this package's own are bold."""
    network, facts = parse(label, (0, 0)), results['networks'][label]
    size = '' if list(network.size) == results['plan']['size'] else f' {network.size[0]}x{network.size[1]}'
    return f'**{facts["title"]}**{size}' if facts['ours'] else f'{facts["title"]}{size}'


def _head(results: dict) -> str:
    env, plan = results['environment'], results['plan']
    height, width = plan['size']
    versions = ', '.join(f'{name} {number}' for name, number in env['versions'].items() if number)
    where = env['gpu'] or f'{env["cpu"]}, {env["cores"]} cores'
    return (
        f'# Speed, measured side by side\n\n{where}. {versions}.\n\n'
        f'Input {height}x{width} where no size is given. Every network of a table column took its turns in one run: '
        f'{plan["rounds"]} rounds in shuffled order, {plan["seconds"]} s a turn, each in a process of its own, the '
        'others asleep. The network alone is timed, without reading, cropping and decoding.'
        + ('' if results['complete'] else '\n\n**The run was stopped before its end.**')
    )


def _networks(results: dict) -> str:
    rows = [
        [
            _name(results, label),
            f'{facts["parameters"] / 1e6:.2f}',
            *(f'{facts["flops"][counter] / 1e9:.2f}' for counter in COUNTERS),
            *(str(facts['accuracy'].get(key, '')) for key in ('COCO AP', 'MPII PCKh')),
        ]
        for label, facts in results['networks'].items()
        if not facts['error']
    ]
    header = ['network', 'parameters, M', *(f'GFLOPs, {counter}' for counter in COUNTERS), 'COCO AP', 'MPII PCKh']
    return (
        '## Networks\n\n'
        + table(header, rows)
        + '\n\nFLOPs are multiply-accumulates: `mmcv` by hooks on modules as in mmcv 1.x, blind to matrix products; '
        '`mmengine` by traced operators, blind to fused attention; `macs` all convolutions and products. Accuracy is '
        "as reported, COCO val at 256x192 and MPII val at 256x256: by the papers for this package's networks (bold), "
        "by MMPose's metafiles for the others."
    )


def _rows(setting: Setting) -> list[str]:
    """Labels that some runtime measured."""
    return [
        label
        for label in setting.results['networks']
        if any(setting.row(label, backend) for backend in setting.backends)
    ]


def _times(setting: Setting, against: str) -> str:
    """Relative time on a CPU, milliseconds on a GPU."""
    gpu = setting.results['environment']['gpu']

    def cell(label: str, backend: str) -> str:
        row, peer = setting.row(label, backend), setting.row(against, backend)
        if not row or not (gpu or peer):
            return ''
        if gpu:
            return f'{1000 * median(row):.2f} ({1000 * p90(row):.2f})'
        time = setting.relative(label, against, backend)
        return f'{time:.2f} ({time * p90(row) / median(row):.2f})'

    rows = [
        [_name(setting.results, label), *(cell(label, backend) for backend in setting.backends)]
        for label in _rows(setting)
    ]
    unit = 'Milliseconds' if gpu else f'Time, {_name(setting.results, against)} in the same runtime = 1'
    return f'{unit}: median (90th percentile). Less is faster.\n\n' + table(['network', *setting.backends], rows)


def _gains(setting: Setting) -> str:
    others = [backend for backend in setting.backends if backend != 'eager']
    if 'eager' not in setting.backends or not others:
        return ''

    def cell(label: str, backend: str) -> str:
        row, eager = setting.row(label, backend), setting.row(label, 'eager')
        return f'{median(eager) / median(row):.2f}' if row and eager else ''

    rows = [[_name(setting.results, label), *(cell(label, backend) for backend in others)] for label in _rows(setting)]
    return 'Times as fast as the same network in eager PyTorch.\n\n' + table(['network', *others], rows)


def _use(setting: Setting) -> str:
    def cell(label: str, backend: str) -> str:
        row, share = setting.row(label, backend), setting.share_of_matmul(label, backend)
        memory = f'{row["memory"] / 1e6:.0f} MB' if row and row['memory'] else ''
        return ', '.join(filter(None, (f'{share:.0%}' if share else '', memory)))

    rows = [
        [_name(setting.results, label), *(cell(label, backend) for backend in setting.backends)]
        for label in _rows(setting)
    ]
    return (
        'Operations per second (`macs`) over those of a large matrix product on the same threads (fast convolution '
        'algorithms need fewer products than are counted), and peak memory: '
        + (
            "torch's largest allocation on the GPU."
            if setting.results['environment']['gpu']
            else 'growth of the process from after its imports, by `VmHWM`.'
        )
        + '\n\n'
        + table(['network', *setting.backends], rows)
    )


def _claims(title: str, claims: tuple[Claim, ...], setting: Setting) -> str:
    """Claims as met or missed; what was not measured is left out."""
    rows = []
    for claim in claims:
        speed = claim.measured(setting)
        if speed is None:
            continue
        subject, peer = (_name(setting.results, label) for label in (claim.subject, claim.peer))
        runtimes = ' or '.join(claim.backends)
        if claim.peer_backends:
            peer, subject = f'{peer}, {" or ".join(claim.peer_backends)}', f'{subject}, best of {runtimes}'
        verdict = 'met' if speed >= claim.least else '**missed**'
        rows.append([f'{subject} against {peer}', runtimes, f'{claim.least:g}', f'{speed:.2f}', verdict, claim.source])
    if not rows:
        return ''
    return f'### {title}\n\n' + table(['times as fast', 'runtime', 'claimed', 'measured', '', 'source'], rows)


def _remarks(results: dict) -> str:
    """What failed, and what makes numbers doubtful; the same remark once, with the places it is about."""
    remarks: dict[str, list[str]] = {}
    for setting in settings(results):
        for backend in setting.backends:
            for remark in _doubts(setting, backend):
                remarks.setdefault(remark, []).append(f'{backend}, {_words(setting)}')
    lines = [f'- {remark} ({"; ".join(places)})' for remark, places in remarks.items()]
    return '\n'.join(['## Remarks\n', *lines]) if lines else ''


def _doubts(setting: Setting, backend: str) -> Iterator[str]:
    cores = []
    for label, row in setting.group(backend)['rows'].items():
        name, eager = _name(setting.results, label), setting.row(label, 'eager')
        if row['error']:
            yield f'{name}: {row["error"]}'
        if not row['samples']:
            continue
        cores.append(statistics.median(row['cores']))
        if eager and (difference := disagreement(row, eager)) > 1e-3:
            yield f'{name}: the output differs from eager PyTorch by up to {difference:.1%} of its largest value'
    if cores and not setting.results['environment']['gpu']:
        if max(cores) > 1.1 * setting.threads:
            yield f'up to {max(cores):.1f} cores were at work'
        if setting.threads == 1 and min(cores) < 0.9:
            yield 'other programs took part of the processor: ratios are noisy'
