"""A whole run: one group of networks after the other, and their results on disk.

A group is a runtime with a number of threads and a batch size; its networks take turns. ``results.json`` is written
after each group, so that a stopped run can go on.
"""

import importlib.util
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path

import torch
from tqdm import tqdm

from ..files import atomic_path
from ..zoo.complexity import count, count_parameters
from .claims import concerned
from .networks import Network, Size, build, parse
from .processes import measure

# what a runtime needs, and the extra that brings it
BACKENDS = {
    'eager': (),
    'eager-folded': (),
    'compile': (),
    'onnxruntime': (('onnxruntime', 'onnx'), ('onnx', 'onnx')),
    'openvino': (('openvino', 'openvino'), ('onnx', 'onnx')),
    'openvino-bf16': (('openvino', 'openvino'), ('onnx', 'onnx')),
}
COUNTERS = ('mmcv', 'mmengine', 'macs')
MATMUL = 'matmul'


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Args:
        models: Names of networks, ``NAME`` or ``NAME@256x192``.
        backends: Of ``BACKENDS``.
        threads: Numbers of threads.
        batches: Batch sizes.
        size: Height and width where a name has none.
        device: ``'cpu'`` or ``'cuda'``.
        rounds: How often each network has its turn in a group.
        seconds: Length of a turn; at least three calls are made.
        claims: Add what the claims of ``claims.py`` compare, in the runtimes that they are about.
        seed: Of the order of turns.
    """

    models: tuple[str, ...]
    backends: tuple[str, ...]
    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = (1,)
    size: Size = (256, 192)
    device: str = 'cpu'
    rounds: int = 10
    seconds: float = 0.25
    claims: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.backends if name not in BACKENDS]
        if unknown:
            raise ValueError(f'unknown backend {unknown[0]!r}: choose from {", ".join(BACKENDS)}')
        for backend, (module, extra) in ((b, need) for b in self.backends for need in BACKENDS[b]):
            if not importlib.util.find_spec(module):
                raise ImportError(f'backend {backend} needs {module}: pip install "mmpose_lite[{extra}]"')
        if self.device != 'cpu' and not torch.cuda.is_available():
            raise ValueError(f'--device {self.device}: torch sees no GPU here; use cpu, or install a torch for CUDA')
        self.networks(self.backends[0])  # unknown names

    def networks(self, backend: str) -> dict[str, Network]:
        """Networks of a group, by label."""
        models = [parse(text, self.size) for text in (*self.models, *(concerned(backend) if self.claims else ()))]
        return {str(network): network for network in models}


def environment(device: str) -> dict:
    """Processor, threads, versions: what two measurements must share to be compared."""
    packages = ('mmpose_lite', 'torch', 'numpy', 'onnx', 'onnxruntime', 'openvino', 'mmengine', 'mmcv', 'mmpose')
    versions = dict(python=platform.python_version())
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(':')[2].strip() for line in lines if line.startswith('model name'))
    return dict(
        cpu=next(named, platform.processor()),
        cores=os.cpu_count(),
        gpu=None if device == 'cpu' else torch.cuda.get_device_name(device),
        system=platform.platform(),
        versions=versions,
    )


def run(plan: Plan, out: Path, resume: bool = False) -> dict:
    """Measure what ``plan`` says.

    Args:
        plan: What to measure.
        out: Folder for ``results.json`` and the exported networks.
        resume: Keep the finished groups of a run before.

    Returns:
        What ``results.json`` holds: ``environment``, ``plan``, ``networks`` by label, ``groups`` and ``complete``
        (False after Ctrl-C).

    Raises:
        FileExistsError: If ``out`` holds results and ``resume`` is not set.
        ValueError: If they are of another machine or were measured differently.
    """
    path = out / 'results.json'
    out.mkdir(parents=True, exist_ok=True)
    results = dict(environment=environment(plan.device), plan=asdict(plan), networks={}, groups=[], complete=False)
    results = json.loads(json.dumps(results))  # as it is read again
    if path.exists():
        results = _continued(results, path, resume)
    try:
        _prepare(plan, results['networks'], out / 'onnx')
        for group in _groups(plan, results):
            networks = plan.networks(group['backend'])
            finished = _measure(plan, group, networks, results, out / 'onnx')
            results['groups'].append(group)
            _write(path, results)
            if not finished:
                return results
        results['complete'] = True
    except KeyboardInterrupt:
        pass
    _write(path, results)
    return results


def _write(path: Path, results: dict) -> None:
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(results))


def _continued(results: dict, path: Path, resume: bool) -> dict:
    """The results with the finished groups of a file."""
    if not resume:
        raise FileExistsError(f'{path} exists already: add --resume to go on with it, or name another folder by --out')
    try:
        old = json.loads(path.read_text('utf-8'))
        same = {key: (old['plan'][key], results['plan'][key]) for key in ('size', 'device', 'rounds', 'seconds')}
        same['machine and versions'] = (old['environment'], results['environment'])
        kept = [group for group in old['groups'] if group['finished']]
        networks = {label: facts for label, facts in old['networks'].items() if not facts['error']}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path} is not of this benchmark ({error!r}): name another folder by --out') from error
    for name, (before, now) in same.items():
        if before != now:
            raise ValueError(f'{path} was measured with another {name} ({before}): name another folder by --out')
    return results | dict(groups=kept, networks=networks)


def _groups(plan: Plan, results: dict) -> Iterator[dict]:
    """Groups that are still to be measured."""
    for backend, threads, batch in product(plan.backends, plan.threads, plan.batches):
        key = dict(backend=backend, threads=threads, batch=batch)
        done = [group for group in results['groups'] if key.items() <= group.items()]
        # with another network in it, a group is another group: those compared must have taken turns
        if done and done[0]['rows'].keys() == plan.networks(backend).keys():
            continue
        for group in done:
            results['groups'].remove(group)
        yield key


def _reason(error: Exception) -> str:
    return ' '.join(f'{type(error).__name__}: {error}'.split())[:300]


def _prepare(plan: Plan, facts: dict[str, dict], folder: Path) -> None:
    """Count what is not counted yet, export what is not exported yet; a failure becomes the network's reason."""
    networks, exported = {}, set()
    for backend in plan.backends:
        networks |= plan.networks(backend)
        exported |= plan.networks(backend).keys() if BACKENDS[backend] else set()
    exported = {label for label in exported if not _onnx(folder, label).exists()}
    todo = [network for label, network in networks.items() if label in exported or label not in facts]
    for network in (bar := tqdm(todo, desc='counting and exporting' if exported else 'counting', unit='network')):
        label = str(network)
        bar.set_postfix_str(label)
        try:
            model = build(network)
            if label not in facts:
                facts[label] = _facts(network, model)
        except Exception as error:  # of another's code: it is this network's row, and the run goes on
            facts[label] = dict(title=network.title, ours=network.ours, error=_reason(error))
            continue
        if label in exported:
            facts[label]['export_error'] = _export(model, network, _onnx(folder, label))


def _facts(network: Network, model: torch.nn.Module) -> dict:
    return dict(
        title=network.title,
        ours=network.ours,
        config=network.config.name,
        size=list(network.size),
        accuracy=network.accuracy,
        parameters=count_parameters(model),
        flops={counter: count(model, (3, *network.size), counter) for counter in COUNTERS},
        error=None,
        export_error=None,
    )


def _onnx(folder: Path, label: str) -> Path:
    return folder / f'{label}.onnx'


def _export(model: torch.nn.Module, network: Network, path: Path) -> str | None:
    """Export a network; returns what went wrong, or None."""
    from ..deploy.export import export_network

    path.parent.mkdir(exist_ok=True)
    try:
        export_network(model, network.size[::-1], path)
    except Exception as error:  # exporters raise anything: it is this network's row, and the run goes on
        return f'cannot be exported: {_reason(error)}'
    return None


def _measure(plan: Plan, group: dict, networks: dict[str, Network], results: dict, folder: Path) -> bool:
    """Fill a group's rows; returns whether all rounds were done."""
    common = dict(backend=group['backend'], threads=group['threads'], batch=group['batch'], seconds=plan.seconds)
    common['device'] = plan.device
    reasons, tasks = {}, {}
    for label, network in networks.items():
        facts = results['networks'][label]
        reason = facts['error'] or (BACKENDS[group['backend']] and facts['export_error'])
        if reason:
            reasons[label] = reason
        else:
            tasks[label] = common | dict(name=network.name, size=network.size, onnx=str(_onnx(folder, label)))
    edge = 2048 if plan.device == 'cpu' else 8192
    tasks[MATMUL] = common | dict(backend=MATMUL, edge=edge)
    desc = f'{group["backend"]}, threads {group["threads"]}, batch {group["batch"]}'
    with tqdm(total=len(tasks) * (1 + plan.rounds), desc=desc, unit='turn') as bar:
        rows, finished = measure(tasks, plan.rounds, plan.seed, bar.update)
    group['matmul'] = rows.pop(MATMUL) | dict(flops=2 * edge**3)
    rows |= {label: dict(samples=[], error=reason) for label, reason in reasons.items()}
    group['rows'] = {label: rows[label] for label in networks}
    group['finished'] = finished
    return finished
