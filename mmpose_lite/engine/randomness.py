"""Training that can be repeated: what is drawn depends on the seed and the progress, not on what ran before."""

import random
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import Dataset


def _mix(key: Sequence[int]) -> int:
    """32 bits that are unrelated for keys that are alike."""
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def _seeded_class(kind: type[Dataset]) -> type[Dataset]:
    """A dataset class that seeds what transforms draw from, for every sample anew."""

    class Seeded(kind):
        def __getitem__(self, index: int):
            seed = _mix((self._seed, int(self._epoch), index))
            random.seed(seed)
            np.random.seed(seed)
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would look for GPUs each time, too
            return super().__getitem__(index)

        def __reduce__(self):  # for workers that are spawned, which cannot find a class that has no module
            return _new_seeded, (kind,), self.__dict__

    Seeded.__name__ = kind.__name__
    return Seeded


def _new_seeded(kind: type[Dataset]) -> Dataset:
    kind = _seeded_class(kind)
    return kind.__new__(kind)


def seed_samples(dataset: Dataset, seed: int) -> torch.Tensor:
    """Make what the transforms of each sample draw a matter of (seed, epoch, index) alone.

    Returns:
        The epoch, a shared int64 scalar, to be filled in before each one; workers that are forked afterwards see it
        change.
    """
    if not hasattr(dataset, '_epoch'):
        dataset.__class__ = _seeded_class(type(dataset))
    dataset._seed = seed
    dataset._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
    return dataset._epoch


@HOOKS.register_module()
class ProgressSeedHook(Hook):
    """Seed every random generator from the run's seed and the progress of the training.

    MMEngine restores no generator when it resumes, and the generators of persistent data loader workers cannot be
    saved. So nothing is restored here: the main process is seeded by (seed, iteration) and each training sample by
    (seed, epoch, index). A resumed run then draws what an uninterrupted one does, with any number of workers.

    It is for training by epochs; other loops are left alone.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        """Hand the seed to the sampler and to the training dataset."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        loader = runner.train_dataloader
        shared = [runner.seed]
        broadcast_object_list(shared)
        sampler = getattr(loader.batch_sampler, 'sampler', None)
        if hasattr(sampler, 'seed'):
            sampler.seed = shared[0]  # where the config has no seed, a resumed run took it from the checkpoint after
        self._epoch = seed_samples(loader.dataset, shared[0])  # the sampler was built

    def before_train_epoch(self, runner) -> None:
        """Tell the dataset, in all workers, which epoch it is."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._epoch.fill_(runner.epoch)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed the main process; later than the epoch, as a data loader draws when it starts its workers."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            seed = _mix((runner.seed, runner.iter))
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
