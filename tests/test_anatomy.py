"anatomy changes nothing that it looks at; of layers that do not show their parameters it gives no wrong count."
import inspect
from functools import partial

import numpy as np
import pytest
import torch
from easing_fastai.core import anatomy
from fastai.callback.hook import hook_output
from fastai.callback.progress import ProgressCallback
from fastai.data.core import DataLoaders, TfmdDL
from fastai.learner import Learner
from fastai.text.models.awdlstm import AWD_LSTM
from fastai.torch_core import TensorImage
from fastai.vision.learner import create_unet_model
from torch import nn
from torchvision.models import resnet18


def two_parts() -> nn.Module:
    return nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)), nn.Sequential(nn.Flatten(), nn.Linear(8, 2)))


def statically_quantized() -> nn.Module:
    quantization = torch.ao.quantization
    model = nn.Sequential(quantization.QuantStub(), nn.Conv2d(3, 8, 3), nn.ReLU(), quantization.DeQuantStub()).eval()
    model.qconfig = quantization.get_default_qconfig(torch.backends.quantized.engine)
    quantization.prepare(model, inplace=True)(torch.rand(2, 3, 8, 8))
    return quantization.convert(model)


HIDDEN = {
    'scripted': (lambda: torch.jit.script(two_parts()), 'compiled by torch.jit'),
    'traced': (lambda: torch.jit.trace(two_parts().eval(), torch.rand(2, 3, 8, 8)), 'compiled by torch.jit'),
    'frozen': (lambda: torch.jit.freeze(torch.jit.script(two_parts().eval())), 'compiled by torch.jit'),
    'scripted in part': (lambda: nn.Sequential(torch.jit.script(two_parts()[0]), two_parts()[1]), 'compiled by torch.jit'),
    'dynamically quantized': (lambda: torch.ao.quantization.quantize_dynamic(two_parts(), {nn.Linear}), 'layer 1.1 is quantized'),
    'statically quantized': (statically_quantized, 'is quantized'),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('make, words', HIDDEN.values(), ids=HIDDEN)
def test_parameters_that_cannot_be_seen(make, words):
    items = [(torch.rand(3, 8, 8), torch.tensor(i % 2)) for i in range(8)]
    dls = DataLoaders.from_dsets(items, items, bs=4)
    with pytest.raises(TypeError, match=words): anatomy(Learner(dls, make(), loss_func=nn.CrossEntropyLoss()))
    assert '242 of 242 parameters' in str(anatomy(Learner(dls, two_parts(), loss_func=nn.CrossEntropyLoss())))


class Merged(nn.Linear):
    "Adds a part to its weight while it is evaluated, as LoRA does."
    part, merged = 1., False

    def train(self, mode=True):
        super().train(mode)
        if self.merged == mode: self.weight.data += -self.part if mode else self.part
        self.merged = not mode
        return self


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer('n', torch.zeros(1))
        self.seen = []

    def forward(self, x):
        self.n += 1
        self.seen.append(len(x))
        return x


def before_quantization() -> nn.Module:
    model = two_parts().train()
    model.qconfig = torch.ao.quantization.get_default_qat_qconfig(torch.backends.quantized.engine)
    return torch.ao.quantization.prepare_qat(model)


def learner_of(model, item=None, **kwargs):
    items = [(TensorImage(torch.rand(3, 8, 8)) if item is None else item, torch.tensor(i % 2)) for i in range(8)]
    return Learner(DataLoaders.from_dsets(items, items, bs=4, device='cpu', **kwargs), model, loss_func=nn.CrossEntropyLoss())


CHANGEABLE = {
    'merged': lambda: nn.Sequential(two_parts()[0], nn.Flatten(), Merged(8, 2)),
    'counter': lambda: nn.Sequential(Counter(), *two_parts()),
    'before quantization': before_quantization,
    'spectral norm': lambda: nn.Sequential(two_parts()[0], nn.Flatten(), nn.utils.spectral_norm(nn.Linear(8, 2))),
    'U-Net': lambda: create_unet_model(resnet18, 2, (8, 8), pretrained=False),
    'compiled in part': lambda: nn.Sequential(torch.compile(two_parts()[0], backend='eager'), two_parts()[1]),
    'compiled': lambda: torch.compile(two_parts(), backend='eager'),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('make', CHANGEABLE.values(), ids=CHANGEABLE)
def test_a_model_is_run_without_being_changed(make):
    model = make().train()
    if not hasattr(model, '_orig_mod'): model(torch.rand(2, 3, 8, 8)) # what it has computed can be no obstacle
    state, modes = {name: t.clone() for name, t in model.state_dict().items()}, [m.training for m in model.modules()]
    look = anatomy(learner_of(model))
    assert 'No sizes' not in look.note and look.inputs == [(3, 8, 8)] and look.parameters == sum(p.numel() for p in model.parameters())
    assert all(torch.equal(t, state[name]) for name, t in model.state_dict().items()) and modes == [m.training for m in model.modules()]
    assert all(model.get_submodule(layer.name) for layer in look.layers)
    if isinstance(model, nn.Sequential) and isinstance(model[0], Counter): assert model[0].seen == [2]


def test_hooks_of_the_reader_see_nothing():
    model, seen = two_parts(), []
    model.register_forward_pre_hook(lambda *what: seen.append(what))
    hook = hook_output(model[0])
    model(torch.rand(2, 3, 8, 8))
    assert anatomy(learner_of(model)).layers[-1].out == (2,) and len(seen) == 1 and len(hook.stored) == 2
    model(torch.rand(3, 3, 8, 8))
    assert len(seen) == 2 and len(hook.stored) == 3, 'they are still there'


@pytest.mark.filterwarnings('ignore')
def test_a_hidden_state():
    model = AWD_LSTM(20, 4, 5, 1).train()
    model.reset()
    model(torch.zeros(4, 3, dtype=torch.long))
    assert 'No sizes' not in anatomy(learner_of(model, torch.zeros(3, dtype=torch.long))).note
    assert model.bs == 4 and len(model.hidden[0][0][0]) == 4


def test_a_loader_stays_where_it_is():
    learn = learner_of(two_parts(), val_shuffle=True)
    generator = learn.dls.valid.rng
    state = generator.getstate()
    assert anatomy(learn).layers[-1].out == (2,)
    assert learn.dls.valid.rng is generator and generator.getstate() == state
    batches = iter([(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]))])
    for once in (batches, TfmdDL(batches), torch.utils.data.DataLoader(torch.utils.data.datapipes.iter.IterableWrapper(batches, deepcopy=False))):
        assert 'only be read in order' in anatomy(Learner(DataLoaders([], once), two_parts(), loss_func=nn.CrossEntropyLoss())).note
    assert len(list(batches)) == 1


class Drawn:
    "A data set with a random generator of its own."
    def __init__(self): self.rng, self.asked = np.random.default_rng(0), 0
    def __len__(self): return 8

    def __getitem__(self, i):
        self.asked += 1
        return torch.tensor(self.rng.random((3, 8, 8)), dtype=torch.float32), i % 2


def test_a_data_set_is_asked_for_one_item_and_that_is_said():
    train, valid = Drawn(), Drawn()
    loaders = (torch.utils.data.DataLoader(data, batch_size=4) for data in (train, valid))
    anatomy(Learner(DataLoaders(*loaders), two_parts(), loss_func=nn.CrossEntropyLoss()))
    assert (train.asked, valid.asked) == (0, 1) and 'asked for an item' in inspect.getsource(anatomy)


@pytest.mark.parametrize('opt_func', [torch.optim.AdamW, partial(torch.optim.AdamW, betas=(0.9, 0.99))])
def test_an_optimizer_of_pytorch_as_it_is(opt_func):
    learn = learner_of(two_parts())
    learn.opt_func = opt_func
    with pytest.raises(TypeError, match=r'opt_func=partial\(OptimWrapper, opt=torch\.optim\.AdamW\)'): anatomy(learn)


def test_after_a_training_with_a_rate_of_0():
    learn = learner_of(two_parts())
    learn.remove_cb(ProgressCallback)
    with learn.no_logging(): learn.fit(1, lr=0.)
    assert [group.rate for group in anatomy(learn).groups] == [0.]
