import copy
import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import mmpose_lite  # noqa: F401  registers the networks
from mmpose_lite.models.wgnet import (
    GlobalAttention,
    UpStage,
    WGNet,
    WGNetNeck,
    WindowAttention,
    WNet,
    from_grid,
    to_grid,
    window_grid,
)
from mmpose_lite.zoo.complexity import count, count_parameters

CONFIGS = Path(__file__).parents[2] / 'configs' / 'wgnet'
TINY_WIDTHS = (8, 12, 16, 20)
TINY = dict(widths=TINY_WIDTHS, stem_width=6)
ABLATIONS = [
    dict(window_attn=True, global_attn=True),
    dict(window_attn=True, global_attn=False),
    dict(window_attn=False, global_attn=True),
    dict(window_attn=False, global_attn=False),
]


class Pose(nn.Module):
    """Backbone, neck and head of the configs, without the pose estimator around them."""

    def __init__(self, num_keypoints=17, backbone=None, neck=None, **wnet):
        super().__init__()
        self.backbone = WGNet(**(backbone or {}), wnet=wnet)
        self.neck = WGNetNeck(**(neck or {}), wnet=wnet)
        self.head = HeatmapHead(self.neck.ups[-1].se.conv2.out_channels, num_keypoints, deconv_out_channels=None)

    def forward(self, x):
        return self.head(self.neck(self.backbone(x)))


def tiny(**kwargs):
    wnet = dict(head_dim=4) | kwargs
    return Pose(3, TINY, dict(in_channels=TINY_WIDTHS, se_ratio=1), **wnet)


def randomize(module):
    """Give every parameter and statistic a value that matters, as no initialization does."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) - 0.5
            positive = tensor.dim() == 1 and name.endswith(('weight', 'running_var'))
            tensor.copy_(noise + 1 if positive else noise)
    return module.eval()


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope='module')
def full():
    torch.manual_seed(0)
    return Pose().eval()


# ---------------------------------------------------------------------------------------------- what the paper prints


def test_parameters_per_stage(full):
    stages = [full.backbone.stem, *full.backbone.stages, *full.neck.ups, full.head]
    assert [count_parameters(stage) for stage in stages] == [
        241, 215424, 595712, 863520, 2469312, 899148, 543850, 214950, 1649
    ]  # fmt: skip
    assert count_parameters(full) == 5803806


def test_parameters_per_kind(full):
    def parameters(stage, kind):
        return sum(count_parameters(module) for module in stage.modules() if isinstance(module, kind))

    stages = [*full.backbone.stages, *full.neck.ups]
    attention = [56256, 155200, 223104, 888576, 223104, 155200, 56256]
    assert [parameters(stage, WindowAttention) for stage in stages] == attention
    assert [parameters(stage, GlobalAttention) for stage in stages] == [56256, 155200, 223104, 0, 223104, 155200, 56256]
    assert [count_parameters(stage[0]) for stage in full.backbone.stages] == [4128, 18272, 35424, 79680]
    assert [count_parameters(stage[1]) for stage in full.backbone.stages] == [59232, 160160, 229056, 900480]
    assert [count_parameters(stage.up) for stage in full.neck.ups] == [295296, 123200, 61632]
    assert [count_parameters(stage.se) for stage in full.neck.ups] == [4812, 3370, 1254]
    blocks = [stage[-1] for stage in full.backbone.stages] + [stage.wnet for stage in full.neck.ups]
    assert [count_parameters(block.ffn) for block in blocks] == [39552, 106880, 152832, 600576, 152832, 106880, 39552]


def test_macs_per_stage_and_kind(full):
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        full(torch.zeros(1, 3, 256, 192))
    flops = counter.get_flop_counts()
    names = [f'backbone.{name}' for name in ('stem', 'stages.0', 'stages.1', 'stages.2', 'stages.3')]
    names += ['neck.ups.0', 'neck.ups.1', 'neck.ups.2', 'head']
    assert [sum(flops[f'Pose.{name}'].values()) // 2 for name in names] == [
        2101248, 1101004800, 569671680, 178194432, 121383936, 142225920, 458345600, 958465152, 5013504
    ]  # fmt: skip
    kinds = {str(operator): macs // 2 for operator, macs in flops['Global'].items()}
    assert kinds == {'aten.convolution': 998983424, 'aten.addmm': 1363673088, 'aten.bmm': 1173749760}


@pytest.mark.parametrize(
    ('config', 'params', 'macs'),
    [
        ('td-hm_wgnet_1xb32-200e_coco-256x192.py', 5803806, 3536406272),
        ('ablations/td-hm_wgnet-w_1xb32-200e_coco-256x192.py', 4934686, 2361476864),
        ('ablations/td-hm_wgnet-g_1xb32-200e_coco-256x192.py', 4046110, 2173912832),
        ('ablations/td-hm_wgnet-none_1xb32-200e_coco-256x192.py', 3176990, 998983424),
        ('td-hm_wgnet_1xb32-200e_mpii-256x256.py', 5803709, 5236478720),
    ],
)
def test_configs(config, params, macs):
    cfg = Config.fromfile(CONFIGS / config)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    width, height = cfg.codec.input_size
    assert count_parameters(model) == params
    assert count(model, (3, height, width), 'macs') == macs


def test_table_1():
    """Costs at 64x48 in M = 1e3 C^2 and N = 1e5 C, as printed: truncated to one decimal."""
    h, w = 64, 48

    def cut(value):
        return math.floor(value * 10) / 10

    rows = {}
    for a in (1, 2, 4, 8, 16):
        window = 2 * h * w * (4 * a * 3 * a)  # Eq. 1, second term without C
        across = 24 * h**2 * w**2 / (4 * a * 3 * a)  # Eq. 2
        rows[a] = (cut(window / 1e5), cut(across / 1e5), cut((window + across) / 1e5))
    assert cut(3 * h * w / 1e3) == 9.2
    assert rows[1] == (0.7, 188.7, 189.4)
    assert rows[2] == (2.9, 47.1, 50.1)
    assert rows[4] == (11.7, 11.7, 23.5)  # the paper prints 0.7 for the second, which its own sum contradicts
    assert rows[8] == (47.1, 2.9, 50.1)
    assert rows[16][0] == 188.7
    assert min(rows, key=lambda a: rows[a][2]) == window_grid(h, w)[1]


@pytest.mark.parametrize('a', [1, 2, 4, 8, 16])
def test_modules_cost_what_eq_1_and_eq_2_say(a):
    h, w, c = 64, 48, 8
    grid = (16 // a, a, 4, 16 // a, a, 3)
    x = torch.zeros(1, c, h, w)
    macs = {}
    for kind in (WindowAttention, GlobalAttention):
        module = kind(c, head_dim=4)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            module(to_grid(x, grid), grid)
        macs[kind] = counter.get_total_flops() // 2
    window = 4 * a * 3 * a
    assert macs[WindowAttention] == 3 * h * w * c**2 + 2 * h * w * window * c
    assert macs[GlobalAttention] == 3 * h * w * c**2 + 24 * h**2 * w**2 * c // window


# ------------------------------------------------------------------------------------------------------------ windows


@pytest.mark.parametrize(
    ('size', 'a', 'window', 'w_groups', 'g_groups'),
    [
        ((64, 48), 4, (16, 12), (16, 192), (16, 192)),
        ((32, 24), 4, (16, 12), (4, 192), (16, 48)),
        ((16, 12), 2, (8, 6), (4, 48), (4, 48)),
        ((96, 72), 6, (24, 18), (16, 432), (36, 192)),
        ((48, 36), 4, (16, 12), (9, 192), (16, 108)),
        ((24, 18), 3, (12, 9), (4, 108), (9, 48)),
        ((64, 64), 4, (16, 16), (16, 256), (16, 256)),
        ((32, 32), 4, (16, 16), (4, 256), (16, 64)),
        ((16, 16), 2, (8, 8), (4, 64), (4, 64)),
        ((48, 64), 4, (12, 16), (16, 192), (16, 192)),
        ((8, 16), 2, (4, 8), (4, 32), (4, 32)),
    ],
)
def test_window_rule(size, a, window, w_groups, g_groups):
    rows, side, ph, columns, side2, pw = window_grid(*size)
    assert side == side2 == a
    assert (a * ph, a * pw) == window
    assert (rows * window[0], columns * window[1]) == size
    assert (rows * columns, window[0] * window[1]) == w_groups
    assert (a * a, rows * ph * columns * pw) == g_groups


@pytest.mark.parametrize('size', [(20, 16), (18, 18), (40, 25), (5, 1), (6, 6)])
def test_window_rule_refuses(size):
    with pytest.raises(ValueError, match=rf'map of {size[0]}x{size[1]}'):
        window_grid(*size)


def influences(attention, grid, size):
    """(H, W, H, W) of booleans: whether the output at the first place depends on the input at the second."""
    x = torch.randn(1, 4, *size, dtype=torch.float64)

    def run(x):
        return from_grid(attention(to_grid(x, grid), grid), grid).sum(1)[0]

    jacobian = torch.autograd.functional.jacobian(run, x)
    return (jacobian != 0).any(dim=3)[:, :, 0]


def test_members_of_groups():
    height, width = 32, 24
    grid = window_grid(height, width)
    assert grid == (2, 4, 4, 2, 4, 3)
    index = torch.arange(height * width).reshape(1, 1, height, width)
    tokens = to_grid(index, grid)
    for g, group in enumerate(tokens.permute(GlobalAttention.order).reshape(16, -1)):
        members = {(y, x) for y in range(32) for x in range(24) if ((y % 16) // 4, (x % 12) // 3) == (g // 4, g % 4)}
        assert {(int(i) // width, int(i) % width) for i in group} == members
    for g, group in enumerate(tokens.permute(WindowAttention.order).reshape(4, -1)):
        members = {(y, x) for y in range(32) for x in range(24) if (y // 16, x // 12) == (g // 2, g % 2)}
        assert {(int(i) // width, int(i) % width) for i in group} == members


@pytest.mark.parametrize('kind', [WindowAttention, GlobalAttention])
def test_what_a_token_sees(kind):
    """The same by derivatives: 8x6 map, 2x1 patches, windows of 2x2 patches."""
    grid = (2, 2, 2, 3, 2, 1)
    seen = influences(randomize(kind(4, head_dim=2).double()), grid, (8, 6))
    for y in range(8):
        for x in range(6):
            for v in range(8):
                for u in range(6):
                    same_window = y // 4 == v // 4 and x // 2 == u // 2
                    same_patch = y % 4 // 2 == v % 4 // 2 and x % 2 == u % 2
                    expected = same_window if kind is WindowAttention else same_patch
                    assert bool(seen[y, x, v, u]) == expected


# ---------------------------------------------------------------------------------------- operators, spelled out slowly


def attend_literally(module, x, groups):
    """``x + Attn(LN(x))`` of one map (C, H, W), token by token; ``groups`` lists the places (y, x) of each group."""
    out = x.clone()
    heads, d = module.channels // module.head_dim, module.head_dim
    for group in groups:
        q, k, v = [], [], []
        for y, u in group:
            token = x[:, y, u]
            token = (token - token.mean()) / torch.sqrt(token.var(unbiased=False) + 1e-5)
            token = token * module.norm.weight + module.norm.bias
            a, b, c = (module.qkv.weight @ token + module.qkv.bias).split(module.channels)
            q, k, v = [*q, a], [*k, b], [*v, c]
        for i, (y, u) in enumerate(group):
            parts = []
            for head in range(heads):
                channels = slice(head * d, head * d + d)
                scores = torch.stack([q[i][channels] @ key[channels] / math.sqrt(d) for key in k])
                weights = scores.exp() / scores.exp().sum()
                parts.append(sum(weight * value[channels] for weight, value in zip(weights, v, strict=True)))
            out[:, y, u] = x[:, y, u] + torch.cat(parts)
    return out


def groups_literally(kind, grid):
    rows, a, ph, columns, _, pw = grid
    groups = {}
    for y in range(rows * a * ph):
        for x in range(columns * a * pw):
            if kind is WindowAttention:
                key = (y // (a * ph), x // (a * pw))
            else:
                key = (y % (a * ph) // ph, x % (a * pw) // pw)
            groups.setdefault(key, []).append((y, x))
    return list(groups.values())


@pytest.mark.parametrize('kind', [WindowAttention, GlobalAttention])
@torch.no_grad()
def test_attention_equals_literal(kind):
    grid = (2, 2, 2, 3, 2, 1)
    module = randomize(kind(8, head_dim=4).double())
    x = torch.randn(2, 8, 8, 6, dtype=torch.float64)
    expected = torch.stack([attend_literally(module, image, groups_literally(kind, grid)) for image in x])
    torch.testing.assert_close(from_grid(module(to_grid(x, grid), grid), grid), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize('repeats', [1, 2])
@pytest.mark.parametrize('full', [False, True])
@torch.no_grad()
def test_wnet_equals_literal(full, repeats):
    block = randomize(WNet(8, full=full, head_dim=4, repeats=repeats).double())
    grid = window_grid(8, 8)
    x = torch.randn(2, 8, 8, 8, dtype=torch.float64)
    expected = x
    kinds = [WindowAttention] if full else [WindowAttention, GlobalAttention]
    assert [type(attn) for attn in block.attns] == kinds * repeats
    for attn in block.attns:
        whole = [[(y, u) for y in range(8) for u in range(8)]]
        groups = whole if full else groups_literally(type(attn), grid)
        expected = torch.stack([attend_literally(attn, image, groups) for image in expected])
    # MobileNetV2: expand, filter, project, add
    ffn = block.ffn
    y = F.relu6(ffn.expand_conv.bn(F.conv2d(expected, ffn.expand_conv.conv.weight)))
    y = F.relu6(ffn.depthwise_conv.bn(F.conv2d(y, ffn.depthwise_conv.conv.weight, padding=1, groups=16)))
    expected = expected + ffn.linear_conv.bn(F.conv2d(y, ffn.linear_conv.conv.weight))
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-10)


@torch.no_grad()
def test_up_stage_equals_literal():
    stage = randomize(UpStage(6, 8, 4, dict(head_dim=4)).double())
    x, lateral = 20 * torch.randn(2, 6, 2, 2, dtype=torch.float64), torch.randn(2, 8, 4, 4, dtype=torch.float64)
    up = torch.zeros(2, 8, 4, 4, dtype=torch.float64)
    for y in range(4):
        for u in range(4):  # kernel 2, stride 2: every pixel becomes four, each by a matrix of its own
            up[:, :, y, u] = x[:, :, y // 2, u // 2] @ stage.up[0].weight[:, :, y % 2, u % 2]
    y = stage.wnet(F.relu6(stage.up[1](up)) + lateral)
    mean = y.sum((2, 3)) / 16
    first, second = stage.se.conv1.conv, stage.se.conv2.conv
    squeezed = (mean @ first.weight[:, :, 0, 0].T + first.bias).clamp(min=0)
    gate = 1 / (1 + (-(squeezed @ second.weight[:, :, 0, 0].T + second.bias)).exp())
    torch.testing.assert_close(stage(x, lateral), y * gate[:, :, None, None], rtol=0, atol=1e-10)


@torch.no_grad()
def test_stem_equals_literal():
    model = randomize(WGNet(**TINY, wnet=dict(head_dim=4)).double())
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    depthwise, pointwise = model.stem
    # the depthwise half has no activation
    y = torch.cat([F.conv2d(x[:, i, None], depthwise.conv.weight[i, None], stride=2, padding=2) for i in range(3)], 1)
    y = F.relu6(pointwise.bn(F.conv2d(depthwise.bn(y), pointwise.conv.weight)))
    torch.testing.assert_close(model.stem(x), y, rtol=0, atol=1e-10)


@pytest.mark.parametrize('kind', [WindowAttention, GlobalAttention])
def test_attention_gradcheck(kind):
    grid = (2, 2, 1, 1, 2, 1)
    module = randomize(kind(4, head_dim=2).double())
    x = torch.randn(1, 4, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, *_: from_grid(module(to_grid(x, grid), grid), grid), (x, *module.parameters())
    )


def test_traced_counter_sees_attention(full):
    seen, blind = (count(full, (3, 256, 192), counter) for counter in ('traced', 'mmengine'))
    assert seen - blind == 1173749760  # the products of Eq. 1 and 2
    assert seen == 3574271744


@pytest.mark.parametrize('size', [(64, 48), (64, 64), (32, 24)])
@torch.no_grad()
def test_attention_commutes_with_flip(size):
    grid = window_grid(*size)
    x = torch.randn(1, 8, *size, dtype=torch.float64)
    for kind in (WindowAttention, GlobalAttention):
        module = randomize(kind(8, head_dim=4).double())
        out = from_grid(module(to_grid(x, grid), grid), grid).flip(3)
        torch.testing.assert_close(from_grid(module(to_grid(x.flip(3), grid), grid), grid), out, rtol=0, atol=1e-10)


# ---------------------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize('size', [(256, 192), (384, 288), (128, 96), (256, 256), (192, 256), (64, 64), (128, 64)])
@torch.no_grad()
def test_shapes(size):
    model = tiny().eval()
    feats = model.backbone(torch.zeros(2, 3, *size))
    assert [tuple(feat.shape) for feat in feats] == [
        (2, width, size[0] // stride, size[1] // stride)
        for width, stride in zip(TINY_WIDTHS, (4, 8, 16, 32), strict=True)
    ]
    (out,) = model.neck(feats)
    assert out.shape == (2, TINY_WIDTHS[0], size[0] // 4, size[1] // 4)
    assert model.head((out,)).shape == (2, 3, size[0] // 4, size[1] // 4)


def test_macs_at_384x288(full):
    assert round(count(full, (3, 384, 288), 'macs') / 1e9, 3) == 9.413


@pytest.mark.parametrize('ablation', [ABLATIONS[0], ABLATIONS[3]])
@pytest.mark.parametrize('size', [(320, 240), (255, 192), (256, 224), (96, 96), (64, 48), (192, 144), (640, 128)])
def test_inadmissible_sizes(size, ablation):
    remedy = rf'input of {size[0]}x{size[1]} .*multiple of 128x96 \(4:3\), 64x64 \(1:1\)'
    with pytest.raises(ValueError, match=remedy):
        tiny(**ablation).backbone(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ('argument', 'words'),
    [
        (dict(widths=(8, 12, 16)), r'widths=\(8, 12, 16\)'),
        (dict(out_indices=()), r'out_indices=\(\)'),
        (dict(out_indices=(4,)), r'out_indices=\(4,\)'),
        (dict(frozen_stages=5), 'frozen_stages=5'),
        (dict(wnet=dict(head_dim=8)), r'12.*head_dim=8'),
    ],
)
def test_inadmissible_arguments(argument, words):
    with pytest.raises(ValueError, match=words):
        WGNet(**TINY | dict(wnet=dict(head_dim=4)) | argument)


def test_inadmissible_neck():
    with pytest.raises(ValueError, match=r'takes 4 maps.*got 2.*out_indices'):
        tiny().neck((torch.zeros(1, 8, 8, 8), torch.zeros(1, 12, 4, 4)))


@torch.no_grad()
def test_images_are_independent():
    model = randomize(tiny().double())
    x = torch.randn(3, 3, 128, 96, dtype=torch.float64)
    torch.testing.assert_close(model(x), torch.cat([model(image[None]) for image in x]), rtol=0, atol=1e-10)


@pytest.mark.parametrize('ablation', ABLATIONS)
def test_every_parameter_gets_a_gradient(ablation):
    model = tiny(**ablation).train()
    model(torch.randn(2, 3, 128, 96)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    kinds = {type(module) for module in model.modules()}
    assert (WindowAttention in kinds, GlobalAttention in kinds) == tuple(ablation.values())


@pytest.mark.parametrize('out_indices', [(0,), (1, 2), (3,)])
def test_out_indices(out_indices):
    torch.manual_seed(0)
    whole = randomize(WGNet(**TINY, wnet=dict(head_dim=4)))
    part = WGNet(**TINY, wnet=dict(head_dim=4), out_indices=out_indices).eval()
    missing = part.load_state_dict(whole.state_dict(), strict=False).missing_keys
    assert not missing
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = [whole(x)[index] for index in out_indices]
        torch.testing.assert_close(list(part(x)), expected)
    part.train()
    sum(feat.square().sum() for feat in part(x)).backward()
    assert all(p.grad is not None for p in part.parameters())


@pytest.mark.parametrize('frozen_stages', [-1, 0, 2, 4])
def test_frozen_stages(frozen_stages):
    model = WGNet(**TINY, wnet=dict(head_dim=4), frozen_stages=frozen_stages)
    assert model.train() is model
    before = copy.deepcopy(model.state_dict())
    sum(feat.sum() for feat in model(torch.randn(2, 3, 128, 96))).backward() if frozen_stages < 4 else None
    for index, stage in enumerate([model.stem, *model.stages]):
        frozen = index <= frozen_stages
        assert all(p.requires_grad != frozen for p in stage.parameters())
        assert all(module.training != frozen for module in stage.modules())
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith('stem') for name in moved) == (frozen_stages < 0)
    assert any(name.startswith('stages.1') for name in moved) == (frozen_stages < 2)


def test_norm_eval():
    model = WGNet(**TINY, wnet=dict(head_dim=4), norm_eval=True).train()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert model.stages[0].training
    assert all(p.requires_grad for p in model.parameters())


def test_initialization():
    torch.manual_seed(0)
    model = Pose()
    for part in (model.backbone, model.neck, model.head):
        part.init_weights()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.05), name
            assert not module.bias.any()
        elif isinstance(module, (nn.ConvTranspose2d,)) or name == 'head.final_layer':
            assert module.weight.std().item() == pytest.approx(0.001, rel=0.06), name
        elif isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.15), name
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, (nn.LayerNorm, nn.BatchNorm2d)):
            assert (module.weight == 1).all()
            assert not module.bias.any()


def test_checkpoint_runs_at_every_size(tmp_path):
    model = randomize(tiny())
    torch.save(model.state_dict(), tmp_path / 'wgnet.pth')
    other = tiny().eval()
    other.load_state_dict(torch.load(tmp_path / 'wgnet.pth'))
    with torch.no_grad():
        for size in [(128, 96), (64, 64)]:
            x = torch.randn(1, 3, *size)
            torch.testing.assert_close(other(x), model(x), rtol=0, atol=0)


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning', 'ignore::DeprecationWarning')
@torch.no_grad()
def test_trace():
    model = randomize(tiny())
    traced = torch.jit.trace(model, torch.randn(1, 3, 128, 96))
    x = torch.randn(3, 3, 128, 96)
    torch.testing.assert_close(traced(x), model(x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_export():
    model = randomize(tiny())
    batch = torch.export.Dim('batch', min=1, max=64)
    program = torch.export.export(model, (torch.randn(2, 3, 128, 96),), dynamic_shapes=({0: batch},))
    x = torch.randn(5, 3, 128, 96)
    torch.testing.assert_close(program.module()(x), model(x), rtol=1e-5, atol=1e-5)


def test_bfloat16_autocast():
    torch.manual_seed(0)
    model = tiny().train()
    x = torch.randn(2, 3, 128, 96)
    with torch.autocast('cpu', torch.bfloat16):
        out = model(x)
    assert out.dtype == torch.bfloat16
    out.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        low = model(x).float()
    with torch.no_grad():
        high = model(x)
    assert (low - high).abs().max() < 0.1 * high.abs().max()
