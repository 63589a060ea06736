"""Distillation: the student learns, the teacher does not, and nothing of it is left in the student."""

import math
from copy import deepcopy

import pytest
import torch
from mmengine.config import Config
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from mmpose.testing import get_packed_inputs
from torch.nn import functional as F

from mmpose_lite.checkpoint import CheckpointError, check_state_dict

KEYPOINTS = 5


def plain(num_keypoints: int = KEYPOINTS, size: int = 64, **changes) -> dict:
    return (
        dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(type='PoseDataPreprocessor', mean=[127.0] * 3, std=[60.0] * 3),
            backbone=dict(type='LGMPose', img_size=(size, size)),
            neck=dict(type='SFusionNeck'),
            head=dict(
                type='HeatmapHead',
                in_channels=64,
                out_channels=num_keypoints,
                deconv_out_channels=None,
                loss=dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=10.0),
            ),
        )
        | changes
    )


def write_teacher(folder, model: dict | None = None, weights: dict | None = None) -> dict:
    """A network with weights that say something, as files."""
    files = dict(config=str(folder / 'teacher.py'), checkpoint=str(folder / 'teacher.pth'))
    Config(dict(model=model or plain())).dump(files['config'])
    if weights is None:
        torch.manual_seed(1)
        network = MODELS.build(model or plain())
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
        weights = network.state_dict()
    torch.save(dict(state_dict=weights), files['checkpoint'])
    return files


def student(teacher: dict, model: dict | None = None, **options):
    return MODELS.build((model or plain()) | dict(type='DistilledPoseEstimator', teacher=teacher, **options))


def batch(num_keypoints: int = KEYPOINTS) -> dict:
    return get_packed_inputs(
        3, num_keypoints=num_keypoints, img_shape=(64, 64), input_size=(64, 64), heatmap_size=(16, 16)
    )


def losses(model, data: dict | None = None) -> dict:
    return model(**model.data_preprocessor(data or batch(), model.training), mode='loss')


@pytest.fixture(scope='module')
def teacher(tmp_path_factory) -> dict:
    init_default_scope('mmpose')
    return write_teacher(tmp_path_factory.mktemp('teacher'))


def test_student_is_an_ordinary_network(teacher):
    expected, model = MODELS.build(plain()), student(teacher)
    for _ in range(2):  # before and after the teacher is there
        assert [*model.state_dict()] == [*expected.state_dict()]
        assert [name for name, _ in model.named_parameters()] == [name for name, _ in expected.named_parameters()]
        averaged = ExponentialMovingAverage(model)
        assert [*averaged.module.state_dict()] == [*expected.state_dict()]
        averaged.update_parameters(model)
        assert [*deepcopy(model).state_dict()] == [*expected.state_dict()]
        losses(model)
    assert 'teacher' in vars(model)
    check_state_dict(expected, model.state_dict(), 'student.pth')
    expected.load_state_dict(model.state_dict())
    model.eval(), expected.eval()
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(model(images, None), expected(images, None))


def test_without_training_no_teacher_is_needed():
    model = student(dict(config='missing.py', checkpoint='missing.pth')).eval()
    assert model(torch.rand(1, 3, 64, 64), None).shape == (1, KEYPOINTS, 16, 16)
    with pytest.raises(FileNotFoundError, match=r'missing\.py'):
        losses(model)


def test_gradients_reach_the_student_only(teacher):
    model = student(teacher, weight=1.0)  # nothing but the distillation
    before = deepcopy(model.teacher.state_dict())
    for mode in (True, False, True):
        model.train(mode)
        assert not any(module.training for module in model.teacher.modules())
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    weights = deepcopy(dict(model.named_parameters()))
    tracked = []
    model.teacher.register_forward_hook(lambda *_: tracked.append(torch.is_grad_enabled()))
    model.train_step(batch(), optimizer)
    assert tracked == [False]
    assert not model.head.loss_module._forward_pre_hooks  # which would keep every batch's heatmaps
    assert not any(module.training for module in model.teacher.modules())
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, weights[name])}
    assert {'head.final_layer.weight', 'backbone.stem.conv.weight'} <= moved
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
    for value in model.teacher.parameters():
        assert value.grad is None
        assert not value.requires_grad


@pytest.mark.parametrize('weight', [0.0, 0.25, 1.0])
def test_convex_mix(teacher, weight):
    reference = MODELS.build(plain()).eval()
    model = student(teacher, weight=weight).eval()
    model.load_state_dict(reference.state_dict())
    data = batch()
    for item in data['data_samples']:
        item.gt_instance_labels.keypoint_weights[:, 2:] = 0  # nobody labelled these
    found, expected = losses(model, deepcopy(data)), losses(reference, deepcopy(data))
    assert found.keys() == expected.keys() | {'loss_distill'}
    torch.testing.assert_close(found['loss_kpt'], (1 - weight) * expected['loss_kpt'])
    assert found['acc_pose'] == expected['acc_pose']
    images = model.data_preprocessor(data)['inputs']
    distance = F.mse_loss(reference(images, None), model.teacher(images, None))
    torch.testing.assert_close(found['loss_distill'], weight * 10 * distance)  # as the head weighs its loss


def test_no_distance_to_oneself(teacher):
    model = student(teacher).eval()  # in training, batch norm would tell them apart
    model.load_state_dict(torch.load(teacher['checkpoint'])['state_dict'])
    found = losses(model)
    assert found['loss_distill'] < 1e-8  # folded batch norms round otherwise
    assert found['loss_kpt'] > 1e-3


def test_student_comes_closer(teacher):
    model = student(teacher, weight=0.9)
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), lr=2e-3))
    history = [model.train_step(batch(), optimizer)['loss_distill'].item() for _ in range(25)]
    assert history[-1] < 0.3 * history[0]


def test_bfloat16(teacher):
    model = student(teacher)
    expected = losses(model)
    with torch.autocast('cpu', torch.bfloat16):
        found = losses(model)
    sum(value for name, value in found.items() if 'loss' in name).backward()
    assert found['loss_distill'].dtype == torch.float32
    assert found['loss_distill'].item() == pytest.approx(expected['loss_distill'].item(), rel=0.05)
    assert all(torch.isfinite(value.grad).all() for value in model.parameters() if value.grad is not None)


def test_teacher_follows_the_student(teacher):
    model = student(teacher, train_cfg=dict(compute_acc=False))
    losses(model)
    model.to('meta')
    data = batch()
    samples = [item.to('meta') for item in data['data_samples']]
    found = model(torch.empty(3, 3, 64, 64, device='meta'), samples, mode='loss')
    assert found['loss_distill'].device.type == 'meta'
    assert next(model.teacher.parameters()).device.type == 'meta'


SIMCC = dict(type='SimCCLabel', input_size=(64, 64), sigma=6.0, simcc_split_ratio=2.0)
SIMCC_HEAD = dict(
    type='SimCCHead', in_channels=64, out_channels=KEYPOINTS, input_size=(64, 64), in_featuremap_size=(16, 16)
)


@pytest.mark.parametrize(
    ('network', 'message'),
    [
        (plain(num_keypoints=17), r'teacher\.py gives \(17, 16, 16\), the student heatmaps of \(5, 16, 16\)'),
        (plain(head=dict(SIMCC_HEAD, deconv_out_channels=None, decoder=SIMCC)), r'teacher\.py gives no heatmaps'),
        (plain(data_preprocessor=dict(type='PoseDataPreprocessor')), 'data_preprocessor .* same crops'),
    ],
    ids=['other keypoints', 'no heatmaps', 'other normalization'],
)
def test_unfit_teacher(tmp_path, network, message):
    model = student(write_teacher(tmp_path, network))
    with pytest.raises(ValueError, match=message):
        losses(model)


def test_weights_of_another_network(tmp_path):
    files = write_teacher(tmp_path, weights=MODELS.build(plain(num_keypoints=17)).state_dict())
    with pytest.raises(CheckpointError, match=r'head\.final_layer\.weight'):
        losses(student(files))


def test_unfit_student(teacher):
    for weight in (-0.1, 1.5, math.nan):
        with pytest.raises(ValueError, match='share of the distillation loss must be from 0 to 1'):
            student(teacher, weight=weight)
    codec = dict(type='RegressionLabel', input_size=(64, 64))
    regression = plain(head=dict(type='RegressionHead', in_channels=64, num_joints=KEYPOINTS, decoder=codec))
    with pytest.raises(ValueError, match='RegressionHead'):
        student(teacher, regression)
