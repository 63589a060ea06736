"""Greit-HRNet against the counts of its paper, literal forms of its equations, and MMPose's LiteHRNet."""

import copy
import itertools
import math

import pytest
import torch
from mmpose.models.backbones.litehrnet import LiteHRModule, LiteHRNet
from mmpose.models.backbones.utils import channel_shuffle
from mmpose.models.heads import HeatmapHead
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from mmpose_lite.models import greit_hrnet as greit
from mmpose_lite.models.greit_hrnet import GreitHRNet
from mmpose_lite.zoo.complexity import count

DEPTHS = {18: (2, 4, 2), 30: (3, 8, 3)}
ABLATION = list(itertools.product((False, True), repeat=3))  # (lks, gcw, gsw)
SMALL = dict(num_modules=(1, 1, 1), widths=(8, 12, 16, 20), stem_channels=8, num_blocks=2, gsw_channels=3)
SMALL.update(gcw_ratio=2, gsw_ratio=2)
LITE = dict(gcw=False, gsw=False, lks=False)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def _params(module):
    return sum(p.numel() for p in module.parameters())


def _randomize(model):
    """Weights and statistics of ordinary size, so that no term of a sum is lost in rounding."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, _BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


# ----------------------------------------------------------------------------------------------------------------------
# The network as the paper's equations and the ancestor's code write it


def _gate(gate, z):
    for layer, activate in ((gate.conv1, torch.relu), (gate.conv2, torch.sigmoid)):
        z = layer.conv(z)
        z = activate(layer.norm(z) if layer.with_norm else z)
    return z


def _literal_weighting(xs, gates):
    """Eq. 3 to 5, one gate after the other, each on maps that are pooled anew."""
    for gate in gates:
        size = xs[-1].shape[-2:]
        w = gate(torch.cat([F.adaptive_avg_pool2d(x, size) for x in xs[:-1]] + [xs[-1]], dim=1))
        w = w.split([x.shape[1] for x in xs], dim=1)
        xs = [x * F.interpolate(v, size=x.shape[-2:], mode='nearest') for x, v in zip(xs, w, strict=True)]
    return xs


def _literal_gcw(self, xs):
    out = _literal_weighting(list(xs[:2]), self.groups[0])
    return out + (_literal_weighting(list(xs[2:]), self.groups[1]) if len(xs) > 2 else [])


def _literal_block(self, xs):
    x1, x2 = zip(*(x.chunk(2, dim=1) for x in xs), strict=True)
    x2 = self.cross_resolution_weighting(list(x2))
    x2 = [sw(dw(x)) for x, dw, sw in zip(x2, self.depthwise_convs, self.spatial_weighting, strict=True)]
    return [channel_shuffle(torch.cat(pair, dim=1), 2) for pair in zip(x1, x2, strict=True)]


def _literal_stem(self, x):
    x1, x2 = self.conv1(x).chunk(2, dim=1)
    x1 = self.branch1(self.lka_half1(x1))
    x2 = self.lka_half2_end(self.linear_conv(self.depthwise_conv(self.expand_conv(x2))))
    return channel_shuffle(torch.cat((x1, x2), dim=1), 2)


def _literal(model):
    """A copy of the network in its literal form."""
    model = copy.deepcopy(model)
    forms = {
        greit.GroupedChannelWeighting: _literal_gcw,
        greit.CrossResolutionWeighting: lambda self, xs: _literal_weighting(xs, [super(type(self), self).forward]),
        greit.GreitBlock: _literal_block,
        greit.LargeKernelStem: _literal_stem,
        greit.GreitModule: LiteHRModule.forward,  # Lite-HRNet's fusion
    }
    for module in model.modules():
        if type(module) in forms:
            module.forward = forms[type(module)].__get__(module)
        if isinstance(module, _BatchNorm):
            module.momentum = 0.1
    return model


# ----------------------------------------------------------------------------------------------------------------------
# Counts

STAGES = ('stem', 'transition0', 'stage0', 'transition1', 'stage1', 'transition2', 'stage2', 'head_layer')


@pytest.mark.parametrize(
    ('depth', 'options', 'per_stage', 'total'),
    [
        (18, LITE, (2864, 4784, 24996, 14000, 287112, 53600, 666676, 76040), 1130072),
        (30, LITE, (2864, 4784, 37494, 14000, 574224, 53600, 1000014, 76040), 1763020),
        (18, {}, (5840, 4784, 29952, 14000, 287848, 53600, 683336, 76040), 1155400),
        (30, {}, (5840, 4784, 44928, 14000, 575696, 53600, 1025004, 76040), 1799892),
    ],
)
def test_parameters_per_stage(depth, options, per_stage, total):
    model = GreitHRNet(DEPTHS[depth], **options)
    assert tuple(_params(getattr(model, name)) for name in STAGES) == per_stage
    assert _params(model) == total


def test_parameters_of_one_block():
    block, gsw = GreitHRNet().stage2[0].layers[0], [457, 1123, 3013, 9193]
    assert _params(block.cross_resolution_weighting) == 30628
    assert [_params(m) for m in block.depthwise_convs] == [220, 440, 880, 1760]
    assert [_params(m) for m in block.spatial_weighting] == gsw
    assert _params(block) == 30628 + 3300 + sum(gsw)
    assert _params(greit.LargeKernelAttention(16)) == 1488


class _Heatmaps(nn.Module):
    def __init__(self, joints):
        super().__init__()
        self.conv = nn.Conv2d(40, joints, 1)

    def forward(self, feats):
        return self.conv(feats[-1])


# parameters as printed in Table 6, at 256x192, where those of (LKS, GCW) and (LKS, GSW) are exchanged
PRINTED = dict(zip(ABLATION, (1.13, 1.12, 1.16, 1.15, 1.13, 1.12, 1.16, 1.15), strict=True))
# ours, and the M of FLOPs of torchstat
TABLE_6 = (1130769, 1120177, 1163713, 1153121, 1133745, 1123153, 1166689, 1156097)
TABLE_6_FLOPS = (203.5, 232.2, 219.2, 247.9, 225.3, 254.0, 241.0, 269.7)


def _truncated(value, digits):
    """The paper cuts its figures, it does not round them."""
    return math.floor(value * 10**digits) / 10**digits


def _torchstat(model, size):
    """FLOPs in M as torchstat prints them."""
    return count(model, (3, *size), 'torchstat') / 2**20


@pytest.mark.parametrize('row', range(8))
def test_table_6(row):
    lks, gcw, gsw = ABLATION[row]
    model = nn.Sequential(GreitHRNet(lks=lks, gcw=gcw, gsw=gsw), _Heatmaps(17))
    assert _params(model) == TABLE_6[row]
    assert _truncated(_params(model) / 1e6, 2) == PRINTED[lks, gcw, gsw]
    flops = _torchstat(model, (256, 192))
    assert flops == pytest.approx(TABLE_6_FLOPS[row], rel=0.01)
    assert _truncated(flops / 1000, 1) == 0.2


@pytest.mark.parametrize(
    ('depth', 'size', 'joints', 'params', 'flops'),
    [
        (18, (256, 192), 17, 1.1, 0.2),
        (18, (256, 256), 16, 1.1, 0.3),
        (18, (384, 288), 17, 1.1, 0.6),
        (30, (256, 192), 17, 1.8, 0.4),
        (30, (256, 256), 16, 1.8, 0.5),
        (30, (384, 288), 17, 1.8, 0.9),
    ],
)
def test_tables_3_to_5(depth, size, joints, params, flops):
    model = nn.Sequential(GreitHRNet(DEPTHS[depth]), _Heatmaps(joints))
    assert _truncated(_params(model) / 1e6, 1) == params
    assert _truncated(_torchstat(model, size) / 1000, 1) == flops


@pytest.mark.parametrize(
    ('counter', 'form', 'depth', 'size', 'joints', 'flops'),
    [
        ('torchstat', 'fast', 18, (256, 192), 17, 281360056),
        ('torchstat', 'fast', 30, (256, 192), 17, 433212696),
        ('torchstat', 'fast', 18, (256, 256), 16, 374958392),
        ('torchstat', 'fast', 30, (384, 288), 17, 974600616),
        ('mmcv', 'literal', 18, (256, 192), 17, 332265016),
        ('mmcv', 'literal', 30, (256, 192), 17, 522443352),
        ('mmcv', 'fast', 18, (256, 192), 17, 282717496),
        ('mmcv', 'fast', 30, (256, 256), 16, 580602840),
        ('mmengine', 'fast', 18, (256, 192), 17, 282654848),
    ],
)
def test_flops(counter, form, depth, size, joints, flops):
    model = nn.Sequential(GreitHRNet(DEPTHS[depth]), _Heatmaps(joints))
    model = _literal(model) if form == 'literal' else model
    assert count(model, (3, *size), counter) == pytest.approx(flops, rel=0.01)


# alternatives that the paper leaves open, with their parameters (17 joints)
@pytest.mark.parametrize(
    ('options', 'params'),
    [
        (dict(gcw_ratio=4), 1328929),
        (dict(gsw_channels=8), 1134849),
        (dict(gsw_channels=32), 1198593),
        (dict(gsw_ratio=4), 1209873),
        (dict(gsw_ratio=16), 1128889),
    ],
)
def test_options(options, params):
    model = GreitHRNet(**options).eval()
    assert _params(model) + 41 * 17 == params
    with torch.inference_mode():
        (feat,) = model(torch.randn(1, 3, 64, 32))
    assert feat.shape == (1, 40, 16, 8)


# ----------------------------------------------------------------------------------------------------------------------
# Operators


def _maps(channels, size=(16, 8), batch=2):
    return [
        torch.randn(batch, c, size[0] >> i, size[1] >> i, dtype=torch.double, requires_grad=True)
        for i, c in enumerate(channels)
    ]


@pytest.mark.parametrize('channels', [(4, 6), (4, 6, 8), (4, 6, 8, 10)])
def test_gcw_equals_its_equations(channels):
    module = _randomize(greit.GroupedChannelWeighting(channels, ratio=2)).double().eval()
    assert len(module.groups) == (1 if len(channels) == 2 else 2)
    xs = _maps(channels)
    expected = []
    for group, members in zip(module.groups, (xs[:2], xs[2:]), strict=False):
        for gate in group:
            h, w = members[-1].shape[-2:]
            pooled = []
            for x in members:
                f = x.shape[2] // h
                cells = [
                    [x[:, :, r * f : r * f + f, c * f : c * f + f].mean((2, 3)) for c in range(w)] for r in range(h)
                ]
                pooled.append(torch.stack([torch.stack(row, dim=-1) for row in cells], dim=-2))
            weights = _gate(gate, torch.cat(pooled, dim=1)).split([x.shape[1] for x in members], dim=1)
            members = [
                x * v.repeat_interleave(x.shape[2] // h, 2).repeat_interleave(x.shape[3] // w, 3)
                for x, v in zip(members, weights, strict=True)
            ]
        expected += members
    for y, z in zip(module(xs), expected, strict=True):
        torch.testing.assert_close(y, z, rtol=1e-10, atol=1e-10)


def test_gcw_groups_do_not_mix():
    module = _randomize(greit.GroupedChannelWeighting((4, 6, 8, 10), ratio=2)).double()
    xs = _maps((4, 6, 8, 10))
    low = torch.autograd.grad(sum(y.sum() for y in module(xs)[:2]), xs, allow_unused=True)
    assert [g is not None for g in low] == [True, True, False, False]
    high = torch.autograd.grad(sum(y.sum() for y in module(xs)[2:]), xs, allow_unused=True)
    assert [g is not None for g in high] == [False, False, True, True]


def test_gsw_equals_its_equations():
    module = _randomize(greit.GlobalSpatialWeighting(6, 3, 2)).double()
    (x,) = _maps((6,), size=(5, 3))
    mask = _gate(module.mask, x)
    vector = x.new_zeros(2, 6, 1, 1)
    for row, column in itertools.product(range(5), range(3)):
        pixel = (..., slice(row, row + 1), slice(column, column + 1))
        vector = vector + x[pixel] * mask[pixel]
    torch.testing.assert_close(module(x), x * _gate(module.gate, vector), rtol=1e-10, atol=1e-10)


def test_gsw_with_norm_does_not_train_on_a_single_vector():
    module, (x,) = greit.GlobalSpatialWeighting(6, 3, 2), _maps((6,), batch=1)
    with pytest.raises(ValueError, match=r'one picture.*drop_last=True'):
        module.double()(x)
    assert module.eval()(x).shape == x.shape


def test_lka_equals_its_definition():
    module = _randomize(greit.LargeKernelAttention(3)).double()
    (x,) = _maps((3,), size=(9, 7))

    def depthwise(x, conv, dilation):
        kernel, reach = conv.weight.shape[-1], dilation * (conv.weight.shape[-1] // 2)
        padded = F.pad(x, (reach,) * 4)
        y = conv.bias.view(1, -1, 1, 1).expand_as(x)
        for r, c in itertools.product(range(kernel), repeat=2):
            shifted = padded[..., r * dilation : r * dilation + 9, c * dilation : c * dilation + 7]
            y = y + conv.weight[:, 0, r, c].view(1, -1, 1, 1) * shifted
        return y

    attention = depthwise(depthwise(x, module.conv0, 1), module.conv_spatial, 3)
    weight, bias = module.conv1.weight.flatten(1), module.conv1.bias.view(1, -1, 1, 1)
    attention = torch.einsum('oc,bchw->bohw', weight, attention) + bias
    torch.testing.assert_close(module(x), x * attention, rtol=1e-10, atol=1e-10)


def test_lka_sees_23_pixels():
    module = greit.LargeKernelAttention(2).double()
    for p in module.parameters():
        nn.init.ones_(p)
    x = torch.ones(1, 2, 41, 41, dtype=torch.double, requires_grad=True)
    (grad,) = torch.autograd.grad(module(x)[0, 0, 20, 20], x)
    rows = grad[0].abs().sum((0, 2)).nonzero().flatten()
    assert (rows.min(), rows.max()) == (20 - 11, 20 + 11)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_shuffled_is_channel_shuffle(memory_format):
    x = torch.randn(2, 12, 3, 5).contiguous(memory_format=memory_format)
    shuffled = greit._shuffled(*x.chunk(2, dim=1))
    assert torch.equal(shuffled, channel_shuffle(x, 2))
    assert shuffled.is_contiguous(memory_format=memory_format)  # convolutions need not copy it


@pytest.mark.parametrize('lks, gcw, gsw', ABLATION)  # noqa: PT006
def test_gradcheck(lks, gcw, gsw):
    if lks:
        module, xs = greit.LargeKernelAttention(2).double(), _maps((2,), size=(4, 3), batch=1)
        assert torch.autograd.gradcheck(_randomize(module), tuple(xs))
        return
    model = GreitHRNet(gcw=gcw, gsw=gsw, **SMALL)
    module = _randomize(model.stage1[0]).double().eval()
    xs = _maps((8, 12, 16), size=(4, 4), batch=1)
    assert torch.autograd.gradcheck(lambda *xs: tuple(module(xs)), tuple(xs), fast_mode=True)


# ----------------------------------------------------------------------------------------------------------------------
# The whole network


@pytest.mark.parametrize('lks, gcw, gsw', ABLATION)  # noqa: PT006
@pytest.mark.parametrize('training', [False, True])
def test_fast_form_equals_literal_form(lks, gcw, gsw, training):
    fast = _randomize(GreitHRNet(lks=lks, gcw=gcw, gsw=gsw, out_indices=(0, 1, 2, 3), **SMALL))
    fast = fast.double().train(training)
    literal = _literal(fast)
    x = torch.randn(3, 3, 64, 96, dtype=torch.double)
    results = []
    for model in (fast, literal):
        feats = model(x)
        sum(f.square().mean() for f in feats).backward()
        results.append(feats)
    for f, g in zip(*results, strict=True):
        torch.testing.assert_close(f, g, rtol=1e-11, atol=1e-11)
    for (name, p), q in zip(fast.named_parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-7, atol=1e-9, msg=name)
    for (name, p), q in zip(fast.named_buffers(), literal.buffers(), strict=True):
        if not name.endswith('num_batches_tracked'):  # the literal fusion calls its first column twice
            torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-10, msg=name)


def _lite_hrnet(num_modules):
    return LiteHRNet(
        dict(
            stem=dict(stem_channels=32, out_channels=32, expand_ratio=1),
            num_stages=3,
            stages_spec=dict(
                num_modules=num_modules,
                num_branches=(2, 3, 4),
                num_blocks=(2, 2, 2),
                module_type=('LITE', 'LITE', 'LITE'),
                with_fuse=(True, True, True),
                reduce_ratios=(8, 8, 8),
                num_channels=((40, 80), (40, 80, 160), (40, 80, 160, 320)),
            ),
            with_head=True,
        )
    )


def test_all_off_is_lite_hrnet():
    theirs = _lite_hrnet((2, 4, 2))
    theirs.eval()
    _randomize(theirs)
    ours = GreitHRNet(gcw=False, gsw=False, lks=False).eval()
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    x = torch.randn(2, 3, 128, 96)
    with torch.no_grad():
        (expected,) = theirs(x)
        assert torch.equal(_literal(ours)(x)[0], expected)  # bit for bit
        # sums over the resolutions are taken in another order, which moves the last bit
        assert (ours(x)[0] - expected).abs().max() < 1e-5 * expected.abs().max()
        (expected,) = theirs.double()(x.double())
        assert (ours.double()(x.double())[0] - expected).abs().max() < 1e-13 * expected.abs().max()


def test_lite_hrnet_weights_load_into_common_parts():
    missing, unexpected = GreitHRNet().load_state_dict(_lite_hrnet((2, 4, 2)).state_dict(), strict=False)
    assert all('weighting.' in name or 'lka_' in name for name in missing)
    assert all('weighting.' in name for name in unexpected)


@pytest.mark.parametrize('size', [(32, 32), (64, 32), (96, 160), (256, 192)])
def test_shapes(size):
    model = GreitHRNet().eval()
    with torch.inference_mode():
        feats = model(torch.randn(2, 3, *size))
    assert [tuple(f.shape) for f in feats] == [(2, 40, size[0] // 4, size[1] // 4)]


def test_out_indices():
    model = GreitHRNet(out_indices=(0, 1, 2, 3)).eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        feats = model(x)
        model.out_indices = (3, 1)
        some = model(x)
    assert [tuple(f.shape[1:]) for f in feats] == [(40, 16, 24), (40, 8, 12), (80, 4, 6), (160, 2, 3)]
    assert torch.equal(some[0], feats[3])
    assert torch.equal(some[1], feats[1])


@pytest.mark.parametrize('size', [(256, 200), (250, 192), (16, 16), (272, 192)])
def test_inadmissible_size(size):
    with pytest.raises(ValueError, match=rf'\({size[0]}, {size[1]}\).*multiples of 32'):
        GreitHRNet(**SMALL)(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    'options',
    [
        dict(gcw_ratio=100),
        dict(widths=(41, 80, 160, 320)),
        dict(widths=(40, 80, 160)),
        dict(out_indices=(4,)),
        dict(out_indices=()),
        dict(frozen_stages=4),
    ],
)
def test_inadmissible_arguments(options):
    with pytest.raises(ValueError, match='GreitHRNet'):
        GreitHRNet(**options)


def test_samples_are_independent_in_evaluation():
    model = _randomize(GreitHRNet(**SMALL)).double().eval()
    x = torch.randn(3, 3, 64, 64, dtype=torch.double)
    with torch.inference_mode():
        whole = model(x)[0]
        alone = torch.cat([model(sample[None])[0] for sample in x])
    torch.testing.assert_close(whole, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('lks, gcw, gsw', ABLATION)  # noqa: PT006
def test_every_parameter_gets_a_gradient(lks, gcw, gsw):
    model = GreitHRNet(lks=lks, gcw=gcw, gsw=gsw, **SMALL)
    model.init_weights()
    model(torch.randn(2, 3, 64, 64))[0].square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('lks', [False, True])
def test_initialization(lks):
    model = GreitHRNet(lks=lks)
    model.init_weights()
    lka = {m for name, m in model.named_modules() if '.lka_' in name}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and module not in lka:
            if module.weight.numel() > 100:
                assert module.weight.std().item() == pytest.approx(0.001, rel=0.3), name
            assert module.bias is None or not module.bias.any(), name
        elif isinstance(module, _BatchNorm):
            assert (module.weight == 1).all(), name
            assert not module.bias.any(), name
    assert sum(isinstance(m, nn.Conv2d) for m in lka) == (6 if lks else 0)


def _by_van(conv: nn.Conv2d) -> float:
    return math.sqrt(2 / (conv.kernel_size[0] ** 2 * conv.out_channels / conv.groups))


def test_initialization_of_lka():
    model = GreitHRNet()
    model.init_weights()
    for lka in (model.stem.lka_half1, model.stem.lka_half2_end):
        convs = (lka.conv0, lka.conv_spatial, lka.conv1)
        expected = [*map(_by_van, convs[:2]), 0.001]
        assert [conv.weight.std().item() for conv in convs] == pytest.approx(expected, rel=0.25)
        assert [conv.bias.unique().tolist() for conv in convs] == [[0], [0], [1]]


def test_lka_lets_its_input_pass_at_the_start():
    model = GreitHRNet()
    model.init_weights()
    x = torch.randn(2, 16, 32, 32)
    y = model.stem.lka_half1(x)
    torch.testing.assert_close(y, x, atol=0.3, rtol=0)  # by VAN's rule attention alone deviates by several
    y.square().sum().backward()
    assert all(p.grad.any() for p in model.stem.lka_half1.parameters())


def test_stem_passes_a_signal_after_initialization():
    model = GreitHRNet()
    model.init_weights()
    y = model.stem(torch.randn(2, 3, 64, 64))
    half1, half2 = y[:, 0::2], y[:, 1::2]  # undo the shuffle
    assert half1.square().mean().sqrt() > 0.1
    assert half2.square().mean().sqrt() > 0.1


@pytest.mark.parametrize('frozen', [-1, 0, 1, 2, 3])
def test_frozen_stages(frozen):
    model = GreitHRNet(frozen_stages=frozen, **SMALL).train()
    order = ['stem', *itertools.chain(*((f'transition{i}', f'stage{i}') for i in range(3))), 'head_layer']
    cold = order[: 2 * frozen + 1] if frozen >= 0 else []
    for name in order:
        module = getattr(model, name)
        assert module.training == (name not in cold)
        assert {p.requires_grad for p in module.parameters()} == {name not in cold}


def test_norm_eval():
    model = GreitHRNet(norm_eval=True, **SMALL).train()
    assert model.training
    assert not any(m.training for m in model.modules() if isinstance(m, _BatchNorm))
    model.norm_eval = False
    assert model.train() is model
    assert all(m.training for m in model.modules() if isinstance(m, _BatchNorm))


def test_state_dict_round_trip():
    model = _randomize(GreitHRNet(**SMALL)).eval()
    other = GreitHRNet(**SMALL).eval()
    other.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 32, 64)
    with torch.inference_mode():
        assert torch.equal(model(x)[0], other(x)[0])


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
def test_trace():
    model = _randomize(GreitHRNet(**SMALL)).eval()
    with torch.inference_mode():
        traced = torch.jit.trace(model, torch.randn(2, 3, 64, 64))
        for shape in ((1, 3, 64, 64), (3, 3, 64, 64), (2, 3, 96, 64)):
            x = torch.randn(shape)
            torch.testing.assert_close(traced(x)[0], model(x)[0])


def test_export_with_dynamic_batch():
    model = _randomize(GreitHRNet(**SMALL)).eval()
    batch = torch.export.Dim('batch', min=1, max=64)
    program = torch.export.export(model, (torch.randn(2, 3, 64, 64),), dynamic_shapes=({0: batch},))
    for size in (1, 5):
        x = torch.randn(size, 3, 64, 64)
        torch.testing.assert_close(program.module()(x)[0], model(x)[0])


def test_bfloat16_autocast():
    model = _randomize(GreitHRNet(**SMALL)).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        (expected,) = model(x)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            (feat,) = model(x)
    assert feat.isfinite().all()
    assert (feat.float() - expected).norm() < 0.1 * expected.norm()


def test_training_with_a_heatmap_head():
    model = nn.Sequential(GreitHRNet(**SMALL), HeatmapHead(8, 16, deconv_out_channels=None))
    for part in model:
        part.init_weights()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x, target = torch.randn(4, 3, 64, 64), torch.rand(4, 16, 16, 16)
    losses = []
    for _ in range(15):
        loss = F.mse_loss(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
