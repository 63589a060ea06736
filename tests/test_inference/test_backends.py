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
def run(demo_module, exported, tmp_path):
    def call(*args) -> tuple[int, object]:
        out = tmp_path / 'exported'
        argv = [*args, '--pose-checkpoint', exported, '--out-dir', out]
        return demo_module.main([str(arg) for arg in argv]), out

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
        ((), '--pose-config and --pose-checkpoint go together'),
        (('--backend', 'openvino', '--pose-config', 'C.py'), 'leave --pose-config out'),
        (('--backend', 'onnxruntime', '--precision', 'bf16'), '--precision bf16 is for --backend openvino'),
        (('--backend', 'openvino', '--threads', '0'), '--threads 0 must be at least 1'),
    ],
)
def test_options_that_do_not_go_together(run, capsys, args, message):
    with pytest.raises(SystemExit) as stopped:
        run('x.jpg', '--whole-image', *args)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_wrong_files(demo_module, photos, weights, tmp_path, capfd):
    """One line that names the file; nothing is written."""
    common = [photos, '--whole-image', '--out-dir', tmp_path / 'out', '--backend', 'onnxruntime', '--pose-checkpoint']
    (tmp_path / 'cut.onnx').write_bytes(b'not a network')
    for file, message in (
        (weights, '.onnx files'),
        ('gone.onnx', 'does not exist'),
        (tmp_path / 'cut.onnx', 'damaged'),
    ):
        assert demo_module.main([str(arg) for arg in (*common, file)]) == 1
        error = capfd.readouterr().err
        assert str(file) in error
        assert message in error
        assert not (tmp_path / 'out').exists()
