"""The import graph of the package: rooms are its top-level modules and folders."""

import ast
from pathlib import Path

import pytest

import mmpose_lite

PACKAGE = Path(mmpose_lite.__file__).parent
HEAVY = {'torch', 'torchvision', 'mmpose', 'mmengine', 'mmcv', 'mmdet'}
FILES = sorted(PACKAGE.rglob('*.py'))


def imports(path: Path) -> list[tuple[str, bool]]:
    """Absolute names of what a file imports, and whether that happens when the file is imported."""
    package = ('mmpose_lite', *path.relative_to(PACKAGE).parent.parts)
    found = []

    def visit(node: ast.AST, at_import: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((alias.name, at_import) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                start = '.'.join(package[: len(package) - child.level + 1]) if child.level else ''
                module = '.'.join(filter(None, (start, child.module)))
                found.extend((f'{module}.{alias.name}', at_import) for alias in child.names)
            elif isinstance(child, ast.If) and 'TYPE_CHECKING' in ast.unparse(child.test):
                continue
            else:
                visit(child, at_import and not isinstance(child, (ast.FunctionDef, ast.Lambda)))

    visit(ast.parse(path.read_text('utf-8')), True)
    return found


def room(name: str) -> str | None:
    """The room that an absolute name belongs to, None for the package itself and for others' packages."""
    first, *rest = name.split('.')
    return (
        rest[0]
        if first == 'mmpose_lite' and rest and (PACKAGE / rest[0]).is_dir()
        else (rest[0] if first == 'mmpose_lite' and rest and (PACKAGE / f'{rest[0]}.py').is_file() else None)
    )


def graph() -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for path in FILES:
        parts = path.relative_to(PACKAGE).with_suffix('').parts
        if parts == ('__init__',):
            continue  # it imports what registers itself; nobody imports it
        goals = {room(name) for name, _ in imports(path)} - {None, parts[0]}
        edges.setdefault(parts[0], set()).update(goals)
    return edges


def test_no_cycle_between_rooms():
    edges, done = graph(), set()
    assert {'runtime', 'inference', 'models', 'deploy', 'cli'} <= edges.keys()

    def walk(start: str, trail: tuple[str, ...]) -> None:
        assert start not in trail, ' -> '.join((*trail, start))
        if start not in done:
            for goal in sorted(edges.get(start, ())):
                walk(goal, (*trail, start))
            done.add(start)

    for start in sorted(edges):
        walk(start, ())


@pytest.mark.parametrize('part', ['version', 'files', 'runtime', 'inference'])
def test_light_rooms_import_nothing_heavy(part):
    paths = [path for path in FILES if path.relative_to(PACKAGE).with_suffix('').parts[0] == part]
    assert paths
    heavy = {
        f'{path.name}: {name}'
        for path in paths
        for name, at_import in imports(path)
        if at_import and name.split('.')[0] in HEAVY
    }
    assert not heavy
