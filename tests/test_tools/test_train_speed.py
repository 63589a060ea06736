"""The tool that says where the time of a training step goes: it runs and its parts add up."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'configs/lgm_pose/td-hm_lgm-pose_1xb32-6e_toy-128x128.py'


def test_it_measures(toy_root):
    command = [sys.executable, '-W', 'ignore', 'tools/train_speed.py', CONFIG, '--workers', '1', '--iterations', '2']
    environment = {**os.environ, 'MPII_ROOT': str(toy_root), 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    options = ['--cfg-options', 'train_dataloader.batch_size=2']
    done = subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    parts = dict(re.findall(r'^  (data|transfer|forward|backward|optimizer) +[\d.]+ ms +([\d.]+)%$', done.stdout, re.M))
    assert len(parts) == 5
    assert abs(sum(map(float, parts.values())) - 100) < 0.5
    for name in ('LoadIntactImage', '1 workers', 'channels_last', 'fused'):
        assert re.search(rf'^ +{name} ', done.stdout, re.M), name
