"""The trials: their configs and options build and train, their order and verdicts; a run with EMA resumes."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS, init_default_scope
from mmengine.runner import Runner
from mmpose.registry import DATASETS, MODELS

from mmpose_lite.checkpoint import load_from_local

sys.path.append(str(Path(__file__).resolve().parents[2] / 'tools'))
import side_by_side
import trials
from side_by_side import read_config, write

NAMES = [trial.name for trial in trials.TRIALS]


@pytest.fixture
def runs(toy_root, tmp_path, monkeypatch) -> dict:
    monkeypatch.setenv('MPII_ROOT', str(toy_root))
    monkeypatch.setenv('STUDY_SIZE', '128')
    monkeypatch.setenv('STUDY_EPOCHS', '2')
    monkeypatch.setattr(side_by_side, 'computes_in_bfloat16', lambda: True)
    return trials.plan(list(trials.TRIALS), tmp_path, 128, 2, [0, 1], [])


# ------------------------------------------------------------------------------------------------ configs and options


@pytest.mark.parametrize('trial', trials.TRIALS, ids=NAMES)
def test_configs_and_options_change_and_train_something(trial, runs, tmp_path):
    run, baseline = runs[trial.name, 0], runs[trial.baseline, 0]
    config, other = read_config(run, training=True), read_config(baseline, training=True)
    assert {key for key in other if config[key] != other[key]}
    assert config.train_cfg == other.train_cfg
    assert config.randomness.seed == 0
    init_default_scope('mmpose')
    if trial is trials.DISTILLED:
        teacher = tmp_path / 'teacher.pth'
        torch.save(MODELS.build(other.model).state_dict(), teacher)
        config.model.teacher = dict(config=str(baseline.config), checkpoint=str(teacher))
    model = MODELS.build(config.model)
    model.init_weights()
    dataset = DATASETS.build(config.train_dataloader.dataset)
    batch = model.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), training=True)
    with torch.no_grad():
        loss, _ = model.parse_losses(model.train()(**batch, mode='loss'))
        tests = DATASETS.build(read_config(run).test_dataloader.dataset)
        (sample,) = model.eval().test_step(pseudo_collate([tests[0]]))
    assert loss.isfinite()
    assert sample.pred_instances.keypoints.shape == (1, 16, 2)


def test_options_of_networks_reach_them(runs):
    def changed(name: str) -> dict:
        (baseline,) = (trial.baseline for trial in trials.TRIALS if trial.name == name)
        model, other = (read_config(runs[key, 0]).model.backbone for key in (name, baseline))
        return {key: value for key, value in model.items() if other.get(key) != value}

    assert changed('lgm-pose-residual') == dict(residual=True)
    assert changed('lgm-pose-relu6') == dict(act='ReLU6')
    assert changed('greit-hrnet-18-mean') == dict(gsw_context='mean')
    assert changed('greit-hrnet-18-van') == dict(lka_init='van')
    assert changed('greit-hrnet-18-normal') == dict(lka_init='normal')
    for part in ('lks', 'gcw', 'gsw'):
        assert changed(f'greit-hrnet-18-no-{part}') == {part: False}
    assert changed('hevitpose-t-relu') == dict(proj_act='relu')


@pytest.mark.parametrize(('name', 'parameters'), [('plain', 1_159_169), ('se', 1_156_849)])
def test_other_wirings_of_greit_hrnet_have_the_papers_parameters(runs, name, parameters):
    model = MODELS.build(read_config(runs[f'greit-hrnet-18-{name}', 0]).model)
    assert sum(p.numel() for p in model.parameters()) == parameters - 41  # of which 41 belong to COCO's 17th joint


def test_pipelines(runs):
    def steps(name: str) -> list[str]:
        return [step['type'] for step in read_config(runs[name, 0], training=True).train_dataloader.dataset.pipeline]

    plain = steps('lgm-pose')
    added = {
        name: (steps(name).index(new), new)
        for name in NAMES
        if len(steps(name)) > len(plain)
        for new in steps(name)
        if new not in plain
    }
    assert added == {
        'lgm-pose-augmented': (6, 'mmdet.CutOut'),
        'lgm-pose-half-body': (3, 'RandomHalfBody'),
        'lgm-pose-mosaic': (1, 'CropMosaic'),
        'lgm-pose-blank-outside': (6, 'BlankOutside'),
    }


@pytest.mark.parametrize(('name', 'low', 'high'), [('lgm-pose', 0, 0.01), ('lgm-pose-init', 0.1, 1)])
def test_what_larm_passes_on_at_the_start(runs, name, low, high):
    backbone = MODELS.build(read_config(runs[name, 0]).model).backbone
    backbone.init_weights()
    shares = []
    for stage in (2, 3):
        larm = backbone.stages[stage][1].global_rep
        larm.register_forward_hook(lambda _, given, gives: shares.append(float(gives.std() / given[0].std())))
    backbone.train()(torch.randn(4, 3, 128, 128))
    assert len(shares) == 2
    assert all(low < share < high for share in shares)


def test_the_papers_steps_scale_with_the_epochs(runs, monkeypatch):
    monkeypatch.setenv('STUDY_EPOCHS', '260')
    assert read_config(runs['lgm-pose-steps', 0]).param_scheduler[1].milestones == [200, 240]
    monkeypatch.setenv('STUDY_EPOCHS', '40')
    assert read_config(runs['lgm-pose-steps', 0]).param_scheduler[1].milestones == [31, 37]


# ------------------------------------------------------------------------------------------------ order and table


def test_order_leaves_complete_answers(runs):
    order = list(runs)
    assert order[:6] == [(name, seed) for name in ('lgm-pose', *NAMES[:2]) for seed in (0, 1)]
    assert len(order) == 2 * (len(NAMES) + 3)
    assert len({run.work_dir for run in runs.values()}) == len(runs)
    for trial in trials.TRIALS:
        assert order.index((trial.baseline, 1)) < order.index((trial.name, 0))
    assert [run.source for run in runs.values() if run.source] == [runs['lgm-pose', 0], runs['lgm-pose', 1]]
    assert runs['lgm-pose-dark', 1].checkpoint == runs['lgm-pose', 1].work_dir / 'epoch_2.pth'


def test_some_trials_come_with_their_baseline(tmp_path):
    chosen = [trial for trial in trials.TRIALS if trial.name == 'hevitpose-t-relu']
    assert list(trials.plan(chosen, tmp_path, 128, 2, [3], [])) == [('hevitpose-t', 3), ('hevitpose-t-relu', 3)]


@pytest.mark.parametrize(
    ('differences', 'words'),
    [
        ([], 'open'),
        ([2.0], 'open'),
        ([0.1, 2.0], 'better with both seeds'),
        ([-0.1, -2.0], 'worse with both seeds'),
        ([-0.1, 2.0], 'seeds disagree'),
        ([0.0, 2.0], 'seeds disagree'),
        ([1.0, 1.0, 1.0], 'better with all 3 seeds'),
    ],
)
def test_verdict(differences, words):
    assert trials.verdict(differences) == words


def scores(pck: float, fine: float) -> dict:
    """Of five people who are all alike, so that no draw of them changes a difference."""
    costs = dict(parameters=1_050_000, macs=2.1e8)
    return {'PCK': pck, 'PCK@0.1': fine, **costs, 'precision': 'float32', 'people': [[pck, 100]] * 5}


def test_rows_compare_seed_by_seed(runs):
    found = {
        ('lgm-pose', 0): scores(50, 5),
        ('lgm-pose', 1): scores(52, 6),
        ('lgm-pose-residual', 0): scores(51, 5.5),
        ('lgm-pose-residual', 1): scores(52.5, 5.75),
        ('lgm-pose-ema', 1): scores(49, 9),
    }
    for key, run in runs.items():
        if key in found:
            write(run.work_dir / 'scores.json', json.dumps(found[key]))
    rows = trials.compare_all(list(trials.TRIALS), runs)
    assert [row['name'] for row in rows] == ['lgm-pose', 'lgm-pose-residual', 'lgm-pose-ema']
    coarse, fine = rows[1]['metrics']['PCK'], rows[1]['metrics']['PCK@0.1']
    assert coarse == dict(mean=51.75, differences=[1, 0.5], verdict='better with both seeds')
    assert fine == dict(mean=5.625, differences=[0.5, -0.25], verdict='seeds disagree')
    assert rows[2]['metrics']['PCK'] == dict(mean=49, differences=[-3], verdict='open')
    lines = trials.table(rows).splitlines()
    assert lines[2] == '| **lgm-pose** | 1.05 M | 0.21 G | 51.00 |  |  |  | 5.50 |  |  |'
    assert lines[3] == (
        '| lgm-pose-residual: skips in LARM (paper: none)? | 1.05 M | 0.21 G | 51.75 | +1.00 +0.50 '
        '| better with both seeds | +0.75 to +0.75 | 5.62 | +0.50 -0.25 | seeds disagree |'
    )


def test_distillation_wants_a_teacher(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, 'argv', ['trials.py', '--report', '--out', str(tmp_path)])
    for name in ('STUDY_SIZE', 'STUDY_EPOCHS', 'OMP_WAIT_POLICY'):
        monkeypatch.setenv(name, os.environ.get(name, ''))
    assert trials.main() == 0
    printed = capsys.readouterr().out
    assert 'lgm-pose-distilled is left out: it wants --teacher CONFIG CHECKPOINT' in printed
    assert 'lgm-pose-distilled_' not in printed
    write(tmp_path / 'lgm-pose-distilled_128x128_40e_seed1' / 'scores.json', json.dumps(scores(50, 5)))
    assert trials.main() == 0  # what is finished needs no teacher
    assert 'lgm-pose-distilled: a teacher' in capsys.readouterr().out
    files = [tmp_path / name for name in ('teacher.py', 'teacher.pth')]
    monkeypatch.setattr(sys, 'argv', [*sys.argv, '--teacher', *map(str, files)])
    with pytest.raises(SystemExit):
        trials.main()
    assert f'--teacher: there is no file {files[0]}' in capsys.readouterr().err
    for file in files:
        file.touch()
    assert trials.main() == 0
    assert 'lgm-pose-distilled_128x128_40e_seed0: not started' in capsys.readouterr().out


@pytest.mark.parametrize('which', ['--epochs 8', '--epochs 40 --only lgm-pose-residual --seeds 0'])
def test_the_readme_prints_what_was_recorded(which, monkeypatch, capsys):
    results = side_by_side.ROOT / 'configs' / 'lspet' / 'results'
    monkeypatch.setattr(sys, 'argv', ['trials.py', *which.split(), '--report', '--out', str(results)])
    for name in ('STUDY_SIZE', 'STUDY_EPOCHS', 'OMP_WAIT_POLICY'):
        monkeypatch.setenv(name, '')
    assert trials.main() == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('| ') and ' M |' in line]
    assert rows
    assert set(rows) <= set((results.parent / 'README.md').read_text().splitlines())


# ------------------------------------------------------------------------------------------------ resuming


@HOOKS.register_module()
class StopHook(Hook):
    """Breaks a training off before its second epoch."""

    def before_train_epoch(self, runner) -> None:
        if runner.epoch == 1:
            raise KeyboardInterrupt


def train(run, work_dir: Path, hooks: tuple = ()) -> tuple[dict, Runner]:
    """Train in bfloat16 with fused Adam and EMA, as in the trial; returns the last checkpoint."""
    config = read_config(run, training=True)
    for loader in (config.train_dataloader, config.val_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    config.merge_from_dict(dict(work_dir=str(work_dir), resume=True, log_level='ERROR'))
    config.custom_hooks += [dict(type=hook) for hook in hooks]
    runner = Runner.from_cfg(config)
    if hooks:
        with pytest.raises(KeyboardInterrupt):
            runner.train()
    else:
        runner.train()
    return load_from_local((work_dir / 'last_checkpoint').read_text()), runner


def test_ema_in_bfloat16_with_fused_adam_resumes_to_the_bit(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(Config, 'pretty_text', '')  # for the log and each checkpoint, a second every time
    run = runs['lgm-pose-ema', 0]
    whole, runner = train(run, tmp_path / 'whole')
    assert next(iter(runner.optim_wrapper.optimizer.param_groups))['fused']
    train(run, tmp_path / 'resumed', hooks=('StopHook',))
    resumed, _ = train(run, tmp_path / 'resumed')
    assert resumed['meta']['epoch'] == whole['meta']['epoch'] == 2
    for part in ('state_dict', 'ema_state_dict'):
        assert whole[part].keys() == resumed[part].keys()
        assert [key for key in whole[part] if not torch.equal(whole[part][key], resumed[part][key])] == []
    # what is saved, tested and shipped is the average, and the average is not what is trained
    hook = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
    name = 'backbone.stem.conv.weight'
    assert torch.equal(whole['state_dict'][name], hook.ema_model.module.get_parameter(name))
    assert torch.equal(whole['ema_state_dict'][f'module.{name}'], runner.model.get_parameter(name))
    assert not torch.equal(whole['state_dict'][name], whole['ema_state_dict'][f'module.{name}'])
    optimizers = [checkpoint['optimizer']['state'] for checkpoint in (whole, resumed)]
    for one, other in zip(*(state.values() for state in optimizers), strict=True):
        assert torch.equal(one['exp_avg_sq'], other['exp_avg_sq'])
