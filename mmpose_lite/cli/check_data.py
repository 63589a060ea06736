"""Check a data set: broken pictures, annotations that cannot be right, and eight encoded samples to look at.

Decodes every picture and reads the annotation file as it is written, so that what MMPose leaves out without a word is
counted and named. Writes report.json (everything), report.txt and samples.png. Exit code: 0 clean, 1 something wrong,
2 wrong arguments.
"""

import argparse
import json
import os
import warnings
from pathlib import Path


def _config_file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f'no such file: {text}')
    return Path(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``mmpose-lite check-data`` takes."""
    parser.add_argument('config', type=_config_file, metavar='CONFIG', help='a training config')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train', help='default: %(default)s')
    parser.add_argument('--out', type=Path, metavar='DIR', help='default: work_dirs/check-data/<config>_<split>')
    parser.add_argument('--workers', type=int, default=os.cpu_count(), metavar='N', help='threads (default: all cores)')
    try:
        from mmengine.config import DictAction
    except ImportError:
        DictAction = 'store'  # run() says what is missing
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='override the config')


def run(arguments: argparse.Namespace) -> int:
    """Check, write the reports and print the summary."""
    from ..datasets.check import check_config
    from ..datasets.contact_sheet import draw_samples
    from ..files import atomic_path
    from ..inference.files import make_folder, write_image
    from ..torch_backend.loading import read_config

    warnings.simplefilter('ignore', UserWarning)  # MMPose's, on its own defaults
    if arguments.workers < 1:
        raise ValueError(f'--workers must be at least 1, got {arguments.workers}')
    config = read_config(arguments.config)
    config.merge_from_dict(arguments.cfg_options or {})
    out = arguments.out or Path('work_dirs', 'check-data', f'{arguments.config.stem}_{arguments.split}')
    reports = check_config(config, arguments.split, arguments.workers, progress=True)

    make_folder(out)
    clean = all(report.clean for report in reports)
    as_json = dict(config=str(arguments.config), split=arguments.split, clean=clean)
    as_json['data_sets'] = [report.as_dict() for report in reports]
    texts = {
        'report.json': json.dumps(as_json, indent=2),
        'report.txt': '\n\n'.join(report.as_text(limit=100) for report in reports) + '\n',
    }
    for name, text in texts.items():
        with atomic_path(out / name) as partial:
            partial.write_text(text, 'utf-8', 'backslashreplace')  # names of files may be no text
    print('\n\n'.join(report.as_text() for report in reports))
    print(f'report.json and report.txt in {out}')
    try:
        write_image(out / 'samples.png', draw_samples(config, arguments.split))
        print(f'samples as the network is fed them: {out / "samples.png"}')
    except ValueError as error:
        print(f'no samples.png: {error}')
    return 0 if clean else 1
