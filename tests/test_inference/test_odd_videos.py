"""Videos whose header does not say what is in them, and names that are no text, with PyAV and without."""

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmpose_lite.inference import VideoReader
from mmpose_lite.inference.files import native_path

from .conftest import POSE_CONFIG, ROOT, lines
from .test_video import make_video

av = pytest.importorskip('av')
DECODERS = ['av', 'cv2']


@pytest.fixture(params=DECODERS)
def decoder(request, monkeypatch) -> str:
    if request.param == 'cv2':
        monkeypatch.setitem(sys.modules, 'av', None)
    return request.param


def encode(path: Path, times: list[int], codec: str = 'mpeg4', size=(96, 64), rate: int = 25, **options) -> Path:
    """A video of pictures that grow brighter, in Matroska at these times in milliseconds."""
    with av.open(str(path), 'w', options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = 'yuv420p'
        if milliseconds := path.suffix in ('.mkv', '.webm'):
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, time in enumerate(times):
            image = np.full((size[1], size[0], 3), 20 + 2 * (index % 100), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format='bgr24')
            if milliseconds:
                frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path: Path) -> tuple[VideoReader, list]:
    with VideoReader(path) as video:
        return video, list(video)


def test_variable_rate(decoder, tmp_path):
    """50 frames at 30 and 50 at 8 a second: all are there, and the mean rate makes the drawn video as long."""
    times = [round(1000 * i / 30) for i in range(50)]
    times += [times[-1] + 125 * (i + 1) for i in range(50)]
    video, frames = read(encode(tmp_path / 'x.mkv', times))
    assert len(frames) == 100
    assert video.damage == ''
    np.testing.assert_allclose([frame.time for frame in frames], np.array(times) / 1000, atol=0.002)
    assert 100 / video.fps == pytest.approx(times[-1] / 1000, rel=0.02)


def test_recording_of_a_browser(decoder, demo, tmp_path):
    """No duration, and a rate that is the clock's."""
    if 'libvpx' not in av.codecs_available:
        pytest.skip('this PyAV writes no VP8')
    video = encode(tmp_path / 'x.webm', [40 * i for i in range(50)], 'libvpx', rate=1000, live='1')
    code, out = demo(video)
    assert code == 0
    drawn, frames = read(out / 'x.mp4')
    assert len(frames) == 50
    assert drawn.fps == pytest.approx(25, rel=0.01)


def trimmed(path: Path) -> Path:
    """Half of an MP4, by its edit list."""
    content = bytearray(path.read_bytes())
    place = content.index(b'elst') + 12
    content[place : place + 4] = (int.from_bytes(content[place : place + 4], 'big') // 2).to_bytes(4, 'big')
    path.write_bytes(content)
    return path


def test_trimmed(decoder, demo, tmp_path):
    code, out = demo(trimmed(encode(tmp_path / 'x.mp4', [40 * i for i in range(50)])), '--no-draw')
    assert code == 0
    assert len(lines(out / 'x.jsonl')) == pytest.approx(25, abs=1)


@pytest.mark.parametrize('name', ['x.mp4', 'x.mkv', 'x.avi'])
def test_cut_short(decoder, demo, tmp_path, name, capfd):
    options = dict(movflags='faststart') if name == 'x.mp4' else {}
    video = encode(tmp_path / name, [40 * i for i in range(100)], size=(320, 240), **options)
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) * 2 // 3])
    code, out = demo(video, '--no-draw')
    assert code == 1
    assert f'{name} is cut short or damaged' in capfd.readouterr().err
    assert 20 < len(lines(out / 'x.jsonl.partial')) < 90
    video.write_bytes(whole)
    assert demo(video, '--no-draw', '--resume')[0] == 0
    assert len(lines(out / 'x.jsonl')) == 100


def test_size_that_changes(decoder, demo, tmp_path, capfd):
    """Two streams one after the other: every frame is decoded in its size, or the video fails by name."""
    parts = []
    for number, size in enumerate(((160, 96), (160, 128))):
        part = encode(tmp_path / f'{number}.m2v', [40 * (i + 15 * number) for i in range(15)], 'mpeg2video', size)
        parts.append(part.read_bytes())
        part.unlink()
    (tmp_path / 'grows.mpg').write_bytes(b''.join(parts))
    code, out = demo(tmp_path / 'grows.mpg')
    if code:
        assert decoder == 'cv2'
        assert 'grows.mpg is cut short or damaged' in capfd.readouterr().err
    else:
        boxes = [line['instances'][0]['bbox'] for line in lines(out / 'grows.jsonl')]
        assert boxes[0] == [0, 0, 160, 96]
        # OpenCV 5 scales all pictures to the size of the first
        assert boxes[-1] == [0, 0, 160, 128 if decoder == 'av' else 96]
        assert {frame.image.shape for frame in read(out / 'grows.mp4')[1]} == {(96, 160, 3)}


def test_av1(decoder, demo, tmp_path, capfd):
    codec = next((name for name in ('libsvtav1', 'libaom-av1') if name in av.codecs_available), None)
    if not codec:
        pytest.skip('this PyAV writes no AV1')
    code, out = demo(encode(tmp_path / 'x.mp4', [100 * i for i in range(8)], codec, rate=10), '--no-draw')
    if code:
        assert decoder == 'cv2'
        said = capfd.readouterr().err
        assert 'codec (AV01)' in said or 'codec (av01)' in said
        assert 'mmpose_lite[video]' in said
    else:
        assert len(lines(out / 'x.jsonl')) == 8


FORMATS = {'x.ts': 'mpeg2video', 'x.flv': 'flv', 'x.3gp': 'mpeg4', 'x.asf': 'msmpeg4v3', 'no_suffix': None}


def test_containers(decoder, demo, tmp_path):
    """Found in a folder by their names, or without one by their content."""
    folder = tmp_path / 'in'
    folder.mkdir()
    for name, codec in FORMATS.items():
        if codec:
            encode(folder / name, [40 * i for i in range(9)], codec, size=(128, 96))
    for name in FORMATS:
        if not name.startswith('no'):
            (folder / name).rename(folder / f'{Path(name).suffix[1:]}{Path(name).suffix}')
    make_video(folder / 'y.avi', 9).rename(folder / 'no_suffix')
    code, out = demo(folder, folder / 'no_suffix', '--no-draw')
    assert code == 0
    assert {path.name for path in out.iterdir()} == {
        f'{stem}.jsonl' for stem in ('ts', 'flv', '3gp', 'asf', 'no_suffix')
    }
    assert all(len(lines(path)) == 9 for path in out.iterdir())


NAME = b'gr\xf6\xdfe'


def run(weights, out, *inputs, **environment) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / 'demo/topdown_demo.py', *inputs, '--whole-image', '--out-dir', out]
    command += ['--pose-config', POSE_CONFIG, '--pose-checkpoint', weights]
    environment = dict(os.environ, OMP_NUM_THREADS='1', **environment)
    return subprocess.run([os.fsencode(part) for part in command], capture_output=True, env=environment)


def test_names_that_are_no_text(tmp_path, weights):
    """Old archives unpack such ones; OpenCV ends the process on them."""
    folder = os.fsencode(tmp_path) + b'/' + NAME
    os.mkdir(folder)
    (tmp_path / 'clip.mp4').write_bytes(make_video(tmp_path / 'x.mp4', 4).read_bytes())
    os.rename(tmp_path / 'x.mp4', folder + b'/' + NAME + b'.mp4')
    cv2.imwrite(str(tmp_path / 'x.png'), np.zeros((40, 40, 3), np.uint8))
    os.rename(tmp_path / 'x.png', folder + b'/p' + NAME + b'.png')
    done = run(weights, folder + b'/out', folder, tmp_path / 'clip.mp4')
    assert done.returncode == 0, done.stderr
    found = set(os.listdir(folder + b'/out'))
    assert found == {
        NAME + b'.mp4',
        NAME + b'.jsonl',
        b'p' + NAME + b'.png',
        b'p' + NAME + b'.json',
        b'clip.mp4',
        b'clip.jsonl',
    }
    with native_path(Path(os.fsdecode(folder + b'/out/' + NAME + b'.mp4'))) as name:
        assert int(cv2.VideoCapture(name).get(cv2.CAP_PROP_FRAME_COUNT)) == 4


def test_plain_locale(tmp_path, weights):
    """A name in UTF-8 where the locale is plain ASCII."""
    make_video(tmp_path / 'x.mp4', 3).rename(tmp_path / 'größe.mp4')
    plain = dict(LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')
    done = run(weights, tmp_path / 'größe', tmp_path / 'größe.mp4', **plain)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(os.fsencode(tmp_path / 'größe'))) == [os.fsencode('größe.jsonl'), os.fsencode('größe.mp4')]


def test_resume_of_another_video(demo, tmp_path, capfd):
    """Neither its lines nor those of another keypoint set are passed on."""
    video = make_video(tmp_path / 'clip.mp4', 12)
    _, out = demo(video, '--no-draw')
    line = (out / 'clip.jsonl').read_text().splitlines()[0]
    make_video(tmp_path / 'clip.mp4', 1)
    (out / 'clip.jsonl').rename(out / 'clip.jsonl.partial')
    assert demo(video, '--no-draw', '--resume')[0] == 1
    assert 'has 12 frames' in capfd.readouterr().err
    assert not (out / 'clip.jsonl').exists()
    person = json.loads(line)
    for one in person['instances']:
        one['keypoints'], one['keypoint_scores'] = one['keypoints'][:5], one['keypoint_scores'][:5]
    (out / 'clip.jsonl.partial').write_text(json.dumps(person) + '\n')
    assert demo(video, '--no-draw', '--resume')[0] == 1
    said = capfd.readouterr().err
    assert 'clip.jsonl.partial' in said
    assert '5 keypoints, the network has 16' in said


def test_resume_draws_what_is_missing(demo, tmp_path, photos):
    """After a run without pictures: the poses are not found again, but drawn."""
    video = make_video(tmp_path / 'clip.mp4', 3)
    _, out = demo(video, photos, '--no-draw')
    poses = (out / 'clip.jsonl').read_text().replace('"time": 0.0', '"time": 7.0', 1)
    (out / 'clip.jsonl').write_text(poses)
    assert demo(video, photos, '--resume')[0] == 0
    assert (out / 'clip.jsonl').read_text() == poses
    assert len(read(out / 'clip.mp4')[1]) == 3
    assert {'a.jpg', 'b.png', '7.bmp'} < {path.name for path in out.iterdir()}
