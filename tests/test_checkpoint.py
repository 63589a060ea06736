"""Checkpoints: MMEngine's own load and resume, hostile ones do not run, foreign ones are refused."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner, load_checkpoint
from safetensors.torch import save_file
from torch import nn

from mmpose_lite import checkpoint
from mmpose_lite.checkpoint import CheckpointError, check_state_dict, load_from_local


def tiny_config(toy_root: Path, work_dir: Path, **changes) -> Config:
    """A small LGM-Pose on generated people, as `mim train` would build it."""
    root = Path(__file__).resolve().parent.parent
    config = Config.fromfile(root / 'configs' / 'lgm_pose' / 'td-hm_lgm-pose_1xb32-6e_toy-128x128.py')
    for name in ('train', 'val', 'test'):
        loader = config[f'{name}_dataloader']
        loader.update(num_workers=0, persistent_workers=False, batch_size=4)
        loader.dataset.data_root = str(toy_root)
        if 'headbox_file' in loader.dataset:
            loader.dataset.headbox_file = str(toy_root / 'annotations' / 'mpii_gt_val.mat')
    config.train_dataloader.dataset.indices = 8
    config.train_cfg.update(max_epochs=1, val_interval=1)
    config.model.backbone.widths = (8, 8, 8, 8, 8, 8)
    config.model.backbone.embed_channels = (8, 8)
    config.model.neck.update(in_channels=(8, 8, 8), channels=(8, 8, 64))
    config.work_dir = str(work_dir)
    config.log_level = 'ERROR'
    config.merge_from_dict(changes)
    return config


@pytest.fixture(scope='module')
def trained(toy_root, tmp_path_factory) -> Path:
    """A training checkpoint written by MMEngine."""
    work_dir = tmp_path_factory.mktemp('work')
    Runner.from_cfg(tiny_config(toy_root, work_dir)).train()
    return work_dir / 'epoch_1.pth'


@pytest.fixture(params=[checkpoint.TORCH_VERSION, (2, 4)], ids=['this torch', 'older torch'])
def torch_version(request, monkeypatch):
    """Both ways of unpickling; the one for older versions of torch runs on newer ones too."""
    monkeypatch.setattr(checkpoint, 'TORCH_VERSION', request.param)


@pytest.mark.usefixtures('torch_version')
def test_training_checkpoint_loads_with_its_history(trained):
    checkpoint = load_from_local(str(trained))
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.data[0].shape == (2,)
    assert history.statistics('mean') == pytest.approx(history.data[0].mean())
    assert checkpoint['meta']['epoch'] == 1
    assert {'optimizer', 'param_schedulers'} <= checkpoint.keys()


def test_training_resumes(trained, toy_root, tmp_path):
    runner = Runner.from_cfg(
        tiny_config(toy_root, tmp_path, **{'train_cfg.max_epochs': 2, 'load_from': str(trained), 'resume': True})
    )
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 4)
    assert runner.message_hub.get_scalar('train/loss').data[0].shape == (4,)
    resumed = load_from_local(str(tmp_path / 'epoch_2.pth'))
    assert resumed['optimizer']['state'][0]['step'] == 4


def test_resumed_without_a_checkpoint_it_starts_from_the_configs_weights(trained, toy_root, tmp_path):
    still = {'optim_wrapper.optimizer.lr': 0.0, 'param_scheduler': []}
    tiny_config(toy_root, tmp_path / 'work', load_from=str(trained), **still).dump(tmp_path / 'config.py')
    config = Config.fromfile(tmp_path / 'config.py')
    config.merge_from_dict(dict(resume=True, load_from=None))  # as `mim train --resume` does
    runner = Runner.from_cfg(config)
    runner.train()
    assert (runner.epoch, runner.iter) == (1, 2)
    start = load_from_local(str(trained))['state_dict']
    assert all(torch.equal(value, start[name]) for name, value in runner.model.named_parameters())


def test_weights_alone_cannot_be_resumed(trained, toy_root, tmp_path):
    weights = tmp_path / 'weights.pth'
    torch.save({'state_dict': load_from_local(str(trained))['state_dict']}, weights)
    runner = Runner.from_cfg(tiny_config(toy_root, tmp_path / 'work', load_from=str(weights), resume=True))
    with pytest.raises(CheckpointError, match=r'weights\.pth holds weights alone.*config file'):
        runner.train()


def test_mmengines_own_entry_point_uses_the_safe_loader(trained):
    model = nn.Linear(1, 1)
    load_checkpoint(model, str(trained), map_location='cpu', logger='silent')


# ------------------------------------------------------------------------------------------------ hostile files


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def touch(path: str) -> None:
    Path(path).touch()


def attacks(target: str) -> dict:
    return {
        'function of a module': Call(touch, target),
        'os.system': Call(__import__('os').system, f'touch {target}'),
        'eval': Call(eval, f'open({target!r}, "w")'),
        'getattr on a string': Call(getattr, 'text', 'join'),
        'getattr out of HistoryBuffer': Call(getattr, HistoryBuffer, '__init__'),
        'globals behind a method': Call(getattr, Call(getattr, HistoryBuffer, 'mean'), '__globals__'),
        'hook of HistoryBuffer': Call(getattr, HistoryBuffer, 'register_statistics'),
        'numpy load': Call(np.load, target),
    }


@pytest.mark.usefixtures('torch_version')
@pytest.mark.parametrize('attack', attacks('').keys())
@pytest.mark.parametrize('place', ['state_dict', 'message_hub'])
def test_malicious_checkpoint_is_refused_and_does_not_run(tmp_path, attack, place):
    target = tmp_path / 'ran'
    file = tmp_path / 'evil.pth'
    torch.save({'state_dict': {'w': torch.zeros(1)}, 'meta': {}, place: attacks(str(target))[attack]}, file)
    with pytest.raises(CheckpointError, match=r'evil\.pth refused.*would run code') as error:
        load_from_local(str(file))
    assert not target.exists()
    assert len(str(error.value).splitlines()) == 1


def test_refusal_names_the_culprit(tmp_path):
    file = tmp_path / 'evil.pth'
    torch.save({'state_dict': Call(eval, '1')}, file)
    with pytest.raises(CheckpointError, match='eval'):
        load_from_local(str(file))


def test_safe_globals_do_not_leak(trained):
    before = set(torch.serialization.get_safe_globals())
    load_from_local(str(trained))
    assert set(torch.serialization.get_safe_globals()) == before


# ------------------------------------------------------------------------------------------------ damaged files


def test_missing_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'gone\.pth does not exist'):
        load_from_local(str(tmp_path / 'gone.pth'))


@pytest.mark.usefixtures('torch_version')
@pytest.mark.parametrize('fraction', [0, 0.3, 0.9])
def test_truncated_checkpoint(trained, tmp_path, fraction):
    content = trained.read_bytes()
    file = tmp_path / 'cut.pth'
    file.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(CheckpointError, match=r'cut\.pth.*(truncated|damaged)'):
        load_from_local(str(file))


@pytest.mark.usefixtures('torch_version')
@pytest.mark.parametrize('content', [b'hello world, this is a text', pickle.dumps([1, 2])], ids=['text', 'pickle'])
def test_file_that_is_no_checkpoint(tmp_path, content):
    file = tmp_path / 'note.pth'
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r'note\.pth'):
        load_from_local(str(file))


def test_safetensors(tmp_path):
    file = tmp_path / 'weights.safetensors'
    save_file({'w': torch.arange(3.0)}, file, metadata=dict(meta=json.dumps({'epoch': 2}), shared='w'))
    checkpoint = load_from_local(str(file), map_location='cpu')
    assert checkpoint['meta'] == {'epoch': 2}
    assert torch.equal(checkpoint['state_dict']['w'], torch.arange(3.0))
    assert checkpoint['state_dict']['shared'] is checkpoint['state_dict']['w']
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(CheckpointError, match=r'weights\.safetensors is damaged'):
        load_from_local(str(file))


# ------------------------------------------------------------------------------------------------ foreign checkpoints


def test_check_state_dict_names_what_differs():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    check_state_dict(model, {f'module.{k}': v for k, v in model.state_dict().items()}, 'a.pth')
    wrong = model.state_dict()
    wrong['0.weight'] = torch.zeros(3, 5)
    del wrong['1.bias']
    with pytest.raises(CheckpointError, match=r'a\.pth.*0\.weight is \(3, 5\), not \(3, 2\); 1\.bias is missing'):
        check_state_dict(model, wrong, 'a.pth')
    check_state_dict(model, wrong, 'a.pth', prefixes=('0.bias',))


def test_testing_another_networks_checkpoint_stops(trained, toy_root, tmp_path):
    changes = {
        'model.backbone.widths': (8, 8, 8, 8, 8, 16),
        'model.neck.in_channels': (8, 8, 16),
        'load_from': str(trained),
    }
    runner = Runner.from_cfg(tiny_config(toy_root, tmp_path, **changes))
    with pytest.raises(CheckpointError, match=r'epoch_1\.pth is not of this network.*backbone'):
        runner.test()


def test_checkpoint_of_another_input_size_stops(trained, toy_root, tmp_path):
    runner = Runner.from_cfg(
        tiny_config(toy_root, tmp_path, **{'model.backbone.img_size': (128, 160), 'load_from': str(trained)})
    )
    with pytest.raises(CheckpointError, match='another input size'):
        runner.test()


def test_fine_tuning_may_replace_the_head(trained, toy_root, tmp_path):
    changes = {'model.head.conv_out_channels': [16], 'model.head.conv_kernel_sizes': [1], 'load_from': str(trained)}
    runner = Runner.from_cfg(tiny_config(toy_root, tmp_path, **changes))
    runner.train()
    with pytest.raises(CheckpointError, match='head'):
        Runner.from_cfg(tiny_config(toy_root, tmp_path / 'test', **changes)).test()
