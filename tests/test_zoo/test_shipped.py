"""The weights that come with the package, and what the demo does with them on a photograph."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpose.registry import MODELS

from mmpose_lite import cli
from mmpose_lite.datasets.toy.people import make_toy_people
from mmpose_lite.inference import PersonDetector, PoseNetwork
from mmpose_lite.zoo import shipped
from mmpose_lite.zoo.complexity import count_parameters

ENTRIES = shipped.read_shipped()


@pytest.mark.parametrize('entry', ENTRIES, ids=lambda entry: entry.name)
def test_file_is_the_one_that_is_described(entry):
    assert entry.intact
    assert entry.file.stat().st_size < 5e6
    network = PoseNetwork(entry.config, entry.file) if entry.task == 'pose' else None
    model = network.model if network else PersonDetector(entry.config, entry.file).model
    assert model is not None
    if network:
        assert entry.keypoints.startswith(f'{network.dataset_meta["dataset_name"]}, {network.num_keypoints} ')
        assert entry.parameters == count_parameters(MODELS.build(Config.fromfile(entry.config).model)) < 1.2e6


def test_every_weight_has_a_card():
    readme = (shipped.FOLDER / 'README.md').read_text()
    assert {path.name for path in shipped.FOLDER.glob('*.safetensors')} == {entry.file.name for entry in ENTRIES}
    for entry in ENTRIES:
        assert f'## `{entry.file.name}`' in readme
        assert entry.config.relative_to(entry.config.parents[2]).as_posix() in readme
        assert entry.score in readme
        assert entry.licence in readme


def test_one_default_for_each_task():
    assert sorted(entry.task for entry in ENTRIES if entry.default) == ['detection', 'pose']


def test_info(capsys):
    assert cli.main(['info', '--weights', '--json']) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry['name'] for entry in listed] == [entry.name for entry in ENTRIES]
    for entry in listed:
        assert {'file', 'config', 'keypoints', 'sha256', 'data', 'score', 'licence'} <= set(entry)
        assert Path(entry['config']).is_file()
        assert entry['intact'] is True
    assert cli.main(['info', '--weights']) == 0
    shown = capsys.readouterr().out
    assert all(entry.sha256 in shown for entry in ENTRIES)


def test_damage_is_noticed(monkeypatch, tmp_path, capsys):
    entry = next(entry for entry in ENTRIES if entry.task == 'pose' and entry.default)
    damaged = tmp_path / entry.file.name
    damaged.write_bytes(entry.file.read_bytes()[:-1] + b'x')
    monkeypatch.setattr(shipped, 'read_shipped', lambda: [replace(entry, file=damaged)])
    with pytest.raises(FileNotFoundError, match='missing or damaged: install mmpose_lite again'):
        PoseNetwork()
    assert 'DAMAGED' in shipped.as_table(shipped.read_shipped())


def test_half_of_a_network_is_refused():
    with pytest.raises(ValueError, match='both its config and its weights'):
        PoseNetwork(checkpoint='weights.pth')
    with pytest.raises(ValueError, match='both its config and its weights'):
        PersonDetector(config='config.py')


def test_demo_without_further_arguments(tmp_path):
    """On pictures of generated people, whom the pose network never saw: most joints are found."""
    make_toy_people(tmp_path / 'toy', num_train=0, num_val=4, seed=23)
    demo = Path(__file__).resolve().parents[2] / 'demo/topdown_demo.py'
    done = subprocess.run([sys.executable, demo, 'toy/images'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / 'toy/annotations/person_keypoints_val.json').read_text())
    names = {image['id']: image['file_name'] for image in content['images']}
    near = []
    for person in content['annotations']:
        name = names[person['image_id']]
        assert cv2.imread(str(tmp_path / 'poses' / name)) is not None
        poses = json.loads((tmp_path / 'poses' / f'{Path(name).stem}.json').read_text())['instances']
        points = np.reshape(person['keypoints'], (-1, 3))
        labelled = points[:, 2] > 0
        off = [np.linalg.norm(np.array(one['keypoints']) - points[:, :2], axis=1)[labelled] for one in poses]
        near.append(max(((one < 0.15 * max(person['bbox'][2:])).mean() for one in off), default=0))
    assert np.mean(near) > 0.6
