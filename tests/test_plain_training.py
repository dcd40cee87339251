"The twins of training: one deliberate mistake at a time is noticed, and bad input is refused with a sentence."
import itertools
import pickle
import random
import types
from functools import partial
from pathlib import Path

import pytest
import torch
from fault_cases import Program
from torch import nn

SEEDS, SIZES, WORKERS = (0, 1, 2), (64, 32), (0, 2)


def fastais(path: Path, arch, seed: int = 42, bs: int = 64, workers: int = 0, pretrained: bool = True):
    "The walk, on the CPU: the losses, the learner."
    from easing_fastai.chapters.fine_tune import RecordRates
    from fastai.vision.all import ImageDataLoaders, accuracy, defaults, set_seed, vision_learner

    before, defaults.use_cuda = defaults.use_cuda, False # on the CPU, on every machine
    try:
        set_seed(seed)
        dls = ImageDataLoaders.from_folder(path, valid='valid', bs=bs, num_workers=workers)
        learn = vision_learner(dls, arch, metrics=accuracy, pretrained=pretrained, cbs=RecordRates())
        with learn.no_bar(), learn.no_logging():
            learn.fine_tune(1)
    finally:
        defaults.use_cuda = before
    return learn.record_rates.table().loss.tolist(), learn


def twins(path: Path, arch, seed: int = 42, bs: int = 64, workers: int = 0, pretrained: bool = True, change=lambda parts: None):
    "The twin, from the path and the seed; `change` makes a mistake in its parts."
    from easing_fastai.plain import dataloaders, fine_tune, vision_model

    parts = types.SimpleNamespace(stats=dataloaders.IMAGENET_STATS if pretrained else None, # as fastai does
                                  after_loaders=lambda train, valid: None,
                                  after_model=lambda model: model, kwargs={})
    change(parts)
    random.seed(seed), torch.manual_seed(seed)
    train, valid, vocab = dataloaders.plain_dataloaders(path, stats=parts.stats, bs=bs, workers=workers)
    parts.after_loaders(train, valid)
    model = parts.after_model(vision_model.plain_vision_model(arch, len(vocab), pretrained))
    return fine_tune.plain_fine_tune(model, train, valid, 1, **parts.kwargs), model


def prove(training, model, losses, learn):
    "One proof for everything that a training leaves behind; raises NotEqual."
    from easing_fastai.plain.prove import prove_equal

    return (prove_equal(training.losses, losses, 'losses') + prove_equal(model, learn.model)
            + prove_equal(training.table[-1], list(learn.recorder.values[-1])))


@pytest.fixture(scope='module')
def walked(few_digits):
    "fastai's run on the few digits."
    from easing_fastai.assets.backbone import digits_resnet18

    return few_digits, digits_resnet18, *fastais(few_digits, digits_resnet18)


def test_the_twin_is_equal(walked):
    "Page 05b proves it for all images; here it is what the mistakes below are measured with."
    path, arch, losses, learn = walked
    proof = str(prove(*twins(path, arch), losses, learn))
    assert proof.startswith(f'every one of {len(losses)} losses, 132 tensors') and proof.endswith('equal to the last bit')


def test_the_twin_takes_fastais_own_loaders(walked, monkeypatch):
    "Their tensors have classes of their own, TensorImage and TensorCategory; the numbers are the same."
    from easing_fastai.plain.fine_tune import plain_fine_tune
    from easing_fastai.plain.learner import plain_lr_find
    from easing_fastai.plain.vision_model import plain_vision_model
    from fastai.vision.all import ImageDataLoaders, defaults, set_seed, vision_learner

    path, arch, losses, learn = walked
    monkeypatch.setattr(defaults, 'use_cuda', False)
    set_seed(42)
    dls = ImageDataLoaders.from_folder(path, valid='valid', bs=64, num_workers=0)
    start = vision_learner(dls, arch).model.state_dict()
    with torch.random.fork_rng(): model = plain_vision_model(arch, 2)
    model.load_state_dict(start)
    prove(plain_fine_tune(model, dls.train, dls.valid, 1), model, losses, learn)
    assert {type(loss) for loss in plain_lr_find(model, dls.train)[2]} == {float}


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
    def keep(train, valid): train.__class__ = type('Keeps', (type(train),), {'__len__': lambda self: -(-len(self.files) // self.bs)})
    parts.after_loaders = keep
def draw_of_a_loader_forgotten(parts):
    def without_draw(train, valid):
        batches = type(valid).__iter__
        def iterate(self):
            state = torch.get_rng_state()
            yield from batches(self)
            torch.set_rng_state(state) # as if it had not drawn
        valid.__class__ = type('Forgets', (type(valid),), {'__iter__': iterate})
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


@pytest.mark.parametrize('mistake', MISTAKES, ids=lambda f: f.__name__)
def test_a_mistake_is_noticed(walked, mistake, monkeypatch):
    from easing_fastai.plain import fine_tune
    from easing_fastai.plain.prove import NotEqual

    path, arch, losses, learn = walked
    if mistake is rates_swapped:
        groups = fine_tune.plain_groups
        monkeypatch.setattr(fine_tune, 'plain_groups', lambda model: [groups(model)[i] for i in (1, 0, 2)])
    training, model = twins(path, arch, change=mistake)
    with pytest.raises(NotEqual) as error:
        prove(training, model, losses, learn)
    first = {last_batch_kept: 'in the first', not_normalised: 'number 0', head_not_initialised_again: 'number 0',
             draw_of_a_loader_forgotten: f'number {len(losses)//2}', momentum_not_cycled: 'number 2'}.get(mistake, '')
    assert first in str(error.value)


# ---- bad input ----

def linear(n=2): return nn.Sequential(nn.Flatten(), nn.Linear(4, n))


def batches(n=3, dtype=torch.float32, classes=2):
    return [(torch.ones(2, 1, 2, 2, dtype=dtype), torch.tensor([0, classes - 1])) for _ in range(n)]


def test_bad_input_of_the_loop():
    from easing_fastai.plain.learner import learning_rates, parameter_groups, plain_fit_one_cycle, plain_lr_find, plain_one_cycle, plain_validate

    for train in (plain_fit_one_cycle, plain_lr_find):
        args = ([], 1) if train is plain_fit_one_cycle else ()
        with pytest.raises(ValueError, match='gives no batch.*smaller batch size'):
            train(linear(), [], *args)
        with pytest.raises(ValueError, match='integers.*uint8'):
            train(linear(), batches(dtype=torch.uint8), *args)
        with pytest.raises(TypeError, match=r'a generator can be read once or has no length.*list\(batches\)'):
            train(linear(), (batch for batch in batches()), *args)
        with pytest.raises(TypeError, match='can be read once or has no length'):
            train(linear(), iter(torch.utils.data.DataLoader([(torch.ones(4), 0), (torch.ones(4), 1)])), *args)
    with pytest.raises(ValueError, match='nothing to validate with'):
        plain_validate(linear(), [])
    with pytest.raises(ValueError, match='0 or more epochs of 1 or more batches, not -1 of 5'):
        plain_one_cycle(-1, 5, 1e-3)
    with pytest.raises(ValueError, match='from 0 to 1, not 30'):
        plain_one_cycle(1, 5, 1e-3, pct_start=30)
    assert learning_rates(None, 2) == [1e-3, 1e-3]  # what fastai's own `fit_one_cycle` is given
    with pytest.raises(ValueError, match='2 learning rates for 3 layer groups'):
        learning_rates([1e-3, 1e-4], 3)
    frozen = linear().requires_grad_(False)
    with pytest.raises(ValueError, match='no parameters that train'):
        parameter_groups(frozen)
    with pytest.raises(ValueError, match='layer groups.*leave out.*1.bias'):
        model = linear()
        parameter_groups(model, [[model[1].weight]])
    with pytest.raises(ValueError, match='no parameter of this model'):
        parameter_groups(linear(), [list(linear().parameters())])
    with pytest.raises(ValueError, match='more steps'):
        plain_lr_find(linear(), batches(), num_it=5)


def test_bad_input_of_fine_tune():
    from easing_fastai.plain.fine_tune import plain_fine_tune
    from easing_fastai.plain.narrow_resnet import digits_resnet18
    from easing_fastai.plain.vision_model import plain_vision_model

    with pytest.raises(TypeError, match='only a model of plain_vision_model.*this is Linear'):
        plain_fine_tune(nn.Linear(2, 2), batches(), batches())
    model, train = plain_vision_model(digits_resnet18, 2), [(x.expand(2, 3, 2, 2), y) for x, y in batches()]
    with pytest.raises(ValueError, match='epochs and freeze_epochs are both 0'):
        plain_fine_tune(model, train, train, 0, freeze_epochs=0)
    with pytest.raises(ValueError, match='0 or more epochs.*not -1'):
        plain_fine_tune(model, train, train, -1, freeze_epochs=0)
    assert len(plain_fine_tune(model, train, train, 0).losses) == 3 # only the body frozen is a training, too
    assert len(plain_fine_tune(model, train, train, 1, freeze_epochs=0).losses) == 3


class Skips(nn.Module):
    "Leaves a layer out of every other batch: its weights have no gradient then."
    def __init__(self):
        super().__init__()
        self.a, self.b, self.n = nn.Linear(4, 4), nn.Linear(4, 2), 0
        self.register_buffer('moved', torch.zeros(1), persistent=False)

    def forward(self, x):
        self.n += self.training
        self.moved += self.training
        return self.b(x.flatten(1) if self.n % 2 else self.a(x.flatten(1)))


class NormWithActivation(nn.BatchNorm2d):
    "A norm layer that has another layer with weights in it, as those of timm do."
    def __init__(self):
        super().__init__(1)
        self.act = nn.PReLU()

    def forward(self, x): return self.act(super().forward(x))


@pytest.mark.parametrize('make', [Skips, lambda: nn.Sequential(NormWithActivation(), linear())], ids=['skips', 'norm'])
def test_networks_of_ones_own_train_as_with_fastai(make):
    from easing_fastai.plain.learner import plain_fit_one_cycle
    from easing_fastai.plain.prove import prove_equal
    from fastai.vision.all import DataLoaders, Learner

    torch.manual_seed(0)
    items = [(torch.randn(1, 2, 2), torch.tensor(i % 2)) for i in range(10)]
    loader = torch.utils.data.DataLoader(items, batch_size=4)
    share = lambda scores, y: (scores.argmax(1) == y).float().mean().item() # a metric that gives a float
    ours, theirs = make(), make()
    theirs.load_state_dict(ours.state_dict())
    learn = Learner(DataLoaders(loader, loader, device='cpu'), theirs, loss_func=nn.functional.cross_entropy, metrics=share)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(3, 1e-2)
    training = plain_fit_one_cycle(ours, loader, loader, 3, 1e-2, metrics=(share,))
    prove_equal(ours, theirs) + prove_equal(training.table, [list(row) for row in learn.recorder.values])


def test_rates_are_recorded_of_an_optimizer_without_momentum():
    from easing_fastai.core import RecordRates
    from fastai.vision.all import DataLoaders, Learner, OptimWrapper

    record, dls = RecordRates(), DataLoaders(batches(2), batches(2), device='cpu')
    learn = Learner(dls, linear(), loss_func=nn.functional.cross_entropy, opt_func=partial(OptimWrapper, opt=torch.optim.Adagrad), cbs=record)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1)
    assert set(record.table().momentum) == {0}


def test_lr_find_leaves_the_model_as_it_is():
    from easing_fastai.plain.learner import plain_lr_find

    model = Skips().eval()
    before = [t.clone() for t in [*model.parameters(), *model.buffers()]]
    losses = iter((1, 2, 3))
    with pytest.raises(StopIteration): # it ends in the middle, as when somebody stops it
        plain_lr_find(model, batches(), start_lr=1e-2, loss_func=lambda scores, y: next(losses)*scores.square().sum())
    plain_lr_find(model, batches(), end_lr=1e-2)
    assert not model.training and model.n == 0
    assert all(map(torch.equal, before, [*model.parameters(), *model.buffers()]))


def test_a_loss_that_is_not_a_number_proves_nothing():
    from easing_fastai.plain.learner import plain_fit_one_cycle
    from easing_fastai.plain.prove import NotEqual, prove_equal

    broken = [(x * float('nan'), y) for x, y in batches()]
    one, other = (plain_fit_one_cycle(linear(), broken, batches(), 1) for _ in range(2))
    with pytest.raises(NotEqual, match='NaN'):
        prove_equal(one.losses, other.losses, 'losses')


# ---- the whole matrix: `make prove` ----

def random_resnet18(home: Path):
    "torchvision's resnet18 with random weights where ImageNet's would lie."
    from conftest import resnet18_in
    from torchvision.models import ResNet18_Weights, resnet18

    torch.hub.set_dir(str(home / 'hub'))
    torch.manual_seed(7)
    ResNet18_Weights.DEFAULT.value.url = resnet18_in(home / 'hub' / 'checkpoints')
    return resnet18


@pytest.fixture(scope='module')
def archs(tmp_path_factory):
    from easing_fastai.assets.backbone import digits_resnet18

    from torchvision.models import ResNet18_Weights

    weights = ResNet18_Weights.DEFAULT.value
    before, url = torch.hub.get_dir(), weights.url
    yield {'digits_resnet18': digits_resnet18, 'resnet18': random_resnet18(tmp_path_factory.mktemp('torch'))}
    torch.hub.set_dir(before)
    weights.url = url


MATRIX = [setting for setting in itertools.product(['digits_resnet18', 'resnet18'], ['digits', 'mnist'], SEEDS, SIZES, WORKERS)
          if setting[:2] != ('resnet18', 'mnist') or setting[2] == SEEDS[0]]  # one seed for the large network on all of MNIST_SAMPLE: minutes each


@pytest.mark.prove
@pytest.mark.parametrize('name, data, seed, bs, workers', MATRIX)
def test_fine_tune_page_05b(request, archs, name, data, seed, bs, workers):
    "plain_fine_tune of page 05b against `fine_tune(1)`, all images, to the last bit."
    path = request.getfixturevalue('digits') if data == 'digits' else real_mnist()
    losses, learn = fastais(path, archs[name], seed, bs, workers)
    print(prove(*twins(path, archs[name], seed, bs, workers), losses, learn))


@pytest.mark.prove
def test_fine_tune_with_two_layer_groups(few_digits):
    "fastai has no place to part the body of this ResNet at: two groups, and no statistics to normalise with."
    from torchvision.models import resnext50_32x4d

    losses, learn = fastais(few_digits, resnext50_32x4d, pretrained=False)
    assert len(learn.opt.param_lists) == 2
    print(prove(*twins(few_digits, resnext50_32x4d, pretrained=False), losses, learn))


def real_mnist() -> Path:
    "MNIST_SAMPLE in the user's own data folder."
    import os

    from conftest import REAL_HOME

    path = Path(REAL_HOME or Path.home() / '.fastai') / 'data' / 'mnist_sample'
    if not path.exists():
        if os.environ.get('CI'):
            pytest.fail(f'MNIST_SAMPLE is not in {path}: run `easing-fastai download` first')
        pytest.skip(f'MNIST_SAMPLE is not in {path}: run `easing-fastai download` first')
    return path


def test_the_twin_runs_no_file(tmp_path, monkeypatch):
    "A pickle under the name of ResNet-18's weights is refused: torchvision by itself would run it."
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    file = tmp_path / 'hub' / 'checkpoints' / 'resnet18-f37072fd.pth'
    file.parent.mkdir(parents=True)
    file.write_bytes(pickle.dumps(Program(tmp_path / 'it_ran'), protocol=2))
    from easing_fastai.plain.vision_model import plain_vision_model
    from torchvision.models import resnet18
    with pytest.raises(ValueError, match='resnet18-f37072fd.pth are damaged, or are others: their SHA-256 begins with'): plain_vision_model(resnet18, 2)
    assert not (tmp_path / 'it_ran').exists()
    torch.save({**resnet18(weights=None).state_dict()}, file)
    with pytest.raises(ValueError, match='are damaged, or are others'): plain_vision_model(resnet18, 2)  # others, though they would fit
    assert plain_vision_model(resnet18, 2, pretrained=False)
