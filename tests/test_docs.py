"""README and guides: what they link and name exists, and the plain commands are those of the Makefile."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [
        *ROOT.glob('*.md'),
        *ROOT.glob('docs/*.md'),
        *ROOT.glob('configs/**/*.md'),
        *ROOT.glob('mmpose_lite/**/*.md'),
        *ROOT.glob('research/*.md'),
    ]
)
ENDINGS = 'py|txt|jpg|gif|png|md|csv|safetensors'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_links_and_names_exists(page):
    text = page.read_text()
    links = [link for link in re.findall(r'\]\(([^)\s]+)\)', text) if not re.match(r'https?:|#', link)]
    assert [link for link in links if not (page.parent / link.partition('#')[0]).exists()] == []
    named = re.findall(
        rf'(?<![\w/.])(?:configs|demo|tools|tests|docs|research|mmpose_lite)/[\w./-]+\.(?:{ENDINGS})\b', text
    )
    if page.name != 'CHANGELOG.md':  # which also names what is gone
        assert [name for name in named if not (ROOT / name).is_file()] == []


def test_readme_is_short():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 150


def test_anchors_exist():
    headings = {
        page: {
            re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-')
            for title in re.findall(r'^#+ (.*)', page.read_text(), re.M)
        }
        for page in PAGES
    }
    for page in PAGES:
        for target, anchor in re.findall(r'\]\(([^)\s:]*)#([^)\s]+)\)', page.read_text()):
            assert anchor in headings[(page.parent / target).resolve() if target else page], (page.name, target, anchor)


@pytest.mark.parametrize('target', ['demo', 'test'])
def test_plain_commands_are_those_of_make(target):
    make = ['make', '--dry-run', target]
    steps = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tools = r'mim train|mim test|mmpose-lite [\w-]+|python demo/topdown_demo\.py|python -m pytest'
    commands = re.findall(rf'^(?:\w+=\S+ )?((?:{tools})[^|&\n\\]*)', steps.replace('\\\n', ' '), re.MULTILINE)
    plain = (ROOT / 'docs/install.md').read_text().replace('\\\n', ' ')
    for command in commands:
        for word in command.split():
            # folders differ, and the Makefile asks which checkpoint is the last where the guide names it
            if re.match(r'configs/|demo/|mmpose_lite/|--(?!work-dir|resume|val)|\d+$', word) and word != '100':
                assert word in plain, f'{word} of `make {target}` is not in docs/install.md'
    assert commands


def test_baselines_are_configs_of_mmpose():
    import mmpose

    folder = Path(mmpose.__file__).parent / '.mim/configs/body_2d_keypoint/topdown_heatmap'
    named = re.findall(r'`((?:coco|mpii)/td-hm_\S+\.py)`', (ROOT / 'docs/baselines.md').read_text())
    assert len(named) > 30
    assert [name for name in named if not (folder / name).is_file()] == []
