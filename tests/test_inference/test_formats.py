"""Results for other tools."""

import csv
import json

import numpy as np
import pytest

from .conftest import instances, lines
from .test_video import make_video


def test_coco(demo, photos, tmp_path):
    code, out = demo(photos, '--format', 'coco')
    assert code == 0
    rows = json.loads((out / 'results_coco.json').read_text())
    names = sorted(path.name for path in photos.iterdir())
    assert [row['image_id'] for row in rows] == list(range(len(names)))  # --whole-image: one person each
    (person,) = instances(out / f'{names[1].split(".")[0]}.json')
    x1, y1, x2, y2 = person['bbox']
    assert rows[1]['bbox'] == [x1, y1, x2 - x1, y2 - y1]
    points = np.reshape(rows[1]['keypoints'], (-1, 3))
    np.testing.assert_array_equal(points[:, :2], person['keypoints'])
    assert rows[1]['score'] == pytest.approx(np.mean(person['keypoint_scores']), abs=1e-4)  # of a box of 1
    images = [dict(id=90 + k, file_name=f'val/{name}') for k, name in enumerate(names)]
    (tmp_path / 'ann.json').write_text(json.dumps(dict(images=images)))
    demo(photos, '--format', 'coco', '--image-ids', tmp_path / 'ann.json', '--resume', '--no-draw')
    rows = json.loads((out / 'results_coco.json').read_text())
    assert [row['image_id'] for row in rows] == [90 + k for k in range(len(names))]


def test_coco_ids_of_other_images_are_named(demo, photos, tmp_path, capfd):
    (tmp_path / 'ann.json').write_text(json.dumps(dict(images=[dict(id=1, file_name='other.jpg')])))
    code, out = demo(photos / 'b.png', '--format', 'coco', '--image-ids', tmp_path / 'ann.json')
    assert code == 1
    assert 'b.png is not among the images' in capfd.readouterr().err
    assert (out / 'b.json').is_file()


def test_openpose(demo, photos, tmp_path):
    video = make_video(tmp_path / 'clip.mp4', 3)
    code, out = demo(photos / 'b.png', video, '--format', 'openpose', '--no-draw')
    assert code == 0
    assert {path.name for path in out.glob('*_keypoints.json')} == {
        'b_keypoints.json',
        *(f'clip_{frame:012}_keypoints.json' for frame in range(3)),
    }
    (person,) = json.loads((out / 'b_keypoints.json').read_text())['people']
    (own,) = instances(out / 'b.json')
    assert np.reshape(person['pose_keypoints_2d'], (-1, 3))[:, :2].tolist() == own['keypoints']
    assert person['person_id'] == [-1]


def test_csv(demo, tmp_path):
    code, out = demo(make_video(tmp_path / 'clip.mp4', 4), '--format', 'csv', '--no-draw', '--track')
    assert code == 0
    with (out / 'clip.csv').open() as file:
        rows = list(csv.DictReader(file))
    people = [(frame['frame'], person) for frame in lines(out / 'clip.jsonl') for person in frame['instances']]
    assert len(rows) == len(people) == 4
    for row, (frame, person) in zip(rows, people, strict=True):
        assert int(row['frame']) == frame
        assert row['person'] == ('' if person['track_id'] is None else str(person['track_id']))
        assert float(row['head_top_x']) == person['keypoints'][9][0]
