"""Worker processes, and turns handed around among them."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

WORKER = Path(__file__).with_name('worker.py')


class WorkerError(RuntimeError):
    """What a worker says went wrong, in one line."""


class Worker:
    """One network in one runtime, waiting on a pipe; :meth:`load` before the first :meth:`turn`.

    Args:
        task: As ``worker.py`` takes it.
    """

    def __init__(self, task: dict) -> None:
        threads = str(task['threads'])
        pools = dict.fromkeys(('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'), threads)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', str(WORKER), json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=os.environ | pools | dict(OMP_WAIT_POLICY='PASSIVE'),
            start_new_session=True,  # Ctrl-C is for the parent, which keeps what is measured; and see kill()
        )

    def load(self) -> list[float]:
        """Wait until it is loaded and warm; returns ``worker.fingerprint``'s values.

        Raises:
            WorkerError: If it cannot be loaded or run.
        """
        return self._answer()['fingerprint']

    def turn(self) -> dict:
        """Measure for one turn; the answer is ``worker.turn``'s, with ``memory`` and ``idle``.

        Raises:
            WorkerError: If it fails or is gone.
        """
        with suppress(BrokenPipeError):  # the answer says why
            self._process.stdin.write('\n')
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._log.seek(0)
            said = self._log.read().decode(errors='replace').strip().splitlines()
            raise WorkerError(f'the process ended with code {code}' + (f': {said[-1][:200]}' if said else ''))
        answer = json.loads(line)
        if 'error' in answer:
            raise WorkerError(answer['error'])
        return answer

    def kill(self) -> None:
        """End the process, and the compilers that it may have started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process and forget it."""
        self.kill()
        with suppress(BrokenPipeError), self._process:  # closes its pipes and waits; it may have died with one full
            pass
        self._log.close()


def interleave(labels: list[str], rounds: int, seed: int = 0) -> list[list[str]]:
    """The order in each round: everyone once, shuffled."""
    shuffle = random.Random(seed)
    return [shuffle.sample(labels, len(labels)) for _ in range(rounds)]


def measure(
    tasks: dict[str, dict], rounds: int, seed: int, turned: Callable[[], object] = lambda: None
) -> tuple[dict[str, dict], bool]:
    """Load all tasks at once, then let one at a time measure while the others sleep.

    Args:
        tasks: Task by label.
        rounds: How often each has its turn.
        seed: Of the order.
        turned: Called after each loading and each turn, for a progress bar.

    Returns:
        By label ``samples`` (seconds, one list per round), ``cores``, ``idle``, ``memory``, ``fingerprint`` and
        ``error`` (None where all went well); and whether all rounds were done (not so after Ctrl-C).
    """
    rows = {label: dict(samples=[], cores=[], idle=0.0, memory=None, fingerprint=None, error=None) for label in tasks}
    workers: dict[str, Worker] = {}

    def load(label: str) -> None:
        try:
            workers[label] = Worker(tasks[label])
            rows[label]['fingerprint'] = workers[label].load()
        except WorkerError as error:
            rows[label]['error'] = str(error)
        turned()

    def turn(label: str) -> None:
        row = rows[label]
        if row['error'] is not None:
            return
        try:
            answer = workers[label].turn()
        except WorkerError as error:
            row['error'] = str(error)
            return
        row['samples'].append(answer['seconds'])
        row['cores'].append(answer['cores'])
        row['idle'] += answer['idle']
        row['memory'] = answer['memory']

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        list(pool.map(load, tasks))
        for order in interleave(list(tasks), rounds, seed):
            for label in order:
                turn(label)
                turned()
        return rows, True
    except KeyboardInterrupt:
        return rows, False
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in list(workers.values()):
            worker.kill()  # whoever waits for its answer is free
        pool.shutdown()
        for worker in workers.values():
            worker.close()
