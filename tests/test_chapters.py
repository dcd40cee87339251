"Notebooks from top to bottom: those of the library, a chapter with ResNet-18, and all chapters on the real data."
from pathlib import Path

import nbformat
import pytest
from conftest import REAL_HOME, REPO, resnet18_in, run_notebook, start, state, with_solutions
from test_colab import PAGES
from test_notebooks import NOTEBOOKS, ids

KINDS = REPO / 'nbs' / 'api' / 'diagnose' / 'kinds'  # pages that test_diagnose.py reads
OTHERS = [path for path in NOTEBOOKS if path not in PAGES and path.parent != KINDS]
LONG = {'index', '08_site_home', '06_backbone', '09_drawing', '02_kernels', '02_run', '08_lab', '03_outputs', 'home', '91_cli',
        'speed', 'serve', 'experiments', 'train'}  # pages, and rooms of pages, of which most take more than 10 s


def marked(path: Path):
    "A page, marked if it is a long one."
    return pytest.param(path, marks=pytest.mark.long if {path.stem, path.parent.name} & LONG else ())


@pytest.fixture(scope='module')
def data(digits) -> Path:
    "The data folder, into which no notebook writes."
    before = state(digits.parent)
    yield digits
    assert state(digits.parent) == before, 'a notebook has written into the data folder'


@pytest.mark.notebook
@pytest.mark.parametrize('path', [*map(marked, OTHERS)], ids=ids)
def test_a_notebook_of_the_library(path, data, tmp_path):
    "The chapters run in test_colab.py; here the library, the figures, what renders, and the pages around the chapters."
    run_notebook(nbformat.read(path, 4), ids(path), tmp_path)


@pytest.mark.long
@pytest.mark.notebook
@pytest.mark.parametrize('name', ['04_head_and_backbone', '11_photographs'])
def test_a_chapter_with_resnet18(name, tmp_path, digits):
    "Random weights in the place and form of ImageNet's: the way that readers with a network go."
    url = resnet18_in(tmp_path / 'torch' / 'hub' / 'checkpoints')
    before = f"from torchvision.models import ResNet18_Weights; ResNet18_Weights.DEFAULT.value.url = '{url}'\n"
    path = REPO / 'nbs' / f'{name}.ipynb'
    run_notebook(nbformat.read(path, 4), path.name, tmp_path / 'copy', before, TORCH_HOME=str(tmp_path / 'torch'))


@pytest.mark.long
@pytest.mark.notebook
def test_photographs_with_the_digits_network(tmp_path, digits):
    "Chapter 11 where no network can be had that has seen a photograph."
    path = REPO / 'nbs' / '11_photographs.ipynb'
    before = 'from easing_fastai.assets import backbone; backbone.lite0_file = lambda: None\n'
    run_notebook(with_solutions(path), path.name, tmp_path, before)


EXPORTED = """
from fastai.vision.all import *
from easing_fastai.core import backbone, mnist_sample
path = mnist_sample()
def is_three(file): return file.parent.name == '3'
for name, label in ('named', is_three), ('nameless', lambda file: file.parent.name):
    dls = ImageDataLoaders.from_path_func(path, get_image_files(path/'valid')[:8], label, bs=4)
    vision_learner(dls, backbone(), path={folder!r}).export(f'{{name}}.pkl')
"""


def test_an_export_holds_functions_of_the_notebook(tmp_path, digits):
    "As chapter 06 says of functions that find labels."
    assert start('-c', EXPORTED.format(folder=tmp_path)).returncode == 0
    for name in ('named', 'nameless'):
        done = start('-W', 'ignore', '-c', f'from fastai.learner import load_learner; load_learner({str(tmp_path / name)!r} + ".pkl")')
        assert done.returncode == 0, done.stderr[-2000:]


ACCURACY = """
from fastai.vision.all import *
from easing_fastai.core import *
path, arch = mnist_sample(), backbone()
for seed in range({seeds}):
    set_seed(seed)
    dls = ImageDataLoaders.from_folder(path, valid='valid')
    learn = vision_learner(dls, arch, metrics=accuracy)
    with learn.no_bar(), learn.no_logging(): learn.fine_tune(1)
    print('right', path.name, arch.__name__, learn.recorder.values[-1][-1])
"""


def accuracies(seeds: int, **env: str) -> list[float]:
    done = start('-c', ACCURACY.format(seeds=seeds), **env)
    print(done.stdout, done.stderr[-2000:])
    return [float(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith('right')]


@pytest.fixture(scope='module')
def mnist_home() -> str:
    "The user's FASTAI_HOME, with MNIST_SAMPLE in it; downloaded if it is not there."
    home = REAL_HOME or str(Path.home() / '.fastai')
    get = 'from easing_fastai.assets.datasets import download_mnist_sample as d; print(d())'
    done = start('-c', get, FASTAI_HOME=home)
    assert done.returncode == 0, done.stderr
    return home


@pytest.mark.real
@pytest.mark.notebook
@pytest.mark.parametrize('path', [path for path in PAGES if path.stem != 'recipes'], ids=ids)  # that one measures for minutes
def test_a_page_on_mnist_sample(path, mnist_home, tmp_path):
    run_notebook(with_solutions(path), path.name, tmp_path, FASTAI_HOME=mnist_home)


@pytest.mark.real
@pytest.mark.notebook
def test_accuracy_on_mnist_sample(mnist_home):
    right = accuracies(3, FASTAI_HOME=mnist_home)
    assert len(right) == 3 and min(right) >= 0.994, right
