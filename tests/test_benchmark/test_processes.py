"""Worker processes: turns, crashes, no torch where it is not needed."""

import os
import signal
from itertools import chain

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mmpose_lite.benchmark import processes
from mmpose_lite.benchmark.processes import Worker, WorkerError, interleave, measure

PRODUCT = dict(backend='matmul', device='cpu', threads=1, edge=8, seconds=0.001)


@pytest.fixture
def relu(tmp_path) -> dict:
    """A task for an ONNX file."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ['batch', 3, 4, 4]) for name in ('x', 'y')]
    graph = helper.make_graph([helper.make_node('Relu', ['x'], ['y'])], 'relu', ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.save(model, tmp_path / 'relu.onnx')
    common = dict(device='cpu', threads=1, seconds=0.001, batch=2, size=(4, 4), name='relu')
    return common | dict(onnx=str(tmp_path / 'relu.onnx'))


def test_interleave_takes_everyone_once_a_round_in_changing_order():
    orders = interleave(list('abcdef'), 20, seed=1)
    assert all(sorted(order) == list('abcdef') for order in orders)
    assert len({tuple(order) for order in orders}) > 15
    assert orders == interleave(list('abcdef'), 20, seed=1) != interleave(list('abcdef'), 20, seed=2)


def test_turns_go_round(monkeypatch):
    turns = []

    class Logged(Worker):
        def __init__(self, task):
            super().__init__(task)
            self.edge = task['edge']

        def turn(self):
            turns.append(self.edge)
            return super().turn()

    monkeypatch.setattr(processes, 'Worker', Logged)
    ticks = []
    edges = {'8': 8, '9': 9}
    rows, finished = measure(
        {label: PRODUCT | dict(edge=edge) for label, edge in edges.items()}, 3, 0, lambda: ticks.append(1)
    )
    assert finished
    assert [str(edge) for edge in turns] == list(chain(*interleave(['8', '9'], 3, 0)))
    assert len(ticks) == 2 + 6
    for row in rows.values():
        assert row['error'] is None
        assert [len(samples) >= 3 for samples in row['samples']] == [True] * 3
        assert all(0 < second < 1 for samples in row['samples'] for second in samples)
        assert 0 <= row['memory'] < 500e6
        assert len(row['cores']) == 3


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_runtimes_are_measured_without_torch(relu, tmp_path, monkeypatch, backend):
    for package in ('torch', 'mmpose_lite', 'mmengine'):
        (tmp_path / f'{package}.py').write_text('raise ImportError("was not to be imported")')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    worker = Worker(relu | dict(backend=backend))
    try:
        noise = np.random.default_rng(0).standard_normal((2, 3, 4, 4), dtype=np.float32)
        assert worker.load() == np.maximum(noise, 0).ravel()[:64].tolist()
        assert len(worker.turn()['seconds']) >= 3
    finally:
        worker.close()


def test_failures_are_rows(relu):
    broken = relu | dict(backend='onnxruntime', onnx='nowhere.onnx')
    rows, finished = measure(
        {'good': PRODUCT, 'broken': broken, 'gpu': relu | dict(backend='openvino', device='cuda')}, 1, 0
    )
    assert finished
    assert 'nowhere.onnx' in rows['broken']['error']
    assert rows['gpu']['error'] == 'ValueError: OpenVINO is measured on the CPU only'
    assert rows['good']['error'] is None
    assert (len(rows['good']['samples']), rows['broken']['samples']) == (1, [])


def test_a_worker_that_dies_says_how():
    worker = Worker(PRODUCT)
    worker.load()
    os.kill(worker._process.pid, signal.SIGSEGV)
    with pytest.raises(WorkerError, match='code -11'):
        worker.turn()
    worker.close()


def test_an_output_that_is_not_finite_is_no_measurement(relu):
    # the square root of negative noise
    model = onnx.load(relu['onnx'])
    model.graph.node[0].op_type = 'Sqrt'
    onnx.save(model, relu['onnx'])
    worker = Worker(relu | dict(backend='onnxruntime'))
    with pytest.raises(WorkerError, match='not finite'):
        worker.load()
    worker.close()


def test_ctrl_c_keeps_what_is_measured():
    def stop() -> None:
        stop.ticks += 1
        if stop.ticks == 5:
            raise KeyboardInterrupt

    stop.ticks = 0
    rows, finished = measure({'a': PRODUCT, 'b': PRODUCT}, 10, 0, stop)
    assert not finished
    assert sum(len(row['samples']) for row in rows.values()) == 3
