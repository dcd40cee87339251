"The twins of training: they run without fastai, one deliberate mistake at a time is noticed, and bad input is told."
import random
import types
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import REPO, start
from torch import nn

SEEDS, SIZES, WORKERS = (0, 1, 2), (64, 32), (0, 2)


def fastais(path: Path, arch, seed: int = 42, bs: int = 64, workers: int = 0):
    "The walk, on the CPU: the losses, the learner."
    from easing_fastai.chapters.fine_tune import RecordRates
    from fastai.vision.all import ImageDataLoaders, accuracy, defaults, set_seed, vision_learner

    before, defaults.use_cuda = defaults.use_cuda, False # on the CPU, on every machine
    try:
        set_seed(seed)
        dls = ImageDataLoaders.from_folder(path, valid="valid", bs=bs, num_workers=workers)
        learn = vision_learner(dls, arch, metrics=accuracy, cbs=RecordRates())
        with learn.no_bar(), learn.no_logging():
            learn.fine_tune(1)
    finally:
        defaults.use_cuda = before
    return learn.record_rates.table().loss.tolist(), learn


def twins(path: Path, arch, seed: int = 42, bs: int = 64, workers: int = 0, change=lambda parts: None):
    "The twin, from the path and the seed; `change` makes a mistake in its parts."
    from easing_fastai.plain import dataloaders, fine_tune, vision_model

    parts = types.SimpleNamespace(stats=dataloaders.IMAGENET_STATS, after_loaders=lambda train, valid: None,
                                  after_model=lambda model: model, kwargs={})
    change(parts)
    random.seed(seed), torch.manual_seed(seed)
    train, valid, vocab = dataloaders.plain_dataloaders(path, stats=parts.stats, bs=bs, workers=workers)
    parts.after_loaders(train, valid)
    model = parts.after_model(vision_model.plain_vision_model(arch, len(vocab)))
    return fine_tune.plain_fine_tune(model, train, valid, 1, **parts.kwargs), model


def prove(training, model, losses, learn):
    "One proof for everything that a training leaves behind; raises NotEqual."
    from easing_fastai.plain.prove import prove_equal

    return (prove_equal(training.losses, losses, "losses") + prove_equal(model, learn.model)
            + prove_equal(training.table[-1], list(learn.recorder.values[-1])))


@pytest.fixture(scope="module")
def few(digits, tmp_path_factory) -> Path:
    "200 of the offline digits, with a last batch that is not full."
    import shutil

    folder = tmp_path_factory.mktemp("few") / "few_digits"
    for part, every in (("train", 11), ("valid", 3)):
        for file in sorted((digits / part).rglob("*.png"))[::every]:
            place = folder / file.relative_to(digits)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    return folder


@pytest.fixture(scope="module")
def walked(few):
    "fastai's run on the few digits."
    from easing_fastai.assets.backbone import digits_resnet18

    return few, digits_resnet18, *fastais(few, digits_resnet18)


def test_the_twin_is_equal(walked):
    "The page 05b of nbs proves it for all pictures; here it is what the mistakes below are measured with."
    path, arch, losses, learn = walked
    proof = str(prove(*twins(path, arch), losses, learn))
    assert proof.startswith(f"every one of {len(losses)} losses, 132 tensors") and proof.endswith("equal to the last bit")


# ---- one deliberate mistake each ----

def decay_for_batchnorm(parts): parts.kwargs = dict(wd_bn_bias=True)
def momentum_not_cycled(parts): parts.kwargs = dict(moms=(0.95, 0.95, 0.95))
def eps_of_pytorch(parts):
    from easing_fastai.plain.learner import PlainAdam
    parts.kwargs = dict(optimizer=partial(PlainAdam, eps=1e-8))
def adam_of_pytorch(parts): parts.kwargs = dict(optimizer=partial(torch.optim.AdamW, eps=1e-5, betas=(0.9, 0.99)))
def not_normalised(parts): parts.stats = None
def rates_swapped(parts): parts.swap_rates = True
def last_batch_kept(parts):
    def keep(train, valid): train.__class__ = type("Keeps", (type(train),), {"__len__": lambda self: -(-len(self.files) // self.bs)})
    parts.after_loaders = keep
def draw_of_a_loader_forgotten(parts):
    def without_draw(train, valid):
        batches = type(valid).__iter__
        def iterate(self):
            state = torch.get_rng_state()
            yield from batches(self)
            torch.set_rng_state(state) # as if it had not drawn
        valid.__class__ = type("Forgets", (type(valid),), {"__iter__": iterate})
    parts.after_loaders = without_draw
def head_not_initialised_again(parts):
    def pytorchs_own(model):
        state = torch.get_rng_state() # only the head's numbers are to be others
        for layer in model[1]:
            if isinstance(layer, nn.Linear): layer.reset_parameters()
        torch.set_rng_state(state)
        return model
    parts.after_model = pytorchs_own


MISTAKES = [decay_for_batchnorm, momentum_not_cycled, eps_of_pytorch, adam_of_pytorch, last_batch_kept, head_not_initialised_again,
            not_normalised, draw_of_a_loader_forgotten, rates_swapped]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda f: f.__name__)
def test_a_mistake_is_noticed(walked, mistake, monkeypatch):
    from easing_fastai.plain import fine_tune
    from easing_fastai.plain.prove import NotEqual

    path, arch, losses, learn = walked
    if mistake is rates_swapped:
        groups = fine_tune.plain_groups
        monkeypatch.setattr(fine_tune, "plain_groups", lambda model: [groups(model)[i] for i in (1, 0, 2)])
    training, model = twins(path, arch, change=mistake)
    with pytest.raises(NotEqual) as error:
        prove(training, model, losses, learn)
    first = {last_batch_kept: "in the first", not_normalised: "number 0", head_not_initialised_again: "number 0",
             draw_of_a_loader_forgotten: f"number {len(losses)//2}", momentum_not_cycled: "number 2"}.get(mistake, "")
    assert first in str(error.value)


# ---- without fastai, and where the computing is done elsewhere ----

WITHOUT_FASTAI = """
import sys
sys.modules['fastai'] = sys.modules['fastcore'] = None # an import of them fails
import random, torch
from easing_fastai.plain.dataloaders import IMAGENET_STATS, plain_dataloaders
from easing_fastai.plain.learner import plain_fit_one_cycle, plain_lr_find
from easing_fastai.plain.vision_model import plain_vision_model
from easing_fastai.plain.fine_tune import plain_fine_tune
from torchvision.models import resnet18
def arch(weights): return resnet18()
train, valid, vocab = plain_dataloaders({path!r}, stats=IMAGENET_STATS)
model = plain_vision_model(arch, len(vocab))
print(len(plain_fine_tune(model, train, valid, 1).losses), len(plain_fit_one_cycle(model, train, valid, 1, 1e-3).losses))
print(plain_lr_find(model, train, num_it=10)[0] > 0)
loaded = {{name.partition('.')[0] for name in sys.modules}}
assert not {{'fastai', 'fastcore', 'matplotlib', 'pandas', 'scipy'}} & {{name for name in loaded if sys.modules[name]}}, loaded
"""


def test_the_twins_run_without_fastai(few):
    done = start("-c", WITHOUT_FASTAI.format(path=str(few)), cwd=REPO)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["6", "3", "True"]


def elsewhere(use=-1):
    "Takes the place of fastai's `default_device`, with the names that are known there: a device that is not the CPU."
    if use != -1:
        defaults.use_cuda = use  # noqa: F821
    return device("cpu" if defaults.use_cuda is False else "meta")  # noqa: F821


@pytest.mark.parametrize("page, proofs", [("03b_plain_learner", 5), ("05b_plain_fine_tune", 3)])
def test_a_page_where_fastai_would_compute_elsewhere(page, proofs, few, monkeypatch, capsys):
    """The page's cells up to its last proof, on few pictures. As on a machine with a graphics card, fastai would not take
    the CPU; `meta` is a device without numbers, so that whoever asks for one there fails."""
    import json

    from easing_fastai import core
    from fastai import torch_core
    from fastai.torch_core import default_device, defaults

    monkeypatch.setattr(default_device, "__code__", elsewhere.__code__)
    monkeypatch.setitem(default_device.__globals__, "device", torch.device)
    monkeypatch.setattr(defaults, "use_cuda", None)
    assert default_device().type == torch_core.to_device(torch.ones(1)).device.type == "meta"

    monkeypatch.setattr(core, "mnist_sample", lambda: few)
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    cells = json.loads((REPO / "nbs" / f"{page}.ipynb").read_text(encoding="utf-8"))["cells"]
    cells = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code" and cell["id"] != "head-install"]
    last = max(i for i, cell in enumerate(cells) if "prove_equal(" in cell)
    names = {"__name__": page}
    for cell in cells[:last + 1]:
        exec(compile(cell.replace("bs=256", "bs=64"), page, "exec"), names)
    assert "is equal to the last bit" in capsys.readouterr().out
    assert "".join(cells[:last + 1]).count("prove_equal(") >= proofs


# ---- bad input ----

def linear(n=2): return nn.Sequential(nn.Flatten(), nn.Linear(4, n))


def batches(n=3, dtype=torch.float32, classes=2):
    return [(torch.ones(2, 1, 2, 2, dtype=dtype), torch.tensor([0, classes - 1])) for _ in range(n)]


def test_bad_input_of_the_loop():
    from easing_fastai.plain.learner import parameter_groups, plain_fit_one_cycle, plain_lr_find, plain_one_cycle, plain_validate, spread

    for train in (plain_fit_one_cycle, plain_lr_find):
        args = ([], 1) if train is plain_fit_one_cycle else ()
        with pytest.raises(ValueError, match="gives no batch.*smaller batch size"):
            train(linear(), [], *args)
        with pytest.raises(ValueError, match="whole numbers.*uint8"):
            train(linear(), batches(dtype=torch.uint8), *args)
    with pytest.raises(ValueError, match="nothing to validate with"):
        plain_validate(linear(), [])
    with pytest.raises(ValueError, match="a cycle needs an epoch"):
        plain_one_cycle(0, 5, 1e-3)
    with pytest.raises(ValueError, match="from 0 to 1, not 30"):
        plain_one_cycle(1, 5, 1e-3, pct_start=30)
    with pytest.raises(ValueError, match="2 learning rates for 3 layer groups"):
        spread([1e-3, 1e-4], 3)
    frozen = linear().requires_grad_(False)
    with pytest.raises(ValueError, match="no parameters that train"):
        parameter_groups(frozen)
    with pytest.raises(ValueError, match="layer groups.*leave out.*1.bias"):
        model = linear()
        parameter_groups(model, [[model[1].weight]])
    with pytest.raises(ValueError, match="not a parameter of this model"):
        parameter_groups(linear(), [list(linear().parameters())])
    with pytest.raises(ValueError, match="more steps"):
        plain_lr_find(linear(), batches(), num_it=5)


def test_bad_input_of_fine_tune():
    from easing_fastai.plain.fine_tune import plain_fine_tune

    with pytest.raises(TypeError, match="a body and a head.*this is Linear"):
        plain_fine_tune(nn.Linear(2, 2), batches(), batches())
    model = nn.Sequential(nn.Sequential(nn.Flatten()), nn.Linear(4, 2))
    with pytest.raises(ValueError, match="epochs and freeze_epochs are both 0"):
        plain_fine_tune(model, batches(), batches(), 0, freeze_epochs=0)
    with pytest.raises(ValueError, match="a cycle needs an epoch.*not -1"):
        plain_fine_tune(model, batches(), batches(), -1, freeze_epochs=0)
    assert len(plain_fine_tune(model, batches(), batches(), 0).losses) == 3 # only the body frozen is a training, too


def test_a_loss_that_is_not_a_number_is_told_by_the_proof():
    from easing_fastai.plain.learner import plain_fit_one_cycle
    from easing_fastai.plain.prove import NotEqual, prove_equal

    broken = [(x * float("nan"), y) for x, y in batches()]
    one, other = (plain_fit_one_cycle(linear(), broken, batches(), 1) for _ in range(2))
    with pytest.raises(NotEqual, match="NaN"):
        prove_equal(one.losses, other.losses, "losses")


def test_an_empty_folder_and_one_class_only(tmp_path, few):
    from easing_fastai.plain.dataloaders import plain_dataloaders

    with pytest.raises(ValueError, match="no pictures"):
        plain_dataloaders(tmp_path)
    import shutil

    one_class = tmp_path / "one"
    for part in ("train", "valid"):
        shutil.copytree(few / part / "3", one_class / part / "3")
    with pytest.raises(ValueError, match="nothing to tell apart"):
        plain_dataloaders(one_class)


# ---- the whole matrix: `make prove` ----

def random_resnet18(home: Path):
    "torchvision's resnet18 with random weights where ImageNet's would lie."
    from torchvision.models import resnet18

    from easing_fastai.assets.backbone import resnet18_file

    torch.hub.set_dir(str(home / "hub"))
    resnet18_file().parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    torch.save(resnet18().state_dict(), resnet18_file())
    return resnet18


@pytest.fixture(scope="module")
def archs(tmp_path_factory):
    from easing_fastai.assets.backbone import digits_resnet18

    before = torch.hub.get_dir()
    yield {"digits_resnet18": digits_resnet18, "resnet18": random_resnet18(tmp_path_factory.mktemp("torch"))}
    torch.hub.set_dir(before)


@pytest.mark.prove
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("bs", SIZES)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("data", ["digits", "mnist"])
@pytest.mark.parametrize("name", ["digits_resnet18", "resnet18"])
def test_fine_tune_page_05b(request, archs, name, data, seed, bs, workers):
    "plain_fine_tune of page 05b against `fine_tune(1)`, all pictures, to the last bit."
    path = request.getfixturevalue("digits") if data == "digits" else real_mnist()
    losses, learn = fastais(path, archs[name], seed, bs, workers)
    print(prove(*twins(path, archs[name], seed, bs, workers), losses, learn))


def real_mnist() -> Path:
    "MNIST_SAMPLE in the user's own data folder."
    import os

    from conftest import REAL_HOME

    path = Path(REAL_HOME or Path.home() / ".fastai") / "data" / "mnist_sample"
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"MNIST_SAMPLE is not in {path}: run `easing-fastai download` first")
        pytest.skip(f"MNIST_SAMPLE is not in {path}: run `easing-fastai download` first")
    return path
