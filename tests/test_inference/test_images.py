"""The demo on images: what it reads, what it writes, what it says when something is wrong."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmpose_lite.inference import Frame, list_inputs, read_image, shard
from mmpose_lite.inference.boxes import clean_boxes
from mmpose_lite.runtime.crops import Cropper

from .conftest import POSE_CONFIG, boxes_of, instances


@pytest.fixture
def picture(scenes) -> np.ndarray:
    return scenes[0].image


def test_folder_with_boxes(demo, photos, box_file, scenes):
    code, out = demo(photos, boxes=('--boxes', box_file))
    assert code == 0
    assert {p.name for p in out.iterdir()} == {'a.jpg', 'a.json', 'b.png', 'b.json', '7.bmp', '7.json'}
    assert instances(out / 'a.json') == []  # nobody: no pose, and the picture as it was
    people = instances(out / 'b.json')
    np.testing.assert_allclose([p['bbox'] for p in people], boxes_of(scenes[1])[:, :4], atol=0.002)
    assert all(np.shape(p['keypoints']) == (16, 2) and len(p['keypoint_scores']) == 16 for p in people)
    assert set(people[0]) == {'bbox', 'bbox_score', 'keypoints', 'keypoint_scores'}
    assert len(instances(out / '7.json')) == len(scenes[2].people)  # '7' is image 7
    drawn, plain = cv2.imread(str(out / 'b.png')), scenes[1].image
    assert drawn.shape == plain.shape
    assert (drawn != plain).any()


def test_folder_and_single_image_agree(demo, photos, box_file):
    """A person's pose does not depend on who shares the batch."""
    _, together = demo(photos, '--no-draw', boxes=('--boxes', box_file))
    code, alone = demo(photos / 'b.png', '--no-draw', out='alone', boxes=('--boxes', box_file))
    assert code == 0
    assert [p.name for p in alone.iterdir()] == ['b.json']
    for one, other in zip(instances(together / 'b.json'), instances(alone / 'b.json'), strict=True):
        np.testing.assert_allclose(one['keypoints'], other['keypoints'], atol=0.01)


def test_ways_to_name_inputs(photos, tmp_path, monkeypatch):
    a, b, seven = photos / 'a.jpg', photos / 'b.png', photos / '7.bmp'
    out = tmp_path / 'out'
    listed = lambda *inputs: list(list_inputs(inputs, out).results)  # noqa: E731
    assert listed(a) == [a]
    assert listed(b, a, b, photos / '../photos/a.jpg') == [b, a]
    assert listed(photos) == [seven, a, b]
    assert listed(str(photos / '*.[jp]*')) == [a, b]
    monkeypatch.setattr('sys.stdin', io.StringIO(f'{b}\n\n{photos}/a*\n'))
    assert listed('-') == [b, a]
    for mark, encoding in ((b'\xef\xbb\xbf', 'utf-8'), (b'\xff\xfe', 'utf-16-le')):  # as Windows writes lists
        lines = io.BytesIO(mark + f'{b}\r\n{photos}/ä*\r\n{a}'.encode(encoding))
        monkeypatch.setattr('sys.stdin', io.TextIOWrapper(lines))
        assert listed('-') == [b, a]


@pytest.mark.parametrize('name', ['[1].png', 'a b.png'])
def test_names_that_look_like_patterns(name, tmp_path, picture):
    cv2.imwrite(str(tmp_path / name), picture)
    assert list(list_inputs([tmp_path / name], tmp_path / 'out').results) == [tmp_path / name]


def test_inputs_refused(photos, tmp_path, picture):
    with pytest.raises(FileNotFoundError, match=r'nothing\*: check the pattern'):
        list_inputs([tmp_path / 'nothing*'], tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty has no image or video'):
        list_inputs([tmp_path / 'empty'], tmp_path)
    with pytest.raises(ValueError, match=r'b\.png would be overwritten'):
        list_inputs([photos / 'b.png'], photos)
    with pytest.raises(ValueError, match=r'/b\.png would be overwritten by the drawn copy of .*/b\.png'):
        list_inputs([tmp_path / 'b.png', photos / 'a.jpg', photos / 'b.png'], tmp_path)
    assert list(list_inputs([photos / 'b.png'], photos, draw=False).results) == [photos / 'b.png']


def test_one_bad_argument(photos, tmp_path, caplog):
    """Each is named, and the rest is taken."""
    (tmp_path / 'empty').mkdir()
    (photos / 'notes.txt').touch()
    (photos / 'loop.png').symlink_to('loop.png')
    bad = [tmp_path / 'nothing*', tmp_path / 'empty', '', ' ', 'http://x.org/a.jpg', 'rtsp://10.0.0.1/stream']
    inputs = list_inputs([*bad, photos], tmp_path / 'out')
    assert len(inputs.results) == 3
    said = [str(error) for error in inputs.errors]
    for text, words in zip(
        said, ('nothing*', 'empty', 'empty text', 'empty text', 'http://x.org', 'rtsp://'), strict=True
    ):
        assert words in text
    assert 'address' in said[4]
    assert '1 files skipped' in caplog.text
    assert 'notes.txt' in caplog.text
    assert list(list_inputs([photos / 'loop.png'], tmp_path).results) == [photos / 'loop.png']


def test_names_that_clash(photos, tmp_path, picture):
    """Folders are mirrored; in one folder whole names are kept; nothing is refused and nothing written twice."""
    out = tmp_path / 'out'
    (tmp_path / 'cam2').mkdir()
    for name in ('a.jpg', 'x.jfif'):
        (tmp_path / 'cam2' / name).write_bytes(cv2.imencode('.jpg', picture)[1].tobytes())
    found = list_inputs([photos, tmp_path / 'cam2'], out).results
    assert found[photos / 'a.jpg'] == out / 'photos/a'
    assert found[tmp_path / 'cam2/a.jpg'] == out / 'cam2/a'
    cv2.imwrite(str(photos / 'a.png'), picture)
    found = list_inputs([photos], out).results
    assert [found[photos / name].name for name in ('a.jpg', 'a.png', 'b.png')] == ['a.jpg', 'a.png', 'b']
    from mmpose_lite.inference.files import picture_file, result_file

    pictures = [picture_file(path, base).name for path, base in found.items()]
    assert pictures == ['7.bmp', 'a.jpg', 'a.png', 'b.png']
    assert [result_file(path, base).name for path, base in found.items()] == [
        '7.json',
        'a.jpg.json',
        'a.png.json',
        'b.json',
    ]


def test_kinds_of_pictures(tmp_path, picture):
    """Whatever the file holds, out comes (H, W, 3) uint8 that looks the same."""
    rgb = Image.fromarray(picture[..., ::-1])
    rgb.convert('RGBA').save(tmp_path / 'alpha.png')
    rgb.convert('L').save(tmp_path / 'gray.png')
    rgb.convert('CMYK').save(tmp_path / 'cmyk.jpg', quality=98)
    rgb.convert('P').save(tmp_path / 'palette.png')
    cv2.imwrite(str(tmp_path / 'deep.png'), picture.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / 'deep.tif'), picture.astype(np.uint16) * 257)
    for name, tolerance in (('alpha.png', 0), ('deep.png', 0), ('deep.tif', 0), ('cmyk.jpg', 8), ('palette.png', 30)):
        image = read_image(tmp_path / name)
        assert image.dtype == np.uint8, name
        assert np.abs(image.astype(int) - picture).mean() <= tolerance, name
    gray = read_image(tmp_path / 'gray.png')
    assert gray.shape == picture.shape
    assert (gray[..., 0] == gray[..., 2]).all()


def test_exif_rotation(tmp_path, picture):
    image = Image.fromarray(picture[..., ::-1])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    image.save(tmp_path / 'turned.jpg', exif=exif, quality=98)
    upright = np.rot90(picture, -1)
    assert np.abs(read_image(tmp_path / 'turned.jpg').astype(int) - upright).mean() < 6


@pytest.fixture
def damaged(tmp_path, picture):
    """A folder with one good picture and every way of being none."""
    folder = tmp_path / 'damaged'
    folder.mkdir()
    jpeg, png = (cv2.imencode(suffix, picture)[1].tobytes() for suffix in ('.jpg', '.png'))
    zero_size = bytearray(png)
    zero_size[16:24] = bytes(8)  # width and height
    files = dict(
        cut=('.jpg', jpeg[: len(jpeg) * 9 // 10]),
        cut_too=('.png', png[: len(png) // 2]),
        empty=('.jpg', b''),
        text=('.png', b'not a picture'),
        noise=('.jpg', jpeg[:200] + bytes(200)),
        no_pixels=('.png', bytes(zero_size)),
        z_good=('.png', png),
    )
    for name, (suffix, content) in files.items():
        (folder / f'{name}{suffix}').write_bytes(content)
    return folder


def test_damaged_pictures(demo, damaged, capfd):
    """Each is named in a line of its own, and the good one is done."""
    code, out = demo(damaged, damaged / 'missing.jpg')
    assert code == 1
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith('mmpose-lite: ')]
    assert sum('is an empty file' in line for line in said) == 1
    assert sum('missing.jpg does not exist' in line for line in said) == 1
    for name in ('cut.jpg', 'cut_too.png', 'text.png', 'noise.jpg', 'no_pixels.png'):
        assert sum(f'{name} is not an image, or is damaged or cut short' in line for line in said) == 1, name
    assert {p.name for p in out.iterdir()} == {'z_good.png', 'z_good.json'}


def test_odd_boxes(tmp_path, demo, photos, scenes, caplog):
    width, height = 200, 160
    good = [[50, 40, 51, 41], [-60, -50, 90, 90], [150, 100, 300, 300], [-500, -500, 900, 900]]
    bad = [
        [0, 0, 1e30, 1e30],
        [np.nan, 0, 9, 9],
        [0, 0, np.inf, 9],
        [30, 30, 30, 60],
        [60, 60, 30, 30],
        [width, 0, 250, 50],
        [0, -9, 9, 0],
    ]
    boxes = np.array([[*box, 0.9] for box in good + bad], dtype=np.float32)
    frame = Frame(np.zeros((height, width, 3), np.uint8))
    assert clean_boxes(boxes, frame).tolist() == boxes[:4].tolist()
    assert '7 of 11 boxes left out' in caplog.text

    found = [dict(image_id='b.png', score=0.9, bbox=[x1, y1, x2 - x1, y2 - y1]) for x1, y1, x2, y2, _ in boxes.tolist()]
    (tmp_path / 'odd.json').write_text(json.dumps(found))
    code, out = demo(photos / 'b.png', boxes=('--boxes', tmp_path / 'odd.json'))
    assert code == 0
    people = instances(out / 'b.json')
    assert len(people) == 4
    assert np.isfinite([p['keypoints'] for p in people]).all()


def test_a_thousand_boxes(tmp_path, photos, scenes):
    """All of them are posed, in batches, in their order."""
    from mmpose_lite.inference import TopdownPipeline

    boxes = np.tile(boxes_of(scenes[1])[:1], (1000, 1))
    boxes[:, :4] += np.arange(1000)[:, None] * 0.01
    seen = []

    class Counting:
        num_keypoints, flip_test, batch_size, dataset_meta = 2, False, 64, {}
        cropper = Cropper((32, 32))

        def __call__(self, crops):
            seen.append(len(crops))
            return np.zeros((len(crops), 2, 2)), np.ones((len(crops), 2))

    pipeline = TopdownPipeline(Counting())
    poses = pipeline.estimate([scenes[1].image], [boxes])[0]
    assert len(poses) == 1000
    assert max(seen) == 64
    np.testing.assert_array_equal(poses.bboxes, boxes[:, :4])
    assert (np.diff(poses.keypoints[:, 0, 0]) > 0).all()


def test_wrong_files(demo, photos, tmp_path, weights, capfd, pose_command):
    """One line that names the file, exit code 1, nothing written."""

    def refused(*argv) -> str:
        common = [photos, '--out-dir', tmp_path / 'none']
        assert pose_command((*common, *argv)) == 1
        assert not (tmp_path / 'none').exists()
        last = capfd.readouterr().err.strip().splitlines()[-1]
        assert last.startswith('mmpose-lite: error: ')
        return last

    other = POSE_CONFIG.parents[1] / 'lgm_pose/td-hm_lgm-pose_1xb32-260e_coco-256x192.py'
    pose = ('--pose-config', POSE_CONFIG, '--pose-checkpoint', weights)
    assert 'not of this network' in refused('--pose-config', other, '--pose-checkpoint', weights, '--whole-image')
    assert 'config none.py does not exist' in refused('--pose-config', 'none.py', *pose[2:], '--whole-image')
    assert 'none.pth does not exist' in refused(*pose[:3], tmp_path / 'none.pth', '--whole-image')
    assert 'none.json does not exist' in refused(*pose, '--boxes', tmp_path / 'none.json')
    if not torch.cuda.is_available():
        assert 'torch sees no GPU here' in refused(*pose, '--whole-image', '--device', 'cuda')
    (tmp_path / 'list.json').write_text('{"a": 1}')
    assert 'is not a JSON list of COCO results' in refused(*pose, '--boxes', tmp_path / 'list.json')
    (tmp_path / 'det.py').write_text("model = dict(type='RTMDet')")
    assert 'det.py does not configure a TopdownPoseEstimator' in refused(
        '--pose-config', tmp_path / 'det.py', *pose[2:], '--whole-image'
    )


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('--whole-image', '--boxes', 'x.json'), 'person boxes come from one of'),
        (('--det-config', 'D', '--det-checkpoint', 'V', '--whole-image'), 'person boxes come from one of'),
        (('--det-checkpoint', 'V'), '--detector CONFIG and --det-weights go together'),
        (('--whole-image', '--batch-size', '0'), '--batch-size 0 must be at least 1'),
        (('--whole-image', '--smooth'), 'give --track with it'),
    ],
)
def test_wrong_arguments(pose_command, capsys, args, message):
    with pytest.raises(SystemExit) as stopped:
        pose_command(['x.jpg', '--pose-config', 'C', '--pose-checkpoint', 'W', '--out-dir', 'o', *args])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(('rank', 'size'), [('5', '2'), ('a', '2'), ('0', '0'), ('0', '-1'), ('-1', '2')])
def test_impossible_numbers_of_processes_are_named(monkeypatch, rank, size):
    monkeypatch.setenv('RANK', rank)
    monkeypatch.setenv('WORLD_SIZE', size)
    with pytest.raises(ValueError, match=f'RANK={rank} and WORLD_SIZE={size}'):
        shard([Path('a.jpg')])
