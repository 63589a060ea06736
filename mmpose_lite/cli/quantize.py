"""Write an exported network in int8 if it stays accurate, or say what bfloat16 would cost.

int8: `mmpose-lite quantize FILE.onnx --calibration FOLDER --labels ANN.json --images DIR --max-drop 0.01 -o OUT.xml`
scores the file on labelled people before and after, and writes nothing where more AP is lost than --max-drop.
bf16: `mmpose-lite quantize FILE.onnx --precision bf16 --calibration FOLDER` writes nothing, as bfloat16 is a setting of
OpenVINO and not of the file (PoseModel(..., precision='bf16')); it says how far keypoints move on these images.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite quantize`` takes."""
    parser.add_argument('file', metavar='FILE.onnx', help='written by `mmpose-lite export`')
    parser.add_argument('--calibration', required=True, metavar='FOLDER', help='typical images, 100 or more')
    parser.add_argument('--precision', choices=('int8', 'bf16'), default='int8', help='default: %(default)s')
    parser.add_argument('-o', '--out', type=Path, metavar='OUT.xml', help='file to write; OpenVINO adds a .bin')
    parser.add_argument('--labels', type=Path, metavar='ANN.json', help='COCO keypoint annotations to score on')
    parser.add_argument('--images', type=Path, metavar='DIR', help='folder of the labelled images')
    parser.add_argument('--max-drop', type=float, metavar='X', help='most AP, from 0 to 1, that may be lost')
    parser.add_argument('--threads', type=int, metavar='N', help='of the CPU (default: all)')


def run(arguments: argparse.Namespace) -> int | None:
    """Quantize or measure, and say what it cost."""
    if bool(arguments.labels) != bool(arguments.images):
        raise ValueError('--labels and --images go together')
    needed = dict(out=arguments.out, labels=arguments.labels, max_drop=arguments.max_drop)
    missing = [f'--{name.replace("_", "-")}' for name, value in needed.items() if value is None]
    if arguments.precision == 'int8' and missing:
        raise ValueError(f'int8 needs {", ".join(missing)}: a network is not quantized unseen')

    from ..deploy.quantize import People, calibration_crops, measure_shift, quantize
    from ..runtime import PoseModel

    people = People(arguments.labels, arguments.images) if arguments.labels else None
    if arguments.precision == 'bf16':
        exact = PoseModel(arguments.file, 'openvino', arguments.threads)
        model = PoseModel(arguments.file, 'openvino', arguments.threads, 'bf16')
        print(f'bf16: {measure_shift(exact, model, calibration_crops(arguments.calibration, exact, people))}')
        if people:
            print(f'AP {people.average_precision(exact):.4f} in fp32, {people.average_precision(model):.4f} in bf16')
        return None
    done = quantize(arguments.file, arguments.calibration, arguments.out, people, arguments.max_drop, arguments.threads)
    print(f'int8: {done.shift}')
    print(f'AP {done.before:.4f} before, {done.after:.4f} after')
    if done.path is None:
        print(f'refused, nothing written: {done.before - done.after:.4f} AP lost, --max-drop is {arguments.max_drop}')
        return 1
    print(f'{done.path} and {done.path.with_suffix(".bin").name}: run them with PoseModel(..., backend="openvino")')
    return None
