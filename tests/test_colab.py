"Every chapter with its solutions, from top to bottom, in a place like Google Colab: an installed package, no repository."
import re
import zipfile

import nbformat
import pytest
from conftest import REPO, made_once, read_only, run_notebook, start, state, with_solutions
from test_notebooks import ADDRESS, ids
from test_package import installed_with

PAGES = [*sorted((REPO / 'nbs').glob('[0-9]*_*.ipynb')), REPO / 'nbs' / 'recipes.ipynb', REPO / 'nbs' / 'cheat_sheet.ipynb']

STAND_INS = {  # what is different there, as far as notebooks can see it
    'google/colab/__init__.py': '',
    'google/colab/_shell.py': 'from ipykernel.zmqshell import ZMQInteractiveShell\nclass Shell(ZMQInteractiveShell): pass',
    'google/colab/_kernel.py': 'from ipykernel.ipkernel import IPythonKernel\nfrom google.colab._shell import Shell\n'
                               'class Kernel(IPythonKernel): shell_class = Shell',
    'pip.py': "import os, sys\nopen(os.environ['PIP_LOG'], 'a').write(' '.join(sys.argv[1:]) + '\\n')",
}
# nbdev-test has a shell of its own, which takes the name of Colab's in this cell; and what the pages don't need is taken away
FIRST = """import google.colab, sys
type(get_ipython()).__module__ = 'google.colab._shell'
sys.modules.update(pytest=None, playwright=None)"""
LAST = """import easing_fastai
assert 'google.colab' in sys.modules and 'packages' in easing_fastai.__file__"""
EXECUTE = 'import sys, nbformat; from easing_fastai.dev.run import execute; execute(nbformat.read(sys.argv[1], 4), sys.argv[2])'
INSTALL = f'install -q git+{ADDRESS}@main'


@pytest.fixture(scope='session')
def colab(wheel, tmp_path_factory) -> dict[str, str]:
    "The environment variables of processes that are in such a place."
    def furnish(folder):
        zipfile.ZipFile(wheel).extractall(folder / 'packages')
        files = {folder / 'packages' / name: text for name, text in STAND_INS.items()}
        config = folder / 'ipython' / 'profile_default' / 'ipython_kernel_config.py'
        files[config] = "c.IPKernelApp.kernel_class = 'google.colab._kernel.Kernel'"
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + '\n')

    folder = made_once('colab', furnish, tmp_path_factory)
    return {'PYTHONPATH': str(folder / 'packages'), 'IPYTHONDIR': str(folder / 'ipython')}


@pytest.fixture(scope='module')
def data(digits):
    "The data folder, in which nobody may write."
    before = state(digits.parent)
    read_only(digits.parent, True)
    yield digits
    read_only(digits.parent, False)
    assert state(digits.parent) == before, 'a page has written into the data folder'


@pytest.mark.long
@pytest.mark.notebook
@pytest.mark.parametrize('path', PAGES, ids=ids)
def test_a_page_runs_there(path, colab, data, tmp_path):
    nb, log = with_solutions(path), tmp_path / 'pip.log'
    assert not any(re.search(r'(from|import) nbdev', cell.source) for cell in nb.cells), 'nbdev is not there'
    nb.cells = [nbformat.v4.new_code_cell(FIRST), *nb.cells, nbformat.v4.new_code_cell(LAST)]
    run_notebook(nb, path.name, tmp_path / 'content', PIP_LOG=str(log), **colab)
    assert log.read_text().splitlines() == [INSTALL], 'it installs the package, once'


@pytest.mark.long
@pytest.mark.notebook
def test_a_kernel_there(colab, data, tmp_path):
    "The same cell installs in a kernel and a shell of Colab's names."
    installs = next(cell for cell in nbformat.read(PAGES[0], 4).cells if 'google.colab' in cell.source)
    last = f'import google.colab._shell\n{LAST}\nassert type(get_ipython()) is google.colab._shell.Shell'
    sources = [installs.source, 'from easing_fastai.core import *', 'check_environment()', 'import sys\n' + last]
    nbformat.write(nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, sources))), tmp_path / 'page.ipynb')
    (tmp_path / 'content').mkdir()
    done = start('-c', EXECUTE, str(tmp_path / 'page.ipynb'), str(tmp_path / 'content'), PIP_LOG=str(tmp_path / 'pip.log'), **colab)
    assert done.returncode == 0, done.stderr[-6000:]
    assert (tmp_path / 'pip.log').read_text().splitlines() == [INSTALL]
    assert list((tmp_path / 'content').iterdir()) == []


def test_the_kernel_of_colab_stays_as_it_is():
    names = installed_with('easing_fastai', '', set())
    assert {'fastai', 'torch', 'rich'} <= names
    assert not names & {'ipykernel', 'ipython', 'jupyter-client', 'jupyter-server', 'notebook', 'tornado', 'traitlets', 'pyzmq'}


def test_the_head_of_each_page():
    code = 'from easing_fastai.dev import heads as pages; cells = lambda nb: [cell.source for cell in nb.cells]\n' \
           'pages.nbformat.write = lambda nb, path: print(cells(nb) == cells(pages.nbformat.read(path, 4)), path.name)\n' \
           'pages.write_heads()'
    done = start('-c', code, cwd=REPO)
    assert [line.split() for line in done.stdout.splitlines()] == [['True', path.name] for path in PAGES], 'run `make export`'
    for path in PAGES:
        words = nbformat.read(path, 4).cells[1].source
        minutes = re.fullmatch(rf'\[Open in Colab\]\(\S+/github/easing-fastai/\S+{path.name}\) · \[Source\]\({ADDRESS}/\S+\) · (\d+) min to read', words)
        assert int(minutes[1]) <= 15, f'{path.name} takes {minutes[1]} minutes to read: split it, or take words away'
