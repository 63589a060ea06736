"""Running exported files: the files themselves, bad ones, and machines without torch."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmpose_lite.runtime import Contract, PoseModel
from mmpose_lite.runtime.contract import KEY

ROOT = Path(__file__).resolve().parents[2]
SIZE = (8, 12)
CONTRACT = Contract(
    'td-hm_x', SIZE, (10.0, 20.0, 30.0), (2.0, 4.0, 5.0), 'RGB', 'msra', dict(heatmap_size=[8, 12], sigma=1),
    ('heatmaps',), ('red', 'green', 'blue'), (0, 2, 1), ((0, 1),), (0.1,) * 3, ((255, 0, 0),) * 3, ((0, 255, 0),),
)  # fmt: skip


def write(path: Path, metadata: str | None) -> Path:
    """A network that does nothing: its heatmaps are its normalized input."""
    one = numpy_helper.from_array(np.ones(1, np.float32), 'one')
    images = helper.make_tensor_value_info('input', TensorProto.FLOAT, ['batch', 3, 12, 8])
    heatmaps = helper.make_tensor_value_info('heatmaps', TensorProto.FLOAT, ['batch', 3, 12, 8])
    graph = helper.make_graph(
        [helper.make_node('Mul', ['input', 'one'], ['heatmaps'])], 'g', [images], [heatmaps], [one]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    if metadata is not None:
        helper.set_model_props(model, {KEY: metadata})
    onnx.save(model, path)
    return path


@pytest.fixture
def file(tmp_path) -> Path:
    return write(tmp_path / 'pose.onnx', CONTRACT.to_json())


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 12, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
@pytest.mark.parametrize('threads', [1, 2])
def test_outputs(file, crops, backend, threads):
    """Colours in the network's order, normalized; people in order, however many threads there are."""
    model = PoseModel(file, backend, threads=threads)
    rgb = crops[..., ::-1].astype(np.float32)
    expected = ((rgb - (10, 20, 30)) / (2, 4, 5)).transpose(0, 3, 1, 2)
    for number in (5, 1):
        np.testing.assert_allclose(model.outputs(crops[:number])[0], expected[:number], rtol=1e-5, atol=1e-5)
    keypoints, scores = model(crops)
    assert keypoints.shape == (5, 3, 2)
    np.testing.assert_allclose(scores, expected.max(axis=(2, 3)), rtol=1e-5)
    assert np.abs(keypoints[0, 0] - np.argwhere(rgb[0, ..., 0] == rgb[0, ..., 0].max())[0][::-1]).max() <= 0.25


def test_attributes(file):
    model = PoseModel(file)
    assert model.contract == CONTRACT
    assert (model.input_size, model.num_keypoints, model.keypoint_names) == (SIZE, 3, ['red', 'green', 'blue'])
    assert (model.flip_indices, model.skeleton) == ([0, 2, 1], [(0, 1)])
    assert model.dataset_meta['skeleton_links'] == [(0, 1)]
    assert model.dataset_meta['keypoint_colors'].shape == (3, 3)


def test_flip_test_of_a_symmetric_picture(tmp_path, crops):
    """A mirrored crop gives mirrored keypoints of exchanged sides."""
    contract = replace(CONTRACT, mean=(0.0,) * 3, std=(1.0,) * 3)
    model = PoseModel(write(tmp_path / 'pose.onnx', contract.to_json()), flip_test=True)
    found, mirrored = (model.outputs(c)[0] for c in (crops, np.ascontiguousarray(crops[:, :, ::-1])))
    np.testing.assert_allclose(mirrored[..., ::-1][:, [0, 2, 1]], found, rtol=1e-6)


def test_only_some_keypoints(tmp_path, crops):
    model = PoseModel(write(tmp_path / 'p.onnx', replace(CONTRACT, output_keypoint_indices=(2, 0)).to_json()))
    assert model.keypoint_names == ['blue', 'red']
    every = PoseModel(write(tmp_path / 'q.onnx', CONTRACT.to_json()))
    np.testing.assert_array_equal(model(crops)[0], every(crops)[0][:, [2, 0]])


def test_nobody(file):
    keypoints, scores = PoseModel(file).estimate(np.zeros((20, 20, 3), np.uint8), np.zeros((0, 4)))
    assert (keypoints.shape, scores.shape) == ((0, 3, 2), (0, 3))


@pytest.mark.parametrize(
    ('metadata', 'message'),
    [
        (None, 'has no mmpose_lite metadata'),
        ('{"format": 1}', 'damaged metadata'),
        ('{', 'damaged metadata'),
        (CONTRACT.to_json().replace('"format": 1', '"format": 99'), 'newer mmpose_lite'),
        (replace(CONTRACT, decoder='tea leaves').to_json(), "the decoder 'tea leaves'"),
    ],
)
@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_metadata_of_others(tmp_path, metadata, message, backend):
    with pytest.raises(ValueError, match=message):
        PoseModel(write(tmp_path / 'pose.onnx', metadata), backend)


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_truncated_file(file, backend):
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ValueError, match=r'pose\.onnx is damaged, cut short or no network'):
        PoseModel(file, backend)


def test_wrong_arguments(file, crops, tmp_path):
    with pytest.raises(ValueError, match='must be one of onnxruntime, openvino'):
        PoseModel(file, 'tensorflow')
    with pytest.raises(FileNotFoundError, match=r'missing\.onnx does not exist'):
        PoseModel(tmp_path / 'missing.onnx')
    with pytest.raises(ValueError, match=r'onnxruntime reads \.onnx files'):
        PoseModel(tmp_path / 'pose.xml')
    (tmp_path / 'pose.xml').write_text('<net/>')
    with pytest.raises(FileNotFoundError, match=r'pose\.bin does not exist'):
        PoseModel(tmp_path / 'pose.xml', 'openvino')
    with pytest.raises(ValueError, match='threads=0'):
        PoseModel(file, threads=0)
    with pytest.raises(ValueError, match="is for backend='openvino'"):
        PoseModel(file, precision='bf16')
    with pytest.raises(ValueError, match="precision='int3'"):
        PoseModel(file, 'openvino', precision='int3')
    with pytest.raises(ValueError, match=r'must be \(N, 12, 8, 3\) uint8'):
        PoseModel(file)(crops[:, :6])


@pytest.mark.parametrize(('backend', 'extra'), [('onnxruntime', 'onnx'), ('openvino', 'openvino')])
def test_missing_runtime(file, backend, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, backend, None)
    with pytest.raises(ImportError, match=rf"{backend} is not installed: pip install 'mmpose_lite\[{extra}\]'"):
        PoseModel(file, backend)


def python(code: str, *paths: Path) -> subprocess.CompletedProcess:
    search = ';'.join(f'sys.path.insert(0, {str(path)!r})' for path in (ROOT, *paths))
    return subprocess.run([sys.executable, '-c', f'import sys;{search}\n{code}'], capture_output=True, text=True)


def test_without_torch(file):
    """Where torch and MMPose are missing a file runs all the same, and nothing of them is imported."""
    code = f"""
class Missing:
    names = ('torch', 'torchvision', 'mmpose', 'mmengine', 'mmcv', 'mmdet')
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in self.names:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in Missing.names else find_spec(name)
sys.meta_path.insert(0, Missing())
import numpy as np
from mmpose_lite.runtime import PoseModel
for backend in ('onnxruntime', 'openvino'):
    model = PoseModel({str(file)!r}, backend, threads=1)
    print(model.estimate(np.full((30, 30, 3), 99, np.uint8), [[2, 2, 20, 28]])[0].shape)
print(sorted({{name.partition('.')[0] for name in sys.modules}} & set(Missing.names)))
"""
    result = python(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split('\n') == ['(1, 3, 2)', '(1, 3, 2)', '[]', '']


def test_broken_mmpose_says_so(tmp_path):
    """A package that is there and does not work is not taken for a missing one."""
    (tmp_path / 'mmpose').mkdir()
    (tmp_path / 'mmpose' / '__init__.py').write_text('raise ImportError("mmpose is out of order")')
    result = python('import mmpose_lite.runtime', tmp_path)
    assert result.returncode != 0
    assert 'mmpose is out of order' in result.stderr
