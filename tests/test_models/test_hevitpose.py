import math

import pytest
import torch
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from torch import nn
from torch.nn import functional as F

import mmpose_lite  # noqa: F401  registers the networks
from mmpose_lite.models.hevitpose import (
    CGSRMHA,
    CascadedGroupAttention,
    HEViTBlock,
    HEViTPose,
    SqueezeExcite,
    patch_embedding,
    subsample,
)
from mmpose_lite.zoo.complexity import count, count_parameters

SIZES = dict(
    t=dict(widths=(64, 128, 192), groups=(4, 4, 4)),
    s=dict(widths=(128, 192, 224), groups=(4, 3, 2)),
    b=dict(widths=(128, 256, 384), groups=(4, 4, 4)),
)
TINY = dict(widths=(16, 24, 32), groups=(2, 3, 4), reductions=(4, 2, 1), num_heads=(1, 2, 4))


class Pose(nn.Module):
    """Backbone and head of the configs, without the pose estimator around them."""

    def __init__(self, num_keypoints=16, **backbone):
        super().__init__()
        self.backbone = HEViTPose(**backbone)
        width = backbone.get('widths', SIZES['b']['widths'])[-1]
        self.head = HeatmapHead(width, num_keypoints, deconv_out_channels=(192, 96), deconv_kernel_sizes=(4, 4))

    def forward(self, x):
        return self.head(self.backbone(x))


def randomize(model, seed=0):
    """Give every parameter and statistic a value: zero-initialized branches would hide what they compute.

    Values keep signals at about their size, so that what a layer does still shows behind many others.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            noise = 2 * torch.rand(value.shape, generator=generator, dtype=torch.float64) - 1
            if value.ndim > 1:
                value.copy_(noise * math.sqrt(1.5 / value[0].numel()))
            elif name.endswith(('running_var', 'weight')):
                value.copy_(1 + 0.5 * noise)
            else:
                value.copy_(0.2 * noise)
    return model


@pytest.fixture(scope='module')
def image():
    images = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    return images * torch.tensor([1.0, 2.0])[:, None, None, None] + torch.tensor([0.5, -0.5])[:, None, None, None]


# ---------------------------------------------------------------- golden numbers


@pytest.mark.parametrize(
    ('size', 'stem', 'stages', 'head'),
    [
        ('t', 9_536, (98_128, 585_024, 1_629_968), 886_864),
        ('s', 19_072, (387_232, 1_634_624, 2_852_880), 985_168),
        ('b', 19_072, (387_232, 2_304_640, 6_446_112), 1_476_688),
    ],
)
def test_parameters(size, stem, stages, head):
    model = Pose(**SIZES[size])
    assert count_parameters(model.backbone.stem) == stem
    assert tuple(count_parameters(stage) for stage in model.backbone.stages) == stages
    assert count_parameters(model.head) == head
    assert count_parameters(model) == stem + sum(stages) + head


@pytest.mark.parametrize(
    ('size', 'subsamples', 'blocks', 'mixers', 'reduces'),
    [
        ('t', (171_008, 521_024), (98_128, 207_008, 369_648), (63_184, 71_584, 68_208), (57_616, 50_208, 20_784)),
        (
            's',
            (521_024, 981_024),
            (387_232, 556_800, 623_952),
            (251_808, 255_360, 214_928),
            (230_432, 200_768, 113_008),
        ),
        (
            'b',
            (669_696, 2_057_856),
            (387_232, 817_472, 1_462_752),
            (251_808, 284_480, 270_048),
            (230_432, 200_768, 83_040),
        ),
    ],
)
def test_parameters_inside_the_stages(size, subsamples, blocks, mixers, reduces):
    stages = HEViTPose(**SIZES[size]).stages
    assert tuple(count_parameters(stage[0]) for stage in stages[1:]) == subsamples
    assert tuple(count_parameters(stage[-1]) for stage in stages) == blocks
    assert tuple(count_parameters(stage[-1].mixer) for stage in stages) == mixers
    assert tuple(count_parameters(stage[-1].mixer.reduce) for stage in stages) == reduces


ROWS = {
    't': (SIZES['t'], 3_209_520, 1_746_248_832),
    's': (SIZES['s'], 5_878_976, 3_643_850_624),
    'b': (SIZES['b'], 10_633_744, 5_575_035_136),
    'groups 2': (dict(groups=(2, 2, 2)), 13_718_480, 5_800_478_976),
    'groups 8': (dict(groups=(8, 8, 8)), 9_862_448, 5_462_313_216),
    'reductions 4 2 1': (dict(reductions=(4, 2, 1)), 9_874_416, 5_476_616_448),
    'reductions 16 8 4': (dict(reductions=(16, 8, 4)), 13_935_120, 5_616_982_272),
    'heads 1 2 4': (dict(num_heads=(1, 2, 4)), 10_633_744, 5_575_035_136),
    'heads 4 8 16': (dict(num_heads=(4, 8, 16)), 10_633_744, 5_575_035_136),
    'M4 PEOW 1': (dict(mixer='cga', peow=1), 9_873_704, 5_910_552_256),
    'M4 PEOW 3': (dict(mixer='cga', peow=3), 9_816_936, 5_654_175_424),
    'M4 PEOW 7': (dict(mixer='cga', peow=7), 10_495_720, 6_291_447_488),
}


@pytest.mark.parametrize('row', ROWS)
def test_rows_of_the_paper(row):
    backbone, parameters, flops = ROWS[row]
    with torch.device('meta'):  # counts need shapes only
        model = Pose(**backbone)
    assert count_parameters(model) == parameters
    assert count(model, (3, 256, 256), 'mmcv') == flops


@pytest.mark.parametrize(
    ('size', 'at_256x192', 'at_384x288', 'mmengine'),
    [
        ('t', 1_310_025_856, 2_947_351_936, 1_787_305_984),
        ('s', 2_733_292_928, 6_149_374_208, 3_774_605_312),
        ('b', 4_181_738_752, 9_408_090_112, 5_745_885_184),
    ],
)
def test_flops_at_other_sizes(size, at_256x192, at_384x288, mmengine):
    with torch.device('meta'):
        coco = Pose(17, **SIZES[size])
    assert count(coco, (3, 256, 192), 'mmcv') == at_256x192
    assert count(coco, (3, 384, 288), 'mmcv') == at_384x288
    assert count(Pose(16, **SIZES[size]), (3, 256, 256), 'mmengine') == mmengine


def test_coco_has_one_more_channel_in_the_last_layer():
    with torch.device('meta'):
        model = Pose(17)
    assert count_parameters(model) == 10_633_841
    assert count(model, (3, 256, 256), 'mmcv') == 5_575_432_448


# ---------------------------------------------------------------- operators against their equations


def literal_cgsr_mha(m, x, num_groups, reduction, num_heads):
    """Eqs. 6-9 and Fig. 3c, one image, group, head and query at a time."""
    _, channels, height, width = x.shape
    c = channels // num_groups
    wq, wk, wv = m.in_proj_weight.chunk(3)
    maps = []
    for image in x:
        previous = None
        outs = []
        for g in range(num_groups):
            feat = image[g * c : (g + 1) * c]
            if previous is not None:
                feat = feat + previous
            tokens = feat.reshape(c, -1).T  # row-major pixels
            q = F.layer_norm(tokens, (c,), m.q_norms[g].weight, m.q_norms[g].bias) @ wq.T
            if reduction > 1:
                side = 2 * reduction - 1
                kv = F.conv2d(feat[None], m.reduce.weight, m.reduce.bias, reduction, side // 2)[0]
                assert kv.shape[1:] == (math.ceil(height / reduction), math.ceil(width / reduction))
                kv = kv.reshape(c, -1).T
                kv = F.layer_norm(kv, (c,), m.kv_norms[g].weight, m.kv_norms[g].bias)
            else:
                kv = tokens
            k, v = kv @ wk.T, kv @ wv.T
            d = c // num_heads
            out = torch.zeros_like(q)
            for h in range(num_heads):
                part = slice(h * d, (h + 1) * d)
                for n in range(height * width):
                    scores = torch.stack([(q[n, part] * key).sum() / math.sqrt(d) for key in k[:, part]])
                    weights = scores.exp() / scores.exp().sum()
                    out[n, part] = sum(w * value for w, value in zip(weights, v[:, part], strict=True))
            out = out @ m.out_proj_weight.T
            out = F.layer_norm(out, (c,), m.out_norms[g].weight, m.out_norms[g].bias)
            previous = out.T.reshape(c, height, width)
            outs.append(previous)
        maps.append(torch.cat(outs))
    y = torch.stack(maps)
    return torch.einsum('oi,bihw->bohw', m.proj.weight[:, :, 0, 0], y) + m.proj.bias[:, None, None]


@pytest.mark.parametrize(
    ('groups', 'reduction', 'heads'), [(2, 2, 2), (3, 4, 1), (1, 2, 3), (2, 1, 2), (2, 8, 2), (2, 3, 1)]
)
def test_cgsr_mha_equals_its_equations(groups, reduction, heads):
    module = randomize(CGSRMHA(12, groups, reduction, heads).double().eval())
    x = torch.randn(2, 12, 5, 3, dtype=torch.float64)  # odd, not square, not a multiple of r
    with torch.no_grad():
        expected = literal_cgsr_mha(module, x, groups, reduction, heads)
        torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-10)
        channels_last = x.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(module(channels_last), expected, rtol=0, atol=1e-10)


def test_attention_of_a_group_is_torch_multihead_attention():
    module = randomize(CGSRMHA(12, 1, 1, 3).double())
    reference = nn.MultiheadAttention(12, 3, bias=False, batch_first=True).double()
    with torch.no_grad():
        reference.in_proj_weight.copy_(module.in_proj_weight)
        reference.out_proj.weight.copy_(module.out_proj_weight)
        x, kv = torch.randn(2, 10, 12, dtype=torch.float64), torch.randn(2, 4, 12, dtype=torch.float64)
        torch.testing.assert_close(module._attend(x, kv), reference(x, kv, kv)[0], rtol=0, atol=1e-10)


def test_no_reduction_builds_neither_convolution_nor_norm():
    module = CGSRMHA(32, num_groups=4, reduction=1, num_heads=2)
    assert not any(isinstance(layer, nn.Conv2d) for layer in module.reduce.modules())
    # 4 c^2, q and out norms, last linear layer
    assert count_parameters(module) == 4 * 8**2 + 2 * 2 * 32 + 32**2 + 32


@pytest.mark.parametrize('reduction', [1, 2])
def test_cgsr_mha_gradients(reduction):
    module = randomize(CGSRMHA(4, 2, reduction, 1).double())
    x = torch.randn(1, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))


def literal_cascaded_group_attention(m, x, size, key_dims):
    """EfficientViT's equations for one image and one window at a time, windows cut by hand from a padded map."""

    def conv_bn(layer, x):
        conv, norm = layer
        x = F.conv2d(x, conv.weight, None, 1, conv.padding, groups=conv.groups)
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, eps=norm.eps)

    batch, channels, height, width = x.shape
    rows, columns = math.ceil(height / size), math.ceil(width / size)
    padded = torch.zeros(batch, channels, rows * size, columns * size, dtype=x.dtype)
    padded[:, :, :height, :width] = x
    result = torch.zeros_like(padded)
    for i in range(rows):
        for j in range(columns):
            area = (..., slice(i * size, (i + 1) * size), slice(j * size, (j + 1) * size))
            outs = []
            for head, part in enumerate(padded[area].chunk(len(m.qkv), dim=1)):
                feat = conv_bn(m.qkv[head], part + outs[-1] if outs else part)
                q, k, v = feat[:, :key_dims], feat[:, key_dims : 2 * key_dims], feat[:, 2 * key_dims :]
                q = conv_bn(m.query[head], q)
                out = torch.zeros_like(v)
                for n in range(size**2):
                    y1, x1 = divmod(n, size)
                    scores = torch.zeros(batch, size**2, dtype=x.dtype)
                    for p in range(size**2):
                        y2, x2 = divmod(p, size)
                        bias = m.position_bias[head, size * abs(y1 - y2) + abs(x1 - x2)]
                        scores[:, p] = (q[:, :, y1, x1] * k[:, :, y2, x2]).sum(1) / math.sqrt(key_dims) + bias
                    out[:, :, y1, x1] = torch.einsum('bp,bcp->bc', scores.softmax(1), v.flatten(2))
                outs.append(out)
            result[area] = conv_bn(m.proj[1], torch.cat(outs, 1).clamp(min=0))
    return result[..., :height, :width]


@pytest.mark.parametrize('shape', [(6, 9), (5, 4)])
def test_cascaded_group_attention_equals_its_equations(shape):
    module = CascadedGroupAttention(8, key_dims=2, query_kernels=(3, 5), window_size=3)
    module = randomize(module.double().eval())
    x = torch.randn(2, 8, *shape, dtype=torch.float64)
    with torch.no_grad():
        expected = literal_cascaded_group_attention(module, x, 3, 2)
        torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-10)


def test_cascaded_group_attention_gradients():
    module = CascadedGroupAttention(4, key_dims=2, query_kernels=(3, 3), window_size=2)
    module = randomize(module.double().eval())
    x = torch.randn(1, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))


def test_squeeze_excite_equals_its_equation():
    module = randomize(SqueezeExcite(8, 4).double())
    x = torch.randn(2, 8, 3, 5, dtype=torch.float64) + torch.tensor([2.0, -2.0])[:, None, None, None]
    hidden = x.mean((2, 3)) @ module.squeeze.weight[:, :, 0, 0].T + module.squeeze.bias
    gate = hidden.clamp(min=0) @ module.excite.weight[:, :, 0, 0].T + module.excite.bias
    assert (gate[0] - gate[1]).abs().max() > 0.1
    expected = x / (1 + (-gate).exp())[:, :, None, None]
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-10)


def test_block_is_a_sandwich():
    block = randomize(HEViTBlock(8, CGSRMHA(8, 2, 2, 2)).double().eval())
    x = y = torch.randn(1, 8, 5, 4, dtype=torch.float64)
    for dw, ffn, mixer in ((*block.before, block.mixer), (*block.after, None)):
        y = y + dw.branch(y)
        y = y + ffn.branch(y)
        if mixer is not None:
            y = y + mixer(y)
    torch.testing.assert_close(block(x), y, rtol=0, atol=1e-10)


def test_subsample_merges_patches_between_local_layers():
    layers = randomize(subsample(4, 6).double().eval())
    x = torch.randn(1, 4, 5, 4, dtype=torch.float64)
    y = x
    for residual in layers[0]:
        y = y + residual.branch(y)
    expand, _, depthwise, _, gate, project = layers[1]
    y = project(gate(depthwise(expand(y).relu()).relu()))
    assert y.shape == (1, 6, 3, 2)
    for residual in layers[2]:
        y = y + residual.branch(y)
    torch.testing.assert_close(layers(x), y, rtol=0, atol=1e-10)


@pytest.mark.parametrize(('overlap', 'parameters'), [(1, 19_488), (3, 9_536), (7, 217_856)])
def test_patch_embedding(overlap, parameters):
    layers = patch_embedding(3, 64, overlap)
    assert count_parameters(layers) == parameters
    assert layers(torch.randn(2, 3, 64, 48)).shape == (2, 64, 16, 12)


# ---------------------------------------------------------------- the network as a module


@pytest.mark.parametrize('mixer', ['cgsr', 'cga'])
def test_residual_branches_start_as_identity(mixer, image):
    model = HEViTPose(**TINY, mixer=mixer, out_indices=(0,))
    model.init_weights()  # as MMPose's runner does
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(model(image)[0], model.stem(image), rtol=0, atol=0)


def test_attention_matrices_start_xavier_uniform():
    mixer = CGSRMHA(256, 4, 2, 2)
    for weight in (mixer.in_proj_weight, mixer.out_proj_weight):
        bound = math.sqrt(6 / sum(weight.shape))
        assert 0.97 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize('mixer', ['cgsr', 'cga'])
@pytest.mark.parametrize('shape', [(250, 190), (256, 192), (33, 17), (1, 1)])
def test_any_size_runs(mixer, shape):
    model = HEViTPose(**TINY, mixer=mixer, out_indices=(0, 1, 2)).eval()
    feats = model(torch.randn(1, 3, *shape))
    for feat, width, stride in zip(feats, TINY['widths'], (4, 8, 16), strict=True):
        assert feat.shape == (1, width, math.ceil(shape[0] / stride), math.ceil(shape[1] / stride))


def test_heatmaps_are_a_quarter_of_multiples_of_16():
    model = Pose(5, **TINY).eval()
    assert model(torch.randn(1, 3, 48, 64)).shape == (1, 5, 12, 16)
    assert model(torch.randn(1, 3, 250, 190)).shape == (1, 5, 64, 48)  # not 63 x 48


@pytest.mark.parametrize('mixer', ['cgsr', 'cga'])
def test_images_of_a_batch_are_independent(mixer, image):
    model = randomize(Pose(**TINY, mixer=mixer)).eval()
    with torch.no_grad():
        both = model(image)
        torch.testing.assert_close(both[:1], model(image[:1]))
        assert (both[0] - both[1]).std() > 0.05 * both.std()


@pytest.mark.parametrize('mixer', ['cgsr', 'cga'])
def test_memory_format_does_not_change_the_result(mixer, image):
    model = randomize(HEViTPose(**TINY, mixer=mixer)).eval()
    with torch.no_grad():
        expected = model(image)[0]
        model.to(memory_format=torch.channels_last)
        result = model(image.to(memory_format=torch.channels_last))[0]
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize('mixer', ['cgsr', 'cga'])
def test_autocast(mixer, image):
    model = randomize(Pose(**TINY, mixer=mixer)).eval()
    with torch.no_grad():
        expected = model(image)
        with torch.autocast('cpu', torch.bfloat16):
            result = model(image)
    assert result.dtype == torch.bfloat16
    assert (result.float() - expected).std() < 0.05 * expected.std()


def test_trace_and_run_at_another_size(image):
    model = randomize(Pose(**TINY, depths=(1, 1, 1))).eval()
    other = torch.randn(3, 3, 96, 80)
    with torch.no_grad():
        traced = torch.jit.trace(model, image)
        torch.testing.assert_close(traced(image), model(image))
        torch.testing.assert_close(traced(other), model(other))


def test_export_with_dynamic_batch_and_size(image):
    model = randomize(Pose(**TINY, depths=(1, 1, 1))).eval()
    rows, columns = torch.export.Dim('rows', max=64), torch.export.Dim('columns', max=64)
    shape = {0: torch.export.Dim('batch', max=64), 2: 16 * rows, 3: 16 * columns}
    exported = torch.export.export(model, (image,), dynamic_shapes={'x': shape})
    other = torch.randn(3, 3, 96, 80)
    torch.testing.assert_close(exported.module()(other), model(other))


def test_export_of_the_baseline_with_dynamic_batch(image):
    model = randomize(Pose(**TINY, depths=(1, 1, 1), mixer='cga')).eval()
    exported = torch.export.export(model, (image,), dynamic_shapes={'x': {0: torch.export.Dim('batch', max=64)}})
    batch = torch.cat((image, image[:1] + 1))
    torch.testing.assert_close(exported.module()(batch), model(batch))


@pytest.mark.parametrize('options', [{}, dict(mixer='cga', peow=1), dict(peow=7)])
def test_every_parameter_is_trained(options, image):
    model = HEViTPose(**TINY, **options)
    model(image)[0].square().sum().backward()  # as built: DDP needs a gradient, if only of zeros, everywhere
    assert all(p.grad is not None for p in model.parameters())

    model.zero_grad()
    randomize(model)(image)[0].square().sum().backward()
    assert [name for name, p in model.named_parameters() if not p.grad.abs().max() > 0] == []


def test_out_indices_and_in_channels():
    model = HEViTPose(**TINY, in_channels=1, out_indices=(0, 2)).eval()
    feats = model(torch.randn(1, 1, 64, 64))
    assert [tuple(f.shape[1:]) for f in feats] == [(16, 16, 16), (32, 4, 4)]


@pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2])
def test_frozen_stages(frozen_stages):
    model = HEViTPose(**TINY, frozen_stages=frozen_stages)
    assert model.train() is model
    parts = (model.stem, *model.stages)
    frozen = 0 if frozen_stages < 0 else frozen_stages + 2
    for index, part in enumerate(parts):
        assert all(p.requires_grad == (index >= frozen) for p in part.parameters())
        assert part.training == (index >= frozen)


def test_norm_eval():
    model = HEViTPose(**TINY, norm_eval=True).train()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert model.stages[0][0].mixer.training


def test_state_dict_round_trip(image):
    source, target = randomize(HEViTPose(**TINY), 3).eval(), HEViTPose(**TINY).eval()
    target.load_state_dict(source.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(target(image), source(image), rtol=0, atol=0)


def test_registry_builds_backbone_and_attention():
    assert isinstance(MODELS.build(dict(type='HEViTPose', **TINY)), HEViTPose)
    mixer = MODELS.build(dict(type='CGSRMHA', embed_dims=24, num_groups=3, reduction=2, num_heads=4))
    assert mixer(torch.randn(1, 24, 7, 9)).shape == (1, 24, 7, 9)


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: CGSRMHA(30, num_groups=4), 'num_groups=4'),
        (lambda: CGSRMHA(32, num_groups=4, num_heads=3), 'num_heads=3'),
        (lambda: CGSRMHA(32, reduction=0), 'reduction=0'),
        (lambda: CascadedGroupAttention(30), 'query_kernels'),
        (lambda: HEViTPose(groups=(4, 4)), 'groups'),
        (lambda: HEViTPose(peow=5), 'peow=5'),
        (lambda: HEViTPose(mixer='mhsa'), "mixer='mhsa'"),
        (lambda: HEViTPose(out_indices=(3,)), 'out_indices'),
        (lambda: HEViTPose(frozen_stages=3), 'frozen_stages=3'),
        (lambda: HEViTPose(widths=(128, 250, 384)), 'num_groups=4'),
    ],
)
def test_inadmissible_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
