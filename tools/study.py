"""Train networks alike on the same people, test them, and put them in one table beside what the papers claim.

    python tools/study.py --data /path/to/lspet                    GPU protocol: 15 networks, 256x256, 140 epochs
    python tools/study.py --data /path/to/lspet --protocol cpu     7 networks, 128x128, 40 epochs

Each network is trained by `mim train mmpose configs/lspet/...` and tested by `mim test` with flip test. The same
command goes on after a stop: a finished network is not trained again, an unfinished one resumes from its last epoch.
OUT/results.json and OUT/results.md are written anew after each network.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = {path.stem.split('_')[1]: path for path in sorted(ROOT.glob('configs/lspet/td-*.py'))}
PROTOCOLS = dict(
    gpu=dict(size=256, epochs=140, networks=list(CONFIGS)),
    cpu=dict(
        size=128,
        epochs=40,
        networks=[
            *('lgm-pose', 'lite-hrnet-18', 'greit-hrnet-18', 'mobilenetv2'),
            *('lite-hrnet-30', 'greit-hrnet-30', 'hevitpose-t'),
        ],
    ),
)
# network, the peer it is compared with, and the difference that its paper prints (MPII val, PCKh@0.5)
CLAIMS = (
    ('lgm-pose', 'lite-hrnet-18', 2.3),
    ('greit-hrnet-18', 'lite-hrnet-18', 0.7),
    ('hevitpose-t', 'lite-hrnet-30', 2.1),
    ('hevitpose-b', 'resnet-50', 1.7),
    ('wgnet', 'hrnet-w32', -0.9),
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--data', required=True, type=Path, metavar='DIR', help='people in MPII format, see configs/lspet'
    )
    parser.add_argument('--protocol', choices=PROTOCOLS, default='gpu', help='(default: %(default)s)')
    parser.add_argument('--epochs', type=int, metavar='N', help="for all networks alike (default: the protocol's)")
    parser.add_argument('--networks', nargs='+', choices=list(CONFIGS), help="(default: the protocol's)")
    parser.add_argument('--out', type=Path, default=Path('work_dirs/study'), help='(default: %(default)s)')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='passed on to mim train')
    args = parser.parse_args()
    if not (args.data / 'annotations' / 'mpii_train.json').is_file():
        parser.error(f'--data {args.data} has no annotations/mpii_train.json: see configs/lspet/README.md')
    return args


def mim(verb: str, config: Path, work_dir: Path, env: dict, *options: str) -> None:
    """Run ``mim train|test`` as a user does; its output goes to the terminal and to mmengine's log in ``work_dir``."""
    import torch

    gpus = ['--gpus', '1'] if torch.cuda.is_available() else ['--gpus', '0']
    command = [sys.executable, '-m', 'mim', verb, 'mmpose', config, *gpus, '-y', '--work-dir', work_dir, *options]
    done = subprocess.run([str(part) for part in command], env={**os.environ, **env})
    if done.returncode:
        raise SystemExit(f'study: {verb} of {config.stem} failed, see {work_dir}; the same command goes on from here')


def study(name: str, args: argparse.Namespace, size: int, epochs: int) -> dict:
    """Train and test one network, or read what an earlier run found.

    Returns:
        Scores in percent, parameters and multiply-accumulates.
    """
    work_dir = args.out / f'{name}_{size}x{size}_{epochs}e'
    scores = work_dir / 'scores.json'
    env = dict(MPII_ROOT=str(args.data), STUDY_SIZE=str(size), STUDY_EPOCHS=str(epochs))
    env['OMP_WAIT_POLICY'] = os.environ.get('OMP_WAIT_POLICY', 'PASSIVE')
    config = CONFIGS[name]
    if not scores.is_file():
        options = ['--cfg-options', *args.cfg_options] if args.cfg_options else []
        mim('train', config, work_dir, env, '--resume', *options)
        checkpoint = work_dir / f'epoch_{epochs}.pth'
        mim('test', config, work_dir / 'test', env, '--checkpoint', checkpoint)
        found = max((work_dir / 'test').glob('*/*.json'), key=lambda path: path.stat().st_mtime)
        partial = scores.with_suffix('.partial')
        partial.write_text(found.read_text())
        partial.rename(scores)
    os.environ.update(env)
    return dict(json.loads(scores.read_text()), **costs(config, size))


def costs(config: Path, size: int) -> dict:
    """Parameters, and multiply-accumulates by this package's counter."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmpose.registry import MODELS

    import mmpose_lite  # noqa: F401  (registers the networks)
    from mmpose_lite.benchmark.complexity import count, count_parameters

    init_default_scope('mmpose')
    model = MODELS.build(Config.fromfile(config).model).eval()
    return dict(parameters=count_parameters(model), macs=count(model, (3, size, size), 'macs'))


def table(results: dict[str, dict], protocol: str) -> str:
    """The networks by score, then the papers' differences beside these."""
    rows = [
        f'Protocol: {protocol}.',
        '',
        '| network | parameters | MACs | PCKh@0.5 | PCKh@0.1 |',
        '| --- | --- | --- | --- | --- |',
    ]
    for name, row in sorted(results.items(), key=lambda item: -item[1]['PCK']):
        rows.append(
            f'| {name} | {row["parameters"] / 1e6:.2f} M | {row["macs"] / 1e9:.2f} G | {row["PCK"]:.2f} '
            f'| {row["PCK@0.1"]:.2f} |'
        )
    rows += ['', '| difference in PCKh@0.5 | here | the paper, MPII val | same sign |', '| --- | --- | --- | --- |']
    for ours, peer, printed in CLAIMS:
        if ours in results and peer in results:
            here = results[ours]['PCK'] - results[peer]['PCK']
            rows.append(f'| {ours} - {peer} | {here:+.2f} | {printed:+.1f} | {"yes" if here * printed > 0 else "no"} |')
    return '\n'.join(rows) + '\n'


def main() -> None:
    args = parse_args()
    args.data = args.data.resolve()
    protocol = PROTOCOLS[args.protocol]
    size, epochs = protocol['size'], args.epochs or protocol['epochs']
    results = {}
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.networks or protocol['networks']:
        results[name] = study(name, args, size, epochs)
        described = f'{size}x{size}, {epochs} epochs, batch 32, Adam 1e-3 with cosine, seed 0, flip test'
        for file, text in (('results.json', json.dumps(results, indent=2)), ('results.md', table(results, described))):
            partial = args.out / f'{file}.partial'
            partial.write_text(text)
            partial.rename(args.out / file)
        print((args.out / 'results.md').read_text(), flush=True)


if __name__ == '__main__':
    main()
