"""Trains a tiny network again and again, each time in a fork of one warm process, kills it and resumes it.

    python killed_runs.py TOY_ROOT OUT

writes for every kind of interruption: OUT/<kind>/, the work folder; OUT/<kind>.left, the names of the files that the
kill left in it; OUT/<kind>.txt, what was logged after resuming.
"""

import os
import random
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from test_checkpoint import tiny_config


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module()
class NoiseHook(Hook):
    """Weights depend on every generator of the main process; the second epoch is the best."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        next(runner.model.parameters()).data.add_(1e-3 * noise)

    def after_val_epoch(self, runner, metrics=None):
        metrics['PCK'] = (10.0, 30.0, 20.0)[runner.epoch - 1]


@HOOKS.register_module()
class KillHook(Hook):
    """Dies at a stage of the loop."""

    priority = 'LOWEST'

    def __init__(self, stage, epoch):
        self.stage, self.epoch = stage, epoch

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if (self.stage, self.epoch, 1) == ('iteration', runner.epoch, batch_idx):
            kill()

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if (self.stage, self.epoch) == ('validation', runner.epoch):
            kill()

    def before_train_epoch(self, runner):
        if (self.stage, self.epoch) == ('between epochs', runner.epoch):
            kill()


def die_writing(name: str) -> None:
    """Write half of a file, then die."""

    def fsync(file):
        if os.readlink(f'/proc/self/fd/{file}').endswith(f'/{name}.partial'):
            os.ftruncate(file, os.fstat(file).st_size // 2)
            kill()

    os.fsync = fsync


def die_before_naming(name: str) -> None:
    """Write a checkpoint, then die before ``last_checkpoint`` names it."""
    replace = os.replace

    def replace_or_die(source, target):
        if Path(target).name == 'last_checkpoint' and Path(target).with_name(name).exists():
            kill()
        replace(source, target)

    os.replace = replace_or_die


def cut_last_checkpoint(work_dir: Path) -> None:
    """What a crash of the machine, or a program that writes in place, leaves."""
    last = Path((work_dir / 'last_checkpoint').read_text())
    os.truncate(last, last.stat().st_size // 2)
    (work_dir / 'epoch_7.pth.partial').touch()


# what happens: (a hook that kills, what else prepares the death, what is damaged afterwards)
INTERRUPTIONS = {
    'none': (None, None, None),
    'iteration': (('iteration', 1), None, None),
    'validation': (('validation', 3), None, None),
    'best half-written': (None, lambda: die_writing('best_PCK_epoch_2.pth'), None),
    'checkpoint half-written': (None, lambda: die_writing('epoch_2.pth'), None),
    'checkpoint not named yet': (None, lambda: die_before_naming('epoch_2.pth'), None),
    'last checkpoint cut': (('between epochs', 2), None, cut_last_checkpoint),
}


def in_fork(log: Path, function, *args) -> int:
    """Exit status of a function in a forked process."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with log.open('w') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        function(*args)
        status = 0
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def train(toy_root: Path, work_dir: Path, death=None, prepare=None) -> None:
    config = tiny_config(toy_root, work_dir)
    config.train_cfg.max_epochs = 3
    config.train_dataloader.update(num_workers=2, persistent_workers=True)
    config.custom_hooks.append(dict(type='NoiseHook'))
    config.default_hooks.pop('curves')
    if death:
        config.custom_hooks.append(dict(type='KillHook', stage=death[0], epoch=death[1]))
    if prepare:
        prepare()
    if not work_dir.exists():
        config.randomness = dict(seed=11)  # a resumed run takes its seed from the checkpoint
    config.update(resume=True, log_level='WARNING')
    Runner.from_cfg(config).train()


def main(toy_root: Path, out: Path) -> None:
    torch.set_num_threads(1)
    Config.pretty_text = 'not of interest'  # would take half of the time
    out.mkdir(exist_ok=True)
    for name, (death, prepare, damage) in INTERRUPTIONS.items():
        work_dir, log = out / name, out / f'{name}.txt'
        status = in_fork(log, train, toy_root, work_dir, death, prepare)
        expected = 0 if name == 'none' else -signal.SIGKILL
        assert status == expected, f'{name}: exit status {status}, not {expected}\n{log.read_text()}'
        if name == 'none':
            continue
        (out / f'{name}.left').write_text('\n'.join(path.name for path in work_dir.iterdir()))
        if damage:
            damage(work_dir)
        status = in_fork(log, train, toy_root, work_dir)
        assert status == 0, f'{name}: {log.read_text()}'


if __name__ == '__main__':
    main(Path(sys.argv[1]), Path(sys.argv[2]))
