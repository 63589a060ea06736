"""Train networks alike on the same people, test them, and put them in one table beside what the papers claim.

    python tools/study.py --data /path/to/lspet                           GPU protocol: 15 networks, 256x256, 140 epochs
    python tools/study.py --data /path/to/lspet --protocol cpu --jobs 2   7 networks, 128x128, 40 epochs
    python tools/study.py --protocol cpu --report                         the table of what is finished

Each network is trained by `mim train mmpose configs/lspet/...` and tested by `mim test` with flip test. The same
command goes on after a stop: a finished network is not trained again, an unfinished one resumes from its last epoch.
OUT/results.json and OUT/results.md are written anew after each network. One that fails is named, the others go on.
"""

import argparse
import sys

from side_by_side import (
    NETWORKS,
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

PROTOCOLS = dict(
    gpu=dict(size=256, epochs=140, networks=list(NETWORKS)),
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
    ('greit-hrnet-30', 'lite-hrnet-30', 0.4),
    ('hevitpose-t', 'lite-hrnet-30', 2.1),
    ('hevitpose-b', 'resnet-50', 1.7),
    ('wgnet', 'hrnet-w32', -0.9),
)


def table(results: dict[str, dict], intervals: dict[str, tuple[float, float] | None]) -> str:
    """Markdown: the networks by score, then the differences that the papers print beside those found here.

    Args:
        results: Of each finished network ``PCK`` and ``PCK@0.1`` in percent, ``parameters`` and ``macs``.
        intervals: What :func:`side_by_side.interval` gives for the first network of each claim and its peer.
    """
    rows = ['| network | parameters | MACs | PCKh@0.5 | PCKh@0.1 |', '| --- | --- | --- | --- | --- |']
    for name, row in sorted(results.items(), key=lambda item: -item[1]['PCK']):
        rows.append(
            f'| {name} | {row["parameters"] / 1e6:.2f} M | {row["macs"] / 1e9:.2f} G | {row["PCK"]:.2f} '
            f'| {row["PCK@0.1"]:.2f} |'
        )
    rows += ['', '| difference in PCKh@0.5 | here | in 95 % of draws of people | the paper, MPII val | same sign |']
    rows.append('| --- | --- | --- | --- | --- |')
    for ours, peer, printed in CLAIMS:
        if ours in results and peer in results:
            here = results[ours]['PCK'] - results[peer]['PCK']
            sign, drawn = 'yes' if here * printed > 0 else 'no', 'not known'
            if intervals[ours]:
                low, high = intervals[ours]
                drawn = f'{low:+.2f} to {high:+.2f}'
                sign = 'not settled' if low <= 0 <= high else sign
            rows.append(f'| {ours} - {peer} | {here:+.2f} | {drawn} | {printed:+.1f} | {sign} |')
    return '\n'.join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, out='work_dirs/study')
    parser.add_argument('--protocol', choices=PROTOCOLS, default='gpu', help='(default: %(default)s)')
    parser.add_argument('--epochs', type=int, metavar='N', help="for all networks alike (default: the protocol's)")
    parser.add_argument('--networks', nargs='+', choices=list(NETWORKS), help="(default: the protocol's)")
    args = parser.parse_args()
    protocol = PROTOCOLS[args.protocol]
    size, epochs = protocol['size'], protocol['epochs'] if args.epochs is None else args.epochs
    prepare(parser, args, size, epochs)
    training = fast_options()
    runs = {
        name: Run(
            NETWORKS[name],
            folder(args.out, name, size, epochs, seed=0),
            epochs,
            options=tuple(args.cfg_options),
            training=training,
        )
        for name in args.networks or protocol['networks']
    }

    def results() -> tuple[dict, str]:
        finished = {name: scores for name, run in runs.items() if (scores := run.scores())}
        heading = described(size, epochs, [0], args.cfg_options, runs.values())
        intervals = {
            ours: interval([finished[ours]], [finished[peer]])
            for ours, peer, _ in CLAIMS
            if ours in finished and peer in finished
        }
        text = '\n'.join([heading, '', table(finished, intervals), *unfinished(runs.values())])
        short = {name: {key: row[key] for key in row if key != 'people'} for name, row in finished.items()}
        return short, f'{text}\n'

    return carry_out(args, list(runs.values()), results)


if __name__ == '__main__':
    sys.exit(main())
