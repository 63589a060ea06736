"""What deploy/README.md tells people to type works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmpose_lite.deploy
from mmpose_lite.deploy.verify import normalize, open_onnx, toy_crops
from mmpose_lite.runtime import Contract, PoseModel

README = (Path(mmpose_lite.deploy.__file__).parent / 'README.md').read_text()


@pytest.fixture
def folder(lgm_pose, exported, tmp_path, monkeypatch) -> Path:
    """A folder that has the files that the README names."""
    Config.fromfile(lgm_pose[0]).dump(str(tmp_path / 'CONFIG.py'))
    (tmp_path / 'WEIGHTS.pth').symlink_to(lgm_pose[1])
    (tmp_path / 'FILE.onnx').symlink_to(exported)
    cv2.imwrite(str(tmp_path / 'IMAGE.jpg'), np.full((90, 60, 3), 128, np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf'```{language}\n(.*?)```', README, re.DOTALL)


def test_python(folder, exported, capsys):
    """Running a file, TorchScript and torch.export."""
    names: dict = {}
    for block in blocks('python'):
        exec(block, names)
    assert "'right_ankle': [" in capsys.readouterr().out
    images = normalize(toy_crops(names['contract'], 1), names['contract'])
    expected = open_onnx(exported)(images)[0]
    for network in (torch.jit.load('FILE.pt'), torch.export.load('FILE.pt2').module()):
        with torch.no_grad():
            np.testing.assert_allclose(network(torch.from_numpy(images)).numpy(), expected, rtol=1e-3, atol=1e-5)


RUN_IR = """
import numpy as np
from mmpose_lite.runtime import Contract, PoseModel
model = PoseModel('FILE.xml', 'openvino', threads=1)
np.save('found.npy', model.outputs(np.load('crops.npy'))[0])
print(model.contract.to_json())
"""


def test_openvino_ir(folder, exported):
    """In a process of its own, as users have it: in one that has exported everything else it died now and then."""
    command = next(line for block in blocks('bash') for line in block.splitlines() if line.startswith('ovc '))
    program, *rest = command.split()
    subprocess.run([Path(sys.executable).parent / program, *rest], check=True, capture_output=True)
    model = PoseModel(exported)
    crops = toy_crops(model.contract, 2)
    np.save('crops.npy', crops)
    run = [sys.executable, '-W', 'ignore', '-c', RUN_IR]
    environment = os.environ | dict(PYTHONPATH=str(Path(mmpose_lite.__file__).parents[1]))
    done = subprocess.run(run, check=True, capture_output=True, text=True, env=environment)
    assert Contract.from_json(done.stdout.splitlines()[-1], 'FILE.xml') == model.contract
    expected = model.outputs(crops)[0]
    assert np.abs(np.load('found.npy') - expected).max() < 5e-3 * np.abs(expected).max()
