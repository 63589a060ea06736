"""Folded networks and blocks compute what they computed before."""

import math
from pathlib import Path

import mmpose
import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.config import Config
from mmpose.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmpose_lite.fold.blocks.greit_hrnet import FoldedGreitModule
from mmpose_lite.fold.blocks.hevitpose import FoldedCGSRMHA
from mmpose_lite.fold.blocks.lgm_pose import FoldedLARM, FoldedSFusion
from mmpose_lite.fold.fold import fold, fuse_batch_norms
from mmpose_lite.models.greit_hrnet import GreitHRNet
from mmpose_lite.models.hevitpose import CGSRMHA, Residual, local_layers
from mmpose_lite.models.lgm_pose import LARM, SFusion
from mmpose_lite.models.wgnet import GlobalAttention, WindowAttention

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = Path(mmpose.__file__).parent / '.mim/configs/body_2d_keypoint'


def randomize(model: nn.Module) -> nn.Module:
    """In double precision and eval mode, with a value everywhere: zeros and ones would hide what is folded."""
    for name, value in model.double().state_dict().items():
        if value.is_floating_point():
            noise = 2 * torch.rand_like(value) - 1
            if value.ndim > 1:
                value.copy_(noise * math.sqrt(3 / value[0].numel()))
            elif name.endswith(('running_var', 'weight')):
                value.copy_(1 + 0.5 * noise)
            else:
                value.copy_(0.2 * noise)
    return model.eval()


def images(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.double)


@torch.no_grad()
def assert_same(model: nn.Module, *inputs: torch.Tensor, forward=None) -> nn.Module:
    """Fold the model and compare, in both memory formats."""
    forward = forward or (lambda model, *inputs: model(*inputs))
    expected = forward(model, *inputs)
    folded = fold(model)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        folded.to(memory_format=memory_format)
        result = forward(folded, *(x.contiguous(memory_format=memory_format) for x in inputs))
        torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)
    return folded


# ------------------------------------------------------------------------------------------------ whole networks

OURS = {
    'lgm_pose/td-hm_lgm-pose_1xb32-260e_coco-256x192': (64, 96),
    'hevitpose/td-hm_hevitpose-t_1xb32-210e_mpii-256x256': (48, 64),
    'hevitpose/td-hm_hevitpose-s_1xb32-210e_mpii-256x256': (64, 64),
    'greit_hrnet/td-hm_greit-hrnet-18_8xb32-210e_coco-256x192': (64, 96),
    'wgnet/td-hm_wgnet_1xb32-200e_coco-256x192': (128, 96),
}
PEERS = {
    'td-hm_litehrnet-18_8xb64-210e_coco-256x192': (64, 64),
    'td-hm_mobilenetv2_8xb64-210e_coco-256x192': (64, 64),
    'td-hm_shufflenetv2_8xb64-210e_coco-256x192': (64, 64),
    'td-hm_res50_8xb64-210e_coco-256x192': (64, 64),
    'td-hm_seresnet50_8xb64-210e_coco-256x192': (64, 64),
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192': (64, 64),
    'td-hm_hrformer-small_8xb32-210e_coco-256x192': (64, 64),
}


def build(path: Path, size: tuple[int, int]) -> nn.Module:
    config = Config.fromfile(path).model
    config.backbone.pop('init_cfg', None)  # no weights from a network
    if config.backbone.type == 'LGMPose':
        config.backbone.img_size = size
    return randomize(MODELS.build(config))


@pytest.mark.parametrize('name', OURS)
def test_our_networks(name):
    model = build(ROOT / 'configs' / f'{name}.py', OURS[name])
    folded = assert_same(model, images(2, 3, *OURS[name]), forward=lambda model, x: model._forward(x))
    assert folded is model
    assert not any(isinstance(module, _BatchNorm) for module in model.modules())


@pytest.mark.parametrize('name', PEERS)
def test_networks_of_mmpose(name):
    model = build(UPSTREAM / 'topdown_heatmap/coco' / f'{name}.py', PEERS[name])
    assert_same(model, images(1, 3, *PEERS[name]), forward=lambda model, x: model._forward(x))
    assert not any(isinstance(module, _BatchNorm) for module in model.modules())


def test_greit_with_its_coarser_maps_keeps_their_channels():
    model = randomize(GreitHRNet(num_modules=(1, 1, 1), out_indices=(0, 3)))
    assert_same(model, images(1, 3, 64, 32))


@pytest.mark.parametrize(
    'variant',
    [
        dict(gcw=False),
        dict(gsw=False),
        dict(lks=False),
    ],
)
def test_greit_variants(variant):
    assert_same(randomize(GreitHRNet(num_modules=(1, 2, 1), **variant)), images(1, 3, 32, 64))


# ------------------------------------------------------------------------------------------------ blocks


@pytest.mark.parametrize('norm_channels', [None, 3])
@pytest.mark.parametrize('residual', [False, True])
def test_larm(residual, norm_channels):
    larm = randomize(LARM(6, hidden_channels=7, residual=residual, norm_channels=norm_channels))
    assert isinstance(assert_same(larm, images(2, 3, 4, 6)), FoldedLARM)


def test_sfusion():
    folded = assert_same(randomize(SFusion(4, 3)), images(2, 4, 5, 7), images(2, 3, 5, 7))
    assert isinstance(folded, FoldedSFusion)


@pytest.mark.parametrize('mode', ['dw_g1', 'dw_g2', 'conv'])
def test_other_fusions(mode):
    assert isinstance(assert_same(randomize(SFusion(4, 3, mode)), images(1, 4, 5, 7), images(1, 3, 5, 7)), SFusion)


@pytest.mark.parametrize('reduction', [1, 2])
def test_cgsr_mha(reduction):
    attention = randomize(CGSRMHA(24, num_groups=3, reduction=reduction, num_heads=2))
    assert isinstance(assert_same(attention, images(2, 24, 7, 6)), FoldedCGSRMHA)


def test_residual_depthwise_is_one_convolution():
    folded = assert_same(randomize(local_layers(6)), images(2, 6, 5, 7))
    assert type(folded[0]) is nn.Conv2d
    assert isinstance(folded[1], Residual)  # the feed-forward network is more than a convolution


@pytest.mark.parametrize('kind', [WindowAttention, GlobalAttention])
def test_grid_attention(kind):
    grid = (2, 1, 4, 2, 2, 3)
    attention = randomize(kind(8, head_dim=4))
    x = torch.randn(2, *grid, 8, dtype=torch.double)
    with torch.no_grad():
        expected = attention(x, grid)
        folded = fold(attention)
        torch.testing.assert_close(folded(x, grid), expected, rtol=1e-10, atol=1e-10)
    assert folded.norm.weight is None


def test_greit_keeps_its_channels_in_place():
    model = randomize(GreitHRNet(num_modules=(1, 1, 1)))
    fold(model)
    modules = [module for module in model.modules() if isinstance(module, FoldedGreitModule)]
    assert [len(module.orders) for module in modules] == [2, 3, 4]
    # two blocks shuffle twice; nothing else moves channel 1
    assert modules[0].orders[0][1] == 4


# ------------------------------------------------------------------------------------------------ batch norms


@pytest.mark.parametrize(
    'model',
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(nn.ConvTranspose2d(3, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
        ConvModule(3, 4, 3, norm_cfg=dict(type='BN')),
    ],
)
def test_batch_norm_after_a_convolution_is_fused(model):
    model = assert_same(randomize(model), images(2, 3, 6, 5))
    assert not any(isinstance(module, _BatchNorm) for module in model.modules())


@pytest.mark.parametrize(
    'model',
    [
        nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
        nn.Sequential(nn.ConvTranspose2d(3, 6, 2, 2, groups=3), nn.BatchNorm2d(6)),
        ConvModule(3, 4, 3, norm_cfg=dict(type='BN'), order=('norm', 'conv', 'act')),
        ConvModule(3, 4, 3, norm_cfg=dict(type='BN'), order=('conv', 'act', 'norm')),
    ],
)
def test_other_batch_norms_stay(model):
    model = assert_same(randomize(model), images(2, 3, 6, 5))
    assert fuse_batch_norms(model) == 0
    assert any(isinstance(module, _BatchNorm) for module in model.modules())


# ------------------------------------------------------------------------------------------------ conditions


def test_a_model_in_training_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    model[1].train()
    with pytest.raises(ValueError, match=r'fold: 1 is in training mode, call model.eval\(\)'):
        fold(model)
    with pytest.raises(ValueError, match='the model is in training mode'):
        fold(model.train())


@pytest.mark.parametrize('name', ['lgm_pose/td-hm_lgm-pose_1xb32-260e_coco-256x192'])
def test_traced_with_any_batch(name):
    size = OURS[name]
    model = fold(build(ROOT / 'configs' / f'{name}.py', size))
    model.forward = model._forward
    traced = torch.jit.trace(model, images(2, 3, *size))
    x = images(3, 3, *size)
    torch.testing.assert_close(traced(x), model(x), rtol=1e-10, atol=1e-10)
