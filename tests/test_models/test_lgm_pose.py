"""LGM-Pose: golden counts of the paper's tables, operators against literal references, and the MMPose interface."""

import math

import pytest
import torch
from mmpose.registry import MODELS
from torch import nn
from torch.nn import functional as F

from mmpose_lite.models.lgm_pose import LARM, LGMPose, MobileViTTransformer, SFusion, SFusionNeck
from mmpose_lite.zoo.complexity import count, count_parameters


def estimator(img_size: tuple[int, int], num_keypoints: int, mode: str = 'sfusion', **backbone) -> nn.Module:
    return MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(type='PoseDataPreprocessor'),
            backbone=dict(type='LGMPose', img_size=img_size, **backbone),
            neck=dict(type='SFusionNeck', mode=mode),
            head=dict(type='HeatmapHead', in_channels=64, out_channels=num_keypoints, deconv_out_channels=None),
        )
    )


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# ------------------------------------------------------------------------------------------------ golden counts

PARTS = {  # stem, stages 1 to 5, deconvolution 1, fusion 1, deconvolution 2, fusion 2, deconvolution 3, head
    ((256, 192), 17): (464, 3968, 54048, 216084, 260484, 81280, 82176, 81664, 131328, 79616, 65664, 1105),
    ((384, 288), 17): (464, 3968, 54048, 293604, 279864, 81280, 82176, 81664, 131328, 79616, 65664, 1105),
    ((256, 256), 16): (464, 3968, 54048, 236756, 265652, 81280, 82176, 81664, 131328, 79616, 65664, 1040),
}


@pytest.mark.parametrize(('img_size', 'num_keypoints'), PARTS)
def test_parameters_of_every_part(img_size, num_keypoints):
    model = estimator(img_size, num_keypoints)
    neck = model.neck
    decoder = (neck.deconvs[0], neck.fusions[0], neck.deconvs[1], neck.fusions[1], neck.deconvs[2])
    parts = (model.backbone.stem, *model.backbone.stages, *decoder, model.head)
    assert tuple(size(part) for part in parts) == PARTS[img_size, num_keypoints]


def test_parameters_inside_the_blocks():
    stages = LGMPose((256, 192)).stages
    block = stages[2][1]
    larm = block.global_rep
    between = size(larm.between_norm) + size(larm.between_fc1) + size(larm.between_fc2)
    inside = (stages[2][0], block.local_rep, block.expand, larm, block.reduce, block.fuse)
    assert tuple(size(m) for m in inside) == (24128, 36992, 9504, 62260, 9344, 73856)
    assert (between, size(larm) - between) == (62176, 84)
    fusion = SFusionNeck().fusions[0]
    assert (size(fusion.lateral), size(fusion.spatial), size(fusion.pointwise)) == (10496, 5120, 66048)


# parameters, FLOPs by mmcv's hooks, and by all products; printed by the paper (Tables 1, 2, 4, 5), in M and G
ROWS = [
    ((256, 192), 17, {}, 1057881, 676617216, 656366592, '1.1', '0.6'),
    ((384, 288), 17, {}, 1154781, 1522388736, 1476824832, '1.2', '1.5'),
    ((256, 256), 16, {}, 1083656, 901890048, 874893312, '1.1', '0.90'),
    ((256, 256), 16, dict(block='mobilevit'), 2503520, 1479131136, None, '2.5', '1.4'),
    ((256, 256), 16, dict(mode='none'), 824072, 748306432, 723767296, '0.8', '0.7'),
    ((256, 256), 16, dict(mode='conv'), 2121992, 1566097408, 1540083712, '2.1', '1.5'),
    ((256, 256), 16, dict(mode='dw_g1'), 1079048, 898940928, 871944192, '1.08', '0.89'),
    ((256, 256), 16, dict(mode='dw_g2'), 1083656, 901890048, 874893312, '1.1', '0.90'),
]


@pytest.mark.parametrize(('img_size', 'num_keypoints', 'variant', 'params', 'hooks', 'macs', 'millions', 'giga'), ROWS)
def test_counts_of_every_row_of_the_paper(img_size, num_keypoints, variant, params, hooks, macs, millions, giga):
    model = estimator(img_size, num_keypoints, **variant)
    assert count_parameters(model) == params
    assert count(model, (3, *img_size), 'mmcv') == hooks
    if macs is not None:
        assert count(model, (3, *img_size), 'macs') == macs
    # the paper rounds parameters and cuts FLOPs off at the printed digit
    digits = len(giga.partition('.')[2])
    assert f'{params / 1e6:.{len(millions.partition(".")[2])}f}' == millions
    assert f'{math.floor(hooks / 1e9 * 10**digits) / 10**digits:.{digits}f}' == giga


@pytest.mark.parametrize(
    ('img_size', 'num_keypoints', 'mode', 'params'),
    [
        ((256, 192), 17, 'sfusion', 1058729),
        ((384, 288), 17, 'sfusion', 1155029),
        ((256, 256), 16, 'sfusion', 1084344),
        ((256, 256), 16, 'dw_g1', 1079736),
    ],
)
def test_parameters_with_norms_over_the_channels(img_size, num_keypoints, mode, params):
    assert count_parameters(estimator(img_size, num_keypoints, mode, norm_axis='channels')) == params


def test_unknown_norm_axis():
    with pytest.raises(ValueError, match="norm_axis='pixels' must be 'patches' or 'channels'"):
        LGMPose((64, 64), norm_axis='pixels')


# ------------------------------------------------------------------------------------------------ operators


def literal_larm(larm: LARM, x: torch.Tensor) -> torch.Tensor:
    """Equation 1 patch by patch and pixel by pixel."""
    batch, channels, height, width = x.shape
    rows, columns = height // 2, width // 2

    def mlp(y, norm, fc1, fc2):
        normed = norm(y.movedim(2, -1)).movedim(-1, 2) if larm.over_channels else norm(y)
        out = fc2(F.gelu(fc1(normed)))
        return y + out if larm.residual else out

    unfolded = x.new_empty(batch, 4, channels, rows * columns)
    for p in range(4):
        for n in range(rows * columns):
            unfolded[:, p, :, n] = x[:, :, 2 * (n // columns) + p // 2, 2 * (n % columns) + p % 2]
    mixed = mlp(unfolded, larm.between_norm, larm.between_fc1, larm.between_fc2)
    mixed = mlp(mixed.permute(0, 3, 2, 1), larm.within_norm, larm.within_fc1, larm.within_fc2)  # (B, N, C, P)
    out = torch.empty_like(x)
    for p in range(4):
        for n in range(rows * columns):
            out[:, :, 2 * (n // columns) + p // 2, 2 * (n % columns) + p % 2] = mixed[:, n, :, p]
    return out


@pytest.mark.parametrize('over_channels', [False, True])
@pytest.mark.parametrize('residual', [False, True])
@pytest.mark.parametrize('shape', [(2, 3, 4, 6), (1, 5, 2, 2), (3, 1, 6, 10)])
def test_larm_equals_the_equation(shape, residual, over_channels):
    norm_channels = shape[1] if over_channels else None
    larm = LARM(shape[2] * shape[3] // 4, hidden_channels=7, residual=residual, norm_channels=norm_channels).double()
    for parameter in larm.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(shape, dtype=torch.double)
    torch.testing.assert_close(larm(x), literal_larm(larm, x), rtol=1e-10, atol=1e-10)
    channels_last = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(larm(channels_last), larm(x), rtol=1e-10, atol=1e-10)


def test_larm_gradient():
    larm = LARM(2, hidden_channels=3).double()
    assert torch.autograd.gradcheck(larm, torch.randn(1, 2, 2, 4, dtype=torch.double, requires_grad=True))


def test_transformer_attends_between_patches_at_one_pixel_position():
    block = MobileViTTransformer(8, depth=1, num_heads=2).double().eval()
    x = torch.randn(1, 8, 4, 6, dtype=torch.double, requires_grad=True)
    block(x)[0, 0, 0, 0].backward()
    reached = x.grad.abs().sum((0, 1)) > 0
    expected = torch.zeros(4, 6, dtype=torch.bool)
    expected[::2, ::2] = True  # the pixels that sit at the same place in their patch
    assert torch.equal(reached, expected)


def literal_sfusion(fusion: SFusion, x: torch.Tensor, lateral: torch.Tensor) -> torch.Tensor:
    """Section 3.3 group by group: group i sees decoder channel i and encoder channel i."""
    encoder = fusion.lateral(lateral)
    weight = fusion.spatial.conv.weight
    groups = []
    for i in range(x.shape[1]):
        pair = torch.stack((x[:, i], encoder[:, i]), dim=1)
        groups.append(F.conv2d(pair, weight[2 * i : 2 * i + 2], padding=1))
    spatial = fusion.spatial.activate(fusion.spatial.bn(torch.cat(groups, dim=1)))
    return fusion.pointwise(spatial)


def test_sfusion_pairs_decoder_and_encoder_channels():
    fusion = SFusion(4, 3).double().eval()
    x, lateral = torch.randn(2, 4, 5, 7).double(), torch.randn(2, 3, 5, 7).double()
    expected = literal_sfusion(fusion, x, lateral)
    torch.testing.assert_close(fusion(x, lateral), expected, rtol=1e-10, atol=1e-10)
    unshuffled = SFusion(4, 3, 'dw_g2').double().eval()
    unshuffled.load_state_dict(fusion.state_dict())
    assert not torch.allclose(unshuffled(x, lateral), expected)


# ------------------------------------------------------------------------------------------------ sizes and arguments


def test_another_input_size_is_refused_naming_both():
    backbone = LGMPose((64, 96))
    with pytest.raises(ValueError, match=r'\(64, 96\).*\(96, 64\)'):
        backbone(torch.zeros(1, 3, 96, 64))


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: LGMPose((100, 64)), r'\(100, 64\).*multiples of 32'),
        (lambda: LGMPose((64, 64), block='vit'), "block='vit'"),
        (lambda: SFusionNeck(mode='sum'), "mode='sum'"),
    ],
)
def test_wrong_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


# ------------------------------------------------------------------------------------------------ as an MMPose network


@pytest.mark.parametrize('img_size', [(64, 96), (96, 64), (128, 128)])
def test_heatmaps_are_a_quarter_of_the_input(img_size):
    model = estimator(img_size, 5).eval()
    height, width = img_size
    assert model._forward(torch.zeros(2, 3, height, width)).shape == (2, 5, height // 4, width // 4)


@pytest.mark.parametrize(
    'variant', [{}, dict(block='mobilevit'), dict(mode='none'), dict(mode='conv'), dict(mode='dw_g1')]
)
def test_every_parameter_gets_a_gradient(variant):
    # without fusion the encoder's last stage alone is read, so every stage is still on the path
    model = estimator((64, 64), 3, **variant)
    model._forward(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_images_of_a_batch_do_not_mix():
    model = estimator((64, 64), 3).eval()
    model.init_weights()
    x = torch.randn(3, 3, 64, 64)
    torch.testing.assert_close(model._forward(x)[1:2], model._forward(x[1:2]), rtol=1e-4, atol=1e-7)


def test_features_for_other_heads():
    feats = LGMPose((64, 96), out_indices=(0, 1, 2, 3, 4))(torch.zeros(1, 3, 64, 96))
    expected = [(32, 32, 48), (48, 16, 24), (64, 8, 12), (80, 4, 6), (160, 2, 3)]
    assert [tuple(f.shape[1:]) for f in feats] == expected


def test_frozen_stages_and_norm_eval():
    backbone = LGMPose((64, 64), frozen_stages=1, norm_eval=True)
    assert backbone.train() is backbone
    frozen = {name for name, p in backbone.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in backbone.named_parameters() if n.startswith(('stem', 'stages.0', 'stages.1'))}
    assert not any(m.training for m in backbone.modules() if isinstance(m, nn.BatchNorm2d))
    plain = LGMPose((64, 64)).train()
    assert all(m.training for m in plain.modules() if isinstance(m, nn.BatchNorm2d))


def test_initialization():
    model = estimator((128, 128), 3)
    model.init_weights()
    larm = model.backbone.stages[2][1].global_rep
    assert larm.between_fc1.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert model.neck.deconvs[0][0].weight.std().item() == pytest.approx(0.001, rel=0.1)
    depthwise = model.backbone.stages[1][0].depthwise_conv.conv.weight  # 128 channels; fan out as torch counts it
    assert depthwise.std().item() == pytest.approx(math.sqrt(2 / (128 * 9)), rel=0.15)


@pytest.mark.parametrize('block', ['mobilevim', 'mobilevit'])
def test_trace_and_export_with_any_batch(block):
    model = estimator((64, 64), 3, block=block).eval()
    model.forward = model._forward
    x = torch.randn(2, 3, 64, 64)
    expected = model(torch.cat((x, x[:1])))
    traced = torch.jit.trace(model, x)
    torch.testing.assert_close(traced(torch.cat((x, x[:1]))), expected)
    batch = torch.export.Dim('batch', min=1, max=8)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: batch},), strict=False)
    torch.testing.assert_close(exported.module()(torch.cat((x, x[:1]))), expected)


def test_bfloat16_is_close():
    model = estimator((64, 64), 3).eval()
    model.init_weights()
    nn.init.normal_(model.head.final_layer.weight)
    x = torch.randn(2, 3, 64, 64)
    expected = model._forward(x)
    with torch.autocast('cpu', torch.bfloat16):
        half = model._forward(x).float()
    assert (half - expected).norm() < 0.05 * expected.norm()
