"""Videos: frame rate, size, rotation, streaming, going on after a stop, damage."""

import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmpose_lite.inference import Frame, Poses, VideoReader, VideoWriter
from mmpose_lite.inference.results import ResultLines

from .conftest import POSE_CONFIG, ROOT, lines

SIZE = (96, 64)


def make_video(path: Path, frames: int, fps: float = 10, size: tuple = SIZE) -> Path:
    """A video whose frame i has the brightness 20 + 20 i, darker on the left half."""
    fourcc = cv2.VideoWriter_fourcc(*('MJPG' if path.suffix == '.avi' else 'mp4v'))
    writer = cv2.VideoWriter(str(path), fourcc, fps, size)
    for index in range(frames):
        image = np.full((size[1], size[0], 3), 20 + 20 * (index % 11), np.uint8)
        image[:, : size[0] // 2] //= 2
        writer.write(image)
    writer.release()
    return path


def turn(path: Path) -> Path:
    """Write into an MP4 that players should turn it by 90 degrees, as phones do."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b'tkhd') + 4 + 40
    content[matrix : matrix + 36] = struct.pack('>9i', 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def read(path: Path) -> tuple[float, list[np.ndarray]]:
    with VideoReader(path) as video:
        return video.fps, [frame.image for frame in video]


@pytest.fixture
def nobody(tmp_path) -> tuple:
    """Boxes in frames 2 and 3 only."""
    found = [dict(image_id=i, score=0.9, bbox=[20, 10, 30, 40]) for i in (2, 3, 3)]
    (tmp_path / 'frames.json').write_text(json.dumps(found))
    return '--boxes', tmp_path / 'frames.json'


@pytest.mark.parametrize(('suffix', 'fps'), [('.mp4', 12.5), ('.avi', 29.97)])
def test_video(demo, tmp_path, nobody, suffix, fps):
    """True frame rate and size, a line per frame, no pose where nobody is."""
    code, out = demo(make_video(tmp_path / f'clip{suffix}', 11, fps), boxes=nobody)
    assert code == 0
    assert {p.name for p in out.iterdir()} == {'clip.mp4', 'clip.jsonl'}
    found = lines(out / 'clip.jsonl')
    assert [line['frame'] for line in found] == list(range(11))
    np.testing.assert_allclose([line['time'] for line in found], np.arange(11) / fps, atol=1e-3)
    assert [len(line['instances']) for line in found] == [0, 0, 1, 2, *[0] * 7]
    person = found[2]['instances'][0]
    assert set(person) == {'bbox', 'bbox_score', 'keypoints', 'keypoint_scores'}
    assert person['bbox'] == [20, 10, 50, 50]
    drawn_fps, drawn = read(out / 'clip.mp4')
    assert drawn_fps == pytest.approx(fps, rel=1e-3)
    assert len(drawn) == 11
    assert drawn[0].shape == (*SIZE[::-1], 3)
    assert np.abs(drawn[5][:, 60:].mean() - 120) < 8  # frame 5, in its place
    assert drawn[3].std() > 1.2 * drawn[4].std()  # somebody is drawn


def test_rotation(demo, tmp_path):
    """A film held upright is posed and drawn upright."""
    code, out = demo(turn(make_video(tmp_path / 'phone.mp4', 3)))
    assert code == 0
    _, drawn = read(out / 'phone.mp4')
    assert drawn[0].shape == (*SIZE, 3)
    image = read(tmp_path / 'phone.mp4')[1][2]
    assert image[:40].mean() < 0.7 * image[-40:].mean()  # what was on the left is on top
    assert lines(out / 'phone.jsonl')[0]['instances'][0]['bbox'] == [0, 0, *SIZE[::-1]]


def test_animated_gif(demo, tmp_path):
    pictures = [Image.fromarray(np.full((40, 50, 3), 60 * i, np.uint8)) for i in range(4)]
    pictures[0].save(tmp_path / 'moving.gif', save_all=True, append_images=pictures[1:], duration=200)
    code, out = demo(tmp_path / 'moving.gif')
    assert code == 0
    assert [line['time'] for line in lines(out / 'moving.jsonl')] == [0, 0.2, 0.4, 0.6]
    assert read(out / 'moving.mp4')[0] == pytest.approx(5)


def test_progress(demo, tmp_path, capfd):
    demo(make_video(tmp_path / 'clip.mp4', 5), '--no-draw')
    shown = capfd.readouterr().err
    assert 'clip.mp4: 100%' in shown
    assert '5/5' in shown
    assert 'frame/s' in shown


def test_damaged_videos(demo, tmp_path, capfd):
    """Each is named, the good one is done, and what a cut film holds is kept."""
    whole = make_video(tmp_path / 'whole.avi', 40).read_bytes()
    (tmp_path / 'cut.avi').write_bytes(whole[: len(whole) // 2])
    mp4 = make_video(tmp_path / 'good.mp4', 3).read_bytes()
    (tmp_path / 'headless.mp4').write_bytes(mp4[: len(mp4) // 2])
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'text.mkv').write_text('not a video')
    names = ('cut.avi', 'headless.mp4', 'empty.mp4', 'text.mkv', 'missing.mp4', 'good.mp4')
    code, out = demo(*(tmp_path / name for name in names))
    assert code == 1
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith('mmpose-lite: ')]
    assert len(said) == 5
    problems = ('is cut short or damaged', 'is not a video', 'is an empty', 'is not a video', 'does not exist')
    for name, problem in zip(names[:5], problems, strict=True):
        assert sum(f'{name} {problem}' in line for line in said) == 1, name
    assert len(lines(out / 'good.jsonl')) == 3
    part = lines(out / 'cut.jsonl.partial')
    assert 0 < len(part) < 40
    assert not (out / 'cut.jsonl').exists()
    (tmp_path / 'cut.avi').write_bytes(whole)  # the whole film arrives, and the run goes on
    assert demo(tmp_path / 'cut.avi', '--resume')[0] == 0
    assert len(lines(out / 'cut.jsonl')) == 40


def test_resume(demo, tmp_path, scenes):
    """A run that was stopped in the middle of a line ends with the file that it would have written."""
    video = make_video(tmp_path / 'clip.mp4', 12)
    _, out = demo(video)
    complete = (out / 'clip.jsonl').read_bytes()
    fifth = complete.splitlines(keepends=True)[5]
    partial = tmp_path / 'second/clip.jsonl.partial'
    partial.parent.mkdir()
    marked = complete.splitlines(keepends=True)[:5]
    marked[0] = marked[0].replace(b'"time": 0.0', b'"time": 7.0')  # so one sees that it was not done again
    partial.write_bytes(b''.join(marked) + fifth[: len(fifth) // 2])
    code, second = demo(video, '--resume', out='second')
    assert code == 0
    assert (second / 'clip.jsonl').read_bytes() == complete.replace(b'"time": 0.0', b'"time": 7.0', 1)
    assert not partial.exists()
    drawn, again = read(out / 'clip.mp4')[1], read(second / 'clip.mp4')[1]
    assert len(again) == 12
    assert np.abs(drawn[2].astype(int) - again[2]).mean() < 0.5  # frames done before are drawn too


def test_finished_inputs_are_skipped(demo, tmp_path, photos, capsys):
    video = make_video(tmp_path / 'clip.mp4', 3)
    _, out = demo(video, photos)
    kept = (out / 'clip.jsonl').read_text().replace('"frame": 2', '"frame": 2, "kept": true')
    (out / 'clip.jsonl').write_text(kept)
    (out / 'b.json').unlink()
    assert demo(video, photos, '--resume')[0] == 0
    assert '3 were finished before' in capsys.readouterr().out
    assert (out / 'clip.jsonl').read_text() == kept
    assert 'kept' in kept
    assert (out / 'b.json').exists()
    assert demo(video)[0] == 0  # without --resume it is done again
    assert len(lines(out / 'clip.jsonl')) == 3


def test_result_lines_survive_a_kill(tmp_path):
    """Lines are in the file as soon as they are written."""
    poses = Poses.from_instances([], 2)
    results = ResultLines(tmp_path / 'x.jsonl')
    results.__enter__()
    for index in range(3):
        results.write(Frame(np.zeros((1, 1, 3), np.uint8), index=index), poses)
        assert len(lines(tmp_path / 'x.jsonl.partial')) == index + 1
    with ResultLines(tmp_path / 'x.jsonl', resume=True) as again:
        assert again.count == 3
    with ResultLines(tmp_path / 'x.jsonl', resume=True) as new:  # finished: nothing to go on with
        assert new.count == 0


def test_reader_holds_few_frames(tmp_path):
    """However slow the taker, only a queue's worth is read ahead; leaving early ends the thread."""
    video = VideoReader(make_video(tmp_path / 'long.avi', 200, size=(32, 32)))
    with video:
        frames = iter(video)
        next(frames)
        time.sleep(0.3)
        assert video._queue.qsize() <= 16
        assert video.source.count < 25
    assert not video._thread.is_alive()
    with VideoReader(tmp_path / 'long.avi') as video:
        assert sum(1 for _ in video) == 200


def test_memory_stays_flat(demo, tmp_path):
    """A film two and a half times as long takes no more memory."""

    def peak(frames: int) -> int:
        video = make_video(tmp_path / f'{frames}.mp4', frames, size=(480, 360))  # half a megabyte a frame
        tracemalloc.start()
        demo(video)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak(150) < 1.2 * peak(60)


def test_writer_waits_for_a_place(tmp_path):
    """The queue of the writer is bounded too."""
    slow = threading.Event()
    written = []

    def make():
        slow.wait(5)
        return np.zeros((32, 32, 3), np.uint8)

    with VideoWriter(tmp_path / 'x.mp4', 10) as writer:
        taker = threading.Thread(target=lambda: [(writer.write(make), written.append(1)) for _ in range(60)])
        taker.start()
        time.sleep(0.2)
        assert len(written) < 20
        slow.set()
        taker.join()
    assert len(read(tmp_path / 'x.mp4')[1]) == 60


def write(path: Path, frames: list) -> None:
    with VideoWriter(path, 10) as writer:
        for make in frames:
            writer.write(make)


def test_writer_reports_errors(tmp_path):
    def fail():
        raise ValueError('cannot draw')

    with pytest.raises(ValueError, match='cannot draw'):
        write(tmp_path / 'x.mp4', [fail] * 100)
    with pytest.raises(OSError, match='no such folder'):
        write(tmp_path / 'no/x.mp4', [lambda: np.zeros((32, 32, 3), np.uint8)])


def test_writer_notices_missing_frames(tmp_path, monkeypatch):
    """OpenCV drops what it cannot write without a word."""
    from mmpose_lite.inference import video

    monkeypatch.setattr(video, 'fit', lambda image, size: image)
    pictures = [np.zeros((size, size, 3), np.uint8) for size in (32, 16, 32)]
    with pytest.raises(OSError, match='2 of 3 frames'):
        write(tmp_path / 'x.mp4', [picture.copy for picture in pictures])
    assert not (tmp_path / 'x.mp4').exists()


def test_writer_takes_frames_of_every_size(tmp_path):
    """In the middle of the first one's size, as large as they fit."""
    pictures = [np.full((*size, 3), 200, np.uint8) for size in ((32, 64), (64, 32), (1, 640))]
    write(tmp_path / 'x.mp4', [picture.copy for picture in pictures])
    found = read(tmp_path / 'x.mp4')[1]
    assert [image.shape for image in found] == [(32, 64, 3)] * 3
    assert found[1][:, 26:38].mean() > 180
    assert found[1][:, :20].mean() < 20


def test_writer_says_that_its_folder_is_gone(tmp_path):
    (tmp_path / 'out').mkdir()

    def delete():
        shutil.rmtree(tmp_path / 'out')
        return np.zeros((32, 32, 3), np.uint8)

    with pytest.raises(OSError, match='deleted meanwhile'):
        write(tmp_path / 'out/x.mp4', [delete])
    (tmp_path / 'out').mkdir()
    with pytest.raises(OSError, match='deleted meanwhile'):
        write(tmp_path / 'out/x.mp4', [lambda: np.zeros((32, 32, 3), np.uint8)] * 3 + [delete])


def test_full_disk(demo, tmp_path, photos, capfd):
    """What was done is kept, one line says what to do, and nothing half-written is left."""
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'clip.jsonl.partial').symlink_to('/dev/full')
    code, _ = demo(photos, make_video(tmp_path / 'clip.mp4', 3), '--no-draw')
    assert code == 1
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert 'no room left to write' in last
    assert 'clip.jsonl: free disk space' in last
    assert {p.name for p in out.iterdir()} == {'a.json', 'b.json', '7.json'}
    (out / 'a.json').unlink()
    (out / 'a.json.partial').symlink_to('/dev/full')
    assert demo(photos, '--resume', '--no-draw')[0] == 1
    assert {p.name for p in out.iterdir()} == {'b.json', '7.json'}


def test_standard_input_is_not_shared(demo, photos, monkeypatch, capfd):
    monkeypatch.setattr('sys.stdin', io.StringIO(f'{photos}\n'))
    monkeypatch.setenv('SLURM_PROCID', '1')
    monkeypatch.setenv('SLURM_NTASKS', '2')
    assert demo('-')[0] == 1
    assert 'standard input cannot be shared' in capfd.readouterr().err


def test_no_camera(demo, capfd):
    code, out = demo('97')
    assert code == 1
    assert 'no camera 97: plug one in' in capfd.readouterr().err
    assert list(out.iterdir()) == []


@pytest.fixture
def camera(monkeypatch, tmp_path):
    """Camera 0: a generated video that ends."""
    video, capture = str(make_video(tmp_path / 'camera.avi', 30, fps=20)), cv2.VideoCapture

    class Camera:
        def __init__(self, source):
            self.capture = capture(video if source == 0 else source)

        def read(self):
            time.sleep(0.005)
            return self.capture.read()

        def __getattr__(self, name):
            return getattr(self.capture, name)

    monkeypatch.setattr(cv2, 'VideoCapture', Camera)


def test_camera(demo, camera):
    """Frames that come while nobody takes them are dropped, and times are those of the clock."""
    code, out = demo('0')
    assert code == 0
    found = lines(out / 'webcam0.jsonl')
    assert 1 <= len(found) <= 30
    times = [line['time'] for line in found]
    assert times == sorted(times)
    assert len(read(out / 'webcam0.mp4')[1]) == len(found)


@pytest.mark.parametrize('content', ['', '{"frame": 0, "time": null, "instances": 5}\n'])
def test_a_result_without_poses_is_not_finished(demo, tmp_path, content):
    video = make_video(tmp_path / 'clip.mp4', 4)
    out = demo(video, '--no-draw')[1]
    (out / 'clip.jsonl').write_text(content)
    assert demo(video, '--no-draw', '--resume')[0] == 0
    assert len(lines(out / 'clip.jsonl')) == 4


@pytest.mark.parametrize('live', [True, False])
def test_window(demo, camera, monkeypatch, tmp_path, live):
    """q ends a camera as it should end, and stops a video, whose part stays."""
    shown = []
    monkeypatch.setattr('mmpose_lite.inference.runner.check_display', lambda: None)
    monkeypatch.setattr(cv2, 'imshow', lambda name, image: shown.append(image))
    monkeypatch.setattr(cv2, 'waitKey', lambda wait: ord('q') if len(shown) == 3 else -1)
    code, out = demo('0' if live else make_video(tmp_path / 'clip.mp4', 9), '--show')
    assert len(shown) == 3
    assert code == (0 if live else 130)
    assert (out / 'webcam0.jsonl').exists() if live else len(lines(out / 'clip.jsonl.partial')) >= 3


@pytest.mark.parametrize('display', [None, ':97'])
def test_no_display(demo, photos, monkeypatch, capfd, display):
    """One line before anything is done: Qt would end the process."""
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    if display:
        monkeypatch.setenv('DISPLAY', display)
    code, out = demo(photos / 'a.jpg', '--show')
    assert code == 1
    assert not out.exists()
    assert 'there is no display' in capfd.readouterr().err


set_handler = signal.signal  # which the fixture `demo` replaces


def start(weights: Path, *args, **environment) -> subprocess.Popen:
    """The demo in a process of its own."""
    command = [sys.executable, ROOT / 'demo/topdown_demo.py', '--pose-config', POSE_CONFIG, '--pose-checkpoint']
    command += [weights, '--whole-image', *args]
    environment = dict(os.environ, OMP_NUM_THREADS='1', **environment)

    def listen():  # a shell's background job ignores Ctrl-C, and so do its children
        set_handler(signal.SIGINT, signal.default_int_handler)

    command = [str(part) for part in command]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=listen)


def test_ctrl_c(tmp_path, weights, demo):
    """One line, exit code 130, whole lines in the part, and the same line with --resume goes on."""
    video = make_video(tmp_path / 'clip.mp4', 3000)
    out = tmp_path / 'out'
    process = start(weights, video, '--out-dir', out)
    partial = out / 'clip.jsonl.partial'
    deadline = time.monotonic() + 300  # a busy machine takes long to import torch
    while not (partial.exists() and partial.stat().st_size):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert 'Traceback' not in said
    assert 'mmpose-lite: stopped; what is done is kept, and --resume goes on from there' in said
    done = len(lines(partial))
    assert 0 < done < 3000
    assert {p.name for p in out.iterdir()} == {'clip.jsonl.partial', 'clip.partial.mp4'}
    assert read(out / 'clip.partial.mp4')[1]


def test_two_processes_share_the_inputs(tmp_path, weights):
    """Started as by torchrun: each takes half, nothing is done twice, what is finished stays."""
    videos = [make_video(tmp_path / f'{name}.mp4', 3) for name in 'abcde']
    out = tmp_path / 'out'
    out.mkdir()
    finished = '{"frame": 0, "time": 0.0, "instances": []}\n'
    (out / 'b.jsonl').write_text(finished)
    args = (tmp_path, '--out-dir', out, '--no-draw')
    processes = [start(weights, *args, RANK=str(rank), WORLD_SIZE='2') for rank in range(2)]
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert {p.name for p in out.iterdir()} == {f'{video.stem}.jsonl' for video in videos}
    assert (out / 'b.jsonl').read_text() == finished
    assert all(len(lines(out / f'{name}.jsonl')) == 3 for name in 'acde')
    assert [f'{name}.mp4' in said[0] for name in 'abcde'] == [True, False, True, False, True]
    assert [f'{name}.mp4' in said[1] for name in 'abcde'] == [False, False, False, True, False]


def test_a_partial_line_without_people_is_done_again(tmp_path):
    (tmp_path / 'x.jsonl.partial').write_text('{"frame": 0, "instances": []}\n{"frame": 1}\n')
    with ResultLines(tmp_path / 'x.jsonl', resume=True) as results:
        assert results.count == 1
        assert [len(poses) for poses in results.stored(17)] == [0]


def test_finished_results_keep_their_name_where_drawing_them_fails(tmp_path):
    line = '{"frame": 0, "instances": []}\n'
    (tmp_path / 'x.jsonl').write_text(line)
    with pytest.raises(OSError, match='no encoder'), ResultLines(tmp_path / 'x.jsonl', resume=True, reopen=True):
        raise OSError('no encoder')
    assert [path.name for path in tmp_path.iterdir()] == ['x.jsonl']
    assert (tmp_path / 'x.jsonl').read_text() == line
