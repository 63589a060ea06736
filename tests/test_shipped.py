"""The weights that come with the package, and what the demo does with them on a photograph."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from mmpose_lite import cli, shipped
from mmpose_lite.inference import PersonDetector, PoseNetwork, TopdownPipeline

ENTRIES = shipped.read_shipped()
# of Rear Admiral Grace Hopper, by the United States Navy: in the public domain, and in every matplotlib
PHOTO = Path(matplotlib.get_data_path(), 'sample_data/grace_hopper.jpg')


@pytest.mark.parametrize('entry', ENTRIES, ids=lambda entry: entry.name)
def test_file_is_the_one_that_is_described(entry):
    assert entry.intact
    assert entry.file.stat().st_size < 5e6
    network = PoseNetwork(entry.config, entry.file) if entry.task == 'pose' else None
    model = network.model if network else PersonDetector(entry.config, entry.file).model
    assert model is not None
    if network:
        assert entry.keypoints.startswith(f'{network.dataset_meta["dataset_name"]}, {network.num_keypoints} ')
        assert entry.parameters < 1.2e6


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


def test_photograph_without_further_arguments():
    """A portrait: a box around her, the head above the neck above the shoulders, no legs beyond the frame."""
    photo = cv2.imread(str(PHOTO))
    poses = TopdownPipeline(PoseNetwork(), PersonDetector())(photo)
    assert len(poses) == 1
    x1, y1, x2, y2 = poses.boxes[0]
    assert x1 < 200 < 320 < x2
    assert y1 < 150 < 450 < y2
    names = ('head_top', 'upper_neck', 'right_shoulder', 'left_shoulder')
    ids = [PoseNetwork().dataset_meta['keypoint_name2id'][name] for name in names]
    head, neck, right, left = poses.keypoints[0, ids]
    assert head[1] < neck[1] < min(right[1], left[1]) + 40
    assert right[0] < neck[0] < left[0]  # she faces the camera
    feet = [PoseNetwork().dataset_meta['keypoint_name2id'][name] for name in ('right_ankle', 'left_ankle')]
    assert (poses.keypoint_scores[0, feet] < np.min(poses.keypoint_scores[0, ids])).all()
