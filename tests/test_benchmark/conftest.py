"""Results of a run that never was."""

import pytest

TIMES = {'eager': dict(fast=2.0, slow=6.0, ours=3.0), 'onnxruntime': dict(fast=1.0, slow=3.0, ours=0.5)}
LABELS = dict(fast='rtmpose-t@256x192', slow='lite-hrnet-18@256x192', ours='lgm-pose@256x192')


def row(*rounds: list[float], **more) -> dict:
    """A row as ``measure`` makes it."""
    rest = dict(cores=[1.0] * len(rounds), idle=0.0, memory=5_000_000, fingerprint=[1.0, -2.0], error=None)
    return dict(samples=list(rounds), **(rest | more))


@pytest.fixture
def results() -> dict:
    """Three networks in two runtimes; a call takes what ``TIMES`` says."""
    facts = dict(size=[256, 192], config='c.py', parameters=1_500_000, error=None, export_error=None)
    facts['flops'] = dict(mmcv=1_000_000_000, mmengine=2_000_000_000, macs=3_000_000_000)
    titles = dict(fast='RTMPose-t', slow='Lite-HRNet-18', ours='LGM-Pose')
    return dict(
        environment=dict(cpu='Abacus', cores=2, gpu=None, versions=dict(torch='2', openvino=None)),
        plan=dict(size=[256, 192], rounds=2, seconds=0.1),
        networks={
            LABELS[name]: facts | dict(title=title, ours=name == 'ours', accuracy={'COCO AP': 70.0 + i})
            for i, (name, title) in enumerate(titles.items())
        },
        groups=[
            dict(
                backend=backend,
                threads=1,
                batch=1,
                finished=True,
                matmul=row([1.0], [1.0]) | dict(flops=60_000_000_000),
                rows={LABELS[name]: row([time] * 3, [time] * 2) for name, time in times.items()},
            )
            for backend, times in TIMES.items()
        ],
        complete=True,
    )
