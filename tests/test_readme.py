"""The README: what it names exists, and its plain commands are those of the Makefile."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / 'README.md').read_text()
ENDINGS = 'py|txt|jpg|gif|safetensors'
FILES = sorted(set(re.findall(rf'\b(?:configs|demo|tools|mmpose_lite)/[\w./-]+\.(?:{ENDINGS})\b', README)))


def test_readme_names_files():
    assert len(FILES) > 5


@pytest.mark.parametrize('name', FILES)
def test_named_file_exists(name):
    assert (ROOT / name).is_file()


@pytest.mark.parametrize('target', ['demo', 'test'])
def test_plain_commands_are_those_of_make(target):
    make = ['make', '--dry-run', target]
    steps = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tools = r'mim train|mim test|mmpose-lite toy-(?:data|video)|python demo/topdown_demo\.py|python -m pytest'
    commands = re.findall(rf'^(?:\w+=\S+ )?((?:{tools})[^|&\n\\]*)', steps.replace('\\\n', ' '), re.MULTILINE)
    plain = README.replace('\\\n', ' ')
    for command in commands:
        for word in command.split():
            # folders differ, and the Makefile asks which checkpoint is the last where the README names it
            if re.match(r'configs/|demo/|mmpose_lite/|--(?!work-dir|resume|val)|\d+$', word) and word != '100':
                assert word in plain, f'{word} of `make {target}` is not in the README'
    assert commands


def test_no_placeholder_is_left():
    assert re.findall(r'@[A-Z]+@', README) == []
