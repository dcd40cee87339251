"The twins stand alone: they import and run without fastai, and their pages prove what they say on any machine."
import ast
import re
import sys
from pathlib import Path

import pytest
from conftest import REPO, cold_start

PLAIN = sorted(p for p in (REPO / 'easing_fastai' / 'plain').glob('*.py') if p.name != '__init__.py')
TWINS = [path for path in PLAIN if path.stem not in ('prove', 'narrow_resnet', 'folders')]
modules = pytest.mark.parametrize('path', PLAIN, ids=lambda path: path.stem)


@modules
def test_what_a_module_imports(path):
    allowed = {'torch', 'torchvision', 'PIL', 'numpy', *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            assert all(name.name.split('.')[0] in allowed for name in node.names), ast.unparse(node)
        if isinstance(node, ast.ImportFrom): # level 1: from another module of this room
            here = node.level == 1 or node.module in ('base.files', 'base.formats') # which import Pillow and nothing else
            assert here or (node.level == 0 and node.module.split('.')[0] in allowed), ast.unparse(node)


WITHOUT_FASTAI = """
import random, sys
sys.modules['fastai'] = sys.modules['fastcore'] = None # an import of them fails
import torch
from easing_fastai.plain.augmentation import plain_augment, sample_augmentation
from easing_fastai.plain.dataloaders import IMAGENET_STATS, plain_dataloaders, plain_image
from easing_fastai.plain.fine_tune import plain_fine_tune
from easing_fastai.plain.folders import split_at_random
from easing_fastai.plain.learner import plain_accuracy, plain_fit_one_cycle, plain_lr_find, plain_one_cycle, plain_validate
from easing_fastai.plain.narrow_resnet import digits_resnet18
from easing_fastai.plain.predict import plain_predict, plain_results
from easing_fastai.plain.prove import prove_equal
from easing_fastai.plain.vision_model import plain_freeze, plain_groups, plain_head, plain_unfreeze, plain_vision_model
random.seed(42); torch.manual_seed(42)
train, valid, vocab = plain_dataloaders(sys.argv[1], stats=IMAGENET_STATS)
model = plain_vision_model(digits_resnet18, len(vocab))
training = plain_fine_tune(model, train, valid, 1)
print(vocab, len(training.losses), len(plain_one_cycle(1, len(train), 1e-3)))
print(len(plain_fit_one_cycle(model, train, valid, 1, 1e-3, plain_groups(model)).losses), plain_lr_find(model, train, num_it=10)[0] > 0)
before = plain_validate(model, valid, metrics=(plain_accuracy,))
plain_freeze(model), plain_unfreeze(model), plain_head(64, 2)
print(prove_equal(plain_validate(model, valid), before))
print(plain_predict(model, valid.files[0], vocab, IMAGENET_STATS).label in vocab, len(plain_results(model, valid, vocab)))
x = torch.stack([plain_image(file) for file in valid.files[:4]]).float()/255
print(plain_augment(x, sample_augmentation(4)).shape == x.shape)
loaded = {name.partition('.')[0] for name, module in sys.modules.items() if module}
print(loaded & {'fastai', 'fastcore', 'matplotlib', 'pandas', 'safetensors', 'scipy', 'rich', 'jinja2'})
"""


def test_all_twins_run_without_fastai(few_digits):
    public = {name for path in TWINS for name in re.findall(r'^def (plain_\w+)', path.read_text(encoding='utf-8'), flags=re.M)}
    assert {path.stem for path in PLAIN} == set(re.findall(r'plain\.(\w+) import', WITHOUT_FASTAI))
    assert all(f'{name}(' in WITHOUT_FASTAI or f'{name},' in WITHOUT_FASTAI for name in public) and len(public) > 12
    done = cold_start('-c', WITHOUT_FASTAI, str(few_digits))
    assert done.stdout.splitlines() == ["['3', '7'] 6 3", '3 True', 'every one of 2 numbers is equal to the last bit', 'True 9',
                                        'True', 'set()'], done.stderr


def named_in_comments(path: Path) -> list[str]:
    "What a twin says that it mirrors: `# fastai: Learner.freeze, Learner.unfreeze (why)`."
    return [name for names in re.findall(r'# fastai: ([\w.]+(?:, [\w.]+)*)|; fastai: ([\w.]+)', path.read_text(encoding='utf-8'))
            for name in ', '.join(filter(None, names)).split(', ')]


@pytest.mark.parametrize('path', TWINS, ids=lambda path: path.stem)
def test_what_a_twin_says_it_mirrors_is_in_fastai(path):
    import fastai.vision.all as everything
    from fastai.vision import learner # its private names, too

    names = named_in_comments(path)
    assert names
    for name in names:
        first, *rest = name.split('.')
        place = getattr(everything, first, None) or getattr(learner, first, None)
        assert place is not None, f'fastai has no {name}'
        for part in rest:
            assert hasattr(place, part), f'fastai has no {name}'
            place = getattr(place, part)


# Where fastai would take another device than the CPU, here `meta`: whoever asks for a number there fails.

OTHER_DEVICE = """
import json, sys
from pathlib import Path
import fastai.torch_core as torch_core
from fastai.torch_core import defaults
import torch
torch_core.default_device = lambda use=-1: [setattr(defaults, 'use_cuda', use) if use != -1 else None,
                                            torch.device('cpu' if defaults.use_cuda is False else 'meta')][1]
assert torch_core.default_device().type == 'meta'
import matplotlib
matplotlib.use('agg')
from easing_fastai import core
core.mnist_sample = lambda: Path(sys.argv[2])
cells = [''.join(cell['source']) for cell in json.load(open(sys.argv[1], encoding='utf-8'))['cells']
         if cell['cell_type'] == 'code' and cell['id'] != 'head-install']
last = max(i for i, cell in enumerate(cells) if 'prove_equal(' in cell)
names = {'__name__': 'page'}
for cell in cells[:last + 1]: exec(compile(cell.replace('bs=256', 'bs=64'), '<cell>', 'exec'), names)
print('proven on', torch_core.default_device())
"""


@pytest.mark.long
@pytest.mark.parametrize('page, data', [
    ('03b_plain_learner', 'few_digits'), ('04b_plain_vision_model', 'few_digits'), ('05b_plain_fine_tune', 'few_digits'),
    *(pytest.param(page, 'digits', marks=pytest.mark.prove) for page in ('02b_plain_dataloaders', '02c_plain_augmentation', '06b_plain_predict'))])
def test_the_proofs_are_on_the_cpu_wherever_fastai_would_compute(page, data, request):
    "A page's cells, up to its last proof; one that does not hold is an error."
    done = cold_start('-c', OTHER_DEVICE, str(REPO / 'nbs' / f'{page}.ipynb'), str(request.getfixturevalue(data)))
    assert done.stdout.endswith('proven on cpu\n'), done.stderr[-3000:]
