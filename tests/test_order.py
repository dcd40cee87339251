"No chapter uses a name or a concept before the chapter that explains it. explained.csv says which that is."
import ast
import csv
import inspect
import re
import sys
from pathlib import Path

import pytest
from test_notebooks import CHAPTERS, WALK, code_cells, every_chapter, source, words

ROWS = list(csv.DictReader((Path(__file__).parent / 'explained.csv').read_text(encoding='utf-8').splitlines()))


def sentences(path: Path) -> list[str]:
    "The prose of a chapter without blocks of code, and without sentences that point to another chapter."
    text = re.sub(r'```.*?```', '', words(path), flags=re.S)
    found = re.split(r'(?<=[.?!:;|])\s+|\n\n|\n- ', text)
    return [s for s in found if not re.search(r'[Cc]hapters? \d\d|\]\(\d\d\w*\.ipynb', s)]


def uses(path: Path, row: dict) -> list[str]:
    "Where a chapter uses a name (in prose as code, or in its cells) or a concept (in prose)."
    name = re.escape(row['name'])
    if row['kind'] == 'concept':
        return [s for s in sentences(path) if re.search(rf'\b{name}', re.sub(r'`[^`]*`', '', s), flags=re.I)]
    prose = [s for s in sentences(path) if re.search(rf'`[^`]*\b{name}\b[^`]*`', s)]
    lines = [line for cell in code_cells(path) for line in re.sub(r'^from \S+', '', source(cell), flags=re.M).splitlines()
             if re.search(rf"(?<![\w'\"-]){name}(?![\w'\"-])", line.split('#')[0])]
    return prose + lines


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row['name'])
def test_explained_before_use(row):
    for path in CHAPTERS:
        number = path.name[:2]
        if number < row['chapter']:
            early = uses(path, row)
            assert not early, f"{path.stem} uses {row['name']}, which chapter {row['chapter']} explains: {early[0]}"
        if number == row['chapter']:
            said = re.sub(r'```.*?```', '', words(path), flags=re.S)
            found = re.search(rf"\b{re.escape(row['name'])}", said, flags=re.I)
            assert found or row['name'] in WALK, f"{path.stem} says nothing about {row['name']}"


def test_the_table_is_in_order():
    chapters = [row['chapter'] for row in ROWS]
    assert chapters == sorted(chapters) and set(chapters) <= {path.name[:2] for path in CHAPTERS}
    assert len({row['name'] for row in ROWS}) == len(ROWS) and {row['kind'] for row in ROWS} == {'name', 'concept', 'walk'}


@pytest.fixture(scope='module')
def of_fastai() -> dict:
    "The functions and classes that `from fastai.vision.all import *` brings, without those of other packages."
    import fastai.vision.all
    modules = [module for name, module in sys.modules.items() if name.split('.')[0] == 'fastai']
    public = {name for module in modules for name in getattr(module, '__all__', [])}
    return {name: value for name, value in vars(fastai.vision.all).items()
            if name in public and callable(value) and not inspect.ismodule(value)}


def names_of_its_own(nodes: list[ast.AST]) -> set[str]:
    "What a chapter's code calls something: its variables, arguments, functions, classes, and what it takes from other packages."
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and not node.module.startswith('fastai')]
    return ({node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            | {node.arg for node in nodes if isinstance(node, ast.arg)}
            | {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
            | {alias.asname or alias.name for node in imports for alias in node.names})


@every_chapter
def test_the_table_has_every_name_of_fastai(path, of_fastai):
    "Also the methods that are called on a class, such as `PILImage.create`."
    nodes = [node for cell in code_cells(path) for node in ast.walk(ast.parse(source(cell)))]
    known = of_fastai.keys() - names_of_its_own(nodes)
    used = {node.id for node in nodes if isinstance(node, ast.Name) and node.id in known}
    used |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
             and node.value.id in known and isinstance(of_fastai[node.value.id], type)
             and callable(getattr(of_fastai[node.value.id], node.attr, None))}
    assert sorted(used - {row['name'] for row in ROWS}) == [], 'add them to explained.csv, and explain them'
