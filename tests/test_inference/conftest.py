"""Generated people, small networks with random weights, and a way to call the demo in this process."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import init_model

from mmpose_lite.cli import main
from mmpose_lite.datasets.toy.people import Scene, draw_scene

ROOT = Path(__file__).resolve().parents[2]
POSE_CONFIG = next((ROOT / 'configs/lgm_pose').glob('*_toy-128x128.py'))


def boxes_of(scene: Scene) -> np.ndarray:
    """(N, 5) boxes of the people drawn, x1, y1, x2, y2 and a score."""
    rows = [(x, y, x + w, y + h, 0.9) for x, y, w, h in (person.bbox for person in scene.people)]
    return np.array(rows, dtype=np.float32).reshape(-1, 5)


def random_weights(config: Path | Config, path: Path) -> Path:
    """A checkpoint whose network answers to what it sees (fresh weights give almost flat heatmaps)."""
    torch.manual_seed(1)
    config = Config.fromfile(config) if isinstance(config, Path) else config.copy()
    model = init_model(config, device='cpu')
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    if hasattr(model.head, 'final_layer'):
        torch.nn.init.normal_(model.head.final_layer.weight, std=0.1)
    torch.save(dict(state_dict=model.state_dict(), meta=dict()), path)
    return path


@pytest.fixture(scope='session')
def weights(tmp_path_factory) -> Path:
    """Weights for POSE_CONFIG."""
    return random_weights(POSE_CONFIG, tmp_path_factory.mktemp('weights') / 'pose.pth')


@pytest.fixture(scope='session')
def scenes() -> list[Scene]:
    rng = np.random.default_rng(5)
    return [draw_scene(rng, (200, 160), people) for people in (1, 3, 2)]


@pytest.fixture
def photos(tmp_path, scenes) -> Path:
    """A folder of three pictures."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for name, scene in zip(('a.jpg', 'b.png', '7.bmp'), scenes, strict=True):
        cv2.imwrite(str(folder / name), scene.image)
    return folder


@pytest.fixture
def box_file(tmp_path, scenes) -> Path:
    """Boxes of the people in ``photos``; nobody in a.jpg."""
    found = []
    for image_id, scene in (('b', scenes[1]), (7, scenes[2])):
        for person in scene.people:
            found.append(dict(image_id=image_id, category_id=1, bbox=person.bbox.tolist(), score=0.9))
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(found))
    return path


@pytest.fixture
def pose_command(monkeypatch):
    """``mmpose-lite pose`` with a list of arguments; returns the exit code."""
    monkeypatch.setattr('signal.signal', lambda *_: None)
    return lambda argv: main(['pose', *map(str, argv)])


@pytest.fixture
def demo(pose_command, weights, tmp_path):
    """Call the demo with these inputs and options; returns the exit code and the folder of results."""

    def call(*args, out: str = 'out', boxes: tuple = ('--whole-image',)) -> tuple[int, Path]:
        pose = ('--pose-config', POSE_CONFIG, '--pose-checkpoint', weights)
        argv = [*args, *pose, *boxes, '--out-dir', tmp_path / out]
        return pose_command(argv), tmp_path / out

    return call


def instances(path: Path) -> list[dict]:
    """People in a result file of an image."""
    return json.loads(path.read_text())['instances']


def lines(path: Path) -> list[dict]:
    """Frames in a result file of a video."""
    return [json.loads(line) for line in path.read_text().splitlines()]
