"A sample of the cases in fault_cases.py; `make faults` runs all of them. And damaged files of the package itself."
import ast
import shutil
import sys
from importlib import resources
from pathlib import Path

import pytest
from conftest import REPO
from fault_cases import python
from faults import failure, sample

from easing_fastai.base import files as base_files
from easing_fastai.base import show
from easing_fastai.base.files import PackageError, noted_hashes, packaged, rows_of
from easing_fastai.decode import dictionary
from easing_fastai.diagnose.kinds.names import table
from easing_fastai.images.check import known_problems


@pytest.fixture(scope='module', autouse=True)
def one_python():
    "The process that the cases are forked from."
    yield
    python.end()


@pytest.mark.skipif(sys.platform != 'linux', reason='pipes, links and forked processes')
@pytest.mark.parametrize('case', [*sample(60), *(pytest.param(case, marks=pytest.mark.long) for case in sample(40, light=False))],
                         ids=lambda case: case.name)
def test_a_fault(case):
    assert failure(case) is None


# ---- what comes with the package ----

READERS = {'names.ini': lambda: dictionary.__wrapped__(), 'image_problems.csv': known_problems,
           **{name: lambda name=name: table(name) for name in ('old_lines.csv', 'packages.csv', 'gone.csv', 'messages.csv')},
           **{name: lambda name=name: show.templates.__wrapped__().get_template(name) for name in ('table.html', 'page.html', 'model.html')}}


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    "A copy of the package's files, which is taken for the package."
    shutil.copytree(Path(str(resources.files('easing_fastai'))) / 'data', tmp_path / 'data')
    monkeypatch.setattr(base_files.resources, 'files', lambda name: tmp_path)
    return tmp_path / 'data'


@pytest.mark.parametrize('name', READERS)
@pytest.mark.parametrize('part', [0, 37, 0.5, -1])
def test_a_file_of_the_package_that_is_cut_off(package, name, part):
    READERS[name]()
    content = (package / name).read_bytes()
    (package / name).write_bytes(content[:int(part * len(content)) if part == 0.5 else part])
    with pytest.raises(PackageError, match=rf'{name}.*damaged.*pip install --force-reinstall'): READERS[name]()


@pytest.mark.parametrize('name', READERS)
def test_a_file_of_the_package_that_is_another(package, monkeypatch, name):
    "It can be read, and pip has noted another hash."
    (package / name).write_bytes(b'\n'.join((package / name).read_bytes().split(b'\n')[:-2]) + b'\n')
    monkeypatch.setattr(base_files, 'noted_hashes', lambda: {str(package / name): 'another'})
    with pytest.raises(PackageError, match='it was changed'): packaged(name)


def test_what_pip_has_noted(monkeypatch):
    "Nothing of a clone; of an installed package, the hash of each file."
    class Noted:
        hash = type('Hash', (), {'mode': 'sha256', 'value': 'x'})
        def locate(self): return 'somewhere'
    monkeypatch.setattr(base_files.metadata, 'files', lambda name: [Noted()])
    assert list(noted_hashes.__wrapped__().values()) == ['x']
    monkeypatch.setattr(base_files.metadata, 'files', lambda name: None)
    assert noted_hashes.__wrapped__() == {}


@pytest.mark.parametrize('text', ['', 'a,b\n', 'a,b\n1\n', 'a,b\n1,2,3\n'])
def test_what_is_no_whole_table(text):
    with pytest.raises(ValueError): rows_of(text)


# ---- what is opened as an image ----

TAUGHT_OR_MADE_HERE = {'dev/page.py', 'dev/home_figure.py'}


def test_every_image_is_opened_in_known_formats():
    "`Image.open` without `formats=` hands PostScript to another program."
    found = set()
    for file in sorted((REPO / 'easing_fastai').rglob('*.py')):
        calls = (node for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))) if isinstance(node, ast.Call))
        if any(ast.unparse(call.func) == 'Image.open' and not {k.arg for k in call.keywords} & {'formats'} for call in calls):
            found.add(file.relative_to(REPO / 'easing_fastai').as_posix())
    assert found <= TAUGHT_OR_MADE_HERE
