"""LGM-Pose weights at another input size."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.registry import MODELS
from torch import nn
from torch.nn import functional as F

from mmpose_lite.checkpoint import CheckpointError, check_state_dict, load_from_local
from mmpose_lite.cli import main
from mmpose_lite.models.lgm_pose import LARM, LGMPose
from mmpose_lite.models.resize import resize_checkpoint, resize_state_dict

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'lgm_pose' / 'td-hm_lgm-pose_1xb32-6e_toy-128x128.py'


def lgm_pose(size: tuple[int, int]) -> LGMPose:
    backbone = LGMPose(size, widths=(4, 4, 4, 4, 4, 4), embed_channels=(6, 6), hidden_channels=5)
    for parameter in backbone.parameters():
        nn.init.normal_(parameter)
    return backbone


def larm_keys(state_dict: dict) -> set[str]:
    positional = ('norm.weight', 'norm.bias', 'fc1.weight', 'fc2.weight', 'fc2.bias')
    return {key for key in state_dict if 'between_' in key and key.endswith(positional)}


def test_equal_sizes_change_nothing():
    weights = lgm_pose((64, 96)).state_dict()
    resized = resize_state_dict(weights, (64, 96), (64, 96))
    assert resized.keys() == weights.keys()
    assert all(torch.equal(resized[key], weights[key]) for key in weights)


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.backbone.'])
def test_only_weights_of_patch_positions_change_and_they_fit(prefix):
    weights = {prefix + key: value for key, value in lgm_pose((64, 96)).state_dict().items()}
    before = {key: value.clone() for key, value in weights.items()}
    resized = resize_state_dict(weights, (64, 96), (128, 64))
    assert {key for key in weights if not torch.equal(resized[key], weights[key])} == larm_keys(weights)
    assert len(larm_keys(weights)) == 10
    assert all(torch.equal(weights[key], before[key]) for key in weights)  # the argument is left alone
    target = lgm_pose((128, 64))
    target.load_state_dict({key.removeprefix(prefix): value for key, value in resized.items()})
    assert target(torch.zeros(1, 3, 128, 64))[0].isfinite().all()


def test_norms_over_the_channels_are_kept():
    backbone = LGMPose((64, 96), widths=(4,) * 6, embed_channels=(6, 24), hidden_channels=5, norm_axis='channels')
    for parameter in backbone.parameters():
        nn.init.normal_(parameter)
    weights = backbone.state_dict()
    resized = resize_state_dict(weights, (64, 96), (128, 64))
    norms = [key for key in weights if 'between_norm' in key]
    assert len(norms) == 4
    assert all(torch.equal(resized[key], weights[key]) for key in norms)
    target = LGMPose((128, 64), widths=(4,) * 6, embed_channels=(6, 24), hidden_channels=5, norm_axis='channels')
    target.load_state_dict(resized)


def test_positions_are_resampled_over_the_grid_and_not_along_the_row():
    weights = lgm_pose((64, 128)).state_dict()
    key = 'stages.2.1.global_rep.between_norm.bias'  # 4 x 8 patches at stride 8
    rows = torch.arange(4.0)[:, None].expand(4, 8)
    weights[key] = rows.flatten()
    resized = resize_state_dict(weights, (64, 128), (64, 256))[key].reshape(4, 16)
    torch.testing.assert_close(resized, rows[:, :1].expand(4, 16))


def smooth_larm(height: int, width: int, hidden: int = 6) -> LARM:
    """A LARM whose weights are smooth functions of the patch position, sampled on a grid of patches."""
    rows, columns = height // 2, width // 2
    y, x = torch.meshgrid(
        (torch.arange(rows, dtype=torch.double) + 0.5) / rows,
        (torch.arange(columns, dtype=torch.double) + 0.5) / columns,
        indexing='ij',
    )
    waves = torch.stack(
        [torch.cos(torch.pi * (k % 3) * y) * torch.cos(torch.pi * (k // 3) * x + 0.3 * k) for k in range(hidden)]
    ).flatten(1)
    torch.manual_seed(1)
    larm = LARM(rows * columns, hidden).double()
    for parameter in larm.parameters():
        nn.init.normal_(parameter)
    with torch.no_grad():
        larm.between_norm.weight.copy_(1 + 0.3 * waves[1])
        larm.between_norm.bias.copy_(0.2 * waves[3])
        larm.between_fc1.bias.fill_(0.1)
        larm.between_fc1.weight.copy_(20 * waves / (rows * columns))
        larm.between_fc2.weight.copy_(waves.T)
        larm.between_fc2.bias.copy_(waves[4])
        # what does not belong to a position must not depend on how many random numbers came before
        for index, name in enumerate(('within_norm', 'within_fc1', 'within_fc2')):
            generator = torch.Generator().manual_seed(index)
            for parameter in getattr(larm, name).parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return larm


@pytest.mark.parametrize(('old', 'new'), [((32, 24), (48, 36)), ((48, 36), (32, 24)), ((32, 24), (32, 32))])
def test_smooth_weights_answer_a_smooth_map_alike(old, new):
    larm = smooth_larm(*old)
    prefix = 'stages.2.1.global_rep.'
    state_dict = {prefix + key: value for key, value in larm.state_dict().items()}
    resized = resize_state_dict(state_dict, tuple(8 * side for side in old), tuple(8 * side for side in new))
    converted = LARM(new[0] * new[1] // 4, 6).double()
    converted.load_state_dict({key.removeprefix(prefix): value for key, value in resized.items()})

    def field(size):  # one value per patch: within a patch, LARM's answer does not depend on the resolution
        y = (torch.arange(size[0] // 2, dtype=torch.double)[:, None] + 0.5) / (size[0] // 2)
        x = (torch.arange(size[1] // 2, dtype=torch.double)[None] + 0.5) / (size[1] // 2)
        patches = torch.sin(3 * y + 1) * torch.cos(2 * x) + y
        pixels = torch.tensor([[0.0, 1.0], [-2.0, 0.5]]).double()
        return torch.kron(patches, torch.ones(2, 2).double()) * (1 + 0.1 * pixels.repeat(size[0] // 2, size[1] // 2))

    def between(module, size):
        x = F.pixel_unshuffle(field(size)[None, None], 2).reshape(1, 1, 4, -1)
        y = module.between_fc2(F.gelu(module.between_fc1(module.between_norm(x))))
        return y.reshape(4, 1, size[0] // 2, size[1] // 2)

    expected = F.interpolate(between(larm, old), size=tuple(side // 2 for side in new), mode='bicubic', antialias=True)
    answer = between(converted, new)
    assert (answer - expected).norm() < 0.02 * expected.norm()
    # without the scale of fc1 the answer is another one
    with torch.no_grad():
        converted.between_fc1.weight.mul_(new[0] * new[1] / (old[0] * old[1]))
    assert (between(converted, new) - expected).norm() > 0.1 * expected.norm()
    # and the whole LARM at the new size is that of smooth weights made for it
    whole, made = LARM(new[0] * new[1] // 4, 6).double(), smooth_larm(*new)
    whole.load_state_dict({key.removeprefix(prefix): value for key, value in resized.items()})
    x = field(new)[None, None]
    assert (whole(x) - made(x)).norm() < 0.02 * made(x).norm()


# ------------------------------------------------------------------------------------------------ files


def tiny_config(toy_root: Path, work_dir: Path, size: tuple[int, int], **changes) -> Config:
    config = Config.fromfile(CONFIG)
    codec = dict(type='MSRAHeatmap', input_size=size[::-1], heatmap_size=(size[1] // 4, size[0] // 4), sigma=1.5)
    loader = config.train_dataloader
    loader.update(num_workers=0, persistent_workers=False, batch_size=4)
    loader.dataset.update(data_root=str(toy_root), indices=4)
    loader.dataset.pipeline[4].input_size = codec['input_size']
    loader.dataset.pipeline[5].encoder = codec
    config.model.backbone.update(img_size=size, widths=(8, 8, 8, 8, 8, 8), embed_channels=(8, 8))
    config.model.neck.update(in_channels=(8, 8, 8), channels=(8, 8, 64))
    config.model.head.decoder = codec
    config.train_cfg.max_epochs = 1
    for name in ('val_cfg', 'val_dataloader', 'val_evaluator', 'test_cfg', 'test_dataloader', 'test_evaluator'):
        config[name] = None
    config.default_hooks.checkpoint.save_best = None
    config.work_dir, config.log_level = str(work_dir), 'ERROR'
    config.merge_from_dict(changes)
    return config


@pytest.fixture(scope='module')
def trained(toy_root, tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp('work')
    Runner.from_cfg(tiny_config(toy_root, work_dir, (128, 96))).train()
    return work_dir / 'epoch_1.pth'


def test_a_training_checkpoint_starts_a_run_at_another_size(trained, toy_root, tmp_path, capsys):
    out = tmp_path / 'resized.pth'
    assert main(['resize-checkpoint', str(trained), '--to-size', '192', '160', '-o', str(out)]) == 0
    assert '128x96 to 192x160' in capsys.readouterr().out
    old, new = load_from_local(str(trained)), load_from_local(str(out))
    assert new.keys() == {'meta', 'state_dict'}  # no optimizer, no schedule
    assert new['meta']['dataset_meta'].keys() == old['meta']['dataset_meta'].keys()
    assert [path.name for path in tmp_path.iterdir()] == ['resized.pth']

    config = tiny_config(toy_root, tmp_path / 'run', (192, 160), load_from=str(out))
    check_state_dict(MODELS.build(config.model), new['state_dict'], str(out))
    runner = Runner.from_cfg(config)
    runner.train()  # past the guard against foreign checkpoints
    assert runner.iter == 1
    with pytest.raises(CheckpointError, match='epoch_1'):
        Runner.from_cfg(tiny_config(toy_root, tmp_path / 'run', (192, 160), load_from=str(trained))).train()


def test_a_resized_checkpoint_can_be_resized_again(trained, tmp_path):
    resize_checkpoint(trained, (192, 160), tmp_path / 'a.pth')
    assert resize_checkpoint(tmp_path / 'a.pth', (128, 96), tmp_path / 'b.pth') == (192, 160)


def test_wrong_files_and_sizes_are_named(trained, tmp_path, capsys):
    def error_of(*arguments) -> str:
        assert main(['resize-checkpoint', *map(str, arguments), '-o', str(tmp_path / 'out.pth')]) == 1
        assert list(tmp_path.glob('out*')) == []
        return capsys.readouterr().err

    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / 'linear.pth')
    size = ('--to-size', 192, 160)
    assert 'linear.pth does not name its input size' in error_of(tmp_path / 'linear.pth', *size)
    error = error_of(tmp_path / 'linear.pth', *size, '--from-size', 128, 96)
    assert 'linear.pth' in error
    assert 'no LARM' in error
    torch.save([1, 2], tmp_path / 'list.pth')
    assert 'list.pth holds a list' in error_of(tmp_path / 'list.pth', *size)
    assert 'missing.pth does not exist' in error_of(tmp_path / 'missing.pth', *size)
    assert 'trained at (128, 96)' in error_of(trained, *size, '--from-size', 96, 128)
    assert '(100, 96)' in error_of(trained, '--to-size', 100, 96)

    bare = tmp_path / 'bare.pth'
    torch.save(load_from_local(str(trained))['state_dict'], bare)
    assert 'belongs to 48 patches' in error_of(bare, *size, '--from-size', 64, 64)
    with pytest.raises(ValueError, match='is the checkpoint itself'):
        resize_checkpoint(bare, (192, 160), bare, (128, 96))
    with pytest.raises(ValueError, match=r'must end in \.pth'):
        resize_checkpoint(bare, (192, 160), tmp_path / 'out.safetensors', (128, 96))
