"Every chapter with its solutions, from top to bottom, in a place like Google Colab: an installed package, no repository."
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from conftest import REPO, copy_repo, read_only, state, with_solutions, without_privileges
from test_chapters import nbdev_test
from test_notebooks import ADDRESS, CHAPTERS
from test_package import installed_with

PAGES = [*sorted((REPO / "nbs").glob("[0-9]*_*.ipynb")), REPO / "nbs" / "cheat_sheet.ipynb"]

STAND_INS = {  # what is different there, as far as notebooks can see it
    "google/colab/__init__.py": "",
    "google/colab/_shell.py": "from ipykernel.zmqshell import ZMQInteractiveShell\nclass Shell(ZMQInteractiveShell): pass",
    "google/colab/_kernel.py": "from ipykernel.ipkernel import IPythonKernel\nfrom google.colab._shell import Shell\n"
                               "class Kernel(IPythonKernel): shell_class = Shell",
    "pip.py": "import os, sys\nopen(os.environ['PIP_LOG'], 'a').write(' '.join(sys.argv[1:]) + '\\n')",
}
# nbdev-test has a shell of its own, which takes the name of Colab's in this cell; and what the pages don't need is taken away
FIRST = """import google.colab, sys
type(get_ipython()).__module__ = 'google.colab._shell'
sys.modules.update(pytest=None, playwright=None)"""
LAST = """import easing_fastai
assert 'google.colab' in sys.modules and 'packages' in easing_fastai.__file__"""
EXECUTE = "import sys, nbformat; from easing_fastai.dev.run import execute; execute(nbformat.read(sys.argv[1], 4), sys.argv[2])"
INSTALL = f"install -q git+{ADDRESS}@main"


@pytest.fixture(scope="module")
def colab(tmp_path_factory) -> dict[str, str]:
    "The environment variables of processes that are in such a place."
    folder = tmp_path_factory.mktemp("colab")
    pip = [sys.executable, "-m", "pip"]
    wheel = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(copy_repo(folder / "source"))]
    subprocess.run(wheel, check=True, capture_output=True, text=True)
    install = [*pip, "install", "-q", "--no-deps", "--target", str(folder / "packages"), *map(str, folder.glob("*.whl"))]
    subprocess.run(install, check=True, capture_output=True, text=True)
    for name, text in STAND_INS.items():
        path = folder / "packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    config = folder / "ipython" / "profile_default" / "ipython_kernel_config.py"
    config.parent.mkdir(parents=True)
    config.write_text("c.IPKernelApp.kernel_class = 'google.colab._kernel.Kernel'\n")
    return {"PYTHONPATH": str(folder / "packages"), "IPYTHONDIR": str(folder / "ipython")}


@pytest.fixture(scope="module")
def data(digits):
    "The data folder, in which nobody may write."
    before = state(digits.parent)
    read_only(digits.parent, True)
    yield digits
    read_only(digits.parent, False)
    assert state(digits.parent) == before, "a page has written into the data folder"


def test_all_pages_run_there(colab, data, tmp_path):
    nbs = tmp_path / "content" / "nbs"
    nbs.mkdir(parents=True)
    shutil.copy(REPO / "pyproject.toml", nbs.parent)
    for path in PAGES:
        nb = with_solutions(path)
        assert not any(re.search(r"(from|import) nbdev", cell.source) for cell in nb.cells), f"{path.name}: nbdev is not there"
        nb.cells = [nbformat.v4.new_code_cell(FIRST), *nb.cells, nbformat.v4.new_code_cell(LAST)]
        nbformat.write(nb, nbs / path.name)
    before, log = state(nbs.parent), tmp_path / "pip.log"
    done = nbdev_test(nbs.parent, "--n-workers", "2", "--timing", PIP_LOG=str(log), **colab)
    assert done.returncode == 0, done.stderr[-6000:]
    assert log.read_text().splitlines() == [INSTALL] * len(PAGES), "each page installs the package, once"
    assert state(nbs.parent) == before, "a page has left something in the working folder"


def test_a_page_runs_in_a_kernel_there(colab, data, tmp_path):
    "The same with a kernel and a shell of Colab's names, which is slower to start."
    nb = with_solutions(PAGES[0])
    nb.cells.append(nbformat.v4.new_code_cell(f"import google.colab._shell, sys\n{LAST}\nassert type(get_ipython()) is google.colab._shell.Shell"))
    nbformat.write(nb, tmp_path / "page.ipynb")
    (tmp_path / "content").mkdir()
    command = without_privileges([sys.executable, "-c", EXECUTE, str(tmp_path / "page.ipynb"), str(tmp_path / "content")])
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **colab, "PIP_LOG": str(tmp_path / "pip.log")}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-6000:]
    assert (tmp_path / "pip.log").read_text().splitlines() == [INSTALL]
    assert list((tmp_path / "content").iterdir()) == []


def test_the_kernel_of_colab_stays_as_it_is():
    names = installed_with("easing_fastai", "", set())
    assert {"fastai", "torch", "rich"} <= names
    assert not names & {"ipykernel", "ipython", "jupyter-client", "jupyter-server", "notebook", "tornado", "traitlets", "pyzmq"}


def test_the_head_of_each_page():
    code = "from easing_fastai.dev import heads as pages; cells = lambda nb: [cell.source for cell in nb.cells]\n" \
           "pages.nbformat.write = lambda nb, path: print(cells(nb) == cells(pages.nbformat.read(path, 4)), path.name)\n" \
           "pages.write_heads()"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True)
    assert [line.split() for line in done.stdout.splitlines()] == [["True", path.name] for path in PAGES], "run `make export`"
    for path in CHAPTERS:
        words = nbformat.read(path, 4).cells[1].source
        minutes = re.fullmatch(rf"\[Open in Colab\]\(\S+/github/easing-fastai/\S+{path.name}\) · \[Source\]\({ADDRESS}/\S+\) · (\d+) min to read", words)
        assert int(minutes[1]) <= 25
