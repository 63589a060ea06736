"""Claims against fake numbers."""

import pytest

from mmpose_lite.benchmark.claims import CLAIMS, PAPERS, TARGETS, Claim, concerned
from mmpose_lite.benchmark.networks import parse
from mmpose_lite.benchmark.ratios import settings

from .conftest import LABELS


def test_every_claim_is_of_known_networks_with_sizes():
    for claim in CLAIMS:
        for label in (claim.subject, claim.peer):
            assert str(parse(label, (1, 1))) == label
            assert '@1x1' not in label
    assert (len(PAPERS), len(TARGETS)) == (10, 19)


@pytest.mark.parametrize(
    ('claim', 'expected'),
    [
        (Claim(LABELS['fast'], LABELS['slow'], 1.0, ''), 3.0),
        (Claim(LABELS['slow'], LABELS['fast'], 1.0, '', ('onnxruntime',)), 1 / 3),
        # deployed against its own eager: the faster of two runtimes, one of which was not measured
        (Claim(LABELS['ours'], LABELS['ours'], 4.0, '', ('onnxruntime', 'openvino'), ('eager',)), 6.0),
        (Claim(LABELS['ours'], LABELS['fast'], 0.5, '', ('onnxruntime', 'openvino')), 2.0),
        (Claim(LABELS['ours'], LABELS['fast'], 0.5, '', ('openvino',)), None),
        (Claim(LABELS['ours'], 'wgnet@256x192', 0.5, ''), None),
    ],
)
def test_measured(results, claim, expected):
    (setting,) = settings(results)
    assert claim.measured(setting) == (expected and pytest.approx(expected))


def test_concerned():
    eager, deployed = concerned('eager'), concerned('openvino')
    assert 'hrformer-s@384x288' in eager
    assert 'hrformer-s@384x288' not in deployed
    assert 'hevitpose-t@256x192' in eager  # the deployed target's own eager figure
    assert 'hevitpose-t@256x192' in deployed
    assert concerned('openvino-bf16') == []
