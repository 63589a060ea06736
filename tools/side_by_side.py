"""What tools/study.py and tools/trials.py share: trainings side by side that resume, and tables of what is finished."""

import argparse
import fcntl
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from scipy.stats import bootstrap

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = {path.stem.split('_')[1]: path for path in sorted(ROOT.glob('configs/lspet/td-*.py'))}
FAST = ('default_hooks.channels_last.type=ChannelsLastHook', 'optim_wrapper.optimizer.fused=True')
# bfloat16 has the range of float32, so that gradients need no scaling; without it fused Adam also goes on from a
# checkpoint of one that was not
BFLOAT16 = (
    'optim_wrapper.type=AmpOptimWrapper',
    'optim_wrapper.dtype=bfloat16',
    'optim_wrapper.loss_scale.enabled=False',
)


def computes_in_bfloat16() -> bool:
    """Whether this machine has a GPU with instructions for it."""
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def fast_options() -> tuple[str, ...]:
    """Options for training alone, which change how fast is learned and hardly what.

    On CPUs float32 all the same: even with instructions for bfloat16 Lite-HRNet and Greit-HRNet train slower in it.
    """
    return (*FAST, *(BFLOAT16 if computes_in_bfloat16() else ()))


class RunError(RuntimeError):
    """A training or test that failed; the message names it and the log."""


@dataclass(frozen=True)
class Run:
    """A network to train and test.

    Attributes:
        config: Its config.
        work_dir: Its own folder.
        epochs: Of its training, which the config must have been read with.
        options: For ``--cfg-options`` of training and test.
        training: For those of the training alone.
        source: The run whose checkpoint is tested instead of training one.
    """

    config: Path
    work_dir: Path
    epochs: int
    options: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    source: 'Run | None' = None

    @property
    def checkpoint(self) -> Path:
        """The last one."""
        return self.source.checkpoint if self.source else self.work_dir / f'epoch_{self.epochs}.pth'

    @property
    def predictions(self) -> Path:
        """What the test predicted, as MMEngine's DumpResults writes it."""
        return self.work_dir / 'predictions.pkl'

    @property
    def precision(self) -> str:
        """What it is trained in."""
        return 'bfloat16' if set(BFLOAT16) <= set((self.source or self).training) else 'float32'

    def scores(self) -> dict | None:
        """What :func:`finish` wrote down; None if it is not finished."""
        path = self.work_dir / 'scores.json'
        return json.loads(path.read_text()) if path.is_file() else None

    def progress(self) -> str:
        """How far an unfinished run is, in words."""
        records = [
            json.loads(line)
            for path in sorted(self.work_dir.glob('*/vis_data/scalars.json'))
            for line in path.read_text().splitlines()
            if line.endswith('}')  # the last one may be half-written
        ]
        epochs = [record['epoch'] for record in records if 'epoch' in record]
        if not epochs:
            return 'not started'
        validations = [record for record in records if 'PCK' in record]
        scores = [f'PCKh@0.5 {v["PCK"]:.2f} and @0.1 {v["PCK@0.1"]:.2f} after {v["step"]}' for v in validations[-1:]]
        return ', '.join([f'in epoch {epochs[-1]} of {self.epochs}', *scores])


def folder(out: Path, name: str, size: int, epochs: int, seed: int) -> Path:
    """Where a run lives; the same for the study and for the trials, which may share their baselines."""
    return out.resolve() / f'{name}_{size}x{size}_{epochs}e_seed{seed}'


def described(size: int, epochs: int, seeds: list[int], options: list[str], runs: Iterable[Run]) -> str:
    """The protocol in words; runs that other machines finished may have been trained in another precision."""
    runs = list(runs)
    finished = [scores['precision'] for run in runs if (scores := run.scores())]
    precisions = ' and '.join(sorted(set(finished or [run.precision for run in runs])))
    return (
        f'Protocol: {size}x{size}, {epochs} epochs, batch 32, Adam 1e-3 with cosine, '
        f'seed {" and ".join(map(str, seeds))}, trained in {precisions} with channels last and fused Adam, '
        f'tested in float32, flip test{"".join(f", {option}" for option in options)}.'
    )


def add_arguments(parser: argparse.ArgumentParser, out: str) -> None:
    """Add what both tools ask for."""
    parser.add_argument('--data', type=Path, metavar='DIR', help='people in MPII format, see configs/lspet/README.md')
    parser.add_argument('--jobs', type=int, default=1, metavar='N', help='trainings at a time (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path(out), metavar='DIR', help='(default: %(default)s)')
    parser.add_argument('--report', action='store_true', help='print the table of what is finished and train nothing')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for all networks alike, passed on to MMPose'
    )


def prepare(parser: argparse.ArgumentParser, args: argparse.Namespace, size: int, epochs: int) -> None:
    """Check the arguments and set the environment that configs and trainings read."""
    if args.jobs < 1:
        parser.error(f'--jobs {args.jobs} must be 1 or more')
    if epochs < 1:
        parser.error(f'--epochs {epochs} must be 1 or more')
    if not args.report:
        if args.data is None:
            parser.error('--data DIR is missing: see configs/lspet/README.md')
        if not (args.data / 'annotations' / 'mpii_train.json').is_file():
            parser.error(f'--data {args.data} has no annotations/mpii_train.json: see configs/lspet/README.md')
        os.environ['MPII_ROOT'] = str(args.data.resolve())
    os.environ.update(STUDY_SIZE=str(size), STUDY_EPOCHS=str(epochs))
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    if args.jobs > 1:
        os.environ['OMP_NUM_THREADS'] = '1'  # two trainings on a thread each are faster than one on two


class Pool:
    """Trains and tests runs side by side, in the order given.

    Each training is ``mim train`` and each test ``mim test`` in a process of its own, with ``work_dir/output.txt`` for
    what they print; as long as one lives it keeps that file locked, so that no other process trains into the folder.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.processes: set[subprocess.Popen] = set()

    def run(self, runs: Iterable[Run], report: Callable[[], object]) -> list[str]:
        """Finish all runs, each from where an earlier call left it.

        Args:
            runs: A run with a ``source`` comes behind it.
            report: Called after each run that is finished.

        Returns:
            One line for each run that failed; the others went on.
        """
        failures = []
        executor = ThreadPoolExecutor(self.jobs)
        futures: dict[Future, Run] = {}
        try:
            for run in runs:
                if run.scores() is None:
                    source = next((future for future, other in futures.items() if other == run.source), None)
                    futures[executor.submit(self._train_and_test, run, source)] = run
            for future in as_completed(futures):
                try:
                    finish(futures[future], future.result())
                    report()
                except RunError as error:
                    failures.append(str(error))
                    print(f'failed: {error}', file=sys.stderr, flush=True)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            for process in list(self.processes):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
        return failures

    def _train_and_test(self, run: Run, source: Future | None) -> dict:
        run.work_dir.mkdir(parents=True, exist_ok=True)
        if run.source is None:
            self._mim('train', run, run.work_dir, '--resume', options=(*run.options, *run.training))
        elif source is not None and source.exception() is not None:
            raise RunError(f'{run.work_dir.name} needs {run.source.work_dir.name}, which failed')
        checkpoint, predictions = ('--checkpoint', run.checkpoint), ('--dump', run.predictions)
        self._mim('test', run, run.work_dir / 'test', *checkpoint, *predictions, options=run.options)
        found = max((run.work_dir / 'test').glob('*/*.json'), key=lambda path: path.stat().st_mtime)
        return {name: score for name, score in json.loads(found.read_text()).items() if 'time' not in name}

    def _mim(self, verb: str, run: Run, work_dir: Path, *arguments: str | Path, options: tuple[str, ...]) -> None:
        import torch

        gpus = int(torch.cuda.is_available())
        command = [sys.executable, '-m', 'mim', verb, 'mmpose', run.config, '--gpus', gpus, '-y']
        command += ['--work-dir', work_dir, *arguments, *(['--cfg-options', *options] if options else [])]
        output = run.work_dir / 'output.txt'
        with output.open('a') as file:
            claim(run, file)
            print(f'{verb} {run.work_dir.name}: output in {output}', flush=True)
            process = subprocess.Popen(
                [str(part) for part in command], stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.processes.add(process)
        code = process.wait()
        self.processes.remove(process)
        if code:
            raise RunError(f'{run.work_dir.name} failed to {verb}, see {output}; the same command goes on from there')


def claim(run: Run, file: TextIO) -> None:
    """Lock a file of the run's folder, so that no other process trains into it.

    Raises:
        RunError: If another one does.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(f'{run.work_dir.name} is being trained or tested by another process') from None


def read_config(run: Run, training: bool = False):
    """The config of a run's test, or of its training, as MMPose's scripts put it together."""
    from mmengine.config import Config, DictAction

    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='*', action=DictAction)
    options = (*run.options, *(run.training if training else ()))
    config = Config.fromfile(run.config)
    config.merge_from_dict(parser.parse_args(['--cfg-options', *options]).cfg_options)
    return config


def joints_found(predictions: Path) -> tuple[np.ndarray, np.ndarray]:
    """Of each person how many joints were found (PCKh@0.5), and how many are labelled, (people,) each, by their ids.

    Counted as ``MpiiPCKAccuracy`` does: without pelvis and thorax, predictions moved by a pixel, in units of the head.
    """
    people = sorted(pickle.loads(predictions.read_bytes()), key=lambda person: person['id'])
    truth = [person['gt_instances'] for person in people]
    predicted = np.stack([person['pred_instances']['keypoints'][0] for person in people]) + 1
    labelled = np.stack([one['keypoints_visible'].reshape(-1) for one in truth]).astype(bool)
    labelled[:, 6:8] = False
    away = np.linalg.norm(predicted - np.stack([one['keypoints'][0] for one in truth]), axis=-1)
    found = away < 0.5 * np.stack([one['head_size'].reshape(1) for one in truth])
    return (found & labelled).sum(axis=1), labelled.sum(axis=1)


def finish(run: Run, scores: dict) -> None:
    """Write down what a run scored, of whom, what it was trained in, and its cost by this package's counters.

    Args:
        run: Tested, with its predictions written.
        scores: In percent, as the evaluator names them. With them go ``parameters``, ``macs``, ``precision`` and
            ``people``, of each person the number of joints found and labelled, see :func:`joints_found`.
    """
    from mmengine.logging import MMLogger
    from mmengine.registry import init_default_scope
    from mmpose.registry import MODELS

    import mmpose_lite  # noqa: F401  (registers the networks)
    from mmpose_lite.zoo.complexity import count, count_parameters

    init_default_scope('mmpose')
    MMLogger.get_current_instance().setLevel('WARNING')  # or it tells of each environment variable that a config reads
    model = MODELS.build(read_config(run).model).eval()
    size = int(os.environ['STUDY_SIZE'])
    costs = dict(parameters=count_parameters(model), macs=count(model, (3, size, size), 'macs'))
    people = np.stack(joints_found(run.predictions), axis=1).tolist()
    write(run.work_dir / 'scores.json', json.dumps(dict(scores, **costs, precision=run.precision, people=people)))
    print(f'{run.work_dir.name}: PCKh@0.5 {scores["PCK"]:.2f}, @0.1 {scores["PCK@0.1"]:.2f}', flush=True)


def interval(ours: list[dict], peer: list[dict]) -> tuple[float, float] | None:
    """The range of 95 % of the differences in PCKh@0.5 when people are drawn anew from the same people.

    A paired bootstrap: it tells what other people may have made of the difference, not what another seed may have.

    Args:
        ours: What :func:`finish` wrote down, of each seed; the difference is that of the means over the seeds.
        peer: The same of the other, of the same seeds.

    Returns:
        Its ends, in percent. None without runs, and where one was written down before ``people`` were kept.
    """
    if not ours or not all('people' in run for run in (*ours, *peer)):
        return None
    labelled = np.array(ours[0]['people'])[:, 1]
    found, found_by_peer = (np.mean([run['people'] for run in runs], axis=0)[:, 0] for runs in (ours, peer))
    drawn = bootstrap(
        (found - found_by_peer, labelled),
        lambda more, labelled, axis: 100 * more.sum(axis) / labelled.sum(axis),
        paired=True,
        method='percentile',
        random_state=0,
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def unfinished(runs: Iterable[Run]) -> list[str]:
    """Lines of Markdown on the runs that are not finished."""
    lines = [f'- {run.work_dir.name}: {run.progress()}' for run in runs if run.scores() is None]
    return ['', 'Not finished:', '', *lines] if lines else []


def write(path: Path, text: str) -> None:
    """Write a file beside and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.partial')
    partial.write_text(text)
    partial.rename(path)


def carry_out(args: argparse.Namespace, runs: list[Run], results: Callable[[], tuple[object, str]]) -> int:
    """Train what is not finished, and report after each run.

    Args:
        args: Those of :func:`add_arguments`.
        runs: In their order.
        results: Gives what goes into ``results.json``, and the text of ``results.md``.

    Returns:
        An exit code.
    """

    def report() -> str:
        content, text = results()
        write(args.out / 'results.json', json.dumps(content, indent=2))
        write(args.out / 'results.md', text)
        return text

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that trainings stop with this process
    failures = [] if args.report else Pool(args.jobs).run(runs, report)
    print(results()[1] if args.report else report())
    for failure in failures:
        print(f'failed: {failure}', file=sys.stderr)
    return int(bool(failures))
