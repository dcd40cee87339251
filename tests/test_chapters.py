"All notebooks, from top to bottom: on the offline data, on ResNet-18, and on the real data."
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import REAL_HOME, REPO, copy_repo, start

NBDEV_TEST = [str(Path(sys.executable).parent / "nbdev-test"), "--do-print"]


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


SOLUTION = re.compile(r"<details>\n<summary>Solution</summary>.*?</details>", flags=re.S)


@pytest.fixture(scope="module")
def solved(tmp_path_factory) -> Path:
    "The repository once more, the solutions of the exercises as cells of code."
    folder = copy_repo(tmp_path_factory.mktemp("solved") / "easing_fastai")
    for path in (folder / "nbs").glob("*.ipynb"):
        nb = nbformat.read(path, as_version=4)
        cells = []
        for cell in nb.cells:
            cells.append(cell)
            if cell.cell_type == "markdown":
                blocks = [code for solution in SOLUTION.findall(cell.source) for code in re.findall(r"```python\n(.*?)```", solution, flags=re.S)]
                cells += [nbformat.v4.new_code_cell(code) for code in blocks]
        nb.cells = cells
        nbformat.write(nb, path)
    return folder


def nbdev_test(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess:
    done = subprocess.run(without_privileges([*NBDEV_TEST, *args]), cwd=folder, env={**os.environ, **env},
                          capture_output=True, text=True, timeout=1500)
    print(done.stdout[-3000:], done.stderr[-6000:])
    return done


def test_all_notebooks_and_the_data_folder_stays_as_it_is(digits, solved):
    data, nbs = digits.parent, state(solved / "nbs")
    before = state(data)
    read_only(data, True)
    try:
        done = nbdev_test(solved, "--n-workers", "2", "--timing")
    finally:
        read_only(data, False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert state(data) == before, "a notebook has written into the data folder"
    assert state(solved / "nbs") == nbs, "a notebook has left something in the folder of notebooks"


def test_a_chapter_with_resnet18(tmp_path, digits):
    "Random weights in the place and form of ImageNet's: the way that readers with a network go."
    make = "from easing_fastai.tools.pretrained import resnet18, resnet18_file, torch; " \
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
    get = "from easing_fastai.tools.assets import download_mnist_sample as d; print(d())"
    done = start("-c", get, FASTAI_HOME=home)
    assert done.returncode == 0, done.stderr
    return home


@pytest.mark.real
def test_all_chapters_on_mnist_sample(mnist_home, solved):
    done = nbdev_test(solved, "--file-re", r"^\d\d", "--n-workers", "2", "--timing", FASTAI_HOME=mnist_home)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.real
def test_accuracy_on_mnist_sample(mnist_home):
    right = accuracies(3, FASTAI_HOME=mnist_home)
    assert len(right) == 3 and min(right) >= 0.994, right


@pytest.mark.real
def test_accuracy_on_the_offline_digits(digits):
    right = sorted(accuracies(5))
    assert len(right) == 5 and right[2] >= 0.98, right
