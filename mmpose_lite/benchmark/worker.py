"""One network in one runtime, measured on demand: a process of its own, started by path (see ``processes.py``).

Runtimes that share a process disturb each other's threads, and peak memory is a process's. So this file must run
without importing the package it is in: ONNX Runtime and OpenVINO are measured without torch.

Argument: a task as JSON. On standard input, each line asks for one turn and its end for the process's; each answer is
one line of JSON, ``{'ready': ..., ...}``, ``{'seconds': [...], ...}`` or ``{'error': reason}``.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Run = Callable[[], object]


def load_torch(task: dict) -> Callable[[], tuple[Run, Callable]]:
    """``eager``, ``eager-folded`` and ``compile``, on a CPU or a GPU."""
    import torch

    from mmpose_lite.benchmark.networks import Network, build
    from mmpose_lite.torch_backend.loading import prepare_for_inference

    torch.set_num_threads(task['threads'])
    torch.set_num_interop_threads(1)
    device = torch.device(task['device'])

    def make() -> tuple[Run, Callable]:
        network = Network(task['name'], tuple(task['size']))
        model = build(network, task['device'])
        inputs = torch.from_numpy(noise(task)).to(device)
        mode, forward = torch.no_grad, model._forward
        if task['backend'] != 'eager':
            inputs = inputs.contiguous(memory_format=prepare_for_inference(model, device))
            mode = torch.inference_mode
        if task['backend'] == 'compile':
            forward = torch.compile(forward)

        def run():
            with mode():
                output = forward(inputs)
            if device.type == 'cuda':
                torch.cuda.synchronize(device)
            return output

        return run, lambda output: [part.float().cpu().numpy() for part in listed(output)]

    return make


def load_onnxruntime(task: dict) -> Callable[[], tuple[Run, Callable]]:
    """ONNX Runtime: one pool of threads that do not spin while they wait."""
    import onnxruntime

    def make() -> tuple[Run, Callable]:
        provider = 'CUDAExecutionProvider' if task['device'].startswith('cuda') else 'CPUExecutionProvider'
        if provider not in onnxruntime.get_available_providers():
            raise ImportError(f'this onnxruntime has no {provider}: pip install onnxruntime-gpu in its place')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = task['threads'], 1
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        # as mmpose_lite.runtime has it: fused SiLU leaves the blocked layout of the convolutions around it
        session = onnxruntime.InferenceSession(
            task['onnx'], options, providers=[provider], disabled_optimizers=['QuickGeluFusion']
        )
        feed = {session.get_inputs()[0].name: noise(task)}
        return lambda: session.run(None, feed), listed

    return make


def load_openvino(task: dict) -> Callable[[], tuple[Run, Callable]]:
    """``openvino`` (float32) and ``openvino-bf16``, compiled for the batch it gets."""
    import openvino

    def make() -> tuple[Run, Callable]:
        if task['device'] != 'cpu':
            raise ValueError('OpenVINO is measured on the CPU only')
        core, precision = openvino.Core(), 'bf16' if task['backend'].endswith('bf16') else 'f32'
        if precision == 'bf16' and 'BF16' not in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
            raise ValueError('this processor has no bfloat16 instructions (avx512_bf16 or amx)')
        model, inputs = core.read_model(task['onnx']), noise(task)
        model.reshape(list(inputs.shape))
        options = dict(
            PERFORMANCE_HINT='LATENCY',
            INFERENCE_NUM_THREADS=task['threads'],
            INFERENCE_PRECISION_HINT=precision,
            ENABLE_CPU_PINNING=False,  # the other runtimes' threads are not tied to a core either
        )
        request = core.compile_model(model, 'CPU', options).create_infer_request()
        request.set_input_tensor(openvino.Tensor(inputs))

        def run():
            request.infer()
            return request

        return run, lambda request: [np.array(output.data) for output in request.output_tensors]

    return make


def load_matmul(task: dict) -> Callable[[], tuple[Run, Callable]]:
    """What the same threads do in a large matrix product."""
    if task['device'] == 'cpu':

        def make() -> tuple[Run, Callable]:
            a = np.random.default_rng(0).standard_normal((task['edge'],) * 2, dtype=np.float32)
            return lambda: a @ a, listed

        return make
    import torch

    def make_gpu() -> tuple[Run, Callable]:
        a = torch.randn(task['edge'], task['edge'], device=task['device'])

        def run():
            product = a @ a
            torch.cuda.synchronize(a.device)
            return product

        return run, lambda product: [product[:1].cpu().numpy()]

    return make_gpu


LOADERS = {
    'eager': load_torch,
    'eager-folded': load_torch,
    'compile': load_torch,
    'onnxruntime': load_onnxruntime,
    'openvino': load_openvino,
    'openvino-bf16': load_openvino,
    'matmul': load_matmul,
}


def noise(task: dict) -> np.ndarray:
    """The same (B, 3, H, W) for every network and runtime."""
    return np.random.default_rng(0).standard_normal((task['batch'], 3, *task['size']), dtype=np.float32)


def listed(output) -> list:
    """One output or several, as a list."""
    return list(output) if isinstance(output, (tuple, list)) else [output]


def memory(field: str) -> int:
    """Bytes of this process by Linux: ``VmRSS`` now, ``VmHWM`` at most (``ru_maxrss`` starts at the parent's)."""
    status = Path('/proc/self/status').read_text()
    return 1024 * int(status.partition(f'{field}:')[2].split()[0])


def fingerprint(outputs: list[np.ndarray]) -> list[float]:
    """Up to 64 values spread over each output, by which the parent sees that runtimes agree."""
    return [float(v) for part in outputs for v in part.ravel()[:: max(1, part.size // 64)][:64]]


def turn(run: Run, seconds: float, least: int = 3) -> dict:
    """Time single calls for some seconds, after one that is not counted: the caches were another process's."""
    run()
    samples: list[float] = []
    begin, processor = time.perf_counter(), time.process_time()
    while len(samples) < least or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        samples.append(time.perf_counter() - start)
    processor = time.process_time() - processor
    return dict(seconds=samples, cores=processor / (time.perf_counter() - begin))


def serve(task: dict, asked, answer: Callable) -> None:
    """Load, warm up, then one turn for each line asked."""
    make = LOADERS[task['backend']](task)
    linux = Path('/proc/self/status').exists()
    before = memory('VmRSS') if linux else None
    run, arrays = make()
    outputs = arrays(run())
    if not all(np.isfinite(part).all() for part in outputs):
        raise ValueError('the output is not finite')
    turn(run, task['seconds'])
    answer(ready=True, fingerprint=fingerprint(outputs))
    idle = time.process_time()
    for _ in asked:
        waited = time.process_time() - idle  # processor time spent between turns: 0 unless waiting threads spin
        result = turn(run, task['seconds'])
        if task['device'].startswith('cuda') and 'torch' in sys.modules:
            peak = sys.modules['torch'].cuda.max_memory_allocated()
        else:
            peak = memory('VmHWM') - before if linux else None
        answer(**result, memory=peak, idle=waited)
        idle = time.process_time()


def main() -> None:
    """Serve; whatever goes wrong is the answer, in one line."""
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # this folder's modules are not to be found by short names
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(**message) -> None:
        answers.write(json.dumps(message) + '\n')

    try:
        serve(json.loads(sys.argv[1]), sys.stdin, answer)
    except Exception as error:  # the parent writes it into the network's row and goes on
        answer(error=' '.join(f'{type(error).__name__}: {error}'.split())[:300])


if __name__ == '__main__':
    main()
