"""The study: its table, what it says of unfinished networks, and trainings side by side by a script that plays mim."""

import fcntl
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / 'tools'))
import side_by_side  # noqa: E402
import study  # noqa: E402

# STUDY_TEST=broken: one network fails to train; slow: a training has no end
MIM = """
import json, os, pathlib, pickle, sys, time
import numpy as np
verb, config, arguments = sys.argv[1], sys.argv[3], sys.argv[4:]
out = pathlib.Path(arguments[arguments.index('--work-dir') + 1])
threads = os.environ.get('OMP_NUM_THREADS')
print(json.dumps(dict(verb=verb, arguments=arguments, threads=threads, epochs=os.environ['STUDY_EPOCHS'])))
if '_mobilenetv2_' in config and verb == 'train' and os.environ.get('STUDY_TEST') == 'broken':
    sys.exit('no training today')
if os.environ.get('STUDY_TEST') == 'slow':
    (out / 'pid').write_text(str(os.getpid()))
    time.sleep(100)
if verb == 'test':
    joints = np.full((1, 16, 2), 50.0)
    truth = dict(keypoints=joints, keypoints_visible=np.ones((1, 16)), head_size=np.array([[9.0]]))
    person = dict(id=1, gt_instances=truth, pred_instances=dict(keypoints=joints))
    pathlib.Path(arguments[arguments.index('--dump') + 1]).write_bytes(pickle.dumps([person]))
    (out / 'now').mkdir(parents=True)
    scores = {'PCK': 40 + len(out.parent.name) / 10, 'PCK@0.1': 5.0, 'time': 0.1}
    (out / 'now' / 'now.json').write_text(json.dumps(scores))
"""


@pytest.fixture
def setting(tmp_path, monkeypatch, toy_root) -> tuple[Path, list[str]]:
    """A folder for results and a command line; the environment is restored afterwards."""
    (tmp_path / 'fake' / 'mim').mkdir(parents=True)
    (tmp_path / 'fake' / 'mim' / '__init__.py').touch()  # or the real one comes first
    (tmp_path / 'fake' / 'mim' / '__main__.py').write_text(MIM)
    for name in ('MPII_ROOT', 'STUDY_SIZE', 'STUDY_EPOCHS', 'OMP_NUM_THREADS', 'OMP_WAIT_POLICY', 'STUDY_TEST'):
        monkeypatch.setenv(name, os.environ.get(name, ''))
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    monkeypatch.setattr(side_by_side, 'computes_in_bfloat16', lambda: True)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path / 'fake'))
    previous = signal.getsignal(signal.SIGTERM)
    line = ['study.py', '--data', str(toy_root), '--protocol', 'cpu', '--epochs', '2', '--out', str(tmp_path / 'out')]
    yield tmp_path / 'out', line
    signal.signal(signal.SIGTERM, previous)


def calls(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / 'output.txt').read_text().splitlines() if line.startswith('{')]


def test_trains_side_by_side_names_what_fails_and_goes_on_from_there(setting, monkeypatch, capfd):
    out, line = setting
    line += ['--networks', 'mobilenetv2', 'lgm-pose', 'shufflenetv2', '--jobs', '2', '--cfg-options', 'a.b=1']
    monkeypatch.setattr(sys, 'argv', line)
    monkeypatch.setenv('STUDY_TEST', 'broken')
    assert study.main() == 1
    printed = capfd.readouterr()
    assert 'failed: mobilenetv2_128x128_2e_seed0 failed to train, see' in printed.err
    assert set(json.loads((out / 'results.json').read_text())) == {'lgm-pose', 'shufflenetv2'}
    scores = json.loads((out / 'lgm-pose_128x128_2e_seed0' / 'scores.json').read_text())
    assert (scores['PCK@0.1'], scores['precision'], scores['people']) == (5.0, 'bfloat16', [[14, 14]])
    assert 'time' not in scores
    report = (out / 'results.md').read_text()
    assert '- mobilenetv2_128x128_2e_seed0: not started' in report
    assert '128x128, 2 epochs, batch 32' in report
    assert 'trained in bfloat16' in report
    assert report in printed.out

    train, test = calls(out / 'lgm-pose_128x128_2e_seed0')
    assert (train['verb'], test['verb']) == ('train', 'test')
    assert (train['threads'], train['epochs']) == ('1', '2')
    assert {'--resume', 'optim_wrapper.dtype=bfloat16', 'a.b=1'} <= set(train['arguments'])
    assert str(out / 'lgm-pose_128x128_2e_seed0' / 'epoch_2.pth') in test['arguments']
    assert 'a.b=1' in test['arguments']
    assert not {'optim_wrapper.dtype=bfloat16', '--resume'} & set(test['arguments'])

    monkeypatch.setenv('STUDY_TEST', '')  # mended
    assert study.main() == 0
    assert len(json.loads((out / 'results.json').read_text())) == 3
    assert len(calls(out / 'lgm-pose_128x128_2e_seed0')) == 2  # not trained again
    assert not list(out.glob('*.partial'))
    monkeypatch.setattr(sys, 'argv', [*line, '--report'])
    capfd.readouterr()
    assert study.main() == 0
    assert capfd.readouterr().out.strip() == (out / 'results.md').read_text().strip()


@pytest.mark.parametrize('native', [True, False])
def test_bfloat16_where_the_machine_computes_in_it(tmp_path, monkeypatch, native):
    monkeypatch.setattr(side_by_side, 'computes_in_bfloat16', lambda: native)
    training = side_by_side.fast_options()
    assert ('optim_wrapper.dtype=bfloat16' in training) == native
    assert 'default_hooks.channels_last.type=ChannelsLastHook' in training
    run = side_by_side.Run(Path('config.py'), tmp_path / 'here', 2, training=training)
    other = side_by_side.Run(Path('config.py'), tmp_path / 'elsewhere', 2, training=side_by_side.BFLOAT16)
    kind = 'bfloat16' if native else 'float32'
    assert f'trained in {kind} with channels last' in side_by_side.described(128, 2, [0], [], [run])
    side_by_side.write(other.work_dir / 'scores.json', json.dumps(dict(precision=other.precision)))
    assert 'trained in bfloat16 with' in side_by_side.described(128, 2, [0], [], [run, other])  # no other is finished
    side_by_side.write(run.work_dir / 'scores.json', json.dumps(dict(precision=run.precision)))
    words = side_by_side.described(128, 2, [0], [], [run, other])
    assert f'trained in bfloat16{"" if native else " and float32"} with' in words


def test_a_folder_in_use_is_left_alone(setting, monkeypatch, capfd):
    out, line = setting
    monkeypatch.setattr(sys, 'argv', [*line, '--networks', 'lgm-pose'])
    folder = out / 'lgm-pose_128x128_2e_seed0'
    folder.mkdir(parents=True)
    with (folder / 'output.txt').open('a') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert study.main() == 1
    assert f'{folder.name} is being trained or tested by another process' in capfd.readouterr().err
    assert calls(folder) == []


def test_trainings_end_with_the_command(setting):
    out, line = setting
    env = dict(os.environ, STUDY_TEST='slow')
    pid = out / 'lgm-pose_128x128_2e_seed0' / 'pid'
    process = subprocess.Popen([sys.executable, ROOT / 'tools' / line[0], *line[1:], '--networks', 'lgm-pose'], env=env)
    try:
        while not pid.is_file() or not pid.read_text():
            assert process.poll() is None
            time.sleep(0.05)
        training = int(pid.read_text())
        process.terminate()
        assert process.wait(timeout=60) == 143
        with pytest.raises(ProcessLookupError):
            os.kill(training, 0)
    finally:
        process.kill()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], '--data DIR is missing'),
        (['--data', '/nowhere'], '--data /nowhere has no annotations/mpii_train.json'),
        (['--report', '--epochs', '0'], '--epochs 0 must be 1 or more'),
        (['--report', '--jobs', '0'], '--jobs 0 must be 1 or more'),
    ],
)
def test_bad_arguments(setting, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(sys, 'argv', ['study.py', *arguments])
    with pytest.raises(SystemExit) as stop:
        study.main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def scores(pck: float) -> dict:
    return {'PCK': pck, 'PCK@0.1': pck / 10, 'parameters': 1_234_567, 'macs': 9.87e8}


def test_table_puts_the_papers_differences_beside_these():
    found = {'lgm-pose': 60.0, 'lite-hrnet-18': 57.5, 'wgnet': 61.0, 'hrnet-w32': 60.0, 'hevitpose-t': 70.0}
    found['greit-hrnet-18'] = 57.0
    intervals = {'lgm-pose': (0.5, 4.5), 'greit-hrnet-18': (-3, 1), 'wgnet': None}
    rows = study.table({name: scores(pck) for name, pck in found.items()}, intervals).splitlines()
    assert [row.split(' | ')[0] for row in rows[2:8]] == [
        *('| hevitpose-t', '| wgnet', '| lgm-pose', '| hrnet-w32', '| lite-hrnet-18', '| greit-hrnet-18')
    ]
    assert rows[2] == '| hevitpose-t | 1.23 M | 0.99 G | 70.00 | 7.00 |'
    assert rows[11:] == [  # and none for a peer that is missing
        '| lgm-pose - lite-hrnet-18 | +2.50 | +0.50 to +4.50 | +2.3 | yes |',
        '| greit-hrnet-18 - lite-hrnet-18 | -0.50 | -3.00 to +1.00 | +0.7 | not settled |',
        '| wgnet - hrnet-w32 | +1.00 | not known | -0.9 | no |',
    ]


def predicted(path: Path, misses: np.ndarray) -> dict:
    """What is kept of predictions for people with heads of 10 pixels, of whom one joint each is missed or not."""
    people = []
    for index, missed in enumerate(misses):
        joints = np.full((1, 16, 2), 100.0)
        away = np.zeros((1, 16, 1))
        away[0, 0], away[0, 1] = 5.01 * missed, 4.99  # beyond and within half a head
        away[0, 3] = away[0, 7] = 50  # not labelled, not counted
        visible = np.ones((1, 16), dtype=np.float32)
        visible[0, 3] = 0
        truth = dict(keypoints=joints, keypoints_visible=visible, head_size=np.array([[10.0]]))
        guess = dict(keypoints=joints - 1 + away * [0.6, 0.8])
        people.append(dict(id=index, gt_instances=truth, pred_instances=guess))
    path.write_bytes(pickle.dumps(people[::-1]))
    return dict(people=np.stack(side_by_side.joints_found(path), axis=1).tolist())


def test_interval_of_people_drawn_anew(tmp_path):
    ours = predicted(tmp_path / 'ours.pkl', np.zeros(400))
    peer = predicted(tmp_path / 'peer.pkl', np.arange(400) % 4 == 0)
    assert peer['people'][:5] == [[12, 13], [13, 13], [13, 13], [13, 13], [12, 13]]
    low, high = side_by_side.interval([ours], [peer])
    # a quarter of 400 people, each with a 13th of their joints: 25 % +- 1.96 * sqrt(0.25 * 0.75 / 400)
    assert 13 * low == pytest.approx(25 - 4.24, abs=0.3)
    assert 13 * high == pytest.approx(25 + 4.24, abs=0.3)
    assert side_by_side.interval([peer], [ours]) == pytest.approx((-high, -low), abs=0.02)
    assert side_by_side.interval([ours, ours], [peer, peer]) == pytest.approx((low, high))
    assert side_by_side.interval([ours, ours], [peer, ours]) == pytest.approx((low / 2, high / 2))


def test_no_interval_without_people():
    assert side_by_side.interval([], []) is None
    assert side_by_side.interval([dict(people=[[1, 1]])], [dict(PCK=50)]) is None


def test_claims_and_protocols_name_networks():
    assert {name for claim in study.CLAIMS for name in claim[:2]} <= set(side_by_side.NETWORKS)
    assert set(study.PROTOCOLS['cpu']['networks']) <= set(side_by_side.NETWORKS)
    assert len(study.PROTOCOLS['gpu']['networks']) == 15


def test_progress_in_words(tmp_path):
    run = side_by_side.Run(Path('config.py'), tmp_path, 40)
    assert run.progress() == 'not started'
    for stamp, records in (
        ('2_resumed', [dict(epoch=12, iter=1230, loss=0.1)]),
        ('1_started', [dict(epoch=10, iter=1000, loss=0.2), {'PCK': 41.236, 'PCK@0.1': 3.0, 'step': 10}]),
    ):
        folder = tmp_path / stamp / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, records)) + '\n{"epoch": 99, "it')
    assert run.progress() == 'in epoch 12 of 40, PCKh@0.5 41.24 and @0.1 3.00 after 10'
    assert side_by_side.unfinished([run])[-1] == f'- {tmp_path.name}: {run.progress()}'
    side_by_side.write(tmp_path / 'scores.json', '{"PCK": 1}')
    assert side_by_side.unfinished([run]) == []


def test_readmes_print_what_was_recorded(monkeypatch, capsys):
    for name in ('STUDY_SIZE', 'STUDY_EPOCHS', 'OMP_WAIT_POLICY'):
        monkeypatch.setenv(name, '')
    results = ROOT / 'configs' / 'lspet' / 'results'
    monkeypatch.setattr(sys, 'argv', ['study.py', '--protocol', 'cpu', '--report', '--out', str(results)])
    assert study.main() == 0
    row = re.compile(r'^\| [\w-]+ \| [\d.]+ m \| [\d.]+ g \| [\d.]+ \| [\d.]+ \|$', re.MULTILINE)
    difference = re.compile(r'^\| [\w-]+ - [\w-]+ \| \S+ \| \S+ to .*$', re.MULTILINE)  # whose interval is known
    printed = capsys.readouterr().out.lower()
    recorded = row.findall(printed)
    differences = set(difference.findall(printed))
    assert recorded
    assert differences
    main = (ROOT / 'README.md').read_text().replace('**', '').lower()
    assert recorded == row.findall(main)
    assert differences <= set(difference.findall(main))
    own = (ROOT / 'configs' / 'lspet' / 'README.md').read_text().lower()
    assert recorded == row.findall(own)[: len(recorded)]
    assert differences <= set(difference.findall(own))
