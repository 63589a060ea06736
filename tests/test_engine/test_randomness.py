"""What is drawn in a training follows from its seed and progress."""

import pickle
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader, Dataset

from mmpose_lite.engine import ProgressSeedHook


class Drawing(Dataset):
    """Samples are what the generators give."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), torch.rand(()).item()


def make_runner(workers=0, seed=5, loop=EpochBasedTrainLoop):
    dataset = Drawing()
    loader = DataLoader(
        dataset,
        batch_size=2,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=DefaultSampler(dataset, seed=0),
        collate_fn=pseudo_collate,
    )
    return SimpleNamespace(train_loop=loop.__new__(loop), train_dataloader=loader, seed=seed, epoch=0, iter=0)


def epochs(runner, hook, numbers) -> list[list]:
    """What is drawn in some epochs, by index."""
    hook.before_train(runner)
    drawn = []
    for runner.epoch in numbers:
        hook.before_train_epoch(runner)
        runner.train_dataloader.sampler.set_epoch(runner.epoch)
        columns = [[*zip(*batch, strict=True)] for batch in runner.train_dataloader]
        drawn.append([sample for batch in columns for sample in batch])
    return drawn


@pytest.mark.parametrize('workers', [0, 1, 2])
def test_resumed_epochs_are_those_of_a_run_in_one_go(workers):
    whole = epochs(make_runner(), ProgressSeedHook(), range(3))
    resumed = epochs(make_runner(workers), ProgressSeedHook(), range(1, 3))
    assert resumed == whole[1:]
    values = {value for epoch in whole for sample in epoch for value in sample[1:]}
    assert len(values) == 3 * 6 * 3  # none twice
    assert [sample[0] for sample in whole[0]] != [sample[0] for sample in whole[1]]


def test_seed_matters_to_order_and_samples():
    first, second = (epochs(make_runner(seed=seed), ProgressSeedHook(), [0])[0] for seed in (5, 6))
    assert [sample[0] for sample in first] != [sample[0] for sample in second]
    assert not {s[1] for s in first} & {s[1] for s in second}


def test_main_process_is_seeded_by_the_iteration():
    runner, hook = make_runner(), ProgressSeedHook()
    drawn = []
    for runner.iter in (3, 4, 3):
        hook.before_train_iter(runner, 0)
        drawn.append((random.random(), np.random.rand(), torch.rand(()).item()))
    assert drawn[0] == drawn[2]
    assert not set(drawn[0]) & set(drawn[1])


def test_dataset_stays_what_it_is():
    runner, hook = make_runner(), ProgressSeedHook()
    hook.before_train(runner)
    dataset = runner.train_dataloader.dataset
    kind = type(dataset)
    assert isinstance(dataset, Drawing)
    assert kind.__name__ == 'Drawing'
    assert pickle.loads(pickle.dumps(dataset))[4] == dataset[4]  # as for spawned workers
    hook.before_train(runner)
    assert type(dataset) is kind


def test_other_loops_are_left_alone():
    runner, hook = make_runner(loop=IterBasedTrainLoop), ProgressSeedHook()
    torch.manual_seed(1)
    expected = torch.rand(())
    torch.manual_seed(1)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    hook.before_train_iter(runner, 0)
    assert torch.rand(()) == expected
    assert type(runner.train_dataloader.dataset) is Drawing
