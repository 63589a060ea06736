"""Where the time of a training step goes, and whether the data keep up.

    MPII_ROOT=/data/mpii python tools/train_speed.py CONFIG --workers 0 4 16
    ... --cfg-options keep_memory=False             with glibc's own way to give memory back after every step

prints, as medians: the parts of a step (data, transfer, forward, backward, optimizer); the transforms of a sample;
steps per second with the data in memory and with data loader workers, and what share of the former the latter reach;
and the effect of channels-last, of a fused optimizer and of bfloat16, measured in turn with the plain step. On a GPU,
where there is one, which it waits for before each look at the clock.
"""

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from statistics import median

import torch
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.device import get_device
from mmengine.registry import OPTIM_WRAPPERS, init_default_scope
from mmengine.runner import Runner
from mmpose.registry import MODELS
from torch import nn

import mmpose_lite  # noqa: F401
from mmpose_lite._compat.malloc import keep_memory

VARIANTS = ('plain', 'channels_last', 'fused', 'bfloat16', 'channels_last + fused + bfloat16')


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Step:
    """A training step as MMEngine does it, with a clock between its parts."""

    def __init__(self, config: Config, options: str = 'plain') -> None:
        torch.manual_seed(0)
        model: nn.Module = MODELS.build(config.model)
        model.init_weights()
        model = model.to(get_device()).train()
        if 'channels_last' in options:
            model = model.to(memory_format=torch.channels_last)
        wrapper = ConfigDict(config.optim_wrapper)
        settings = {**wrapper.optimizer, 'params': model.parameters()} | ({'fused': True} if 'fused' in options else {})
        optimizer = getattr(torch.optim, settings.pop('type'))(**settings)
        mixed = dict(type='AmpOptimWrapper', dtype='bfloat16') if 'bfloat16' in options else dict(type='OptimWrapper')
        self.model, self.wrapper = model, OPTIM_WRAPPERS.build(dict(optimizer=optimizer, **mixed))

    def __call__(self, batch: dict) -> dict[str, float]:
        """Do one step; returns seconds by part."""
        clock = [now()]
        with self.wrapper.optim_context(self.model):
            data = self.model.data_preprocessor(batch, training=True)
            clock.append(now())
            loss, _ = self.model.parse_losses(self.model(**data, mode='loss'))
        clock.append(now())
        self.wrapper.backward(loss)
        clock.append(now())
        self.wrapper.step()
        self.wrapper.zero_grad()
        clock.append(now())
        parts = ('transfer', 'forward', 'backward', 'optimizer')
        return {part: end - start for part, start, end in zip(parts, clock, clock[1:], strict=False)}


def repeated(loader: torch.utils.data.DataLoader) -> Iterator[dict]:
    while True:
        yield from loader


def build_loader(config: Config, workers: int) -> torch.utils.data.DataLoader:
    settings = ConfigDict(config.train_dataloader, num_workers=workers, persistent_workers=workers > 0)
    return Runner.build_dataloader(settings, seed=0)


def seconds(step: Callable[[], object], number: int) -> list[float]:
    times = [now()]
    for _ in range(number):
        step()
        times.append(now())
    return [end - start for start, end in pairwise(times)]


def print_parts(step: Step, loader: torch.utils.data.DataLoader, number: int) -> None:
    parts, batches = defaultdict(list), repeated(loader)
    for index in range(number + 2):
        start = now()
        batch = next(batches)
        times = {'data': now() - start} | step(batch)
        for part, value in times.items() if index >= 2 else ():  # the first steps allocate
            parts[part].append(value)
    total = sum(median(values) for values in parts.values())
    print(f'\na step, batch of {loader.batch_size}, data in the same process: {1e3 * total:.1f} ms')
    for part, values in parts.items():
        print(f'  {part:12}{1e3 * median(values):9.1f} ms {median(values) / total:6.1%}')


def print_transforms(dataset: torch.utils.data.Dataset, number: int) -> None:
    times = defaultdict(list)
    for index in range(min(number, len(dataset))):
        sample = dataset.get_data_info(index) | dict(dataset=dataset)
        for transform in dataset.pipeline.transforms:
            start = time.perf_counter()
            sample = transform(sample)
            times[type(transform).__name__].append(time.perf_counter() - start)
    print(f'\na sample: {1e3 * sum(map(median, times.values())):.2f} ms')
    for name, values in times.items():
        print(f'  {name:24}{1e3 * median(values):7.2f} ms')


def print_loading(config: Config, step: Step, batch: dict, workers: list[int], number: int) -> None:
    in_memory = median(seconds(lambda: step(batch), number))
    print(f'\n{1 / in_memory:.2f} steps/s with the data in memory')
    for count in workers:
        batches = repeated(build_loader(config, count))
        for _ in range(2 + count):  # start the workers and use up what they prepared
            step(next(batches))
        # a queue may hide a lack for a while, so the mean over all counts, not the median
        mean = sum(seconds(lambda source=batches: step(next(source)), number)) / number
        print(f'  {count:3} workers{1 / mean:9.2f} steps/s {in_memory / mean:7.1%}')


def print_variants(config: Config, batch: dict, number: int) -> None:
    steps, times = {name: Step(config, name) for name in VARIANTS}, defaultdict(list)
    for index in range(number + 2):
        for name, step in steps.items():  # in turn, so that whatever else the machine does hits all alike
            (elapsed,) = seconds(lambda run=step: run(batch), 1)
            if index >= 2:
                times[name].append(elapsed)
    print('\noptional mends, data in memory')
    for name, values in times.items():
        print(f'  {name:36}{1e3 * median(values):9.1f} ms {median(times["plain"]) / median(values):6.2f} x')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 1, 2], metavar='N', help='default: 0 1 2')
    parser.add_argument('--iterations', type=int, default=20, metavar='N', help='steps per measurement (default: 20)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override the config')
    arguments = parser.parse_args()
    warnings.simplefilter('ignore')
    config = Config.fromfile(arguments.config)
    config.merge_from_dict(arguments.cfg_options or {})
    if config.get('keep_memory', True) and not torch.cuda.is_available():
        keep_memory()  # as a training does
    init_default_scope('mmpose')
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f'CPU, {torch.get_num_threads()} threads'
    print(f'{arguments.config} on {where}, torch {torch.__version__}')

    loader, step = build_loader(config, 0), Step(config)
    print_parts(step, loader, arguments.iterations)
    print_transforms(loader.dataset, 10 * arguments.iterations)
    batch = next(iter(loader))
    print_loading(config, step, batch, arguments.workers, arguments.iterations)
    print_variants(config, batch, arguments.iterations)


if __name__ == '__main__':
    main()
