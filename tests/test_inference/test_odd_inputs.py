"""One input never stops the rest: odd pictures, odd arguments, odd box files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmpose_lite.inference import BoxFile, Frame, list_inputs, load, write_image
from mmpose_lite.inference.files import result_file
from mmpose_lite.runtime.crops import LONGEST, Cropper

from .conftest import POSE_CONFIG, ROOT, boxes_of, instances, lines
from .test_video import make_video

IMAGE = np.zeros((9, 9, 3), np.uint8)


@pytest.fixture
def picture(scenes) -> np.ndarray:
    return scenes[0].image


def test_odd_names_and_shapes(demo, tmp_path, picture, photos, capfd):
    """All are posed; what cannot be written in its own format becomes a JPEG, or a PNG where that is too small."""
    jpeg = cv2.imencode('.jpg', picture)[1].tobytes()
    odd = tmp_path / 'odd'
    odd.mkdir()
    for name in ('a.jfif', 'no_suffix', 'b.heif', 'c.JPE'):
        (odd / name).write_bytes(jpeg)
    cv2.imwrite(str(odd / 'd.pgm'), picture[..., 0])
    cv2.imwrite(str(odd / 'thin.png'), picture[:1].repeat(3, axis=1))
    cv2.imwrite(str(odd / 'long.png'), np.zeros((40, LONGEST, 3), np.uint8))
    cv2.imwrite(str(odd / 'high.png'), np.zeros((70000, 8, 3), np.uint8))
    code, out = demo(*sorted(odd.iterdir()), photos)
    assert code == 0, capfd.readouterr().err
    stems = {path.stem for path in odd.iterdir()} | {'a.jfif', '7', 'b'} - {'a'}
    assert len(list(out.rglob('*.json'))) == 11
    written = {path.name for path in out.rglob('*') if path.suffix in ('.jpg', '.png', '.bmp', '.jpeg')}
    assert {'no_suffix.jpg', 'c.jpg', 'd.jpg', 'thin.png', 'long.png', 'high.png', '7.bmp'} <= written, stems
    assert not capfd.readouterr().err.count('mmpose-lite:')


def test_results_are_kept_where_drawing_fails(demo, photos, monkeypatch, capfd):
    def fail(*_):
        raise cv2.error('cannot draw')

    monkeypatch.setattr('mmpose_lite.inference.drawing.Drawer.__call__', fail)
    code, out = demo(photos)
    assert code == 1
    assert sorted(path.name for path in out.iterdir()) == ['7.json', 'a.json', 'b.json']
    assert capfd.readouterr().err.count('cannot be done (error:') == 3


def test_one_that_the_network_cannot_do(demo, photos, monkeypatch, capfd):
    """Of a group of pictures the others are done."""
    from mmpose_lite.inference import TopdownPipeline

    estimate = TopdownPipeline.estimate

    def fail(self, images, boxes):
        if any(image.shape == (160, 200, 3) and image[0, 0, 0] == 255 for image in images):
            raise cv2.error('no such size')
        return estimate(self, images, boxes)

    white = np.full((160, 200, 3), 255, np.uint8)
    cv2.imwrite(str(photos / 'white.png'), white)
    monkeypatch.setattr(TopdownPipeline, 'estimate', fail)
    code, out = demo(photos, '--no-draw')
    assert code == 1
    assert sorted(path.name for path in out.iterdir()) == ['7.json', 'a.json', 'b.json']
    assert 'white.png cannot be done' in capfd.readouterr().err


def test_standard_input_as_a_picture(tmp_path, weights, picture):
    command = [sys.executable, ROOT / 'demo/topdown_demo.py', '/dev/stdin', '--whole-image', '--out-dir', tmp_path]
    command += ['--pose-config', POSE_CONFIG, '--pose-checkpoint', weights]
    content = cv2.imencode('.png', picture)[1].tobytes()
    done = subprocess.run(list(map(str, command)), input=content, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ['stdin.jpg', 'stdin.json']


def test_bad_arguments_among_good_ones(demo, photos, tmp_path, capfd):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'loop.jpg').symlink_to('loop.jpg')
    bad = [tmp_path / 'no*.jpg', tmp_path / 'empty', tmp_path / 'loop.jpg', '', 'http://host/a.jpg', 'x' * 300 + '.jpg']
    code, out = demo(*bad, photos, '--no-draw')
    assert code == 1
    assert len(list(out.iterdir())) == 3
    shown = capfd.readouterr()
    said = [line for line in shown.err.splitlines() if 'mmpose-lite: ' in line]
    assert len(said) == 6
    assert 'http://host/a.jpg is an address' in shown.err
    assert '3 poses in 3 of 9 inputs' in shown.out


def test_folders_are_mirrored(demo, tmp_path, picture):
    for folder in ('cam1', 'cam2'):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / '0001.jpg'), picture)
    code, out = demo(tmp_path / 'cam1', tmp_path / 'cam2')
    assert code == 0
    names = sorted(str(path.relative_to(out)) for path in out.rglob('*.*'))
    assert names == ['cam1/0001.jpg', 'cam1/0001.json', 'cam2/0001.jpg', 'cam2/0001.json']


def test_output_is_a_file(demo, photos, tmp_path, capfd):
    (tmp_path / 'file').write_text('mine')
    assert demo(photos, out='file')[0] == 1
    assert 'file is, or lies below, a file' in capfd.readouterr().err
    assert (tmp_path / 'file').read_text() == 'mine'


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('--bbox-thr', 'nan'), '--bbox-thr'),
        (('--bbox-thr', '1.5'), '--bbox-thr 1.5 must be from 0 to 1'),
        (('--nms-thr', '-1'), '--nms-thr -1.0 must be from 0 to 1'),
        (('--kpt-thr', 'nan'), '--kpt-thr'),
        (('--threads', '999999999999'), '--threads 999999999999 must be at most'),
        (('--boxes', ''), '--boxes is empty'),
        (('--out-dir', ''), '--out-dir is empty'),
    ],
)
def test_options_that_can_do_nothing(pose_command, capsys, args, message):
    with pytest.raises(SystemExit) as stopped:
        pose_command(['x.jpg', *args])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_resume_with_another_keypoint_set(demo, photos, capfd):
    _, out = demo(photos, '--no-draw')
    content = json.loads((out / 'a.json').read_text())
    for person in content['instances']:
        person['keypoints'] = person['keypoints'][:5]
    (out / 'a.json').write_text(json.dumps(content))
    (out / 'b.json').write_text('{"image": "b')  # cut short: done again
    assert demo(photos, '--no-draw', '--resume')[0] == 1
    assert '5 keypoints, the network has 16' in capfd.readouterr().err
    assert len(instances(out / 'b.json')) == 1


def test_long_pictures_are_cut_as_short_ones(scenes):
    """The crop of a person is the same, wherever in a long picture."""
    cropper, box = Cropper((64, 64)), boxes_of(scenes[0])[:1, :4]
    wide = np.zeros((scenes[0].image.shape[0], LONGEST + 900, 3), np.uint8)
    wide[:, 34000 - 1000 : 34000 - 1000 + 200] = scenes[0].image
    plain = np.zeros((wide.shape[0], 3000, 3), np.uint8)
    plain[:, 1000:1200] = scenes[0].image
    crops = [
        cropper.crop([image], *cropper.geometry(box + np.float32([left, 0, left, 0])))[0].astype(int)
        for image, left in ((plain, 1000), (wide, 33000))
    ]
    assert np.abs(crops[0] - crops[1]).mean() < 1
    whole = np.array([[0, 0, wide.shape[1], wide.shape[0]]], np.float32)
    assert cropper.crop([wide], *cropper.geometry(whole)).shape == (1, 64, 64, 3)


def test_picture_that_its_format_has_no_room_for(tmp_path):
    assert write_image(tmp_path / 'x.webp', np.zeros((8, 20000, 3), np.uint8)).name == 'x.jpg'
    assert write_image(tmp_path / 'y.jpg', np.zeros((8, 70000, 3), np.uint8)).name == 'y.png'


# ------------------------------------------------------------------------------------------------ boxes


def box_file(path: Path, *entries, **extra) -> Path:
    rows = [dict(dict(category_id=1, bbox=[1, 2, 3, 4], score=0.5), **entry) for entry in entries]
    path.write_bytes(b'\xef\xbb\xbf' + json.dumps(dict(extra, annotations=rows) if extra else rows).encode())
    return path


@pytest.mark.parametrize(
    'image_id',
    [
        17,
        17.0,
        '17',
        '000017',
        '17.0',
        '17.jpg',
        'val/17.jpg',
        './val/17.jpg',
        'val\\17.jpg',
        '/elsewhere/17.jpg',
        'val/17',
    ],
)
def test_ids_however_they_are_written(tmp_path, image_id):
    boxes = BoxFile(box_file(tmp_path / 'boxes.json', dict(image_id=image_id)))
    boxes.expect([tmp_path / 'val/17.jpg'])
    assert len(boxes([Frame(IMAGE, tmp_path / 'val/17.jpg')])[0]) == 1


def test_ids_of_one_name_in_two_folders(tmp_path):
    entries = [dict(image_id=f'{folder}/1.jpg', bbox=[left, 0, 5, 5]) for folder, left in (('cam1', 1), ('cam2', 2))]
    boxes = BoxFile(box_file(tmp_path / 'boxes.json', *entries))
    for folder, left in (('cam1', 1), ('cam2', 2)):
        assert boxes([Frame(IMAGE, tmp_path / folder / '1.jpg')])[0][:, 0].tolist() == [left]
    with pytest.raises(ValueError, match='may be'):
        boxes([Frame(IMAGE, tmp_path / 'other/1.jpg')])
    plain = BoxFile(box_file(tmp_path / 'plain.json', dict(image_id='1.jpg')))
    with pytest.raises(ValueError, match=r'may be of .*cam1.* or of .*cam2'):
        plain.expect([tmp_path / 'cam1/1.jpg', tmp_path / 'cam2/1.jpg'])


def test_ids_of_an_annotation_file(tmp_path):
    images = [dict(id=17, file_name='IMG_2031.jpg', width=9, height=9)]
    (tmp_path / 'ann.json').write_text(json.dumps(dict(images=images, annotations=[])))
    frame = Frame(IMAGE, tmp_path / 'IMG_2031.jpg')
    file = box_file(tmp_path / 'boxes.json', dict(image_id=17))
    assert len(BoxFile(file, annotations=tmp_path / 'ann.json')([frame])[0]) == 1
    assert len(BoxFile(box_file(tmp_path / 'both.json', dict(image_id=17), images=images))([frame])[0]) == 1
    with pytest.raises(ValueError, match=r'1 boxes are of no input \(image_id 17\); inputs are IMG_2031\.jpg'):
        BoxFile(file).expect([frame.path])


def test_boxes_that_are_left_out_are_counted(tmp_path, caplog):
    path = tmp_path / 'boxes.json'
    with pytest.raises(ValueError, match=r'1 are of category 0, not 1, 1 score below 0\.3'):
        BoxFile(box_file(path, dict(image_id=1, category_id=0), dict(image_id=1, score=0.1)))
    assert len(BoxFile(path, category=0)([Frame(IMAGE, Path('1.jpg'))])[0]) == 1
    assert 'of 2 boxes 1 are of category 1, not 0' in caplog.text
    for threshold in (float('nan'), 1.5):
        with pytest.raises(ValueError, match='from 0 to 1'):
            BoxFile(path, threshold)


def test_demo_says_that_no_box_is_of_an_input(demo, photos, tmp_path, capfd):
    file = box_file(tmp_path / 'boxes.json', dict(image_id='nobody.jpg'))
    code, out = demo(photos, boxes=('--boxes', file))
    assert code == 1
    assert '1 boxes are of no input' in capfd.readouterr().err
    file = box_file(tmp_path / 'boxes.json', dict(image_id='a.jpg', category_id=0, bbox=[9, 9, 50, 50]))
    code, out = demo(photos, '--det-category', '0', boxes=('--boxes', file))
    assert code == 0
    assert len(instances(out / 'a.json')) == 1


def test_frames_of_several_videos(demo, tmp_path, capfd):
    videos = [make_video(tmp_path / f'{name}.mp4', 3) for name in 'ab']
    file = box_file(tmp_path / 'boxes.json', dict(image_id=1, bbox=[5, 5, 40, 40]))
    assert demo(*videos, '--no-draw', boxes=('--boxes', file))[0] == 1
    assert "write image_id as 'a.mp4:1'" in capfd.readouterr().err
    _, out = demo(videos[0], '--no-draw', boxes=('--boxes', file))
    assert [len(line['instances']) for line in lines(out / 'a.jsonl')] == [0, 1, 0]
    file = box_file(tmp_path / 'boxes.json', dict(image_id=9, bbox=[5, 5, 40, 40]))
    assert demo(videos[0], '--no-draw', boxes=('--boxes', file))[0] == 1
    assert 'no box is of a frame of' in capfd.readouterr().err


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(['images', 'annotations']), inner),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional=dict(
        image_id=JSON | st.sampled_from(['17.jpg', 17, 'clip.mp4:3']),
        category_id=JSON | st.just(1),
        bbox=JSON | st.lists(st.floats() | st.integers(), min_size=4, max_size=4),
        score=JSON | st.just(0.9),
    ),
)


@settings(derandomize=True, max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.lists(ENTRY | JSON, max_size=4) | JSON)
def test_any_box_file(tmp_path_factory, content):
    """Read, or refused with its name."""
    path = tmp_path_factory.getbasetemp() / 'any_boxes.json'
    path.write_text(json.dumps(content))
    inputs = [Path('17.jpg'), Path('clip.mp4')]
    try:
        boxes = BoxFile(path)
        boxes.expect(inputs)
        boxes([Frame(IMAGE, inputs[0]), Frame(IMAGE, inputs[1], 3)])
    except ValueError as error:
        if path.name not in str(error):
            raise


@settings(derandomize=True, max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    items=st.lists(
        st.text(st.sampled_from('ab./*[]?-:~ 0\0\udcf6\n'), max_size=8)
        | st.sampled_from(['a.jpg', 'b.mp4', '.', '..', '**', 'http://x', '/dev/null', 'a' * 400, '0', '9' * 14]),
        max_size=4,
    )
)
def test_any_arguments(tmp_path_factory, items):
    """Listed, or refused in words; nothing is written."""
    folder = tmp_path_factory.getbasetemp() / 'any'
    if not folder.exists():
        folder.mkdir()
        for name in ('a.jpg', 'b.mp4', 'a b', '[a].png'):
            (folder / name).touch()
    before = os.getcwd()
    os.chdir(folder)
    try:
        inputs = list_inputs([item for item in items if item != '-'], folder / 'out')
        results = {result_file(path, base) for path, base in inputs.results.items()}
        assert len(results) == len(inputs.results) > 0
    except (ValueError, OSError) as error:
        if not str(error):
            raise
    finally:
        os.chdir(before)
    assert not (folder / 'out').exists()


LFS = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n'


def said(capfd) -> str:
    return '\n'.join(line for line in capfd.readouterr().err.splitlines() if line.startswith('mmpose-lite: '))


@pytest.mark.parametrize('name', ['photo.jpg', 'film.mp4', 'noname'])
def test_a_git_lfs_pointer_is_called_so(demo, photos, tmp_path, capfd, name):
    (tmp_path / name).write_text(LFS)
    code, out = demo(tmp_path / name, photos / 'b.png')
    assert code == 1
    assert f'{tmp_path / name} is a pointer of Git LFS' in said(capfd)
    assert (out / 'b.json').is_file()


@pytest.mark.parametrize('option', ['--weights', '--pose', '--boxes'])
def test_a_git_lfs_pointer_among_the_arguments(pose_command, photos, tmp_path, capfd, option):
    pointer = tmp_path / {'--weights': 'w.pth', '--pose': 'n.onnx', '--boxes': 'b.json'}[option]
    pointer.write_text(LFS)
    args = [photos, '--out-dir', tmp_path / 'out', option, pointer]
    args += ['--pose', POSE_CONFIG] * (option == '--weights') + ['--whole-image'] * (option != '--boxes')
    assert pose_command(args) == 1
    assert f'{pointer} is a pointer of Git LFS' in said(capfd)


def test_boxes_that_all_lie_off_the_picture(demo, photos, tmp_path, capfd):
    off = [dict(image_id='b', category_id=1, bbox=[5000, 5000, 40, 80], score=0.9)]
    (tmp_path / 'off.json').write_text(json.dumps(off))
    code, _ = demo(photos / 'b.png', boxes=('--boxes', tmp_path / 'off.json'))
    assert code == 1
    assert 'off.json: all 1 boxes of the inputs lie off their pictures' in said(capfd)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"b.png": [{"bbox": [0, 0, 9, 9], "score": 1}]}', "a dictionary of 'b.png' without images and annotations"),
        ('{"image_id": "b", "bbox": [0, 0, 9, 9]}\n' * 2, 'it looks like JSON Lines'),
    ],
)
def test_box_files_of_another_layout(demo, photos, tmp_path, capfd, content, message):
    (tmp_path / 'boxes.json').write_text(content)
    assert demo(photos / 'b.png', boxes=('--boxes', tmp_path / 'boxes.json'))[0] == 1
    assert message in said(capfd)


@pytest.mark.parametrize('name', ['doc.pdf', 'x.bin', 'noname'])
def test_files_that_are_neither_picture_nor_video(demo, tmp_path, capfd, name):
    (tmp_path / name).write_bytes(b'%PDF-1.7\n' * 100 if name == 'doc.pdf' else b'1234' * 1000)
    code, out = demo(tmp_path / name)
    assert code == 1
    assert f'{tmp_path / name} is not an image' in said(capfd)
    assert list(out.glob('*')) == []


@pytest.mark.parametrize('suffix', ['ico', 'dds', 'pcx', 'sgi', 'qoi', 'tga'])
def test_rare_formats_in_a_folder(demo, tmp_path, suffix):
    folder = tmp_path / 'rare'
    folder.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(folder / f'x.{suffix}')
    code, out = demo(folder)
    assert code == 0
    assert len(instances(out / 'x.json')) == 1


@pytest.mark.parametrize('suffix', ['webp', 'png', 'tiff'])
def test_of_several_pictures_the_first_is_taken_and_it_is_said(demo, tmp_path, caplog, suffix):
    first, *more = (Image.fromarray(np.full((64, 64, 3), value, np.uint8)) for value in (0, 120, 250))
    first.save(tmp_path / f'many.{suffix}', save_all=True, append_images=more)
    code, out = demo(tmp_path / f'many.{suffix}')
    assert code == 0
    assert f'many.{suffix} holds 3 pictures: the first is taken' in caplog.text
    assert len(instances(out / 'many.json')) == 1


@pytest.mark.parametrize('address', ['http:/host/x.jpg', 'data:image/png;base64,AAAA', 'rtsp://camera/1'])
def test_addresses(demo, photos, capfd, address):
    code, out = demo(address, photos / 'b.png')
    assert code == 1
    assert f'{address} is an address, which is not taken' in said(capfd)
    assert (out / 'b.json').is_file()


def test_a_camera_that_is_not_there(demo, capfd):
    assert demo('99')[0] == 1
    assert [line for line in capfd.readouterr().err.splitlines() if 'ERROR' in line] == []


def test_a_result_whose_name_a_folder_has(demo, photos, tmp_path, capfd):
    (tmp_path / 'out/b.json').mkdir(parents=True)
    code, out = demo(photos)
    assert code == 1
    assert f'{out / "b.json"} is a folder, where a result should go' in said(capfd)
    assert (out / 'a.json').is_file()


@pytest.mark.parametrize('length', [246, 300])
def test_names_that_are_too_long(demo, photos, tmp_path, capfd, length):
    name = tmp_path / f'{"n" * length}.png'
    if length < 250:  # itself it is not, its result is
        shutil.copy(photos / 'b.png', name)
    code, out = demo(name, photos / 'a.jpg')
    assert code == 1
    assert 'too long' in said(capfd)
    assert (out / 'a.json').is_file()


def test_a_broken_file_of_ids_is_the_one_that_is_named(demo, photos, box_file, tmp_path, capfd):
    (tmp_path / 'ids.json').write_text(LFS)
    assert demo(photos, boxes=('--boxes', box_file, '--image-ids', tmp_path / 'ids.json'))[0] == 1
    assert said(capfd).startswith(f'mmpose-lite: error: {tmp_path / "ids.json"} is a pointer of Git LFS')


VALUES = st.sampled_from(['', '0', '-1', '1.5', 'nan', 'inf', 'x', 'C.py', 'n.onnx', 'cuda:1', '9' * 14, '\udcf6'])
FLAGS = (
    '--pose --weights --backend --threads --precision --batch-size --device --detector --det-weights --boxes --format'
)
FLAGS += ' --image-ids --bbox-thr --nms-thr --det-category --det-every --out-dir --kpt-thr'
SWITCHES = '--flip-test --whole-image --track --smooth --resume --no-draw --no-boxes --show'
OPTION = st.tuples(st.sampled_from(FLAGS.split()), VALUES) | st.tuples(st.sampled_from(SWITCHES.split()))


@settings(derandomize=True, max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(options=st.lists(OPTION, max_size=5))
def test_any_options(pose_command, monkeypatch, capsys, options):
    """Accepted, or refused with exit code 2 in one line below the usage."""
    monkeypatch.setattr('mmpose_lite.cli.pose.pose', lambda args: 0)
    try:
        code = pose_command(['x.jpg', *(word for option in options for word in option)])
    except SystemExit as stopped:
        code = stopped.code
    assert code in (0, 2)
    assert code == 0 or 'error: ' in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize('device', ['foo', 'cuda:x', 'gpu'])
def test_unknown_devices(pose_command, capsys, device):
    with pytest.raises(SystemExit) as stopped:
        pose_command(['x.jpg', '--device', device])
    assert stopped.value.code == 2
    assert f'--device {device} is unknown: use cpu, cuda or cuda:1' in capsys.readouterr().err
    with pytest.raises(ValueError, match=f'device {device} is unknown'):
        load(backend='torch', device=device)
