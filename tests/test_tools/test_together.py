"""Networks trained together in one process, against MMEngine's runner."""

import fcntl
import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from mmpose_lite.checkpoint import load_from_local

sys.path.append(str(Path(__file__).resolve().parents[2] / 'tools'))
import side_by_side
import study
import together
import trials
from side_by_side import NETWORKS, Run, read_config

OPTIONS = (
    *('train_dataloader.batch_size=4', 'train_dataloader.drop_last=True', 'log_level=ERROR'),
    *(f'{part}_dataloader.num_workers=0' for part in ('train', 'val', 'test')),
    *(f'{part}_dataloader.persistent_workers=False' for part in ('train', 'val', 'test')),
    # with Adam's own epsilon, gradients of nearly nothing make whole steps, to either side as rounding has it
    *('optim_wrapper.optimizer.eps=0.001', 'optim_wrapper.optimizer.lr=0.1'),
)


@pytest.fixture(autouse=True)
def _setting(toy_root, monkeypatch):
    monkeypatch.setenv('MPII_ROOT', str(toy_root))
    monkeypatch.setenv('STUDY_SIZE', '128')
    monkeypatch.setenv('STUDY_EPOCHS', '2')
    monkeypatch.setattr(together, '_workers', lambda groups: 0)


def run_of(name: str, work_dir: Path, *training: str, options: tuple[str, ...] = OPTIONS, **rest) -> Run:
    return Run(NETWORKS[name], work_dir, 2, options=options, training=training, **rest)


def note(run: Run, scores: dict) -> None:
    side_by_side.write(run.work_dir / 'scores.json', json.dumps(scores))


def trained(run: Run) -> dict[str, torch.Tensor]:
    return load_from_local(str(run.checkpoint))['state_dict']


def by_runner(run: Run, work_dir: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Weights and scores of ``mim train`` and ``mim test``."""
    config = read_config(run, training=True)
    config.work_dir = str(work_dir)
    config.train_cfg.val_interval = 2
    runner = Runner.from_cfg(config)
    runner.train()
    runner.load_checkpoint(str(work_dir / 'epoch_2.pth'))
    return runner.model.state_dict(), runner.test()


def test_trains_and_tests_as_the_runner_does(tmp_path):
    average = (*trials.EMA, 'default_hooks.ema.momentum=0.5', 'default_hooks.ema.gamma=1')  # far from the last weights
    runs = [
        run_of('rtmpose-t', tmp_path / 'rtmpose'),  # whose head's own loss no graph can hold
        run_of('lgm-pose', tmp_path / 'lgm', *average, 'optim_wrapper.optimizer.fused=True'),
    ]
    assert together.Together(note).run(runs, lambda: None) == []
    for run in runs:
        expected, scores = by_runner(run, tmp_path / f'{run.work_dir.name}_by_runner')
        weights = trained(run)
        assert weights.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f'{n}: {m}')
        assert run.scores() == pytest.approx(scores)
        found, labelled = side_by_side.joints_found(run.predictions)
        assert 100 * found.sum() / labelled.sum() == pytest.approx(scores['PCK'], abs=1e-4)
        assert run.progress() == 'in epoch 2 of 2'


def test_goes_on_after_a_stop(tmp_path, monkeypatch):
    whole, stopped = (run_of('rtmpose-t', tmp_path / name, *trials.EMA) for name in ('whole', 'stopped'))
    assert together.Together(note).run([whole], lambda: None) == []
    monkeypatch.setattr(together, 'SECONDS_BETWEEN_SAVES', -1)
    step, steps = together.Trainee.step, []

    def broken_off(self, inputs, labels):
        steps.append(self.epoch)
        if self.epoch == 1:
            raise KeyboardInterrupt
        return step(self, inputs, labels)

    with monkeypatch.context() as patch:
        patch.setattr(together.Trainee, 'step', broken_off)
        with pytest.raises(KeyboardInterrupt):
            together.Together(note).run([stopped], lambda: None)
    assert [path.name for path in stopped.work_dir.glob('*.pth')] == ['together_1.pth']
    monkeypatch.setattr(together.Trainee, 'step', lambda *args: steps.append(args[0].epoch) or step(*args))
    steps.clear()
    assert together.Together(note).run([stopped], lambda: None) == []
    assert set(steps) == {1}
    assert [path.name for path in stopped.work_dir.glob('*.pth')] == ['epoch_2.pth']
    expected = trained(whole)
    assert [name for name, value in trained(stopped).items() if not torch.equal(value, expected[name])] == []
    steps.clear()
    (stopped.work_dir / 'scores.json').unlink()  # stopped before the test
    assert together.Together(note).run([whole, stopped], lambda: None) == []
    assert steps == []
    assert stopped.scores() == whole.scores()


def test_networks_share_batches_and_one_that_fails_stops_no_other(tmp_path, capfd):
    no_teacher = ('model.teacher.config=gone.py', 'model.teacher.checkpoint=gone.pth')
    plain = run_of('lgm-pose', tmp_path / 'plain')
    broken = run_of('lgm-pose', tmp_path / 'broken', options=(*OPTIONS, 'model.backbone.act=Nonsense'))
    runs = [
        plain,
        run_of('lgm-pose', tmp_path / 'other_seed', 'randomness.seed=1'),
        broken,
        run_of('lgm-pose', tmp_path / 'taught', *trials.DISTILLED.training, *no_teacher),
        run_of('rtmpose-t', tmp_path / 'accumulated', 'optim_wrapper.accumulative_counts=2'),
        run_of('lgm-pose', tmp_path / 'plain_again', source=plain),
        run_of('lgm-pose', tmp_path / 'broken_again', source=broken),
    ]
    finished = []
    failures = together.Together(lambda run, scores: finished.append(run.work_dir.name)).run(runs, lambda: None)
    assert sorted(finished) == ['other_seed', 'plain', 'plain_again']
    assert [failure.partition(':')[0] for failure in failures[:3]] == ['broken', 'accumulated', 'taught']
    assert 'Nonsense' in failures[0]
    assert 'accumulative_counts' in failures[1]
    assert 'gone.py' in failures[2]
    assert failures[3:] == ['broken_again needs broken, which failed']
    printed = capfd.readouterr()
    assert '5 networks to train, 2 kinds of batches' in printed.out
    assert all(f'failed: {failure}' in printed.err for failure in failures)
    assert 'Traceback' in (broken.work_dir / 'output.txt').read_text()
    weights, other = trained(plain), trained(runs[1])
    assert not torch.equal(weights['head.final_layer.weight'], other['head.final_layer.weight'])


def test_a_folder_in_use_is_left_alone(tmp_path):
    run = run_of('rtmpose-t', tmp_path / 'used')
    run.work_dir.mkdir()
    with (run.work_dir / 'output.txt').open('a') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        failures = together.Together(note).run([run], lambda: None)
    assert failures == ['used is being trained or tested by another process']
    assert not run.checkpoint.exists()


def test_learning_rates_are_those_of_the_schedules():
    config = read_config(run_of('lgm-pose', Path('nowhere')))
    config.train_cfg.max_epochs = 13
    config.param_scheduler = [
        dict(type='LinearLR', begin=0, end=4, start_factor=0.1, by_epoch=False),
        dict(type='MultiStepLR', milestones=[10, 12], by_epoch=True),
    ]
    parameters = [dict(params=[torch.zeros(1, requires_grad=True)], lr=lr) for lr in (1.0, 2.0)]
    rates = together.learning_rates(config, torch.optim.SGD(parameters), epoch_length=3)
    assert rates.shape == (39, 2)
    torch.testing.assert_close(rates[:6, 0], torch.tensor([0.1, 0.4, 0.7, 1, 1, 1]))
    torch.testing.assert_close(rates[[29, 30, 35, 36], 0], torch.tensor([1, 0.1, 0.1, 0.01]))
    torch.testing.assert_close(rates[:, 1], 2 * rates[:, 0])


def test_study_and_command(tmp_path, monkeypatch, toy_root, capfd):
    monkeypatch.setenv('OMP_WAIT_POLICY', 'PASSIVE')
    line = ['--data', str(toy_root), '--protocol', 'cpu', '--epochs', '1', '--together', '--out', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', ['study.py', *line, '--networks', 'rtmpose-t', '--cfg-options', *OPTIONS])
    assert study.main() == 0
    assert set(json.loads((tmp_path / 'results.json').read_text())['rtmpose-t']) >= {'PCK', 'PCK@0.1', 'macs'}

    config = NETWORKS['rtmpose-t']
    options = (*OPTIONS, 'train_cfg.max_epochs=1')
    monkeypatch.setattr(sys, 'argv', ['together.py', str(config), '--out', str(tmp_path), '--cfg-options', *options])
    assert together.main() == 0
    assert 'PCK' in json.loads((tmp_path / config.stem / 'scores.json').read_text())
    assert str(tmp_path / config.stem / 'epoch_1.pth') in capfd.readouterr().out
    monkeypatch.setattr(sys, 'argv', ['together.py', 'gone.py'])
    with pytest.raises(SystemExit):
        together.main()
    assert 'there is no config gone.py' in capfd.readouterr().err
