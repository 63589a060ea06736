"""Markdown and picture of fake numbers."""

import cv2
import pytest

from mmpose_lite.benchmark.plot import accuracy
from mmpose_lite.benchmark.report import markdown

from .conftest import LABELS, row


def test_tables(results):
    text = markdown(results, LABELS['slow'])
    assert '| RTMPose-t | 1.50 | 1.00 | 2.00 | 3.00 | 70.0 |  |' in text
    assert 'Time, Lite-HRNet-18 in the same runtime = 1' in text
    assert '| **LGM-Pose** | 0.50 (0.50) | 0.17 (0.17) |' in text
    assert '| **LGM-Pose** | 6.00 |' in text  # as fast as in eager PyTorch
    assert '| RTMPose-t | 5%, 5 MB | 10%, 5 MB |' in text
    assert '| **LGM-Pose** against Lite-HRNet-18 | eager | 4.5 | 2.00 | **missed** |' in text
    assert (
        'best of onnxruntime or openvino against **LGM-Pose**, eager | onnxruntime or openvino | 4 | 6.00 | met' in text
    )
    assert 'MobileNetV2' not in text  # claims of what was not measured
    assert 'Remarks' not in text
    assert 'illisecond' not in text  # absolute time is for a GPU


def test_on_a_gpu_time_is_absolute(results):
    results['environment']['gpu'] = 'H'
    text = markdown(results, LABELS['slow'])
    assert 'Milliseconds' in text
    assert '| **LGM-Pose** | 3000.00 (3000.00) | 500.00 (500.00) |' in text


def test_remarks(results):
    for group in results['groups']:
        group['rows'][LABELS['fast']] = row(error='out of luck')
    deployed = results['groups'][1]['rows']
    deployed[LABELS['slow']] = row([1.0], fingerprint=[1.0, -1.0], cores=[1.9])
    deployed[LABELS['ours']]['cores'] = [0.5, 0.5]
    remarks = markdown(results, LABELS['slow']).partition('## Remarks')[2]
    assert '- RTMPose-t: out of luck (eager, 1 thread, batch 1; onnxruntime, 1 thread, batch 1)' in remarks
    assert '- Lite-HRNet-18: the output differs from eager PyTorch by up to 50.0% of its largest value' in remarks
    assert 'up to 1.9 cores were at work (onnxruntime' in remarks
    assert 'other programs took part of the processor: ratios are noisy (onnxruntime' in remarks


def test_another_size_is_named(results):
    results['plan']['size'] = [384, 288]
    assert '| **LGM-Pose** 256x192 |' in markdown(results, LABELS['slow'])


@pytest.mark.parametrize('backends', [2, 1])
def test_picture(results, tmp_path, backends):
    del results['groups'][backends:]
    accuracy(results, LABELS['slow'], tmp_path / 'picture')
    picture = cv2.imread(str(tmp_path / 'picture'))
    assert picture.shape == (960, 1950, 3)
    # the color of this package's own
    assert (abs(picture.astype(int) - (0x0C, 0x41, 0xC2)).max(axis=2) < 8).sum() > 100
