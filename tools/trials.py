"""Answer what the papers leave open, and what makes a small network better at no cost, with two seeds each.

    python tools/trials.py --data /path/to/lspet --epochs 20 --jobs 2
    python tools/trials.py --data /path/to/lspet --only lgm-pose-ema lgm-pose-udp
    python tools/trials.py --epochs 20 --report                       the table of what is finished

Each trial is a network of configs/lspet with one thing changed, trained like it, and compared with it seed by seed.
Trials come in the order of TRIALS below, all seeds of one before the next: those that tell most for their time first.
The same command goes on after a stop. OUT/results.json and OUT/results.md are written anew after each run.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from side_by_side import (
    NETWORKS,
    ROOT,
    Run,
    add_arguments,
    carry_out,
    described,
    fast_options,
    folder,
    interval,
    prepare,
    unfinished,
)


@dataclass(frozen=True)
class Trial:
    """A change to a network and what is asked with it.

    Attributes:
        name: Of the trial and of its folders.
        baseline: The network of configs/lspet that is changed.
        question: One line.
        options: For ``--cfg-options``.
        config: In configs/lspet/trials, without what all their names end with; by default that of the baseline.
        training: Options that the test does without.
        trained: False if the baseline's weights are tested in another way.
    """

    name: str
    baseline: str
    question: str
    options: tuple[str, ...] = ()
    config: str | None = None
    training: tuple[str, ...] = ()
    trained: bool = True

    @property
    def path(self) -> Path:
        """Of the config."""
        if self.config is None:
            return NETWORKS[self.baseline]
        return ROOT / f'configs/lspet/trials/{self.config}_1xb32-140e_lspet-256x256.py'


LGM, GREIT, HEVIT = 'lgm-pose', 'greit-hrnet-18', 'hevitpose-t'
EMA = (  # a window of about 500 iterations, after a start of some 200 in which it follows more closely
    'default_hooks.ema.type=EMAHook',
    'default_hooks.ema.ema_type=ExpMomentumEMA',
    'default_hooks.ema.momentum=0.002',
    'default_hooks.ema.gamma=200',
    'default_hooks.ema.update_buffers=True',
)
DISTILLED = Trial(
    *('lgm-pose-distilled', LGM, 'a teacher whose heatmaps count half?'),
    training=('model.type=DistilledPoseEstimator', 'model.weight=0.5'),  # and the teacher's files
)
TRIALS = (
    Trial('lgm-pose-dark', LGM, 'DARK decoding of the same weights?', config='td-hm_lgm-pose-dark', trained=False),
    Trial('lgm-pose-residual', LGM, 'skips in LARM (paper: none)?', ('model.backbone.residual=True',)),
    Trial('lgm-pose-init', LGM, 'LARM drawn as PyTorch does (here: 0.02)?', config='td-hm_lgm-pose-init'),
    Trial('lgm-pose-ema', LGM, 'average of weights (EMA)?', training=EMA),
    Trial('lgm-pose-relu6', LGM, 'ReLU6 for SiLU (paper names none)?', ('model.backbone.act=ReLU6',)),
    Trial('lgm-pose-udp', LGM, 'UDP for the quarter of a pixel?', config='td-hm_lgm-pose-udp'),
    Trial('lgm-pose-augmented', LGM, 'colours, CutOut, more rotation and scale?', config='td-hm_lgm-pose-augmented'),
    Trial('lgm-pose-half-body', LGM, 'crops of half bodies?', config='td-hm_lgm-pose-half-body'),
    Trial('lgm-pose-mosaic', LGM, 'other people beside them?', config='td-hm_lgm-pose-mosaic'),
    DISTILLED,
    Trial('lgm-pose-steps', LGM, "the paper's steps for the cosine?", config='td-hm_lgm-pose-steps'),
    Trial('lgm-pose-blank-outside', LGM, 'empty maps for joints outside?', config='td-hm_lgm-pose-blank-outside'),
    Trial('lgm-pose-rtmcc', LGM, "RTMPose's head?", config='td-simcc_lgm-pose-rtmcc'),
    Trial('lgm-pose-simcc', LGM, "SimCC's head?", config='td-simcc_lgm-pose-simcc'),
    Trial(
        'greit-hrnet-18-mean', GREIT, 'mean over the pixels in GSW (paper: sum)?', ('model.backbone.gsw_context=mean',)
    ),
    Trial('greit-hrnet-18-van', GREIT, "LKA drawn by VAN's rule (here: from 1)?", ('model.backbone.lka_init=van',)),
    Trial('greit-hrnet-18-normal', GREIT, 'LKA drawn with 0.001 as the rest is?', ('model.backbone.lka_init=normal',)),
    Trial('greit-hrnet-18-no-lks', GREIT, "Lite-HRNet's stem for LKS?", ('model.backbone.lks=False',)),
    Trial('greit-hrnet-18-no-gcw', GREIT, "Lite-HRNet's weighting for GCW?", ('model.backbone.gcw=False',)),
    Trial('greit-hrnet-18-no-gsw', GREIT, "Lite-HRNet's weighting for GSW?", ('model.backbone.gsw=False',)),
    Trial('greit-hrnet-18-plain', GREIT, 'no norm and bias in gates?', config='td-hm_greit-hrnet-18-plain'),
    Trial('greit-hrnet-18-se', GREIT, 'norm and bias in GSW alone?', config='td-hm_greit-hrnet-18-se'),
    Trial('hevitpose-t-conv-bn', HEVIT, 'batch norm for a bias in the projection?', ('model.backbone.proj=conv_bn',)),
    Trial('hevitpose-t-relu', HEVIT, 'ReLU before the projection?', ('model.backbone.proj_act=relu',)),
    Trial('hevitpose-t-no-norm-out', HEVIT, 'no norm behind attention?', ('model.backbone.norm_out=False',)),
    Trial('hevitpose-t-shared-norm', HEVIT, 'norms shared by the groups?', ('model.backbone.norm_per_group=False',)),
)


def verdict(differences: list[float]) -> str:
    """What the differences to the baseline say, one of each seed."""
    if len(differences) < 2:
        return 'open'
    seeds = 'both seeds' if len(differences) == 2 else f'all {len(differences)} seeds'
    if all(difference > 0 for difference in differences):
        return f'better with {seeds}'
    if all(difference < 0 for difference in differences):
        return f'worse with {seeds}'
    return 'seeds disagree'


def compare(name: str, question: str, scores: dict[int, dict], baseline: dict[int, dict]) -> dict:
    """A row of the table.

    Args:
        name: Of the trial or the network.
        question: Of the trial.
        scores: By seed, what each finished run scored.
        baseline: The same of the baseline. Only seeds that both have are compared.

    Returns:
        ``name``, ``question``, ``seeds``, ``parameters``, ``macs``, ``interval`` (:func:`side_by_side.interval`), and
        of each of ``metrics`` the ``mean`` over the seeds, ``differences`` by seed, both in percent, and ``verdict``.
    """
    row = dict(name=name, question=question, seeds=sorted(scores), metrics={})
    row.update({cost: next(iter(scores.values()))[cost] for cost in ('parameters', 'macs')})
    seeds = sorted(scores.keys() & baseline.keys())
    ours, peer = ([runs[seed] for seed in seeds] for runs in (scores, baseline))
    row['interval'] = interval(ours, peer)
    for metric in ('PCK', 'PCK@0.1'):
        differences = [one[metric] - other[metric] for one, other in zip(ours, peer, strict=True)]
        row['metrics'][metric] = dict(
            mean=mean(score[metric] for score in scores.values()), differences=differences, verdict=verdict(differences)
        )
    return row


def table(rows: list[dict]) -> str:
    """Markdown of the rows that :func:`compare` gives; baselines, which have no question, without differences."""
    lines = [
        '| network or trial | parameters | MACs | PCKh@0.5 | each seed | | 95 % of draws | PCKh@0.1 | each seed | |',
        '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ]
    for row in rows:
        cells = [f'{row["name"]}: {row["question"]}' if row['question'] else f'**{row["name"]}**']
        cells += [f'{row["parameters"] / 1e6:.2f} M', f'{row["macs"] / 1e9:.2f} G']
        coarse, fine = (
            [
                f'{metric["mean"]:.2f}',
                ' '.join(f'{difference:+.2f}' for difference in metric['differences']),
                metric['verdict'] if row['question'] else '',
            ]
            for metric in row['metrics'].values()
        )
        drawn = '{:+.2f} to {:+.2f}'.format(*row['interval']) if row['interval'] else ''
        lines.append(f'| {" | ".join([*cells, *coarse, drawn, *fine])} |')
    return '\n'.join(lines)


def plan(trials: list[Trial], out: Path, size: int, epochs: int, seeds: list[int], options: list[str]) -> dict:
    """The runs by (name, seed), in their order: a network before the first trial that is compared with it."""
    runs, fast = {}, fast_options()
    for trial in trials:
        for name, own in ((trial.baseline, None), (trial.name, trial)):
            for seed in seeds:
                trained = own is None or own.trained
                runs.setdefault(
                    (name, seed),
                    Run(
                        own.path if own else NETWORKS[name],
                        folder(out, name, size, epochs, seed),
                        epochs,
                        options=(*(own.options if own else ()), *options),
                        training=(f'randomness.seed={seed}', *fast, *(own.training if own else ())),
                        source=None if trained else runs[trial.baseline, seed],
                    ),
                )
    return runs


def compare_all(trials: list[Trial], runs: dict[tuple[str, int], Run]) -> list[dict]:
    """Rows for all networks and trials of which a seed is finished, in the order of ``runs``."""
    finished: dict[str, dict[int, dict]] = {}
    for (name, seed), run in runs.items():
        if scores := run.scores():
            finished.setdefault(name, {})[seed] = scores
    asked = {trial.name: (trial.question, trial.baseline) for trial in trials}
    rows = []
    for name, scores in finished.items():
        question, baseline = asked.get(name, ('', None))
        rows.append(compare(name, question, scores, finished.get(baseline, {})))
    return rows


def main() -> int:
    names = [trial.name for trial in TRIALS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, out='work_dirs/trials')
    parser.add_argument('--epochs', type=int, default=40, metavar='N', help='of each training (default: %(default)s)')
    parser.add_argument('--size', type=int, choices=(128, 256), default=128, help='of the crops (default: %(default)s)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1], metavar='N', help='(default: 0 1)')
    parser.add_argument('--only', nargs='+', choices=names, metavar='NAME', help=f'some of {", ".join(names)}')
    parser.add_argument(
        '--teacher',
        nargs=2,
        type=Path,
        metavar=('CONFIG', 'CHECKPOINT'),
        help=f'for {DISTILLED.name}, left out without',
    )
    args = parser.parse_args()
    prepare(parser, args, args.size, args.epochs)
    trials = [trial for trial in TRIALS if args.only is None or trial.name in args.only]
    remark = []
    if args.teacher:
        for path in args.teacher:
            if not path.is_file():
                parser.error(f'--teacher: there is no file {path}')
        config, checkpoint = (path.resolve() for path in args.teacher)
        files = (f'model.teacher.config={config}', f'model.teacher.checkpoint={checkpoint}')
        taught = replace(DISTILLED, training=DISTILLED.training + files)
        trials = [taught if trial is DISTILLED else trial for trial in trials]
    runs = plan(trials, args.out, args.size, args.epochs, args.seeds, args.cfg_options)
    untaught = [key for key, run in runs.items() if key[0] == DISTILLED.name and not (args.teacher or run.scores())]
    for key in untaught:
        del runs[key]
    if untaught:
        remark = ['', f'{DISTILLED.name} is left out: it wants --teacher CONFIG CHECKPOINT.']

    def results() -> tuple[list[dict], str]:
        rows = compare_all(trials, runs)
        heading = described(args.size, args.epochs, args.seeds, args.cfg_options, runs.values())
        return rows, '\n'.join([heading, *remark, '', table(rows), *unfinished(runs.values()), ''])

    return carry_out(args, list(runs.values()), results)


if __name__ == '__main__':
    sys.exit(main())
