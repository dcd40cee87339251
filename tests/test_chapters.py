"Notebooks from top to bottom: those of the library, a chapter with ResNet-18, and all chapters on the real data."
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import REAL_HOME, REPO, copy_repo, start, state, with_solutions, without_privileges

NBDEV_TEST = [str(Path(sys.executable).parent / "nbdev-test"), "--do-print"]


@pytest.fixture(scope="module")
def solved(tmp_path_factory) -> Path:
    "The repository once more, the solutions of the exercises as cells of code."
    folder = copy_repo(tmp_path_factory.mktemp("solved") / "easing_fastai")
    for path in (folder / "nbs").glob("*.ipynb"):
        nbformat.write(with_solutions(path), path)
    return folder


def nbdev_test(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess:
    done = subprocess.run(without_privileges([*NBDEV_TEST, *args]), cwd=folder, env={**os.environ, **env},
                          capture_output=True, text=True, timeout=1500)
    print(done.stdout[-3000:], done.stderr[-6000:])
    return done


@pytest.mark.parametrize("which", [("nbs/api",), ("nbs/figures",), ("nbs/dev",), ("nbs", "--file-re", "^[a-z]", "--skip-folder-re", "api|figures|dev")])
def test_the_other_notebooks(digits, which):
    "The chapters run in test_colab.py; here the library, the figures, what renders, and the pages around the chapters."
    before, data = state(REPO / "nbs"), state(digits.parent)
    done = nbdev_test(REPO, *which, "--n-workers", "2", "--timing")
    assert done.returncode == 0, done.stderr[-4000:]
    assert state(REPO / "nbs") == before, "a notebook has left something in the folder of notebooks"
    assert state(digits.parent) == data, "a notebook has written into the data folder"


def test_a_chapter_with_resnet18(tmp_path, digits):
    "Random weights in the place and form of ImageNet's: the way that readers with a network go."
    make = "from easing_fastai.assets.backbone import resnet18, resnet18_file, torch; " \
           "f = resnet18_file(); f.parent.mkdir(parents=True); torch.save(resnet18().state_dict(), f)"
    assert start("-c", make, TORCH_HOME=str(tmp_path)).returncode == 0
    done = nbdev_test(REPO, "nbs/04_head_and_backbone.ipynb", "--n-workers", "0", TORCH_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr[-4000:]


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
    done = start("-c", ACCURACY.format(seeds=seeds), **env)
    print(done.stdout, done.stderr[-2000:])
    return [float(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith("right")]


@pytest.fixture(scope="module")
def mnist_home() -> str:
    "The user's FASTAI_HOME, with MNIST_SAMPLE in it; downloaded if it is not there."
    home = REAL_HOME or str(Path.home() / ".fastai")
    get = "from easing_fastai.assets.datasets import download_mnist_sample as d; print(d())"
    done = start("-c", get, FASTAI_HOME=home)
    assert done.returncode == 0, done.stderr
    return home


@pytest.mark.real
def test_all_chapters_on_mnist_sample(mnist_home, solved):
    done = nbdev_test(solved, "--file-re", r"^\d\d", "--skip-folder-re", "api|figures|dev", "--n-workers", "2", "--timing", FASTAI_HOME=mnist_home)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.real
def test_accuracy_on_mnist_sample(mnist_home):
    right = accuracies(3, FASTAI_HOME=mnist_home)
    assert len(right) == 3 and min(right) >= 0.994, right


def test_accuracy_on_the_offline_digits(digits):
    "The median of five seeds; how long a run takes is told in nbs/dev/06_backbone.ipynb."
    right = sorted(accuracies(5))
    assert len(right) == 5 and right[2] >= 0.98, right
