"""Checkpoints that survive a kill at any moment, and runs that go on from them."""

import zipfile
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop

from ..files import atomic_write


@register_backend('mmpose_lite.careful')
class CarefulBackend(LocalBackend):
    """A disk on which an old file goes when its successor is complete, as MMEngine removes the old one first."""

    outdated: set[str] = set()  # shared, as MMEngine makes a backend for every file

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file beside and rename it."""
        atomic_write(filepath, obj)
        self.outdated.discard(str(filepath))

    def remove(self, filepath: str | Path) -> None:
        """Remember to remove a file."""
        self.outdated.add(str(filepath))

    def remove_outdated(self) -> None:
        """Remove what was to be removed."""
        while self.outdated:
            Path(self.outdated.pop()).unlink(missing_ok=True)


def is_whole(path: Path) -> bool:
    """Whether a file is a complete checkpoint: the check sums of torch's zip archive are right."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        return False  # the three last ones: a header with wrong bits


def find_checkpoint(work_dir: Path) -> tuple[Path | None, list[str]]:
    """The checkpoint to go on from: the one that ``last_checkpoint`` names, or else the newest that is whole.

    Returns:
        The checkpoint, None if there is none, and the files that were passed over, each with the reason.
    """
    record = work_dir / 'last_checkpoint'
    named = record.read_text(errors='replace').strip('\0 \n') if record.is_file() else None
    passed = [f'{record} is empty'] if named == '' else []
    folders = {work_dir, Path(named).parent} if named else {work_dir}
    written = [path for folder in folders for kind in ('epoch', 'iter') for path in folder.glob(f'{kind}_*.pth')]
    written.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in dict.fromkeys([*([Path(named)] if named else []), *written]):
        if is_whole(path):
            return path, passed
        passed.append(f'{path} is {"damaged or half-written" if path.exists() else "missing"}')
    return None, passed


@HOOKS.register_module()
class ResumableCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook for runs that may be killed at any moment and started again with ``--resume``.

    - Every file is written beside and renamed; what it replaces is removed after that.
    - A last checkpoint that is missing or damaged is noticed, and the newest whole one is used.
    - A validation is recorded in the checkpoint of its epoch. One that was cut short is done when the run is resumed,
      so that the history, the best checkpoint and the final scores are there as if there had been no interruption.

    Args:
        max_keep_ckpts: At least 2, or there is none to fall back to; -1 keeps all.
        **kwargs: As for :class:`mmengine.hooks.CheckpointHook`, except ``backend_args``: a local disk.
    """

    def __init__(self, max_keep_ckpts: int = 2, **kwargs) -> None:
        if max_keep_ckpts in (0, 1):
            raise ValueError(
                f'max_keep_ckpts={max_keep_ckpts}: keep 2 or more, to have a checkpoint to fall back to, or -1 for all'
            )
        super().__init__(max_keep_ckpts=max_keep_ckpts, backend_args=dict(backend='mmpose_lite.careful'), **kwargs)
        self._unrecorded = False

    def before_run(self, runner) -> None:
        """Choose the checkpoint for ``--resume`` without a file name; without one, start as the config says."""
        if not (runner._resume and runner._load_from is None and isinstance(runner._train_loop, BaseLoop)):
            return
        found = [find_checkpoint(Path(runner.work_dir)) if is_main_process() else None]
        broadcast_object_list(found)
        path, passed = found[0]
        if path is None:
            runner._resume = False
            if runner.cfg.filename:  # MMPose's --resume drops its load_from
                runner._load_from = Config.fromfile(runner.cfg.filename).get('load_from')
            reason = '; '.join(passed) or f'no checkpoint in {runner.work_dir}'
            start = f', with the weights of {runner._load_from}' if runner._load_from else ''
            runner.logger.warning(f'{reason}: training starts at the beginning{start}')
        else:
            runner._load_from = str(path)
            if passed:
                runner.logger.warning(f'{"; ".join(passed)}: resuming from {path}')

    def before_train(self, runner) -> None:
        """Clean up after a kill, and make up for a validation that it cut short."""
        super().before_train(runner)
        if is_main_process():
            for folder in {runner.work_dir, self.out_dir}:
                for partial in Path(folder).glob('*.partial'):
                    partial.unlink()
        self.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt')
        loop = runner.train_loop
        if runner.val_loop is None or not isinstance(loop, EpochBasedTrainLoop) or loop.epoch < max(1, loop.val_begin):
            return
        loop._decide_current_val_interval()
        due = loop.epoch % loop.val_interval == 0 or loop.epoch == loop.max_epochs
        if due and loop.epoch not in runner.message_hub.runtime_info.get('scored_epochs', []):
            runner.logger.info(f'The validation of epoch {loop.epoch} was cut short: it is done now')
            runner.val_loop.run()

    def after_val_epoch(self, runner, metrics: dict) -> None:
        """Save the best checkpoint, and this epoch's again, now with its scores."""
        scored = runner.message_hub.runtime_info.get('scored_epochs', [])
        runner.message_hub.update_info('scored_epochs', [*scored, runner.epoch])
        self._unrecorded = self.by_epoch and Path(self.last_ckpt or '').name == self.filename_tmpl.format(runner.epoch)
        super().after_val_epoch(runner, metrics)  # saves again where the best improved
        if self._unrecorded:
            self._save_checkpoint_with_step(runner, runner.epoch, dict(epoch=runner.epoch, iter=runner.iter))

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        best = self.key_indicators[0] if self.save_best else None
        if best and metrics.get(best) == -1:  # COCO's AP of nobody
            runner.logger.warning(f'{best} is -1, of nobody who could be scored: no best checkpoint is kept')
            return
        super()._save_best_checkpoint(runner, metrics)
        self.file_backend.remove_outdated()

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                oldest = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
                self.file_backend.remove(self.file_backend.join_path(self.out_dir, oldest))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._unrecorded = False
        if is_main_process():
            atomic_write(Path(runner.work_dir, 'last_checkpoint'), self.last_ckpt.encode())
            self.file_backend.remove_outdated()
