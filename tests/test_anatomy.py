"anatomy of models whose layers do not show their parameters: a sentence, never a wrong count."
import pytest
import torch
from easing_fastai.core import anatomy
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from torch import nn


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
