"What several tests need: a home of its own for data and weights, and processes started in it."
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent

# Before anything imports fastai or torch: tests see neither the user's data nor the network.
HOME = Path(tempfile.mkdtemp(prefix="easing-fastai-tests-"))
REAL_HOME = os.environ.get("FASTAI_HOME")
os.environ.update(FASTAI_HOME=str(HOME / "fastai"), TORCH_HOME=str(HOME / "torch"), EASING_FASTAI_OFFLINE="1",
                  MPLBACKEND="agg", PYTHONWARNINGS="ignore:`torch.jit.script` is deprecated:FutureWarning")


def pytest_sessionfinish():
    shutil.rmtree(HOME, ignore_errors=True)


def start(*args: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess:
    "Runs a Python process in the tests' home and returns it ended, with its output as text."
    return subprocess.run([sys.executable, *args], cwd=cwd or HOME, env={**os.environ, **env}, text=True,
                          capture_output=True, timeout=600)


def copy_repo(folder: Path) -> Path:
    "The repository once more, without what was built or installed in it."
    skip = shutil.ignore_patterns(".git", ".venv", "_proc", "_docs", "__pycache__", "easing-fastai-runs", "*.egg-info", "build", "dist")
    return shutil.copytree(REPO, folder, symlinks=True, ignore=skip)


def easing_fastai(*args: str, **kwargs) -> subprocess.CompletedProcess:
    "Runs the command line as a process of its own."
    return start("-m", "easing_fastai", *args, **kwargs)


@pytest.fixture(autouse=True)
def no_opener_from_before():
    "Python keeps the first opener it makes, with the proxies of that moment: each test makes its own."
    urllib.request.install_opener(None)


@pytest.fixture(scope="session")
def digits() -> Path:
    "The offline digits, in the data folder of the tests."
    from easing_fastai.tools.assets import mnist_sample

    return mnist_sample()
