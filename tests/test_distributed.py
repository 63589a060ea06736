"""Training in several processes, in mixed precision, compiled: the same as ever."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.model import convert_sync_batchnorm, revert_sync_batchnorm
from mmengine.registry import HOOKS, OPTIM_WRAPPERS
from mmengine.runner import Runner
from mmpose.models.backbones import litehrnet, shufflenet_v1, shufflenet_v2
from mmpose.models.backbones.utils import channel_shuffle
from test_learning import NETWORKS
from torch import nn
from two_processes import STEPS, build, samples, train

from mmpose_lite.models import lgm_pose

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted(ROOT.glob('configs/*/**/td-*.py'))
TOY = ROOT / 'configs' / 'lgm_pose' / 'td-hm_lgm-pose_1xb32-6e_toy-128x128.py'


def run(*command: str, **environment: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


# ------------------------------------------------------------------------------------------------ two processes


@pytest.fixture(scope='module')
def two_processes(toy_root, tmp_path_factory) -> list[dict]:
    """What each of two processes got."""
    out = tmp_path_factory.mktemp('two')
    torchrun = (sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2')
    done = run(*torchrun, str(ROOT / 'tests' / 'two_processes.py'), str(toy_root), str(out), PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(out / f'{rank}.pth') for rank in (0, 1)]


def assert_same(results: dict, expected: dict) -> None:
    assert results.keys() == expected.keys()
    largest = max(value.abs().max().item() for value in expected.values())
    for name, value in expected.items():  # the gradient of some is zero but for rounding
        torch.testing.assert_close(results[name], value, rtol=1e-8, atol=1e-10 * largest, msg=name)


@pytest.mark.parametrize('network', NETWORKS)
def test_two_processes_with_synchronized_norms_are_one_with_the_whole_batch(network, two_processes, toy_root):
    expected = list(train(build(network), [samples(toy_root)]))
    for process in two_processes:
        for step in range(STEPS):
            assert_same(process[network, 'synchronized'][step], expected[step])


@pytest.mark.parametrize('network', NETWORKS)
def test_two_processes_are_one_that_takes_their_batches_in_turn(network, two_processes, toy_root):
    people = samples(toy_root)
    expected = list(train(build(network), [people[:2], people[2:]]))  # each batch with its own statistics
    for process in two_processes:
        for step in range(STEPS):
            assert_same(process[network, 'plain'][step], expected[step])


def test_the_road_a_user_takes(toy_root, tmp_path):
    mim = str(Path(sys.executable).with_name('mim'))
    done = run(
        *(mim, 'train', 'mmpose', str(TOY), '--launcher', 'pytorch', '--gpus', '2', '--auto-scale-lr', '--amp'),
        *('--work-dir', str(tmp_path), '--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1'),
        *('train_dataloader.batch_size=4', 'default_hooks.logger.interval=1'),
        MPII_ROOT=str(toy_root),
    )
    log = done.stdout + done.stderr
    assert done.returncode == 0, log[-3000:]
    assert 'Scaling the original LR by 0.25' in log  # 2 x 4 of 32
    assert re.search(r'Epoch\(train\) \[1\]\[1/\d\].* loss: 0\.0\d+', log)
    assert re.search(r'Epoch\(val\) \[1\]\[1/1\].* PCK: ', log)
    assert (tmp_path / 'epoch_1.pth').is_file()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_learning_rate_is_scaled_by_the_batch(path):
    config = Config.fromfile(path)
    gpus, batch = map(int, re.search(r'_(\d+)xb(\d+)-', path.stem).groups())
    for processes, factor in ((gpus, 1), (4 * gpus, 4)):
        rate = config.optim_wrapper.optimizer.lr
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate)
        wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=optimizer))
        runner = SimpleNamespace(
            world_size=processes,
            _train_dataloader=config.train_dataloader,
            logger=MMLogger.get_current_instance(),
            param_schedulers=config.param_scheduler,
        )
        assert config.train_dataloader.batch_size == batch
        Runner.scale_lr(runner, wrapper, dict(config.auto_scale_lr, enable=True))
        assert optimizer.param_groups[0]['lr'] == pytest.approx(factor * rate)


@pytest.mark.parametrize('network', NETWORKS)
def test_all_batch_norms_can_be_synchronized(network):
    model = build(network)
    keys, norms = model.state_dict().keys(), sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    model = convert_sync_batchnorm(model, 'torch')
    kinds = [type(module) for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert set(kinds) == {nn.SyncBatchNorm}
    assert len(kinds) == norms > 10
    assert model.state_dict().keys() == keys  # the checkpoints fit either way
    model = revert_sync_batchnorm(model)
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())


# ------------------------------------------------------------------------------------------------ precision, compiler


def losses(model: nn.Module, root: Path, steps: int, **optim_wrapper) -> list[float]:
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    wrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=optimizer) | optim_wrapper)
    batch = pseudo_collate(samples(root))
    return [model.train_step(batch, wrapper)['loss'].item() for _ in range(steps)]


def small(network: str) -> nn.Module:
    model = build(network).float()
    model.init_weights()
    return model


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
@pytest.mark.parametrize('network', NETWORKS)
def test_mixed_precision_trains(network, dtype, toy_root):
    model, seen = small(network), set()
    model.backbone.register_forward_hook(lambda module, inputs, outputs: seen.update(o.dtype for o in outputs))
    # the scaler leaves out steps whose gradients overflow in float16, so ten
    values = losses(model, toy_root, 10, type='AmpOptimWrapper', dtype=dtype)
    assert getattr(torch, dtype) in seen
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert torch.tensor(values).isfinite().all()
    assert values[-1] < 0.9 * values[0]


def test_mixed_precision_takes_two_types(toy_root):
    with pytest.raises(ValueError, match='bfloat16 or float16'):
        losses(small('wgnet'), toy_root, 1, type='AmpOptimWrapper', dtype='float8')


def test_compiled_network_trains_the_same(toy_root):
    expected, model = losses(small('lgm_pose'), toy_root, 3), small('lgm_pose')
    keys = model.state_dict().keys()
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    runner = SimpleNamespace(cfg=dict(compile=dict(backend=backend)), model=model)
    Runner._maybe_compile(runner, 'train_step')
    Runner._maybe_compile(runner, 'val_step')  # the loops ask one after the other
    assert losses(model, toy_root, 3) == pytest.approx(expected, rel=1e-4)
    assert len(compiled) >= 3  # backbone, neck, head
    assert model.state_dict().keys() == keys


def test_nothing_is_compiled_unasked():
    model = small('wgnet')
    for compile_ in (None, False):
        Runner._maybe_compile(SimpleNamespace(cfg=dict(compile=compile_), model=model), 'train_step')
    assert model.backbone._compiled_call_impl is None
    assert 'forward' not in vars(model.head)


# ------------------------------------------------------------------------------------------------ memory format


@pytest.mark.parametrize('network', NETWORKS)
def test_channels_last_changes_nothing_but_the_layout(network, toy_root):
    results, layouts = [], []
    for channels_last in (False, True):
        model = build(network)
        if channels_last:
            HOOKS.build(dict(type='ChannelsLastHook')).before_train(SimpleNamespace(model=model))
        model.backbone.register_forward_hook(
            lambda module, inputs, outputs: layouts.append(outputs[-1].is_contiguous(memory_format=torch.channels_last))
        )
        results.append(list(train(model, [samples(toy_root)])))
    assert all(layouts[STEPS:])
    assert network == 'wgnet' or not any(layouts[:STEPS])  # whose attention ends that way
    for plain, last in zip(*results, strict=True):
        assert_same(last, plain)


@pytest.mark.parametrize(
    ('block', 'channels'),
    [
        (lambda: litehrnet.ConditionalChannelWeighting([8, 16], stride=1, reduce_ratio=4), (8, 16)),
        (lambda: litehrnet.Stem(8, 16, 16, expand_ratio=1), (8,)),
        (lambda: shufflenet_v1.ShuffleUnit(24, 24, combine='add'), (24,)),
        (lambda: shufflenet_v2.InvertedResidual(8, 8), (8,)),
        (lambda: lgm_pose.SFusion(8, 16), (8, 16)),
    ],
    ids=['weighting', 'stem', 'shufflenet v1', 'shufflenet v2', 'sfusion'],
)
def test_shuffled_channels_stay_last(block, channels, monkeypatch):
    for module in (litehrnet, shufflenet_v1, shufflenet_v2, lgm_pose):
        monkeypatch.setattr(module, 'channel_shuffle', channel_shuffle)  # what the hook changes is put back
    model, maps = block().double().eval(), [torch.randn(2, count, 4, 6, dtype=torch.float64) for count in channels]

    def outputs() -> list[torch.Tensor]:
        whole = isinstance(model, litehrnet.ConditionalChannelWeighting)
        result = model(list(maps)) if whole else model(*maps)
        return result if whole else [result]

    expected = outputs()
    HOOKS.build(dict(type='ChannelsLastHook')).before_train(SimpleNamespace(model=model))
    maps = [x.contiguous(memory_format=torch.channels_last) for x in maps]
    for last, plain in zip(outputs(), expected, strict=True):
        assert last.is_contiguous(memory_format=torch.channels_last)
        assert not plain.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(last, plain, rtol=1e-10, atol=1e-10)
