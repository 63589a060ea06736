"""The networks that can be measured."""

import importlib.util

import pytest
import torch

from mmpose_lite.benchmark.networks import NAMES, Network, build, parse, parse_size


@pytest.mark.parametrize('name', NAMES)
def test_every_name_has_a_config_and_a_reported_accuracy(name):
    network = Network(name, (256, 192))
    assert network.config.is_file()
    assert 50 < min(network.accuracy.values()) <= max(network.accuracy.values()) < 95


def test_config_and_accuracy_of_a_size():
    assert Network('hrnet-w32', (256, 256)).config.name == 'td-hm_hrnet-w32_8xb64-210e_mpii-256x256.py'
    assert Network('hrformer-s', (384, 288)).config.name == 'td-hm_hrformer-small_8xb32-210e_coco-384x288.py'
    assert Network('lgm-pose', (256, 192)).config.name == 'td-hm_lgm-pose_1xb32-260e_coco-256x192.py'
    # none of this size: COCO's
    assert Network('hevitpose-t', (256, 192)).config.name == 'td-hm_hevitpose-t_2xb64-210e_coco-256x256.py'
    assert Network('lite-hrnet-18', (256, 192)).accuracy == {'COCO AP': 64.2, 'MPII PCKh': 85.9}
    # COCO AP 75.4 is of another size, and not to be compared
    assert Network('hevitpose-b', (256, 192)).accuracy == {'MPII PCKh': 89.4}


def test_parse():
    assert parse('wgnet', (256, 192)) == Network('wgnet', (256, 192))
    assert str(parse('wgnet@384x288', (256, 192))) == 'wgnet@384x288'
    assert (parse('wgnet', (64, 64)).ours, parse('resnet-50', (64, 64)).ours) == (True, False)


def test_parse_errors_name_the_remedy():
    with pytest.raises(ValueError, match=r'unknown model .posenet.*lgm-pose, .*rtmpose-m'):
        parse('posenet', (256, 192))
    for text in ('256', '0x192', '256x192x3', 'axb'):
        with pytest.raises(ValueError, match='height x width'):
            parse_size(text)


@pytest.mark.parametrize('name', ['mobilenetv2', 'greit-hrnet-30'])
def test_deep_networks_neither_fade_nor_blow_up(name):
    network = Network(name, (64, 64))
    first, second = build(network), build(network)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        output = first._forward(images)
        assert torch.equal(output, second._forward(images))  # every process measures the same weights
    # how much the two differ: what is left of the images, without the biases of the last layers
    assert 1e-2 < (output[0] - output[1]).abs().mean() < 1e4
    assert not first.training


def test_a_network_that_needs_another_package_says_which(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'mmpretrain' else find_spec(name))
    with pytest.raises(ImportError, match='pip install "mmpretrain'):
        build(Network('vitpose-s', (256, 192)))


def test_rounding_stays_rounding():
    """A change of the input in its sixth digit changes no more than the third of the output."""
    model = build(Network('greit-hrnet-30', (64, 64)))
    torch.manual_seed(0)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        exact, moved = model._forward(images), model._forward(images + 1e-6 * torch.randn_like(images))
    assert (exact - moved).abs().max() < 1e-3 * exact.abs().max()
