"""What docs/export.md tells people to type works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

import mmpose_lite
from mmpose_lite.deploy.verify import normalize, open_onnx, toy_crops
from mmpose_lite.inference.load import find_shipped
from mmpose_lite.runtime import Contract, PoseModel

README = (Path(__file__).parents[2] / 'docs/export.md').read_text()


@pytest.fixture
def folder(lgm_pose, exported, tmp_path, monkeypatch) -> Path:
    """A folder that has the files that the README names."""
    Config.fromfile(lgm_pose[0]).dump(str(tmp_path / 'CONFIG.py'))
    (tmp_path / 'WEIGHTS.pth').symlink_to(lgm_pose[1])
    (tmp_path / 'FILE.onnx').symlink_to(exported)
    (tmp_path / 'DETECTOR.onnx').symlink_to(find_shipped('detection', None).onnx)
    cv2.imwrite(str(tmp_path / 'IMAGE.jpg'), np.full((90, 60, 3), 128, np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf'```{language}\n(.*?)```', README, re.DOTALL)


def run(program: str) -> str:
    """Run a program in a process of its own, as users do; returns what it prints."""
    environment = os.environ | dict(PYTHONPATH=str(Path(mmpose_lite.__file__).parents[1]))
    command = [sys.executable, '-W', 'ignore', '-c', program]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


RUN_TORCH = """
import numpy as np
for i, network in enumerate((torch.jit.load('FILE.pt'), torch.export.load('FILE.pt2').module())):
    with torch.no_grad():
        np.save(f'found{i}.npy', network(torch.from_numpy(np.load('images.npy'))).numpy())
"""


def test_python(folder, exported):
    """Running a file, TorchScript and torch.export."""
    contract = PoseModel(exported).contract
    images = normalize(toy_crops(contract, 1), contract)
    np.save('images.npy', images)
    assert "'right_ankle': [" in run('\n'.join([*blocks('python'), RUN_TORCH]))
    expected = open_onnx(exported)(images)[0]
    for i in range(2):
        np.testing.assert_allclose(np.load(f'found{i}.npy'), expected, rtol=1e-3, atol=1e-5)


RUN_IR = """
import numpy as np
from mmpose_lite.runtime import Contract, PoseModel
model = PoseModel('FILE.xml', 'openvino', threads=1)
np.save('found.npy', model.outputs(np.load('crops.npy'))[0])
print(model.contract.to_json())
"""


def test_openvino_ir(folder, exported):
    command = next(line for block in blocks('bash') for line in block.splitlines() if line.startswith('ovc '))
    program, *rest = command.split()
    subprocess.run([Path(sys.executable).parent / program, *rest], check=True, capture_output=True)
    model = PoseModel(exported)
    crops = toy_crops(model.contract, 2)
    np.save('crops.npy', crops)
    assert Contract.from_json(run(RUN_IR).splitlines()[-1], 'FILE.xml') == model.contract
    expected = model.outputs(crops)[0]
    assert np.abs(np.load('found.npy') - expected).max() < 5e-3 * np.abs(expected).max()
