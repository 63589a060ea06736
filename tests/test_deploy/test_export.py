"""Exports do what MMPose does, say what they are, and do not appear when they differ."""

import copy
import hashlib
import json
import logging

import numpy as np
import onnx
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import init_model
from test_inference.conftest import boxes_of, random_weights
from test_inference.test_pipeline import with_mmpose

import mmpose_lite.deploy.export as export_module
from mmpose_lite.cli import main
from mmpose_lite.datasets.toy.people import draw_scene
from mmpose_lite.deploy import graph, verify
from mmpose_lite.deploy.export import ExportError, export
from mmpose_lite.runtime import PoseModel

from .conftest import NETWORKS, small_config


@pytest.mark.parametrize('name', NETWORKS)
def test_same_keypoints_as_mmpose(name, tmp_path):
    """Exported, verified, and run by both runtimes: several people, a box beyond the image, flip test on and off."""
    config = small_config(name, tmp_path)
    checkpoint = random_weights(config, tmp_path / 'pose.pth')
    done = export(config, checkpoint, tmp_path / 'pose.onnx')
    assert [(check.name, check.batch) for check in done.checks] == [
        ('noise', 1), ('noise', 3), ('people', 1), ('people', 3),
    ]  # fmt: skip
    assert all(check.compared > 0.5 * check.keypoints for check in done.checks)
    scene = draw_scene(np.random.default_rng(5), (200, 160), 2)
    boxes = np.concatenate((boxes_of(scene), [[-30, -20, 60, 90, 0.5]])).astype(np.float32)
    model = init_model(Config.fromfile(config), str(checkpoint), device='cpu')
    files = [PoseModel(done.path, backend, threads=1) for backend in ('onnxruntime', 'openvino')]
    for flip_test in (False, True):
        model.test_cfg['flip_test'] = flip_test
        expected, heights = with_mmpose(model, [scene.image], [boxes])[0]
        assert expected.std() > 5  # the network does answer to what it sees
        for file in files:
            file.flip_test = flip_test
            keypoints, scores = file.estimate(scene.image, boxes)
            if name.endswith('UDP'):  # on the flat maps of random weights its expansion leads anywhere now and then
                assert np.percentile(np.abs(keypoints - expected)[heights > 0], 90) < 0.01
            else:
                # of two maxima whose heights are equal but for rounding, as random weights have, either is right
                assert (np.abs(keypoints - expected).max(axis=-1) < 0.01).mean() > 0.97
            np.testing.assert_allclose(scores, heights, rtol=1e-3, atol=1e-4)


def test_contract(lgm_pose, exported):
    config, checkpoint = lgm_pose
    cfg = Config.fromfile(config)
    contract = PoseModel(exported).contract
    assert contract.config == config.stem
    assert contract.input_size == (128, 128)
    assert contract.mean == pytest.approx(cfg.model.data_preprocessor.mean)
    assert contract.std == pytest.approx(cfg.model.data_preprocessor.std)
    assert contract.color_order == 'RGB'
    assert (contract.decoder, contract.codec) == (
        'msra',
        dict(heatmap_size=[32, 32], sigma=cfg.model.head.decoder.sigma),
    )
    assert contract.keypoint_names[:2] == ('right_ankle', 'right_knee')
    assert contract.flip_indices[:6] == (5, 4, 3, 2, 1, 0)
    assert (0, 1) in contract.skeleton
    assert len(contract.sigmas) == len(contract.keypoint_colors) == 16
    assert (contract.shift_heatmap, contract.padding, contract.use_udp, contract.precision) == (
        True,
        1.25,
        False,
        'fp32',
    )
    assert contract.checkpoint_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert contract.versions['torch'] == torch.__version__
    assert contract.versions['opset'] == onnx.load(exported).opset_import[0].version == 17
    assert {'mmpose_lite', 'mmpose', 'onnx', 'exporter'} < set(contract.versions)
    stored = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    assert json.loads(stored['mmpose_lite'])['format'] == 1


def test_random_weights_are_said_to_be(lgm_pose, tmp_path, caplog, capsys):
    with caplog.at_level(logging.WARNING):
        assert main(['export', str(lgm_pose[0]), '-o', str(tmp_path / 'r.onnx')]) == 0
    assert 'no checkpoint: random weights' in caplog.text
    assert 'RANDOM WEIGHTS' in capsys.readouterr().out
    assert PoseModel(tmp_path / 'r.onnx').contract.checkpoint_sha256 is None


def test_half_the_size(lgm_pose, exported, tmp_path):
    done = export(*lgm_pose, tmp_path / 'half.onnx', fp16=True)
    assert done.path.stat().st_size < 0.6 * exported.stat().st_size
    assert done.contract.precision == 'fp16'
    crops = verify.toy_crops(done.contract, 4)
    expected = PoseModel(exported).outputs(crops)[0]
    for backend in ('onnxruntime', 'openvino'):
        found = PoseModel(done.path, backend).outputs(crops)[0]
        assert 1e-6 < np.abs(found - expected).max() / np.abs(expected).max() < 5e-3


def _spoiled(network: torch.nn.Module, stage: str) -> torch.nn.Module:
    network = copy.deepcopy(network)
    weights = next(p for p in getattr(getattr(network, 'network', network), stage).parameters() if p.dim() == 4)
    weights.data *= 1.3
    return network


@pytest.mark.parametrize('stage', ['folding', 'neck', 'head'])
def test_a_difference_is_found(stage, lgm_pose, tmp_path, monkeypatch):
    """Nothing is written, an older file stays, and the message names the stage."""
    out = tmp_path / 'pose.onnx'
    out.write_text('older')
    if stage == 'folding':
        fold = export_module.fold
        monkeypatch.setattr(export_module, 'fold', lambda model: _spoiled(fold(model), 'backbone'))
    else:
        for module in (export_module, verify):
            write = lambda network, *args, **kwargs: graph.write_onnx(_spoiled(network, stage), *args, **kwargs)  # noqa: E731
            monkeypatch.setattr(module, 'write_onnx', write)
    with pytest.raises(ExportError, match=f'nothing written: the export differs.*First to differ: {stage}'):
        export(*lgm_pose, out)
    assert [path.name for path in tmp_path.iterdir()] == ['pose.onnx']
    assert out.read_text() == 'older'


def test_a_moved_keypoint_is_found():
    """Outputs within their tolerance, but a keypoint elsewhere; and none where the peak is a tie."""
    contract = verify.Contract(
        'x', (32, 32), (0.0,) * 3, (1.0,) * 3, 'RGB', 'msra', dict(heatmap_size=(8, 8)), ('heatmaps',), ('a', 'b'),
        (0, 1), (), (0.1,) * 2, (), (),
    )  # fmt: skip
    expected = np.zeros((1, 2, 8, 8), np.float32)
    expected[0, 0, 4, 4], expected[0, 0, 4, 5], expected[0, 0, 3, 4] = 1, 0.5, 0.5
    expected[0, 1, 2, 2] = expected[0, 1, 6, 6] = 0.9  # a tie
    found = expected.copy()
    found[0, 1, 6, 6] += 1e-5
    check = verify.compare('x', [found], [expected], contract, 1e-4)
    assert (check.compared, check.keypoints, check.pixels) == (1, 2, 0)
    found[0, 0, 6, 1] = 1.1
    assert verify.compare('x', [found], [expected], contract, 1e-4).pixels > 10
    found[0, 0, 6, 1] = np.nan
    assert verify.compare('x', [found], [expected], contract, 1e-4).error == np.inf


def test_what_cannot_be_exported(lgm_pose, tmp_path, monkeypatch, capsys):
    config, checkpoint = lgm_pose
    out = tmp_path / 'x.onnx'
    with pytest.raises(FileNotFoundError, match=r'nowhere\.py does not exist'):
        export('nowhere.py', None, out)
    (tmp_path / 'other.py').write_text("model = dict(type='BottomupPoseEstimator')")
    with pytest.raises(ValueError, match='does not configure a TopdownPoseEstimator'):
        export(tmp_path / 'other.py', None, out)
    with pytest.raises(ValueError, match=r'must end in \.onnx'):
        export(config, checkpoint, tmp_path / 'x.pt')
    cfg = Config.fromfile(config)
    cfg.model.head.decoder = dict(
        type='UDPHeatmap', input_size=(128, 128), heatmap_size=(32, 32), heatmap_type='combined', sigma=2
    )
    cfg.dump(str(tmp_path / 'td-combined.py'))
    with pytest.raises(ValueError, match='the codec UDPHeatmap of its head cannot be exported'):
        export(tmp_path / 'td-combined.py', None, out)
    assert main(['export', str(config), 'nowhere.pth', '-o', str(out)]) == 1
    assert 'nowhere.pth does not exist' in capsys.readouterr().err
    monkeypatch.setitem(__import__('sys').modules, 'onnx', None)
    with pytest.raises(ImportError, match=r"pip install 'mmpose_lite\[onnx\]'"):
        export(config, checkpoint, out)
    assert not out.exists()
