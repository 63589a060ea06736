"""Medians and ratios of samples."""

import pytest

from mmpose_lite.benchmark.ratios import Setting, disagreement, median, p90, relative_time, settings

from .conftest import LABELS, row


def test_median_and_p90_are_over_all_samples():
    measured = row([1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0])
    assert median(measured) == 6
    assert p90(measured) == 10


def test_relative_time_is_taken_round_by_round():
    # the machine is ten times slower in the second and third round; the middle ratio of rounds is 2
    assert relative_time(row([2.0], [20.0], [40.0]), row([1.0, 1.0, 50.0], [10.0], [10.0])) == 2
    assert relative_time(row([2.0], [9.0]), row([1.0])) == 2  # stopped within a round


def test_setting(results):
    (setting,) = settings(results)
    assert (setting.threads, setting.batch, setting.backends) == (1, 1, ['eager', 'onnxruntime'])
    assert setting.best(LABELS['ours'], ('eager', 'onnxruntime', 'openvino')) == 0.5
    assert setting.relative(LABELS['slow'], LABELS['fast'], 'eager') == 3
    assert setting.best(LABELS['ours'], ('openvino',)) is None
    assert setting.relative('wgnet@256x192', LABELS['fast'], 'eager') is None
    assert Setting(results, 2, 1).row(LABELS['ours'], 'eager') is None


def test_share_of_matmul(results):
    # 2 x 3 G operations in 2 s are 3 G/s, of 60 G/s; a batch has more operations
    (setting,) = settings(results)
    assert setting.share_of_matmul(LABELS['fast'], 'eager') == pytest.approx(0.05)
    results['groups'][0]['batch'] = 8
    assert Setting(results, 1, 8).share_of_matmul(LABELS['fast'], 'eager') == pytest.approx(0.4)


def test_disagreement_is_relative_to_the_largest_output():
    assert disagreement(row(fingerprint=[1.0, -3.0]), row(fingerprint=[1.0, -4.0])) == 0.25
