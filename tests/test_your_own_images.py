"Chapter 07: the commands and the lines that it shows for a folder of your own do what it says."
import re
from pathlib import Path

import pytest
from conftest import REPO
from photos import cuttings
from test_notebooks import words
from typer.testing import CliRunner

from easing_fastai.cli import app

SHOWN = words(REPO / 'nbs' / '07_your_own_images.ipynb')


@pytest.fixture
def my_images(tmp_path, monkeypatch) -> Path:
    "Labels in the names, three classes, colour, different sizes."
    monkeypatch.chdir(tmp_path)
    Path('my_images').mkdir()
    for label in ('sky', 'temple', 'flower'):
        for i, piece in enumerate(cuttings(label, 12)):
            piece.save(f'my_images/{label}_{i:03d}.jpg')
    cuttings('sky', 1, seed=9)[0].save('image.png')
    return tmp_path


@pytest.mark.long
def test_the_commands(my_images, monkeypatch):
    shown = []
    monkeypatch.setattr('easing_fastai.serve.serve.serve', lambda *args, **kwargs: shown.append(args)) # it would go on until Ctrl-C
    block, = re.findall(r'```\n(easing-fastai .*?)```', SHOWN, flags=re.S)
    lines = [line.split()[1:] for line in block.splitlines()]
    assert [line[0] for line in lines] == ['check', 'train', 'predict', 'serve']
    for line in lines:
        done = CliRunner().invoke(app, line, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    assert len(shown) == 1
    assert sorted(p.name for p in my_images.iterdir()) == ['image.png', 'my_images', 'my_model']


def test_the_lines_to_begin_with(my_images):
    block, = [code for code in re.findall(r'```python\n(.*?)```', SHOWN, flags=re.S) if 'my_label' in code]
    scope = {}
    exec(block.replace('Resize(224)', 'Resize(32)').replace('bs=16,', 'bs=4, num_workers=0,'), scope)
    table = scope['labels_by_file'](scope['dls'])
    assert set(table['label']) == {'sky', 'temple', 'flower'} and len(table) == 36
    assert all(file.startswith(label) for file, label in zip(table['file'], table['label']))
