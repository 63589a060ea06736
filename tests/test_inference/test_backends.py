"""The demo with exported files: the poses of torch, from the other runtimes."""

import numpy as np
import pytest

from mmpose_lite.deploy.export import export

from .conftest import POSE_CONFIG, instances, lines
from .test_video import make_video


@pytest.fixture(scope='module')
def exported(weights, tmp_path_factory):
    return export(POSE_CONFIG, weights, tmp_path_factory.mktemp('exported') / 'pose.onnx').path


@pytest.fixture
def run(pose_command, exported, tmp_path):
    def call(*args) -> tuple[int, object]:
        out = tmp_path / 'exported'
        argv = [*args, '--pose', exported, '--out-dir', out]
        return pose_command(argv), out

    return call


@pytest.mark.parametrize('flip', [(), ('--flip-test',)])
@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_images(run, demo, photos, box_file, backend, flip):
    _, torch_out = demo(photos, '--no-draw', *flip, boxes=('--boxes', box_file))
    code, out = run(photos, '--boxes', box_file, '--backend', backend, '--threads', 1, *flip)
    assert code == 0
    for name in ('a', 'b', '7'):
        assert (out / f'{name}.json').exists()
        expected, found = instances(torch_out / f'{name}.json'), instances(out / f'{name}.json')
        assert len(expected) == len(found)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(a['keypoints'], b['keypoints'], atol=0.01)
            np.testing.assert_allclose(a['keypoint_scores'], b['keypoint_scores'], rtol=1e-3)
    assert len(instances(out / 'b.json')) == 3
    assert sorted(path.name for path in out.glob('*.*')) == ['7.bmp', '7.json', 'a.jpg', 'a.json', 'b.json', 'b.png']


def test_video(run, demo, tmp_path):
    video = make_video(tmp_path / 'clip.mp4', 5)
    _, torch_out = demo(video, '--no-draw')
    assert run(video, '--whole-image', '--backend', 'openvino', '--track')[0] == 0
    expected, found = lines(torch_out / 'clip.jsonl'), lines(tmp_path / 'exported' / 'clip.jsonl')
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a['instances'][0]['keypoints'], b['instances'][0]['keypoints'], atol=0.01)


def test_bf16_is_close(run, photos, box_file):
    """Rounded weights move a keypoint by a pixel of the heatmaps here and there, no more than one in ten far."""
    _, out = run(photos, '--boxes', box_file, '--backend', 'openvino')
    exact = [person['keypoints'] for person in instances(out / 'b.json')]
    assert run(photos, '--boxes', box_file, '--backend', 'openvino', '--precision', 'bf16')[0] == 0
    rounded = [person['keypoints'] for person in instances(out / 'b.json')]
    assert np.percentile(np.abs(np.subtract(exact, rounded)), 90) < 10


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('--backend', 'torch'), '--backend torch does not run'),
        (('--weights', 'W.pth'), '--pose CONFIG and --weights go together'),
        (('--detector', 'D.py'), '--detector CONFIG and --det-weights go together'),
        (('--kpt-thr', '2'), '--kpt-thr 2.0 must be from 0 to 1'),
        (('--backend', 'onnxruntime', '--precision', 'bf16'), '--precision bf16 is for --backend openvino'),
        (('--backend', 'openvino', '--threads', '0'), '--threads 0 must be at least 1'),
    ],
)
def test_options_that_do_not_go_together(run, capsys, args, message):
    with pytest.raises(SystemExit) as stopped:
        run('x.jpg', '--whole-image', *args)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_wrong_files(pose_command, photos, weights, tmp_path, capfd):
    """One line that names the file; nothing is written."""
    common = [photos, '--whole-image', '--out-dir', tmp_path / 'out', '--backend', 'onnxruntime', '--pose']
    (tmp_path / 'cut.onnx').write_bytes(b'not a network')
    for file, message in (
        (weights, 'no exported file'),
        ('gone.onnx', 'does not exist'),
        (tmp_path / 'cut.onnx', 'damaged'),
    ):
        assert pose_command((*common, file)) == 1
        error = capfd.readouterr().err
        assert str(file) in error
        assert message in error
        assert not (tmp_path / 'out').exists()


def test_files_named_as_weights(pose_command, exported, photos, tmp_path):
    """As before there was --pose."""
    args = [photos, '--whole-image', '--out-dir', tmp_path / 'out']
    assert pose_command([*args, '--backend', 'onnxruntime', '--pose-checkpoint', exported]) == 0
    assert len(instances(tmp_path / 'out/b.json')) == 1
