"""Pictures and videos with flipped, cut and doubled bytes, in one run: every readable one is done, no other unnamed.

``MUTATED_PICTURES=2000 MUTATED_VIDEOS=200 pytest tests/test_inference/test_mutated.py`` is the long run.
"""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from mmpose_lite.inference import VideoReader, read_image

from .conftest import POSE_CONFIG, ROOT
from .test_video import make_video

PICTURES, VIDEOS = (int(os.environ.get(f'MUTATED_{kind}', few)) for kind, few in (('PICTURES', 40), ('VIDEOS', 8)))


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        kind, place = rng.integers(4), int(rng.integers(max(1, len(content))))
        length = int(rng.integers(1, 64))
        if kind == 0:
            for spot in rng.integers(0, max(1, len(content)), 8):
                content[spot : spot + 1] = bytes([content[spot] ^ (1 << int(rng.integers(8)))] if len(content) else b'')
        elif kind == 1:
            del content[place:]
        elif kind == 2:
            content[place:place] = content[place : place + length]
        else:
            head = int(rng.integers(min(128, max(1, len(content)))))  # where the formats keep their sizes
            content[head : head + 1] = bytes([int(rng.integers(256))])
    return bytes(content)


def readable(path: Path) -> bool:
    try:
        read_image(path)
    except ValueError:
        return False
    return True


def whole(path: Path) -> bool:
    try:
        with VideoReader(path) as video:
            count = sum(1 for _ in video)
            return bool(count) and not video.damage
    except ValueError:
        return False


def test_mutated_files(tmp_path, weights, scenes):
    rng, folder = np.random.default_rng(int(os.environ.get('MUTATED_SEED', 0))), tmp_path / 'in'
    folder.mkdir()
    image = cv2.resize(scenes[0].image, (100, 80))
    suffixes = '.jpg', '.png', '.bmp', '.webp', '.tif', '.ppm', '.jp2'
    sound = {suffix: cv2.imencode(suffix, image)[1].tobytes() for suffix in suffixes}
    for index in range(PICTURES):
        suffix = suffixes[index % len(suffixes)]
        (folder / f'p{index:04}{suffix}').write_bytes(mutate(sound[suffix], rng))
    films = {suffix: make_video(tmp_path / f'x{suffix}', 6).read_bytes() for suffix in ('.mp4', '.avi', '.mkv')}
    for index in range(VIDEOS):
        suffix = list(films)[index % len(films)]
        (folder / f'v{index:03}{suffix}').write_bytes(mutate(films[suffix], rng))
    out = tmp_path / 'out'
    command = [sys.executable, ROOT / 'demo/topdown_demo.py', folder, '--whole-image', '--out-dir', out]
    command += ['--pose-config', POSE_CONFIG, '--pose-checkpoint', weights]
    environment = dict(os.environ, OMP_NUM_THREADS='1')
    done = subprocess.run(list(map(str, command)), capture_output=True, env=environment)
    said = done.stderr.decode(errors='replace')
    assert done.returncode in (0, 1), said[-3000:]
    assert 'Traceback' not in said
    good = bad = 0
    for path in sorted(folder.iterdir()):
        video = path.name.startswith('v')
        result = out / f'{path.stem}.json{"l" if video else ""}'
        good, bad = good + result.exists(), bad + (not result.exists())
        assert result.exists() or path.name in said, path
        assert result.exists() == (whole(path) if video else readable(path)), (path, said[-500:])
        if not video and result.exists():
            assert any((out / name).exists() for name in (path.name, f'{path.stem}.jpg', f'{path.stem}.png')), path
    print(f'{good} of {good + bad} done, {bad} named, exit code {done.returncode}')
