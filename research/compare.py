"""Train networks, or one with changes, alike on the same people; test them and add the scores to results.csv.

    COCO_ROOT=/data/coco CROPS=data/crops python research/compare.py lgm-pose greit-hrnet-18 lgm-pose+skips --epochs 12
    python research/compare.py --report

A run is a network of research/coco-crops.py and any changes of CHANGES behind it. The same command goes on after a
stop: a run that is in results.csv is not trained again, an unfinished one resumes from its last epoch.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CONFIG, RESULTS = FOLDER / 'coco-crops.py', FOLDER / 'results.csv'
SIZE = '96x128'
CHANGES = {
    'skips': 'model.backbone.residual=True',
    'norm-channels': 'model.backbone.norm_axis=channels',
    'plain-codec': 'codec.unbiased=False',
}
KEY = ('run', 'data', 'size', 'epochs', 'seed')


def read_results() -> list[dict]:
    with RESULTS.open(newline='') as file:
        return list(csv.DictReader(file))


def add_result(row: dict) -> None:
    rows = [*read_results(), row]
    partial = RESULTS.with_name(f'{RESULTS.name}.partial')
    with partial.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    partial.rename(RESULTS)


def mim(verb: str, work_dir: Path, run: str, *options: str, **environment: str) -> None:
    """``mim train|test`` of a run in a process of its own, which prints into ``work_dir/output.txt``."""
    network, *changes = run.split('+')
    command = [sys.executable, '-m', 'mim', verb, 'mmpose', str(CONFIG), '--gpus', '0', '-y', *options]
    command += ['--cfg-options', *environment.pop('cfg_options', '').split(), *(CHANGES[change] for change in changes)]
    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / 'output.txt').open('a') as output:
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, env=dict(os.environ, NETWORK=network, **environment)
        )
    if done.returncode:
        raise RuntimeError(
            f'mim {verb} of {run} failed: see {work_dir}/output.txt. The same command goes on from there'
        )


def carry_out(run: str, epochs: int, seed: int, out: Path) -> dict:
    """Train and test one run; its row of the table."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmpose.registry import MODELS

    import mmpose_lite  # noqa: F401  (registers the networks)
    from mmpose_lite.zoo.complexity import count, count_parameters

    work_dir = out / f'{run}_{SIZE}_{epochs}e_seed{seed}'
    environment = dict(EPOCHS=str(epochs), DECAY=str(epochs * 3 // 4), cfg_options=f'randomness.seed={seed}')
    mim('train', work_dir, run, '--work-dir', str(work_dir), '--resume', **environment)
    checkpoint = ('--checkpoint', str(work_dir / f'epoch_{epochs}.pth'))
    mim('test', work_dir, run, *checkpoint, '--work-dir', str(work_dir / 'test'), **environment)
    scores = json.loads(max((work_dir / 'test').glob('*/*.json')).read_text())
    os.environ['NETWORK'] = run.split('+')[0]
    init_default_scope('mmpose')
    model = MODELS.build(Config.fromfile(CONFIG).model).eval()
    return dict(
        run=run,
        data='COCO crops',
        size=SIZE,
        epochs=epochs,
        seed=seed,
        parameters=count_parameters(model),
        macs=count(model, (3, 128, 96), 'macs'),
        metric='AP',
        score=round(scores['coco/AP'], 4),
        second='AP50',
        second_score=round(scores['coco/AP .5'], 4),
    )


def report(rows: list[dict]) -> str:
    """A Markdown table for each set of people, size and number of epochs; means over the seeds, best first."""
    groups: dict[tuple, dict[str, list[dict]]] = {}
    for row in rows:
        group = groups.setdefault((row['data'], row['size'], row['epochs'], row['metric'], row['second']), {})
        group.setdefault(row['run'], []).append(row)
    lines = []
    for (data, size, epochs, metric, second), runs in groups.items():
        lines += [f'{data}, {size}, {epochs} epochs', '', f'| run | seeds | parameters | {metric} | {second} |']
        lines += ['| --- | ---: | ---: | ---: | ---: |']

        def mean(seeds: list[dict], column: str) -> float:
            return sum(float(seed[column] or 0) for seed in seeds) / len(seeds)

        for run, seeds in sorted(runs.items(), key=lambda item: -mean(item[1], 'score')):
            scores = [f'{mean(seeds, column):.4g}' for column in ('score', 'second_score')]
            millions = f'{float(seeds[0]["parameters"] or 0) / 1e6:.2f} M'
            lines.append(f'| {run} | {len(seeds)} | {millions} | {" | ".join(scores)} |')
        lines.append('')
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='*', metavar='NETWORK[+CHANGE...]', help=f'changes: {", ".join(CHANGES)}')
    parser.add_argument('--epochs', type=int, default=12, help='of as many samples as two times 7,189')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--out', type=Path, default=Path('work_dirs/compare'))
    parser.add_argument('--report', action='store_true', help='print the tables and train nothing')
    args = parser.parse_args()
    for run in args.runs:
        if unknown := set(run.split('+')[1:]) - set(CHANGES):
            parser.error(f'{run}: no change is called {", ".join(unknown)}, those are {", ".join(CHANGES)}')
    done = {tuple(str(row[column]) for column in KEY) for row in read_results()}
    for seed in args.seeds:
        for run in [] if args.report else args.runs:
            if (run, 'COCO crops', SIZE, str(args.epochs), str(seed)) not in done:
                add_result(carry_out(run, args.epochs, seed, args.out))
    print(report(read_results()))


if __name__ == '__main__':
    main()
