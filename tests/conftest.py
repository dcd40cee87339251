"What several tests need: a home of its own for data and weights, and processes started in it."
import hashlib
import os
import random
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
from filelock import FileLock
from warm import Warm

REPO = Path(__file__).parent.parent

# Before anything imports fastai or torch: tests see neither the user's data nor the network.
HOME = Path(tempfile.mkdtemp(prefix='easing-fastai-tests-'))
REAL_HOME = os.environ.setdefault('REAL_FASTAI_HOME', os.environ.get('FASTAI_HOME', ''))  # processes of xdist inherit it
os.environ.update(FASTAI_HOME=str(HOME / 'fastai'), TORCH_HOME=str(HOME / 'torch'), EASING_FASTAI_OFFLINE='1',
                  MPLBACKEND='agg', IPYTHONDIR=str(HOME / 'ipython'),
                  PYTHONWARNINGS='ignore:`torch.jit.script` is deprecated:FutureWarning,ignore:IProgress not found')


# What a shell starts in the background ignores Ctrl-C, and so do its children; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish():
    start.end()
    shutil.rmtree(HOME, ignore_errors=True)


def cold_start(*args: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess:
    "Runs a Python process in the tests' home and returns it ended, with its output as text."
    return subprocess.run([sys.executable, *args], cwd=cwd or HOME, env={**os.environ, **env}, text=True,
                          capture_output=True, timeout=600)


start = Warm(HOME)


SOLUTION = re.compile(r'<details>\n<summary>Solution</summary>.*?</details>', flags=re.S)


def with_solutions(path: Path) -> nbformat.NotebookNode:
    "A notebook, the solutions of its exercises as cells of code."
    nb = nbformat.read(path, as_version=4)
    cells = []
    for cell in nb.cells:
        cells.append(cell)
        if cell.cell_type == 'markdown':
            blocks = [code for solution in SOLUTION.findall(cell.source) for code in re.findall(r'```python\n(.*?)```', solution, flags=re.S)]
            cells += [nbformat.v4.new_code_cell(code) for code in blocks]
    nb.cells = cells
    return nb


@pytest.fixture(autouse=True)
def seeded():
    "Chance must not decide whether a test passes."
    random.seed(0)
    if torch := sys.modules.get('torch'):
        torch.manual_seed(0)


def state(folder: Path) -> dict[str, str]:
    "Every file below a folder with its time and content."
    return {str(p.relative_to(folder)): f'{p.stat().st_mtime_ns} {hashlib.md5(p.read_bytes()).hexdigest()}'
            for p in sorted(folder.rglob('*')) if p.is_file()}


def read_only(folder: Path, on: bool):
    "Takes the right to write from a folder and all in it, or gives it back."
    for path in (folder, *folder.rglob('*')):
        path.chmod(path.stat().st_mode & ~0o222 if on else path.stat().st_mode | 0o200)


def copy_repo(folder: Path) -> Path:
    "The repository once more, without what was built or installed in it."
    skip = shutil.ignore_patterns('.git', '.venv', '_proc', '_docs', '__pycache__', 'easing-fastai-runs', '*.egg-info', 'build', 'dist')
    return shutil.copytree(REPO, folder, symlinks=True, ignore=skip)


def run_notebook(nb: nbformat.NotebookNode, name: str, folder: Path, first: str = '', **env: str):
    """Executes a notebook as `nbdev-test` does, alone in a folder; it has to come to its end, and to leave nothing there.

    `first` is code that is run before it, in the same process.
    """
    path = folder / 'nbs' / name
    path.parent.mkdir(parents=True)
    shutil.copy(REPO / 'pyproject.toml', folder)
    nbformat.write(nb, path)
    before = state(folder)
    done = start('-c', first + 'import sys; from nbdev.test import nbdev_test; nbdev_test(sys.argv[1], n_workers=0)', str(path), cwd=folder, **env)
    assert done.returncode == 0, done.stderr[-6000:]
    assert state(folder) == before, 'it has left something in its folder'


def made_once(name: str, make, tmp_path_factory) -> Path:
    "A folder that `make` fills, once for all the processes that run tests."
    shared = tmp_path_factory.getbasetemp()
    folder = (shared.parent if 'PYTEST_XDIST_WORKER' in os.environ else shared) / name
    with FileLock(f'{folder}.lock'):
        if not folder.exists():
            unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
            make(unfinished)
            unfinished.rename(folder)
    return folder


def easing_fastai(*args: str, **kwargs) -> subprocess.CompletedProcess:
    "Runs the command line as a process of its own."
    return start('-m', 'easing_fastai', *args, **kwargs)


def command(*args) -> tuple[int, str]:
    "Exit code and output, on one line, of the command line in this process: for what a process of its own would take longer to start."
    from rich.console import Console
    from typer.testing import CliRunner

    from easing_fastai.cli import app

    with patch('easing_fastai.cli.console', Console(width=200)):  # tables of that width
        done = CliRunner().invoke(app, list(map(str, args)), env={'COLUMNS': '200'}, catch_exceptions=False)
    return done.exit_code, ' '.join(done.output.split())


# Each file of tests is run by one process, which keeps what the file has prepared; the files that take longest begin.
# Notebooks and proofs are run one by one, by whichever process is free; so they fill up the end.
LONG = ['test_training', 'test_in_memory', 'test_unpack', 'test_diagnose', 'test_cli', 'test_package', 'test_browser']


@pytest.hookimpl(tryfirst=True) # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]):
    def is_alone(item: pytest.Item) -> bool:
        return 'notebook' in item.keywords or 'prove' in item.keywords

    def place(item: pytest.Item) -> tuple:
        name = item.path.stem
        return is_alone(item), LONG.index(name) if name in LONG else len(LONG), name

    items.sort(key=place)
    for item in items:
        if not is_alone(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(autouse=True)
def no_opener_from_before():
    "Python keeps the first opener it makes, with the proxies of that moment: each test makes its own."
    urllib.request.install_opener(None)


MACOS = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome', MACOS))), None)


@pytest.fixture(scope='module')
def browser():
    if not CHROMIUM:
        message = 'no Chromium or Chrome on this machine: `apt install chromium` (Debian), `snap install chromium` (Ubuntu)'
        pytest.fail(message) if os.environ.get('EASING_FASTAI_BROWSER') == 'required' else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


def resnet18_in(folder: Path) -> str:
    "Random weights of ResNet-18 in a folder; the address under which torchvision would look for them there."
    import torch
    from torchvision.models import resnet18

    folder.mkdir(parents=True, exist_ok=True)
    torch.save(resnet18().state_dict(), folder / 'new.pth')
    digest = hashlib.sha256((folder / 'new.pth').read_bytes()).hexdigest()[:8]
    return f"https://example.org/{(folder / 'new.pth').rename(folder / f'resnet18-{digest}.pth').name}"


@pytest.fixture(scope='session')
def wheel(tmp_path_factory) -> Path:
    "The wheel, made of the sdist, as it is published."
    def build(folder: Path):
        copy_repo(folder / 'source')
        command = [sys.executable, '-m', 'build', '--no-isolation', '--outdir', str(folder), str(folder / 'source')]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    wheel, = made_once('wheel', build, tmp_path_factory).glob('*.whl')
    return wheel


@pytest.fixture(scope='session')
def processed(tmp_path_factory) -> Path:
    "The repository once more: exported, cleaned, and in _proc the notebooks as nbdev hands them to Quarto."
    def process(folder: Path):
        copy = copy_repo(folder / 'easing_fastai')
        code = 'from nbdev.doclinks import nbdev_export; from nbdev.clean import nbdev_clean; from nbdev.serve import proc_nbs\n' \
               'nbdev_export(); nbdev_clean(); proc_nbs(n_workers=2)'
        done = start('-c', code, cwd=copy, PYTHONPATH=str(copy))
        assert done.returncode == 0 and 'Error' not in done.stderr, done.stderr

    return made_once('processed', process, tmp_path_factory) / 'easing_fastai'


@pytest.fixture(scope='session')
def digits() -> Path:
    "The offline digits, in the data folder of the tests."
    from easing_fastai.assets.datasets import data_folder, mnist_sample
    from easing_fastai.assets.photographs import make_photo_patches

    make_photo_patches(data_folder() / 'photo_patches')  # what the pages on photographs read
    return mnist_sample()


@pytest.fixture(scope='session')
def few_digits(digits, tmp_path_factory) -> Path:
    "200 of the offline digits, with a last batch that is not full."
    from easing_fastai.dev.breaking import some_images

    folder = tmp_path_factory.mktemp('few') / 'few_digits'
    for part, every in (('train', 11), ('valid', 3)):
        shutil.copytree(some_images(digits, every) / part, folder / part)
    return folder
