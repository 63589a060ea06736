"""Measure networks side by side, ours and MMPose's: time, memory, parameters, FLOPs, and what papers claim of them.

Writes OUT/results.json (every sample), OUT/README.md (tables of ratios) and OUT/accuracy.png. Weights are random and
nothing is downloaded. Measure on a machine that does nothing else.
"""

import argparse
from pathlib import Path


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, text.split(','))))


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(dict.fromkeys(int(part) for part in text.split(',')))
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} must be numbers from 1')
    return numbers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite benchmark`` takes."""
    add = parser.add_argument
    add('--models', type=_listed, metavar='A,B@256x256', help='networks, all if not given; an unknown one lists them')
    add(
        '--backends',
        type=_listed,
        metavar='A,B',
        help='of eager, eager-folded, compile, onnxruntime, openvino, openvino-bf16 (default: eager, eager-folded, '
        'onnxruntime and openvino; on a GPU the first two)',
    )
    add('--threads', type=_numbers, default=(1,), metavar='1,2', help='numbers of threads (default: 1)')
    add('--batch', type=_numbers, default=(1,), metavar='1,8', help='batch sizes (default: 1)')
    add('--input-size', default='256x192', metavar='HxW', help='where a model has none (default: %(default)s)')
    add('--device', default='cpu', help='cpu, cuda or cuda:1 (default: %(default)s)')
    add('--rounds', type=int, default=10, help='turns of each network (default: %(default)s)')
    add('--seconds', type=float, default=0.25, help='length of a turn, at least 3 calls (default: %(default)s)')
    add('--against', default='lite-hrnet-18', metavar='MODEL', help='whose time is 1 (default: %(default)s)')
    add('--claims', action='store_true', help='add what the speed claims of the papers compare, at their sizes')
    add('--out', type=Path, default=Path('benchmark_out'), help='folder to write (default: %(default)s)')
    add('--resume', action='store_true', help='keep the finished parts of OUT')


def run(arguments: argparse.Namespace) -> None:
    """Measure, and say where the results are."""
    if arguments.rounds < 1 or arguments.seconds <= 0:
        raise ValueError('--rounds and --seconds must be above zero')

    from ..benchmark import networks, plot, report
    from ..benchmark.run import Plan
    from ..benchmark.run import run as measure
    from ..files import atomic_path

    size = networks.parse_size(arguments.input_size)
    against = str(networks.parse(arguments.against, size))
    runtimes = ('onnxruntime', 'openvino') if arguments.device == 'cpu' else ()
    plan = Plan(
        models=arguments.models or networks.NAMES,
        backends=arguments.backends or ('eager', 'eager-folded', *runtimes),
        threads=arguments.threads,
        batches=arguments.batch,
        size=size,
        device=arguments.device,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        claims=arguments.claims,
    )
    if not all(against in plan.networks(backend) for backend in plan.backends):
        raise ValueError(f'--against {arguments.against} is not measured: add it to --models or name another')
    results = measure(plan, arguments.out, arguments.resume)
    if results['groups']:
        with atomic_path(arguments.out / 'README.md') as partial:
            partial.write_text(report.markdown(results, against))
        with atomic_path(arguments.out / 'accuracy.png') as partial:
            plot.accuracy(results, against, partial)
        print(f'{arguments.out}: results.json, README.md, accuracy.png')
    if not results['complete']:
        raise KeyboardInterrupt
