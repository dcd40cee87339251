"The floor plan: what a room may import, names that stand once, cells that fit a screen, and what ruff finds."
import ast
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from conftest import REPO, start

LIBRARY = REPO / 'easing_fastai'
MODULES = sorted(path for path in LIBRARY.rglob('*.py') if path.name != '_modidx.py')
FLOORS = [['base'], ['assets', 'plain', 'unpack', 'decode', 'anatomy', 'diagnose', 'images'], ['train', 'speed'],
          ['serve'], ['experiments'], ['chapters'], ['figures', 'core', 'cli', 'magics', 'dev']]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# What may be imported from the same floor: this direction and no other.
BESIDE = {('cli', 'dev'), ('dev', 'core'), ('cli', 'figures'), ('__main__', 'cli'), ('assets', 'plain'), ('dev', 'figures'), ('diagnose', 'images')}
PLAIN = {'torch', 'torchvision', 'PIL', 'numpy'}


# Exceptions that are known, to be emptied: one that is no longer needed fails, too.
UPWARDS = set()
NOT_PLAIN = set()
DEFINED_TWICE = set()
HIGH_CELLS = set()
WIDE_CELLS = set()
SIX_LINES_TWICE = set()
NOT_PLOTS = set()
NOT_YET_RUFFED = set()


def held(found: set, known: set, rule: str):
    assert not found - known, f'{rule}: {sorted(found - known)}'
    assert not known - found, f'no exception any more, take it out: {sorted(known - found)}'


def name_of(path: Path) -> str:
    "As easing_fastai.base.show, or easing_fastai.base for the package itself."
    return '.'.join(path.relative_to(REPO).with_suffix('').parts).removesuffix('.__init__')


NAMES = {name_of(path): path for path in MODULES}


def number(name: str) -> str:
    "What the name of a module's notebook begins with: the place in reading order."
    found = re.search(r'File to edit: \S*?([^/]+)\.ipynb', NAMES[name].read_text(encoding='utf-8'))
    return found[1] if found else ''


def imports(path: Path) -> set[str]:
    "All that a module imports, anywhere in it: modules of the library, and packages by their first name."
    package = name_of(path).split('.') if path.name == '__init__.py' else name_of(path).split('.')[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            above = package[:len(package) - node.level + 1] if node.level else []
            module = '.'.join([*above, *filter(None, [node.module])])
            inside = {f'{module}.{alias.name}' for alias in node.names} & NAMES.keys()
            found |= inside or {module}
    return found


def room(name: str) -> str:
    return (name.split('.') + [''])[1]


def test_imports_run_downwards():
    upwards = set()
    for own, path in NAMES.items():
        for other in imports(path) & NAMES.keys() - {'easing_fastai', own}:
            lower = FLOOR[room(other)] < FLOOR.get(room(own), len(FLOORS))
            earlier = room(other) == room(own) and number(other) < number(own)
            if not (lower or earlier or (room(own), room(other)) in BESIDE):
                upwards.add(f'{own} {other}')
    held(upwards, UPWARDS, 'an import that does not run downwards')


def test_every_room_is_on_the_plan():
    rooms = {room(name) for name in NAMES} - {'', '__main__'}
    assert rooms == FLOOR.keys()


def test_twins_import_nothing_of_fastai():
    others = set()
    for path in (LIBRARY / 'plain').glob('*.py'):
        outside = {name.split('.')[0] for name in imports(path)} - sys.stdlib_module_names - PLAIN - {'easing_fastai'}
        others |= {f'{path.stem} {name}' for name in outside}
    held(others, NOT_PLAIN, 'imported by a twin')


def definitions(path: Path) -> list[ast.AST]:
    "The functions and classes at the top of a module, without methods that `@patch` puts elsewhere."
    nodes = ast.parse(path.read_text(encoding='utf-8')).body
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node for node in nodes if isinstance(node, kinds)
            and not any(ast.unparse(d).split('(')[0] in ('patch', 'patch_to') for d in node.decorator_list)]


def test_every_name_is_defined_once():
    where = defaultdict(set)
    for path in MODULES:
        for node in definitions(path):
            where[node.name].add(name_of(path))
    held({name for name, modules in where.items() if len(modules) > 1}, DEFINED_TWICE, 'defined in two modules')


def test_cells_fit_a_screen():
    high, wide = set(), set()
    for name, path in NAMES.items():
        for cell in re.split(r'^# %% ', path.read_text(encoding='utf-8'), flags=re.M)[1:]:
            head, _, code = cell.partition('\n')
            lines = [] if head.startswith('auto') else code.strip('\n').splitlines()
            if len(lines) > 40:
                high.add(f'{name} {head.split()[-1]}')
            if any(len(line) > 120 for line in lines):
                wide.add(name)
    held(high, HIGH_CELLS, 'more than 40 lines in an exported cell')
    held(wide, WIDE_CELLS, 'more than 120 characters in a line')


def test_no_six_lines_stand_twice():
    seen = defaultdict(set)
    for path in MODULES:
        lines = [line.strip() for line in path.read_text(encoding='utf-8').splitlines()]
        lines = [line for line in lines if line and not line.startswith(('#', 'import ', 'from '))]
        for i in range(len(lines) - 5):
            seen['\n'.join(lines[i:i + 6])].add((name_of(path), i))
    twice = [sorted(places) for places in seen.values() if len(places) > 1]
    held({' '.join(name for name, _ in places) for places in twice}, SIX_LINES_TWICE, 'six lines that stand twice')


def test_figures_only_plot():
    others = set()
    for path in (LIBRARY / 'figures').glob('*.py'):
        for node in definitions(path):
            public = not node.name.startswith('_')
            names = [arg.arg for arg in (*node.args.args, *node.args.kwonlyargs)] if isinstance(node, ast.FunctionDef) else []
            if public and not (node.name.startswith('plot_') and {'ax', 'axes'} & set(names)):
                others.add(f'{path.stem}.{node.name}')
    held(others, NOT_PLOTS, 'in figures, but not a plot_… that takes axes')


def test_the_front_door_brings_its_public_names_and_nothing_else():
    code = "import types, easing_fastai.core as c; print(*sorted(set(c.__all__)))\n" \
           "print(*sorted(n for n, v in vars(c).items() if not n.startswith('_') and not isinstance(v, types.ModuleType)))"
    done = start('-c', code)
    public, there = map(str.split, done.stdout.splitlines())
    assert public == there, done.stderr


def test_the_old_house_is_gone():
    old = re.compile(r'easing_fastai[./]' + 'tools|nbs/' + 'tools|import easing_fastai\\.tools')
    for folder in ('nbs', 'easing_fastai', 'tests', '.github'):
        for path in (REPO / folder).rglob('*'):
            if path.suffix in {'.py', '.ipynb', '.md', '.txt', '.qmd', '.yaml', '.html', '.ini'} and '_proc' not in path.parts:
                assert not old.search(path.read_text(encoding='utf-8')), path
    for path in (path for path in REPO.iterdir() if path.is_file() and path.name != 'CHANGELOG.md'):
        assert not old.search(path.read_text(encoding='utf-8', errors='replace')), path


def test_ruff_finds_nothing():
    command = [sys.executable, '-m', 'ruff', 'check', '--no-cache', '--output-format', 'json', 'easing_fastai', 'tests', 'setup.py']
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
    found = defaultdict(list)
    for one in json.loads(done.stdout):
        file = '/'.join(Path(one['filename']).relative_to(REPO).parts[-2:])
        found[file].append(f"{one['location']['row']}: {one['code']} {one['message']}")
    for file in found.keys() - NOT_YET_RUFFED:
        print(file, *found[file], sep='\n    ')
    held(set(found), NOT_YET_RUFFED, 'ruff check')
