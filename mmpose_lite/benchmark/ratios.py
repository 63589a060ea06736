"""Medians and ratios of what a run measured."""

from dataclasses import dataclass

import numpy as np


def median(row: dict) -> float:
    """Median seconds of a call, over all rounds."""
    return float(np.median(np.concatenate(row['samples'])))


def p90(row: dict) -> float:
    """Seconds that nine of ten calls take at most."""
    return float(np.percentile(np.concatenate(row['samples']), 90))


def relative_time(row: dict, peer: dict) -> float:
    """Time of one network over that of another that took turns with it.

    Each round gives a ratio of medians, and the median of these is taken: when a machine gets slower in the middle of a
    run, both of a round are.
    """
    pairs = zip(row['samples'], peer['samples'], strict=False)  # a stopped run may end within a round
    return float(np.median([np.median(own) / np.median(other) for own, other in pairs]))


@dataclass(frozen=True)
class Setting:
    """Groups of one number of threads and one batch size, as ``results.json`` holds them."""

    results: dict
    threads: int
    batch: int

    def group(self, backend: str) -> dict | None:
        """The group of a runtime, if it was measured."""
        key = dict(backend=backend, threads=self.threads, batch=self.batch)
        return next((group for group in self.results['groups'] if key.items() <= group.items()), None)

    @property
    def backends(self) -> list[str]:
        """Runtimes that were measured."""
        return [
            group['backend']
            for group in self.results['groups']
            if (group['threads'], group['batch']) == (self.threads, self.batch)
        ]

    def row(self, label: str, backend: str) -> dict | None:
        """What was measured of a network in a runtime, if anything."""
        row = (self.group(backend) or dict(rows={}))['rows'].get(label)
        return row if row and row['samples'] else None

    def best(self, label: str, backends: tuple[str, ...]) -> float | None:
        """Median seconds in the fastest of some runtimes."""
        return min((median(row) for backend in backends if (row := self.row(label, backend))), default=None)

    def relative(self, label: str, peer: str, backend: str) -> float | None:
        """Time of a network over a peer's in the same runtime."""
        row, other = self.row(label, backend), self.row(peer, backend)
        return relative_time(row, other) if row and other else None

    def share_of_matmul(self, label: str, backend: str) -> float | None:
        """Operations per second over those of a large matrix product on the same threads."""
        row, group = self.row(label, backend), self.group(backend)
        if not row or not group['matmul']['samples']:
            return None
        flops = 2 * self.results['networks'][label]['flops']['macs'] * self.batch
        return relative_time(group['matmul'], row) * flops / group['matmul']['flops']


def settings(results: dict) -> list[Setting]:
    """Each number of threads with each batch size, as measured."""
    keys = dict.fromkeys((group['threads'], group['batch']) for group in results['groups'])
    return [Setting(results, *key) for key in keys]


def disagreement(row: dict, eager: dict) -> float:
    """Largest difference of two runtimes' outputs, over the largest output."""
    ours, theirs = np.array(row['fingerprint']), np.array(eager['fingerprint'])
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
