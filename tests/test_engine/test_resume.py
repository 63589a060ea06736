"""Runs that are killed and resumed end as if nothing had happened."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from killed_runs import INTERRUPTIONS
from mmengine.hooks import CheckpointHook

from mmpose_lite.checkpoint import load_from_local
from mmpose_lite.engine.checkpoints import ResumableCheckpointHook, find_checkpoint


@pytest.fixture(scope='module')
def runs(toy_root, tmp_path_factory) -> Path:
    """Work folders of a run in one go and of runs that were killed and resumed."""
    out = tmp_path_factory.mktemp('runs')
    command = [sys.executable, '-W', 'ignore', Path(__file__).with_name('killed_runs.py'), toy_root, out]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS='1'))
    assert done.returncode == 0, done.stderr
    return out


def state(work_dir: Path) -> dict:
    """All of a run's last checkpoint that is not a time or a place."""
    checkpoint = load_from_local((work_dir / 'last_checkpoint').read_text())
    info = checkpoint['message_hub']['runtime_info']
    history = {k: v.data for k, v in checkpoint['message_hub']['log_scalars'].items() if not k.endswith('time')}
    return dict(
        {key: checkpoint[key] for key in ('state_dict', 'optimizer', 'param_schedulers')},
        progress={key: checkpoint['meta'][key] for key in ('epoch', 'iter', 'seed')},
        records={key: info[key] for key in ('scored_epochs', 'best_score', 'keep_ckpt_ids')},
        history=history,
    )


def differences(a, b, name: str = '') -> list[str]:
    """Names of all entries that are not the same to the last bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        return [n for key in a.keys() | b.keys() for n in differences(a.get(key), b.get(key), f'{name}.{key}')]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return [n for i, pair in enumerate(zip(a, b, strict=True)) for n in differences(*pair, f'{name}.{i}')]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if torch.equal(a, b) else [name]
    return [] if np.array_equal(a, b) else [name]


def test_the_run_has_something_to_lose(runs):
    whole = state(runs / 'none')
    assert whole['progress'] == dict(epoch=3, iter=6, seed=11)
    assert len(set(whole['history']['train/loss'][0])) == 6
    assert len(whole['history']['val/PCK'][0]) == 3
    assert whole['records']['scored_epochs'] == [1, 2, 3]
    assert whole['records']['best_score'] == 30
    names = {path.name for path in (runs / 'none').iterdir() if path.is_file() and path.suffix != '.py'}
    assert not {path.name for path in (runs / 'none').iterdir()} & {'samples', 'tensorboard'}  # only when asked for
    assert names == {'epoch_2.pth', 'epoch_3.pth', 'best_PCK_epoch_2.pth', 'last_checkpoint'}


@pytest.mark.parametrize('interruption', [name for name in INTERRUPTIONS if name != 'none'])
def test_killed_and_resumed_as_if_in_one_go(runs, interruption):
    killed, whole = runs / interruption, runs / 'none'
    assert differences(state(killed), state(whole)) == []
    files = [{path.name for path in work_dir.iterdir() if path.is_file()} for work_dir in (killed, whole)]
    assert files[0] == files[1]
    best = next(whole.glob('best_*')).name
    assert differences(*(load_from_local(str(folder / best))['state_dict'] for folder in (killed, whole))) == []


@pytest.mark.parametrize(
    ('interruption', 'new', 'old'),
    [
        ('checkpoint half-written', 'epoch_2.pth.partial', 'epoch_1.pth'),
        ('checkpoint not named yet', 'epoch_2.pth', 'epoch_1.pth'),
        ('best half-written', 'best_PCK_epoch_2.pth.partial', 'best_PCK_epoch_1.pth'),
    ],
)
def test_old_files_stay_until_new_ones_are_whole(runs, interruption, new, old):
    left = set((runs / f'{interruption}.left').read_text().splitlines())
    assert {new, old} <= left
    assert new.removesuffix('.partial') not in left or not new.endswith('.partial')


def test_fallback_is_announced_in_one_line(runs):
    work_dir = runs / 'last checkpoint cut'
    lines = [line for line in (runs / f'{work_dir.name}.txt').read_text().splitlines() if 'half-written' in line]
    assert len(lines) == 1
    message = f'{work_dir}/epoch_2.pth is damaged or half-written: resuming from {work_dir}/epoch_1.pth'
    assert lines[0].endswith(message)


# ------------------------------------------------------------------------------------------------ which checkpoint


@pytest.fixture
def work_dir(tmp_path) -> Path:
    """Three checkpoints, the last one named."""
    for epoch in (9, 10, 11):  # as names, 9 is the last one
        torch.save(dict(epoch=epoch, w=torch.ones(1000)), tmp_path / f'epoch_{epoch}.pth')
        os.utime(tmp_path / f'epoch_{epoch}.pth', (epoch, epoch))
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_11.pth'))
    return tmp_path


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_named_checkpoint(work_dir):
    assert find_checkpoint(work_dir) == (work_dir / 'epoch_11.pth', [])
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_9.pth'))
    assert find_checkpoint(work_dir) == (work_dir / 'epoch_9.pth', [])


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (lambda path: path.unlink(), 'epoch_11.pth is missing'),
        (lambda path: path.write_bytes(b''), 'epoch_11.pth is damaged or half-written'),
        (lambda path: os.truncate(path, 2000), 'epoch_11.pth is damaged or half-written'),
        (flip_a_bit, 'epoch_11.pth is damaged or half-written'),
        (lambda path: path.with_name('last_checkpoint').write_text(''), 'last_checkpoint is empty'),
    ],
    ids=['missing', 'empty', 'cut', 'a bit flipped', 'name lost'],
)
def test_the_one_before_where_the_last_is_damaged(work_dir, damage, reason):
    damage(work_dir / 'epoch_11.pth')
    path, passed = find_checkpoint(work_dir)
    assert path == work_dir / ('epoch_11.pth' if 'last_checkpoint' in reason else 'epoch_10.pth')
    assert [text.removeprefix(f'{work_dir}/') for text in passed] == [reason]


def test_no_checkpoint(work_dir, tmp_path_factory):
    assert find_checkpoint(tmp_path_factory.mktemp('empty')) == (None, [])
    for path in work_dir.glob('*.pth'):
        path.write_bytes(b'')
    path, passed = find_checkpoint(work_dir)
    assert path is None
    assert len(passed) == 3


def test_work_folder_that_was_moved(work_dir):
    (work_dir / 'last_checkpoint').write_text('/before/the/move/epoch_11.pth')
    assert find_checkpoint(work_dir)[0] == work_dir / 'epoch_11.pth'


def test_one_checkpoint_is_not_enough():
    with pytest.raises(ValueError, match=r'max_keep_ckpts=1: keep 2 or more'):
        ResumableCheckpointHook(max_keep_ckpts=1)


@pytest.mark.parametrize(('score', 'kept'), [(-1, False), (0.0, True), (0.3, True)])
def test_no_best_checkpoint_of_nobody(tmp_path, monkeypatch, score, kept):
    """COCO's AP is -1 where nobody could be scored."""
    saved = []
    monkeypatch.setattr(CheckpointHook, '_save_best_checkpoint', lambda self, runner, metrics: saved.append(metrics))
    hook = ResumableCheckpointHook(interval=1, max_keep_ckpts=2, save_best='coco/AP', rule='greater')
    hook.file_backend = SimpleNamespace(remove_outdated=lambda: None)
    hook._save_best_checkpoint(SimpleNamespace(logger=logging.getLogger()), {'coco/AP': score})
    assert bool(saved) == kept
