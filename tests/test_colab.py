"Every chapter with its solutions, from top to bottom, in a place like Google Colab: an installed package, no repository."
import importlib.metadata
import os
import re
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from conftest import REPO, read_only, state, with_solutions, without_privileges
from packaging.requirements import Requirement
from test_notebooks import ADDRESS, CHAPTERS

PAGES = [*sorted((REPO / "nbs").glob("[0-9]*_*.ipynb")), REPO / "nbs" / "cheat_sheet.ipynb"]

STAND_INS = {  # what is different there, as far as notebooks can see it
    "google/colab/__init__.py": "",
    "google/colab/_shell.py": "from ipykernel.zmqshell import ZMQInteractiveShell\nclass Shell(ZMQInteractiveShell): pass",
    "google/colab/_kernel.py": "from ipykernel.ipkernel import IPythonKernel\nfrom google.colab._shell import Shell\n"
                               "class Kernel(IPythonKernel): shell_class = Shell",
    "pip.py": "import os, sys\nopen(os.environ['PIP_LOG'], 'a').write(' '.join(sys.argv[1:]) + '\\n')",
    **{f"{name}.py": f"raise ModuleNotFoundError('No module named {name}', name='{name}')" for name in ("nbdev", "pytest", "playwright")},
}
EXECUTE = "import sys, nbformat; from easing_fastai.tools.pages import execute; execute(nbformat.read(sys.argv[1], 4), sys.argv[2])"


@pytest.fixture(scope="module")
def colab(tmp_path_factory) -> dict[str, str]:
    "The environment variables of processes that are in such a place."
    folder = tmp_path_factory.mktemp("colab")
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(REPO)]
    subprocess.run(wheel, check=True, capture_output=True, text=True)
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder / "packages")]
    subprocess.run([*install, *map(str, folder.glob("*.whl"))], check=True, capture_output=True, text=True)
    for name, text in STAND_INS.items():
        path = folder / "packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    config = folder / "ipython" / "profile_default" / "ipython_kernel_config.py"
    config.parent.mkdir(parents=True)
    config.write_text("c.IPKernelApp.kernel_class = 'google.colab._kernel.Kernel'\n")
    return {**os.environ, "PYTHONPATH": str(folder / "packages"), "IPYTHONDIR": str(folder / "ipython")}


@pytest.fixture(scope="module")
def data(digits):
    "The data folder, in which nobody may write."
    before = state(digits.parent)
    read_only(digits.parent, True)
    yield digits
    read_only(digits.parent, False)
    assert state(digits.parent) == before, "a chapter has written into the data folder"


def run_there(path: Path, folder: Path, colab: dict[str, str]) -> subprocess.CompletedProcess:
    "Runs a page and the solutions of its exercises in folder/content."
    nb = with_solutions(path)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    code[-1].source += "\n\nimport easing_fastai, sys\nassert 'google.colab' in sys.modules and 'packages' in easing_fastai.__file__"
    nbformat.write(nb, folder / path.name)
    (folder / "content").mkdir()
    command = without_privileges([sys.executable, "-c", EXECUTE, str(folder / path.name), str(folder / "content")])
    return subprocess.run(command, cwd=folder, env={**colab, "PIP_LOG": str(folder / "pip.log")}, capture_output=True, text=True, timeout=1200)


@pytest.fixture(scope="module")
def runs(request, colab, data, tmp_path_factory) -> dict[Path, tuple[Path, Future]]:
    "The pages that are asked for, two at a time."
    pages = [item.callspec.params["path"] for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    with ThreadPoolExecutor(2) as pool:
        folders = {path: tmp_path_factory.mktemp(path.stem) for path in pages}
        yield {path: (folder, pool.submit(run_there, path, folder, colab)) for path, folder in folders.items()}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_runs_there(path, runs):
    folder, run = runs[path]
    done = run.result()
    assert done.returncode == 0, done.stderr[-6000:]
    assert (folder / "pip.log").read_text().splitlines() == [f"install -q git+{ADDRESS}@main"], "it installs the package, once"
    assert list((folder / "content").iterdir()) == [], "a chapter has left something in the working folder"


def required(name: str, found: set[str]) -> set[str]:
    "The names of all that pip installs for a package."
    for text in importlib.metadata.requires(name) or []:
        need = Requirement(text)
        there = need.name.lower().replace("_", "-")
        if there in found or need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        found.add(there)
        try:
            required(there, found)
        except importlib.metadata.PackageNotFoundError:  # for another machine, or one that has a GPU
            continue
    return found


def test_the_kernel_of_colab_stays_as_it_is():
    names = required("easing_fastai", set())
    assert {"fastai", "torch", "rich"} <= names
    assert not names & {"ipykernel", "ipython", "jupyter-client", "jupyter-server", "notebook", "tornado", "traitlets", "pyzmq"}


def test_the_head_of_each_page():
    code = "from easing_fastai.tools import pages; cells = lambda nb: [cell.source for cell in nb.cells]\n" \
           "pages.nbformat.write = lambda nb, path: print(cells(nb) == cells(pages.nbformat.read(path, 4)), path.name)\n" \
           "pages.write_heads()"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True)
    assert [line.split() for line in done.stdout.splitlines()] == [["True", path.name] for path in PAGES], "run `make export`"
    for path in CHAPTERS:
        words = nbformat.read(path, 4).cells[1].source
        minutes = re.fullmatch(rf"\[Open in Colab\]\(\S+/github/easing-fastai/\S+{path.name}\) · \[Source\]\({ADDRESS}/\S+\) · (\d+) min to read", words)
        assert int(minutes[1]) <= 25
