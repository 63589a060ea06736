"""Graphs: only the batch is free, and what cannot be exported elsewhere can be here."""

import numpy as np
import onnx
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import init_model
from test_inference.conftest import POSE_CONFIG
from torch import nn
from torch.nn import functional as F

from mmpose_lite.deploy.export import export_network
from mmpose_lite.deploy.graph import adaptive_avg_pool2d, write_onnx
from mmpose_lite.deploy.verify import open_onnx

from .conftest import MMPOSE


@pytest.mark.parametrize('size', [1, (3, 4), (5, 7), (None, 2), (9, 12)])
def test_adaptive_pooling(size):
    x = torch.randn(2, 3, 9, 12)
    torch.testing.assert_close(adaptive_avg_pool2d(x, size), F.adaptive_avg_pool2d(x, size))


class Shapes(nn.Module):
    """Everything that leaves traced sizes in a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.conv(x)
        batch, channels, height, width = x.shape
        windows = x.view(batch, channels, height // 4, 4, width // 4, 4).permute(0, 2, 4, 3, 5, 1)
        windows = windows.reshape(-1, 16, channels)  # the batch inside a larger size
        attended = F.scaled_dot_product_attention(windows, windows, windows)
        windows = attended.reshape(batch, height // 4, width // 4, 4, 4, channels).flatten(1, 2)
        a, b = x.chunk(2, dim=1)
        small = F.adaptive_avg_pool2d(x, (x.size(2) // 4, 5))
        large = F.interpolate(small[..., :4], size=x.shape[2:], mode='bilinear')
        tokens = (a * b).flatten(2).transpose(1, 2)
        return windows.mean(1), tokens.unflatten(1, (height, width)), small, large, tokens.flatten()


def test_only_the_batch_is_free(tmp_path):
    torch.manual_seed(0)
    network = Shapes().eval()
    names = [f'out{i}' for i in range(5)]
    write_onnx(network, (16, 12), tmp_path / 'shapes.onnx', names=names)
    operators = {node.op_type for node in onnx.load(tmp_path / 'shapes.onnx').graph.node}
    assert not operators & {'Shape', 'Gather', 'Sqrt', 'ConstantOfShape'}
    for batch in (1, 3):
        images = torch.randn(batch, 3, 12, 16)
        found = open_onnx(tmp_path / 'shapes.onnx')(images.numpy())
        for one, expected in zip(found, network(images), strict=True):
            torch.testing.assert_close(torch.from_numpy(one), expected.detach(), rtol=1e-4, atol=1e-5)


def test_model_stays_as_it_is(tmp_path):
    """Exporting folds a copy: the network can be trained on."""
    model = init_model(Config.fromfile(POSE_CONFIG), device='cpu')
    model.train()
    modes = [module.training for module in model.modules()]
    names = list(model.state_dict())
    model.eval()
    export_network(model, (128, 128), tmp_path / 'a.onnx', dynamic_batch=False)
    assert list(model.state_dict()) == names
    assert not any(module.training for module in model.modules())
    assert any(modes)
    graph = onnx.load(tmp_path / 'a.onnx').graph
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [1, 3, 128, 128]
    assert {node.op_type for node in graph.node} & {'Conv'}
    assert 'BatchNormalization' not in {node.op_type for node in graph.node}


def test_simcc_of_mmpose(tmp_path):
    """RTMPose: two outputs, named."""
    config = Config.fromfile(MMPOSE / 'rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py')
    model = init_model(config, device='cpu')
    export_network(model, (192, 256), tmp_path / 'rtmpose.onnx')
    graph = onnx.load(tmp_path / 'rtmpose.onnx').graph
    assert [output.name for output in graph.output] == ['simcc_x', 'simcc_y']
    outputs = open_onnx(tmp_path / 'rtmpose.onnx')(np.zeros((2, 3, 256, 192), np.float32))
    assert [output.shape for output in outputs] == [(2, 17, 384), (2, 17, 512)]
