"""Train networks together in one process on one GPU.

    MPII_ROOT=/data/mpii python tools/together.py CONFIG [CONFIG ...] --out DIR

and `tools/study.py --together`, `tools/trials.py --together`. Networks that read the same samples share their batches,
which are those that `mim train` draws with the config's seed. The whole step of a network, from the learning rate to
the optimizer, is one CUDA graph on a stream of its own, so that the GPU may work on several networks at once. When all
are trained, MMPose's own evaluator tests them as `mim test` does. Without a GPU the steps run one after the other.

Of a config it reads the model, the training data, optim_wrapper, param_scheduler, randomness, load_from, the hooks
EMAHook and ChannelsLastHook, and the test data and evaluator; nothing is validated on the way, and a last batch that is
not full is left out. The same command goes on after a stop, from states that are saved every ten minutes.
"""

import argparse
import copy
import json
import os
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from io import BytesIO
from pathlib import Path

import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.model import ImgDataPreprocessor
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from mmengine.structures import InstanceData, PixelData
from mmengine.utils.dl_utils import set_multi_processing
from mmpose.registry import MODELS, PARAM_SCHEDULERS
from mmpose.structures import PoseDataSample
from side_by_side import Run, RunError, claim, finish, read_config, write
from torch import Tensor, nn

import mmpose_lite  # noqa: F401
from mmpose_lite.checkpoint import load_from_local
from mmpose_lite.engine.checkpoints import write_beside
from mmpose_lite.engine.randomness import seed_samples
from mmpose_lite.inference.loading import load_weights

SECONDS_BETWEEN_SAVES = 600
AHEAD = 4  # batches that the fastest network of a group may be ahead of the slowest
LABELS = dict(gt_fields=PixelData, gt_instance_labels=InstanceData)  # what a head's loss reads of a sample


def stack(samples: list[dict]) -> tuple[Tensor, dict[str, Tensor]]:
    """Collate packed samples into few tensors, which pass between processes faster than many.

    Returns:
        Pictures (B, 3, H, W) in uint8, and labels such as ``'gt_fields.heatmaps'``, each with B first.
    """
    labels = {}
    for part in LABELS:
        parts = [getattr(sample['data_samples'], part) for sample in samples if part in sample['data_samples']]
        for name, _ in parts[0].items() if parts else ():
            labels[f'{part}.{name}'] = torch.stack([one.get(name) for one in parts])
    return torch.stack([sample['inputs'] for sample in samples]), labels


def unstack(labels: dict[str, Tensor]) -> list[PoseDataSample]:
    """Samples that are views of what :func:`stack` gave."""
    samples = []
    for index in range(len(next(iter(labels.values())))):
        sample = PoseDataSample()
        for part, kind in LABELS.items():
            own = {name.partition('.')[2]: value[index] for name, value in labels.items() if name.startswith(part)}
            if own:
                setattr(sample, part, kind(**own))
        samples.append(sample)
    return samples


def learning_rates(config, optimizer: torch.optim.Optimizer, epoch_length: int) -> Tensor:
    """What MMEngine's schedules make of the optimizer's learning rates: (iterations, parameter groups)."""
    stand_in = torch.optim.SGD(
        [dict(params=[nn.Parameter(torch.zeros(1))], lr=float(group['lr'])) for group in optimizer.param_groups]
    )
    epochs = config.train_cfg.max_epochs
    schedules = []
    for schedule in copy.deepcopy(config.get('param_scheduler') or []):
        schedule.setdefault('end', epochs if schedule.get('by_epoch', True) else epochs * epoch_length)
        default = dict(optimizer=stand_in, epoch_length=epoch_length)
        schedules.append(PARAM_SCHEDULERS.build(schedule, default_args=default))
    rates = []
    for iteration in range(1, epochs * epoch_length + 1):
        rates.append([group['lr'] for group in stand_in.param_groups])
        stand_in.step()
        for schedule in schedules:
            if not schedule.by_epoch or iteration % epoch_length == 0:
                schedule.step()
    return torch.tensor(rates)


class Trainee:
    """A network with its optimizer and schedule, whose training step can be recorded as a CUDA graph.

    Args:
        run: What is trained.
        config: Its config, with the options of the training.
        epoch_length: Batches of an epoch.
        device: Where.

    Raises:
        ValueError: If the config accumulates gradients over several batches.
    """

    def __init__(self, run: Run, config, epoch_length: int, device: torch.device) -> None:
        self.run, self.config, self.device, self.epoch_length = run, config, device, epoch_length
        if config.optim_wrapper.get('accumulative_counts', 1) != 1:
            raise ValueError(
                'optim_wrapper.accumulative_counts: a recorded step is always a whole one, so leave it at 1'
            )
        hooks = [*config.get('default_hooks', {}).values(), *config.get('custom_hooks', [])]
        hooks = {hook['type']: hook for hook in hooks if hook}
        set_random_seed(seed_of(config))
        self.model = MODELS.build(config.model)
        self.model.init_weights()
        if config.get('load_from'):
            load_weights(self.model, config.load_from)
        self.layout = torch.channels_last if 'ChannelsLastHook' in hooks else torch.contiguous_format
        self.model.to(device, memory_format=self.layout).train()
        self.model.train_cfg = dict(self.model.train_cfg or {}, compute_acc=False)  # measured on the CPU
        self.optim = build_optim_wrapper(self.model, config.optim_wrapper)
        self.rates = learning_rates(config, self.optim.optimizer, epoch_length).to(device)
        for group in self.optim.optimizer.param_groups:
            group.update(lr=torch.tensor(group['lr'], device=device), capturable=device.type == 'cuda')
        self.iteration = torch.zeros(1, dtype=torch.int64, device=device)
        self.loss = torch.zeros((), device=device)  # the sum over an epoch
        self.ema = None
        if 'EMAHook' in hooks:
            options = {name: value for name, value in hooks['EMAHook'].items() if name not in ('type', 'priority')}
            self.ema = MODELS.build(dict(options, type=options.pop('ema_type')), default_args=dict(model=self.model))
            self.ema.steps = self.ema.steps.cpu()  # read in every step
        self.stream = torch.cuda.Stream() if device.type == 'cuda' else None
        self.graph = self.inputs = None

    @property
    def epoch(self) -> int:
        """How many are done."""
        return int(self.iteration) // self.epoch_length

    def prepare(self, inputs: Tensor, labels: dict[str, Tensor]) -> None:
        """Get ready for batches like this one: on a GPU, record the step. Then go on from saved states if there are."""
        self.inputs = torch.empty_like(inputs, memory_format=self.layout)
        self.labels = {name: torch.empty_like(value) for name, value in labels.items()}
        self.samples = unstack(self.labels)
        states = load_from_local(str(path), map_location=self.device) if (path := states_of(self.run)) else None
        if self.stream:
            self._record(inputs, labels)
        if states:
            self.model.load_state_dict(states['model'])
            self.iteration.copy_(states['iteration'])
            if self.ema:
                self.ema.load_state_dict(states['ema'])
            self._restore(states['optimizer'])

    def _record(self, inputs: Tensor, labels: dict[str, Tensor]) -> None:
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        torch.cuda.synchronize()
        with torch.cuda.stream(self.stream):
            self._place(inputs, labels)
            for _ in range(2):  # cuDNN chooses its kernels, the optimizer makes its state
                self._step()
        torch.cuda.synchronize()
        self.model.load_state_dict(before)
        for value in (value for state in self.optim.optimizer.state.values() for value in state.values()):
            value.zero_()
        self.iteration.zero_()
        self.loss.zero_()
        del before
        torch.cuda.empty_cache()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            self._step()
        self.graph = graph

    def _restore(self, states: dict) -> None:
        """Load an optimizer's state, into the tensors that a graph knows."""
        optimizer = self.optim.optimizer
        parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
        for index, state in states['state'].items():
            for name, value in state.items():
                own = optimizer.state[parameters[index]]
                own[name] = own[name].copy_(value) if name in own else value

    def _place(self, inputs: Tensor, labels: dict[str, Tensor]) -> None:
        self.inputs.copy_(inputs)
        for name, value in labels.items():
            self.labels[name].copy_(value)

    def _losses(self) -> dict[str, Tensor]:
        head = self.model.head
        if not hasattr(head, 'simcc_split_ratio'):
            return self.model.loss(self.inputs, self.samples)
        # SimCCHead and RTMCCHead: their own loss() also measures accuracy on the CPU, which no graph holds
        x, y, weights = (
            self.labels[f'gt_instance_labels.keypoint_{name}'].flatten(0, 1)
            for name in ('x_labels', 'y_labels', 'weights')
        )
        return dict(loss_kpt=head.loss_module(head(self.model.extract_feat(self.inputs)), (x, y), weights))

    def _step(self) -> None:
        rates = self.rates.index_select(0, self.iteration)[0]
        for group, rate in zip(self.optim.optimizer.param_groups, rates, strict=True):
            group['lr'].copy_(rate)
        with self.optim.optim_context(self.model):
            losses = self._losses()
        loss, _ = self.model.parse_losses(losses)
        self.optim.update_params(loss)
        self.loss.add_(loss.detach())
        self.iteration.add_(1)

    def step(self, inputs: Tensor, labels: dict[str, Tensor]) -> Callable[[], None]:
        """Train on a batch. On a GPU this returns at once; what it returns waits for the end."""
        if self.stream:
            self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream) if self.stream else nullcontext():
            self._place(inputs, labels)
            if self.graph:
                self.graph.replay()
            else:
                self._step()
            if self.ema:
                self.ema.update_parameters(self.model)
            return self.stream.record_event().synchronize if self.stream else lambda: None

    def log_epoch(self) -> None:
        """Write the epoch's mean loss where ``Run.progress`` looks."""
        rate = self.optim.optimizer.param_groups[0]['lr']
        record = dict(epoch=self.epoch, loss=float(self.loss) / self.epoch_length, lr=float(rate))
        self.loss.zero_()
        log = self.run.work_dir / 'together' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open('a') as file:
            print(json.dumps(record), file=file)

    def save(self) -> None:
        """Write what a later call goes on from."""
        old = states_of(self.run)
        states = dict(model=self.model.state_dict(), optimizer=self.optim.optimizer.state_dict())
        states.update(iteration=self.iteration, ema=self.ema and self.ema.state_dict())
        _save(self.run.work_dir / f'together_{self.epoch}.pth', states)
        if old:
            old.unlink()

    def finish(self, dataset_meta: dict) -> None:
        """Write the checkpoint that `mim test` takes."""
        weights = (self.ema.module if self.ema else self.model).state_dict()
        meta = dict(epoch=self.epoch, experiment_name=self.run.work_dir.name, dataset_meta=dataset_meta)
        _save(self.run.checkpoint, dict(state_dict={name: value.cpu() for name, value in weights.items()}, meta=meta))
        if states := states_of(self.run):
            states.unlink()


def states_of(run: Run) -> Path | None:
    """The newest states that were saved of an unfinished run."""
    return max(run.work_dir.glob('together_*.pth'), key=_epoch_of, default=None)


def _epoch_of(states: Path | None) -> int:
    return int(states.stem.rpartition('_')[2]) if states else 0


def _save(path: Path, content: dict) -> None:
    buffer = BytesIO()
    torch.save(content, buffer)
    write_beside(path, buffer.getvalue())


def seed_of(config) -> int:
    """A config's seed; 0 where it has none."""
    return config.get('randomness', {}).get('seed') or 0


class Group:
    """Networks that learn from the same batches.

    Args:
        config: Of one of them.
        epoch: How many they have done.
        workers: Processes that load data; they start here, before there is a GPU for them to inherit.
    """

    def __init__(self, config, epoch: int, workers: int) -> None:
        loader = copy.deepcopy(config.train_dataloader)
        loader.update(drop_last=True, collate_fn=dict(type=stack), num_workers=workers, persistent_workers=workers > 0)
        if workers:
            loader.update(prefetch_factor=4)
        self.loader = Runner.build_dataloader(loader, seed=seed_of(config))
        self.sampled_epoch = seed_samples(self.loader.dataset, seed_of(config))
        self.trainees: list[Trainee] = []
        self.epochs = range(epoch, config.train_cfg.max_epochs)
        self.first = self._batches(epoch)

    @staticmethod
    def key(config, epoch: int) -> str:
        """The same for networks that can share batches."""
        parts = [config.train_dataloader, config.model.get('data_preprocessor'), config.train_cfg.max_epochs]
        return json.dumps([*parts, seed_of(config), epoch], default=str, sort_keys=True)

    def _batches(self, epoch: int) -> Iterator:
        self.sampled_epoch.fill_(epoch)
        self.loader.sampler.set_epoch(epoch)
        return iter(self.loader)

    def train(self, failed: Callable[[Run, Exception], None]) -> Iterator[None]:
        """Train to the end, a batch for each turn of the iterator."""
        pending: deque[tuple] = deque()  # batches in use, each with what waits for the networks to be done with it
        saved = time.monotonic()
        for epoch in self.epochs:
            for inputs, labels in self.first if epoch == self.epochs[0] else self._batches(epoch):
                network = self.trainees[0].model
                inputs = ImgDataPreprocessor.forward(network.data_preprocessor, dict(inputs=inputs))['inputs']
                labels = {name: value.to(inputs.device) for name, value in labels.items()}
                pending.append((inputs, labels, self._step(inputs, labels, failed)))
                if not self.trainees:
                    return
                if len(pending) > AHEAD:
                    _wait(pending.popleft()[-1])
                yield
            while pending:
                _wait(pending.popleft()[-1])
            late = time.monotonic() - saved > SECONDS_BETWEEN_SAVES
            for trainee in self.trainees:
                trainee.log_epoch()
                if epoch == self.epochs[-1]:
                    trainee.finish(self.loader.dataset.metainfo)
                elif late:
                    trainee.save()
            saved = time.monotonic() if late else saved

    def _step(self, inputs: Tensor, labels: dict[str, Tensor], failed: Callable) -> list[Callable[[], None]]:
        waits = []
        for trainee in list(self.trainees):
            try:
                if trainee.inputs is None:
                    trainee.prepare(inputs, labels)
                waits.append(trainee.step(inputs, labels))
            except Exception as error:
                failed(trainee.run, error)
                self.trainees.remove(trainee)
        return waits


def _wait(waits: list[Callable[[], None]]) -> None:
    for wait in waits:
        wait()


class Together:
    """Trains and tests runs in this process, where ``side_by_side.Pool`` gives each processes of its own.

    Args:
        finish: Takes each run that is tested, and its scores.
    """

    def __init__(self, finish: Callable[[Run, dict], None] = finish) -> None:
        self.finish = finish
        self.failures: list[str] = []
        self.test_data: dict[str, tuple] = {}

    def run(self, runs: Iterable[Run], report: Callable[[], object]) -> list[str]:
        """Finish all runs, each from where an earlier call left it.

        Args:
            runs: A run with a ``source`` comes behind it.
            report: Called after each run that is finished.

        Returns:
            One line for each run that failed; the others went on.
        """
        init_default_scope('mmpose')
        MMLogger.get_current_instance().setLevel('WARNING')
        with ExitStack() as locks:
            free = [run for run in runs if run.scores() is None and self._claim(run, locks)]
            if untrained := [run for run in free if run.source is None and not run.checkpoint.is_file()]:
                self._train(untrained)
            for run in free:
                try:
                    if run.checkpoint.is_file():
                        self.finish(run, self._test(run))
                        report()
                    elif run.source:
                        raise RunError(f'{run.work_dir.name} needs {run.source.work_dir.name}, which failed')
                except Exception as error:
                    self._failed(run, error)
        return self.failures

    def _claim(self, run: Run, locks: ExitStack) -> bool:
        run.work_dir.mkdir(parents=True, exist_ok=True)
        try:
            claim(run, locks.enter_context((run.work_dir / 'output.txt').open('a')))
        except RunError as error:
            self._failed(run, error)
            return False
        return True

    def _failed(self, run: Run, error: Exception) -> None:
        if not isinstance(error, RunError):
            with (run.work_dir / 'output.txt').open('a') as file:
                traceback.print_exception(error, file=file)
            error = f'{run.work_dir.name}: {error}'.splitlines()[0]
        self.failures.append(str(error))
        print(f'failed: {error}', file=sys.stderr, flush=True)

    def _train(self, runs: list[Run]) -> None:
        configs = {run: read_config(run, training=True) for run in runs}
        keys = {run: Group.key(config, _epoch_of(states_of(run))) for run, config in configs.items()}
        workers = _workers(len(set(keys.values())))
        groups: dict[str, Group] = {}
        for run, config in configs.items():
            if keys[run] not in groups:
                set_multi_processing(**config.get('env_cfg', {}).get('mp_cfg', {}))
                groups[keys[run]] = Group(config, _epoch_of(states_of(run)), workers)
        device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
        torch.backends.cudnn.benchmark = any(c.get('env_cfg', {}).get('cudnn_benchmark') for c in configs.values())
        for run, config in configs.items():
            group = groups[keys[run]]
            try:
                group.trainees.append(Trainee(run, config, len(group.loader), device))
            except Exception as error:
                self._failed(run, error)
        groups = [group for group in groups.values() if group.trainees]
        print(f'{len(runs)} networks to train, {len(groups)} kinds of batches, {workers} workers each', flush=True)
        turns = max((len(group.loader) * len(group.epochs) for group in groups), default=0)
        _take_turns([group.train(self._failed) for group in groups], turns)

    def _test(self, run: Run) -> dict[str, float]:
        config = read_config(run)
        model = MODELS.build(config.model)
        load_weights(model, run.checkpoint)
        model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()
        key = json.dumps(config.test_dataloader, default=str, sort_keys=True)
        if key not in self.test_data:
            loader = Runner.build_dataloader(config.test_dataloader)
            self.test_data[key] = loader.dataset, list(loader)
        dataset, batches = self.test_data[key]
        metrics = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
        evaluator = Evaluator([*metrics, dict(type='DumpResults', out_file_path=str(run.predictions))])
        evaluator.dataset_meta = dataset.metainfo
        torch.backends.cudnn.allow_tf32 = False  # scores are those of float32
        with torch.no_grad():
            for batch in batches:
                evaluator.process(model.test_step(copy.deepcopy(batch)), batch)
        return {name: float(score) for name, score in evaluator.evaluate(len(dataset)).items()}


def _workers(groups: int) -> int:
    """Processes that load data, for each group."""
    return max(1, (os.cpu_count() or 1) // groups)


def _take_turns(trainings: list[Iterator[None]], turns: int) -> None:
    """Advance all trainings by a batch at a time, and say how long the turns that are needed will take."""
    start = None
    for turn in range(turns + 1):  # in the last one they notice that they are at their end
        trainings = [training for training in trainings if next(training, StopIteration) is not StopIteration]
        if start is None:
            start = time.monotonic()  # the first turn is for getting ready
        elif turn % 50 == 0:
            spent = time.monotonic() - start
            print(f'{turn} of {turns} batches, {spent * (turns / turn - 1):.0f} s to go', flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', type=Path, metavar='CONFIG')
    parser.add_argument('--out', type=Path, default=Path('work_dirs'), metavar='DIR', help='(default: %(default)s)')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for all of them')
    args = parser.parse_args()
    runs = []
    for path in args.configs:
        if not path.is_file():
            parser.error(f'there is no config {path}')
        run = Run(path.resolve(), args.out.resolve() / path.stem, 0, options=tuple(args.cfg_options))
        epochs = read_config(run).train_cfg.max_epochs
        runs.append(Run(run.config, run.work_dir, epochs, options=run.options))

    def note(run: Run, scores: dict) -> None:
        write(run.work_dir / 'scores.json', json.dumps(scores, indent=2))
        print(f'{run.checkpoint}: {scores}', flush=True)

    return int(bool(Together(note).run(runs, lambda: None)))


if __name__ == '__main__':
    sys.exit(main())
