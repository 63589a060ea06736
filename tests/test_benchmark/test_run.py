"""Runs: groups, going on, what goes wrong."""

import importlib.util
import json

import pytest
import torch
from torch import nn

from mmpose_lite.benchmark import run as module
from mmpose_lite.benchmark.run import Plan, run
from mmpose_lite.cli import main
from mmpose_lite.deploy import export

from .conftest import row

PLAN = dict(models=('lgm-pose', 'wgnet'), backends=('eager', 'onnxruntime'), rounds=2)


@pytest.fixture
def measured(monkeypatch) -> list[dict]:
    """Small networks for real ones, and a measurement that only says what it was asked; its tasks."""
    calls = []

    def measure(tasks, rounds, seed, turned):
        calls.append(tasks)
        return {label: row(*[[0.1] * 3] * rounds) for label in tasks}, True

    monkeypatch.setattr(module, 'build', lambda network: nn.Conv2d(3, 4, 1))
    monkeypatch.setattr(export, 'export_network', lambda model, size, path: path.write_bytes(b'onnx'))
    monkeypatch.setattr(module, 'measure', measure)
    return calls


def test_groups_and_results(measured, tmp_path):
    results = run(Plan(**PLAN, threads=(1, 2), batches=(1, 8)), tmp_path)
    assert results['complete']
    assert json.loads((tmp_path / 'results.json').read_text()) == results
    groups = [(group['backend'], group['threads'], group['batch']) for group in results['groups']]
    assert groups == [(b, t, n) for b in ('eager', 'onnxruntime') for t in (1, 2) for n in (1, 8)]
    tasks = measured[-1]
    assert list(tasks) == ['lgm-pose@256x192', 'wgnet@256x192', 'matmul']
    assert {task['threads'] for task in tasks.values()} == {2}
    assert tasks['wgnet@256x192']['onnx'] == str(tmp_path / 'onnx/wgnet@256x192.onnx')
    assert tasks['matmul']['backend'] == 'matmul'
    facts = results['networks']['wgnet@256x192']
    assert (facts['parameters'], facts['flops']['macs']) == (16, 12 * 256 * 192)
    assert facts['accuracy'] == {'COCO AP': 72.1, 'MPII PCKh': 89.2}
    for group in results['groups']:
        assert group['rows']['wgnet@256x192']['samples'] == [[0.1] * 3] * 2
        assert group['matmul']['flops'] == 2 * 2048**3
    assert {'cpu', 'cores', 'versions'} <= results['environment'].keys()


def test_claims_bring_what_they_compare_where_they_do(measured):
    plan = Plan(**PLAN, claims=True)
    assert {'hrformer-s@384x288', 'hevitpose-b@256x256', 'wgnet@256x192'} <= plan.networks('eager').keys()
    assert 'hrformer-s@384x288' not in plan.networks('onnxruntime')
    assert Plan(**PLAN).networks('eager').keys() == {'lgm-pose@256x192', 'wgnet@256x192'}


def test_resume_keeps_finished_groups(measured, tmp_path):
    first = run(Plan(**PLAN), tmp_path)
    with pytest.raises(FileExistsError, match='--resume'):
        run(Plan(**PLAN), tmp_path)
    again = run(Plan(**PLAN), tmp_path, resume=True)
    assert (len(measured), again['groups'], again['complete']) == (2, first['groups'], True)

    stored = json.loads((tmp_path / 'results.json').read_text())
    stored['groups'][1]['finished'] = False
    (tmp_path / 'results.json').write_text(json.dumps(stored))
    (tmp_path / 'onnx/wgnet@256x192.onnx').unlink()
    run(Plan(**PLAN), tmp_path, resume=True)
    assert len(measured) == 3
    assert measured[-1]['wgnet@256x192']['backend'] == 'onnxruntime'
    assert (tmp_path / 'onnx/wgnet@256x192.onnx').exists()  # exported again

    # a third network must take turns with the others, in every group
    more = run(Plan(**PLAN | dict(models=('lgm-pose', 'wgnet', 'resnet-50'))), tmp_path, resume=True)
    assert len(measured) == 5
    assert [len(group['rows']) for group in more['groups']] == [3, 3]


def test_resume_refuses_what_cannot_be_compared(measured, tmp_path):
    run(Plan(**PLAN), tmp_path)
    with pytest.raises(ValueError, match='another rounds'):
        run(Plan(**PLAN | dict(rounds=3)), tmp_path, resume=True)
    path = tmp_path / 'results.json'
    path.write_text(path.read_text().replace('"cpu": "', '"cpu": "Other '))
    with pytest.raises(ValueError, match=r'another machine.*--out'):
        run(Plan(**PLAN), tmp_path, resume=True)
    for text in ('{}', 'no json', '[]'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r'results\.json is not of this benchmark'):
            run(Plan(**PLAN), tmp_path, resume=True)


def test_a_network_that_fails_is_a_row(measured, tmp_path, monkeypatch):
    def build(network):
        if network.name == 'lgm-pose':
            raise ImportError('needs another package')
        return nn.Conv2d(3, 4, 1)

    def export_network(model, size, path):
        raise RuntimeError('unsupported\noperator')

    monkeypatch.setattr(module, 'build', build)
    monkeypatch.setattr(export, 'export_network', export_network)
    eager, deployed = run(Plan(**PLAN), tmp_path)['groups']
    assert eager['rows']['lgm-pose@256x192'] == dict(samples=[], error='ImportError: needs another package')
    assert eager['rows']['wgnet@256x192']['error'] is None
    assert deployed['rows']['lgm-pose@256x192']['error'] == 'ImportError: needs another package'
    assert deployed['rows']['wgnet@256x192']['error'] == 'cannot be exported: RuntimeError: unsupported operator'
    assert [list(tasks) for tasks in measured] == [['wgnet@256x192', 'matmul'], ['matmul']]


def test_stopped_run_is_written(measured, tmp_path, monkeypatch):
    def stopped(tasks, rounds, seed, turned):
        return {label: row([0.1]) for label in tasks}, False

    monkeypatch.setattr(module, 'measure', stopped)
    results = run(Plan(**PLAN), tmp_path)
    assert not results['complete']
    stored = json.loads((tmp_path / 'results.json').read_text())
    assert [(group['backend'], group['finished']) for group in stored['groups']] == [('eager', False)]
    assert stored['groups'][0]['rows']['wgnet@256x192']['samples'] == [[0.1]]


def test_errors_are_one_line(tmp_path, capsys, monkeypatch):
    def error(*arguments: str) -> str:
        assert main(['benchmark', '--out', str(tmp_path / 'out'), *arguments]) == 1
        said = capsys.readouterr().err
        assert said.count('\n') == 1
        return said

    assert 'lgm-pose, hevitpose-t' in error('--models', 'posenet')
    assert 'choose from eager, eager-folded, compile, onnxruntime' in error('--backends', 'tensorflow')
    assert 'height x width' in error('--input-size', '256')
    assert '--against lite-hrnet-18 is not measured' in error('--models', 'wgnet')
    assert 'above zero' in error('--rounds', '0')
    if not torch.cuda.is_available():
        assert 'sees no GPU' in error('--device', 'cuda')
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'openvino' else find_spec(name))
    assert 'pip install "mmpose_lite[openvino]"' in error('--backends', 'openvino')
    assert not (tmp_path / 'out').exists()


def test_benchmark_command(tmp_path, capsys):
    arguments = '--models mobilenetv2,shufflenetv2 --against mobilenetv2 --input-size 64x96 --rounds 1 --seconds 0.01'
    arguments += f' --backends eager,onnxruntime --out {tmp_path}'
    assert main(['benchmark', *arguments.split()]) == 0
    assert str(tmp_path) in capsys.readouterr().out
    results = json.loads((tmp_path / 'results.json').read_text())
    assert results['complete']
    for group in results['groups']:
        for measured_row in (*group['rows'].values(), group['matmul']):
            assert measured_row['error'] is None
            assert len(measured_row['samples'][0]) >= 3
    text = (tmp_path / 'README.md').read_text()
    assert '| MobileNetV2 | 1.00 ' in text
    assert 'differs' not in text  # both runtimes compute the same
    assert (tmp_path / 'accuracy.png').stat().st_size > 10_000
    assert main(['benchmark', *arguments.split(), '--resume']) == 0
    again = json.loads((tmp_path / 'results.json').read_text())
    assert again['groups'] == results['groups']  # nothing was measured again
