"What is true of every notebook: exported, clean, with outputs and captions, of the form that readers rely on."
import ast
import base64
import json
import re
import struct
from pathlib import Path

import pytest
import yaml
from conftest import REPO, SOLUTION, start

NOTEBOOKS = sorted(p for p in (REPO / 'nbs').rglob('*.ipynb') if not {'_proc', '.ipynb_checkpoints'} & set(p.parts))
CHAPTERS = [p for p in NOTEBOOKS if p.parent.name == 'nbs' and re.match(r'\d\d_', p.name)]
ADDRESS = re.search(r'^Repository = "(.+)"', (REPO / 'pyproject.toml').read_text(), flags=re.M)[1]

def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding='utf-8'))


def source(cell: dict) -> str:
    return ''.join(cell['source'])


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in read(path)['cells'] if cell['cell_type'] == 'code']


def directives(cell: dict) -> set[str]:
    return {re.split(r'[:\s]', line[2:].strip())[0] for line in source(cell).splitlines() if line.startswith('#|')}


def words(path: Path) -> str:
    return '\n\n'.join(source(cell) for cell in read(path)['cells'] if cell['cell_type'] == 'markdown')


def ids(path: Path) -> str:
    return path.relative_to(REPO / 'nbs').as_posix()


def six_lines(path: Path) -> list[str]:
    "What a chapter shows of the six lines, block by block: its own are marked with ◀."
    blocks = re.findall(r'```python\n(.*?)\n```', words(path), flags=re.S)
    return [block for block in blocks if re.search(r'# (◀ )?0\d[\d, ]*: ', block)]


def code_and_chapters(block: str) -> list[tuple[str, str]]:
    "Of each line of such a block: its code, and the chapters that its comment names; the words after them may change."
    return re.findall(r'^(.*?) *# (?:◀ )?([\d, ]+):', block, flags=re.M)


WALK, = six_lines(CHAPTERS[0])
every_notebook = pytest.mark.parametrize('path', NOTEBOOKS, ids=ids)
every_chapter = pytest.mark.parametrize('path', CHAPTERS, ids=ids)


def test_the_library_is_what_the_notebooks_export(processed):
    made = {p.relative_to(processed): p.read_text() for p in (processed / 'easing_fastai').rglob('*.py')}
    here = {p.relative_to(REPO): p.read_text() for p in (REPO / 'easing_fastai').rglob('*.py')}
    assert made.keys() == here.keys(), 'run `make export`'
    assert [str(p) for p in made if made[p] != here[p]] == [], 'run `make export`'


@every_notebook
def test_clean(processed, path):
    assert (processed / path.relative_to(REPO)).read_bytes() == path.read_bytes(), 'run `make export`'


@every_notebook
def test_kept_outputs(path):
    assert path.stat().st_size < 1_000_000
    for cell in code_cells(path):
        assert isinstance(cell['source'], list)
        for output in cell['outputs']:
            assert not re.search(r'/(home|root|Users|tmp|work)/\w', json.dumps(output)), "a path of somebody's machine"
            assert output['output_type'] != 'error' and output.get('name') != 'stderr', source(cell)
            assert not re.search(r'\d+%\|', json.dumps(output)), 'residue of a progress bar'


@every_notebook
def test_figures_have_captions_and_descriptions(path):
    for cell in code_cells(path):
        for option in re.findall(r'^#\| ([a-z-]+: .*)', source(cell), flags=re.M):
            assert isinstance(yaml.safe_load(option), dict), f'Quarto reads options as YAML, where a second colon needs quotes: {option}'
        for output in cell['outputs']:
            if png := output.get('data', {}).get('image/png'):
                assert {'fig-cap', 'fig-alt'} <= directives(cell), source(cell)
                picture = base64.b64decode(''.join(png))
                assert len(picture) < 150_000 and max(struct.unpack('>II', picture[16:24])) <= 1200


@every_notebook
def test_imports_stand_alone(path):
    # nbdev executes cells with an import again when it makes the site, without the cells around them.
    for cell in code_cells(path):
        statements = ast.parse(re.sub(r'^%.*', '', source(cell), flags=re.M)).body  # IPython's commands are no Python
        imports = [s for s in statements if isinstance(s, (ast.Import, ast.ImportFrom))]
        assert not imports or imports == statements, source(cell)


@every_notebook
def test_links_between_notebooks(path):
    for target in re.findall(r'\]\(([\w/.]+\.ipynb)', words(path)):
        assert (path.parent / target).exists(), target
    for address in re.findall(r'https://(?:github\.com|colab\.research\.google\.com/github)/easing[\w./-]*', words(path)):
        assert address.replace('colab.research.google.com/github', 'github.com').startswith(ADDRESS), address


@every_chapter
def test_the_six_lines(path):
    "Chapter 00 shows all of them; the others their own, marked, and its neighbours."
    lines, number, blocks = code_and_chapters(WALK), path.name[:2], six_lines(path)
    assert len(lines) == len(WALK.splitlines()) == 6
    own = [i for i, (_, chapters) in enumerate(lines) if number in chapters]
    assert len(blocks) == 1 if own or path == CHAPTERS[0] else len(blocks) <= 1, f'{path.name} shows them once'
    for block in blocks:
        shown = code_and_chapters(block)
        assert len(shown) == len(block.splitlines())
        first = lines.index(shown[0])
        assert shown == lines[first:first + len(shown)], 'the same in all chapters, in their order'
        assert [lines.index(line) for line in shown if number in line[1]] == own
        marked = [i for (i, line) in enumerate(block.splitlines()) if '◀' in line]
        assert not own or marked == [i for i, (_, chapters) in enumerate(shown) if number in chapters]


@every_chapter
def test_form_of_a_chapter(path):
    text = words(path)
    assert re.match(r'# \S.*\n\n> \S', text), 'a title and a one-line summary'
    assert len(re.findall(r'^## \S', text, flags=re.M)) >= 3, 'sections'
    last = source(read(path)['cells'][-1])
    assert re.search(r'\*\*Next\*\*: \[[^\]]+\]\(\w+\.ipynb\)', last), 'it ends with a link to the next'
    assert re.search(r'\*\*[^*\n]*guess[^*\n]*\*\*', text), 'the reader commits to a guess'
    assert len(re.findall(r'\w+', text)) < 25 * 220, '25 minutes of reading'
    solutions = SOLUTION.findall(text)
    assert solutions and all(re.search(r'```python\n.*?\bassert\b', solution, flags=re.S) for solution in solutions), 'exercises'
    assert '<summary>Answer</summary>' in text, 'questions'


@every_chapter
def test_code_of_a_chapter(path):
    installation, *shown = code_cells(path)
    assert "'google.colab'" in source(installation)
    assert any('assert ' in source(cell) for cell in shown)
    for cell in shown:
        assert not {'eval', 'slow', 'notest'} & directives(cell), source(cell)
        if 'hide' in directives(cell): # what only checks: nothing that a reader would miss
            assert 'assert' in source(cell) and not {'export', 'exports'} & directives(cell) and not cell['outputs'], source(cell)
    labels = [cell for cell in shown if 'label' in directives(cell)]
    assert len(labels) == 1 and source(labels[0]).startswith('#| label: key-result')
    assert len(''.join(labels[0]['outputs'][0]['text']).strip().splitlines()) == 1, 'the key result is one line'
    first = next(cell for cell in shown if "print(f'data: " in source(cell))
    assert 'backbone: ' in ''.join(first['outputs'][0]['text'])


def test_the_home_page_lists_all_chapters():
    listed = dict((file, title) for title, file in re.findall(r'\| \[\d\d ([^\]]+)\]\((\d\d_\w+)\.ipynb\)', words(REPO / 'nbs' / 'index.ipynb')))
    assert listed == {path.stem: words(path).splitlines()[0].removeprefix('# ') for path in CHAPTERS}


def test_the_short_path_takes_an_hour():
    "Its chapters are marked in the sidebar, and their reading times add up to no more than 60 minutes."
    named, = re.findall(r'\*\*60 minutes\*\*: (.*?), marked', words(REPO / 'nbs' / 'index.ipynb'))
    files = re.findall(r'\((\w+\.ipynb)\)', named)
    marked = re.findall(r"•'\n +href: (\S+)", (REPO / '_quarto.yml').read_text(encoding='utf-8'))
    assert files == marked and len(files) == 5
    minutes = [int(re.search(r'(\d+) min to read', words(REPO / 'nbs' / file))[1]) for file in files]
    assert sum(minutes) <= 60, dict(zip(files, minutes))


def test_readme_is_made_from_the_home_page():
    code = 'from easing_fastai.dev import readme as pages; from pathlib import Path; import sys; ' \
           'Path.write_text = lambda self, text, **kw: sys.stdout.write(text); pages.write_readme()'
    done = start('-c', code, cwd=REPO, PYTHONIOENCODING='utf-8')
    assert done.stdout == (REPO / 'README.md').read_text(encoding='utf-8'), 'run `make readme`' + done.stderr


def test_the_front_door():
    done = start('-c', "from easing_fastai.core import *; print(*sorted(n for n in dir() if not n.startswith('__')))")
    names = set(done.stdout.split())
    described = set(re.findall(r'^\| `(\w+)', words(REPO / 'nbs' / 'api' / '90_core.ipynb'), flags=re.M))
    assert names == described and len(names) >= 7
