"What a user gets who installs a wheel: nothing here runs from the clone."
import ast
import importlib.metadata
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import REPO
from packaging.requirements import Requirement


@pytest.fixture(scope='module')
def python(wheel, tmp_path_factory) -> Path:
    "The Python of a fresh environment with the wheel in it; what that needs is borrowed from this one."
    folder = tmp_path_factory.mktemp('package')
    venv.create(folder / 'env')
    python = folder / 'env' / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
    install = [sys.executable, '-m', 'pip', '--python', str(python), 'install', '-q', '--no-deps', str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    own = subprocess.run([python, '-c', "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True)
    Path(own.stdout.strip(), 'borrowed.pth').write_text(sysconfig.get_path('purelib') + '\n')
    return python


def run(python: Path, *args: str, cwd: Path) -> subprocess.CompletedProcess:
    env = {**os.environ, 'PYTHONPATH': '', 'JUPYTER_PATH': str(Path(sys.prefix) / 'share' / 'jupyter')}  # borrowed, too
    return subprocess.run([python, *args], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


def test_it_is_the_installed_one(python, tmp_path):
    done = run(python, '-c', 'import easing_fastai; print(easing_fastai.__file__)', cwd=tmp_path)
    assert 'site-packages' in done.stdout and str(REPO) not in done.stdout
    command = python.parent / 'easing-fastai'
    assert subprocess.run([command, '--help'], cwd=tmp_path, capture_output=True).returncode == 0


def test_what_is_in_the_wheel(wheel):
    "The library with what it reads, and the notebooks that readers read; those of the library stay in the repository."
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if '.dist-info/' not in name}
    dev = {f'easing_fastai/dev/{p.name}' for p in (REPO / 'easing_fastai' / 'dev').glob('*.py')}
    for_readers = {f'easing_fastai/dev/{name}.py' for name in ('__init__', 'kernels', 'lab', 'page', 'run', 'site_home')}
    library = {p.relative_to(REPO).as_posix() for p in (REPO / 'easing_fastai').rglob('*') if p.is_file() and '__pycache__' not in p.parts}
    notebooks = {f'easing_fastai/nbs/{p.name}' for p in (REPO / 'nbs').glob('*.ipynb')}
    assert inside == library - dev | for_readers | notebooks and for_readers < dev


def test_what_the_wheel_needs_of_dev_is_in_it(wheel):
    "Modules and notebooks import nothing that stayed in the repository."
    with zipfile.ZipFile(wheel) as content:
        texts = {name: content.read(name).decode() for name in content.namelist() if name.endswith(('.py', '.ipynb'))}
    wanted = {module for name, text in texts.items() for module in re.findall(r'easing_fastai\.dev\.(\w+) import', text)}
    wanted |= {module for name, text in texts.items() if '/dev/' in name for module in re.findall(r'from \.(\w+) import', text)}
    assert {'page', 'run', 'lab', 'site_home'} <= wanted and {f'easing_fastai/dev/{module}.py' for module in wanted} <= texts.keys()


@pytest.mark.long
def test_ten_lines_of_readme_as_a_script(python, tmp_path, digits):
    blocks = re.findall(r'```python\n(.*?)```', (REPO / 'README.md').read_text(encoding='utf-8'), flags=re.S)
    script, = (block for block in blocks if 'from easing_fastai.core import *' in block)
    assert len([line for line in script.splitlines() if line.strip()]) <= 10
    (tmp_path / 'ten_lines.py').write_text(script, encoding='utf-8')
    done = run(python, 'ten_lines.py', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in ('Is this machine ready?', 'train/3', 'accuracy', 'Anatomy of', 'tensor('):
        assert words in done.stdout, done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ['ten_lines.py']


@pytest.mark.long
def test_run_a_chapter_in_an_empty_folder(python, tmp_path, digits):
    done = run(python, '-m', 'easing_fastai', 'run', '01', cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ['easing-fastai-runs']
    page, = tmp_path.glob('easing-fastai-runs/*/01_mnist.html')
    assert 'easing_fastai' in page.read_text(encoding='utf-8')


@pytest.mark.long
def test_lab_copies_the_notebooks_and_says_the_address(python, tmp_path):
    command = [python, '-m', 'easing_fastai', 'lab', 'mine', '--no-browser']
    env = {**os.environ, 'PYTHONPATH': '', 'JUPYTER_CONFIG_DIR': str(tmp_path / 'c'), 'JUPYTER_DATA_DIR': str(tmp_path / 'd'), 'PYTHONUNBUFFERED': '1'}
    log = tmp_path / 'log'
    (tmp_path / 'c').mkdir()
    (tmp_path / 'c' / 'jupyter_server_config.py').write_text('c.ServerApp.allow_root = True\n')  # for containers
    with open(log, 'w') as f:
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=f, stderr=f, start_new_session=True)
    try:
        for _ in range(600):
            if re.search(r'http://\S+', log.read_text()) or process.poll() is not None:
                break
            time.sleep(0.1)
        assert re.search(r'http://\S+', log.read_text()), log.read_text()
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # JupyterLab is a process of its own
        process.wait(30)
    assert {p.name for p in (tmp_path / 'mine').iterdir() if p.name[0] != '.'} == {p.name for p in (REPO / 'nbs').glob('*.ipynb')}

    (tmp_path / 'mine' / '00_environment.ipynb').write_text('my own work')
    again = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert again.returncode == 1 and 'nothing of yours is overwritten' in ' '.join(again.stderr.split())
    assert (tmp_path / 'mine' / '00_environment.ipynb').read_text() == 'my own work'


def installed_with(name: str, extra: str, found: set[str]) -> set[str]:
    "The names of all that pip installs for a package and one of its extras."
    for text in importlib.metadata.requires(name) or []:
        need = Requirement(text)
        there = need.name.lower().replace('_', '-')
        if there in found or need.marker and not need.marker.evaluate({'extra': extra}):
            continue
        found.add(there)
        try:
            installed_with(there, '', found)
        except importlib.metadata.PackageNotFoundError:  # for another machine, or one that has a GPU
            continue
    return found


def imports(file: Path) -> set[str]:
    "The packages that a module imports, anywhere in it."
    nodes = list(ast.walk(ast.parse(file.read_text(encoding='utf-8'))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.split('.')[0] for name in names} - sys.stdlib_module_names - {'easing_fastai'}


# Outside of dev: what asks Jupyter something, shows something in a notebook, runs chapters, or is one of several processes.
NEEDS_LAB = {'IPython', 'anywidget', 'traitlets', 'jupyter_client', 'nbformat', 'accelerate'}


def test_what_is_imported_gets_installed():
    extras = ('', 'lab', 'serve', 'photos', 'heic')
    always, lab, serve, photos, heic = (installed_with('easing_fastai', extra, set()) for extra in extras)
    distributions = importlib.metadata.packages_distributions()
    for file in (REPO / 'easing_fastai').rglob('*.py'):
        for package in imports(file) - ({'nbdev'} if file.name in ('readme.py', 'site.py') else set()):  # for `make readme` and the site
            names = {name.lower().replace('_', '-') for name in distributions[package]}
            found = lab if file.parent.name == 'dev' or package in NEEDS_LAB else serve if file.parent.name == 'serve' else always
            if file.name in ('backbone.py', 'fit.py') and package in ('timm', 'huggingface_hub'):
                found = photos
            if package == 'pillow_heif':
                found = heic
            assert names & found, f'{file.name}: nothing installs {package}'


def test_each_file_is_run_by_one_process(request):
    "Else two processes prepare what a file needs, and the tests take twice as long."
    assert 'PYTEST_XDIST_WORKER' not in os.environ or request.node.nodeid.endswith('@test_package')
