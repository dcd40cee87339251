"What several tests need: a home of its own for data and weights, and processes started in it."
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from unittest.mock import patch

import nbformat
import pytest

REPO = Path(__file__).parent.parent

# Before anything imports fastai or torch: tests see neither the user's data nor the network.
HOME = Path(tempfile.mkdtemp(prefix="easing-fastai-tests-"))
REAL_HOME = os.environ.get("FASTAI_HOME")
os.environ.update(FASTAI_HOME=str(HOME / "fastai"), TORCH_HOME=str(HOME / "torch"), EASING_FASTAI_OFFLINE="1",
                  MPLBACKEND="agg", PYTHONWARNINGS="ignore:`torch.jit.script` is deprecated:FutureWarning")


# What a shell starts in the background ignores Ctrl-C, and so do its children; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish():
    shutil.rmtree(HOME, ignore_errors=True)


def start(*args: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess:
    "Runs a Python process in the tests' home and returns it ended, with its output as text."
    return subprocess.run([sys.executable, *args], cwd=cwd or HOME, env={**os.environ, **env}, text=True,
                          capture_output=True, timeout=600)


SOLUTION = re.compile(r"<details>\n<summary>Solution</summary>.*?</details>", flags=re.S)


def with_solutions(path: Path) -> nbformat.NotebookNode:
    "A notebook, the solutions of its exercises as cells of code."
    nb = nbformat.read(path, as_version=4)
    cells = []
    for cell in nb.cells:
        cells.append(cell)
        if cell.cell_type == "markdown":
            blocks = [code for solution in SOLUTION.findall(cell.source) for code in re.findall(r"```python\n(.*?)```", solution, flags=re.S)]
            cells += [nbformat.v4.new_code_cell(code) for code in blocks]
    nb.cells = cells
    return nb


def state(folder: Path) -> dict[str, str]:
    "Every file below a folder with its time and content."
    return {str(p.relative_to(folder)): f"{p.stat().st_mtime_ns} {hashlib.md5(p.read_bytes()).hexdigest()}"
            for p in sorted(folder.rglob("*")) if p.is_file()}


def read_only(folder: Path, on: bool):
    "Takes the right to write from a folder and all in it, or gives it back."
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222 if on else path.stat().st_mode | 0o200)


def without_privileges(command: list[str]) -> list[str]:
    "For root, read-only means nothing; so root gives up the privilege that makes it so, where that can be done."
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("setpriv"):
        return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search", *command]
    return command


def copy_repo(folder: Path) -> Path:
    "The repository once more, without what was built or installed in it."
    skip = shutil.ignore_patterns(".git", ".venv", "_proc", "_docs", "__pycache__", "easing-fastai-runs", "*.egg-info", "build", "dist")
    return shutil.copytree(REPO, folder, symlinks=True, ignore=skip)


def easing_fastai(*args: str, **kwargs) -> subprocess.CompletedProcess:
    "Runs the command line as a process of its own."
    return start("-m", "easing_fastai", *args, **kwargs)


def command(*args) -> tuple[int, str]:
    "Exit code and output, on one line, of the command line in this process: for what a process of its own would take longer to start."
    from rich.console import Console
    from typer.testing import CliRunner

    from easing_fastai.cli import app

    with patch("easing_fastai.cli.console", Console(width=200)):  # tables of that width
        done = CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "200"}, catch_exceptions=False)
    return done.exit_code, " ".join(done.output.split())


@pytest.fixture(autouse=True)
def no_opener_from_before():
    "Python keeps the first opener it makes, with the proxies of that moment: each test makes its own."
    urllib.request.install_opener(None)


@pytest.fixture(scope="session")
def digits() -> Path:
    "The offline digits, in the data folder of the tests."
    from easing_fastai.assets.datasets import mnist_sample

    return mnist_sample()


@pytest.fixture(scope="session")
def few_digits(digits, tmp_path_factory) -> Path:
    "200 of the offline digits, with a last batch that is not full."
    folder = tmp_path_factory.mktemp("few") / "few_digits"
    for part, every in (("train", 11), ("valid", 3)):
        for file in sorted((digits / part).rglob("*.png"))[::every]:
            place = folder / file.relative_to(digits)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    return folder
