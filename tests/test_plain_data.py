"The twins of loaders, model, prediction and augmentation: with odd input, and with deliberate mistakes."
import random
import re
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from easing_fastai.plain import augmentation, dataloaders, predict, vision_model
from easing_fastai.plain.dataloaders import plain_dataloaders
from easing_fastai.plain.prove import NotEqual, prove_equal
from PIL import Image

# A folder of all kinds of images: sizes, modes, endings, hidden files

@pytest.fixture(scope='module')
def zoo(tmp_path_factory) -> Path:
    "Sixty images to train on and twelve to validate with, no two sizes alike for long."
    path, rng = tmp_path_factory.mktemp('zoo'), np.random.default_rng(0)
    modes, endings = ['RGB', 'L', 'P', 'RGBA', 'LA', '1', 'I;16', 'CMYK'], ['.png', '.PNG', '.jpg', '.gif', '.bmp', '.tif']
    for part, n in (('train', 30), ('valid', 6)):
        for label in ('cat', 'dog'):
            (path / part / label).mkdir(parents=True)
            for i in range(n):
                height, width = rng.integers(20, 60, 2)
                image = Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
                mode, ending = modes[i % len(modes)], endings[i % len(endings)]
                if mode == 'I;16':
                    image, ending = Image.fromarray(rng.integers(0, 500, (height, width)).astype(np.uint16)), '.png'
                else:
                    image = image.convert(mode)
                if mode in ('RGBA', 'LA', 'CMYK'):
                    ending = '.tif'
                if mode == 'P':
                    ending = '.gif'
                image.save(path / part / label / f'image {i}{ending}')
        (path / part / 'cat' / '.hidden.png').write_bytes(b'not an image')
        (path / part / 'cat' / 'notes.txt').write_text('not an image')
        (path / part / '.thumbnails').mkdir()
        (path / part / '.thumbnails' / 'a.png').write_bytes(b'not an image')
    (path / 'other' / 'cat').mkdir(parents=True)
    Image.new('RGB', (9, 9)).save(path / 'other' / 'cat' / 'a.png')
    return path


def reference(path: Path, workers: int = 0, method: str = 'crop', size=(24, 32), passes: int = 2, **options) -> tuple[list, list, list]:
    "All batches of fastai, what the two random number generators give next, and the vocabulary."
    from fastai.vision.all import ImageDataLoaders, Normalize, Resize, imagenet_stats, set_seed

    set_seed(42)
    dls = ImageDataLoaders.from_folder(path, valid='valid', item_tfms=Resize(size, method=method), bs=16, num_workers=workers,
                                       batch_tfms=Normalize.from_stats(*imagenet_stats), device='cpu', **options)
    batches = [batch for _ in range(passes) for loader in dls.loaders for batch in loader]
    return batches, [random.random(), torch.rand(()).item()], list(dls.vocab)


def twin(path: Path, module=dataloaders, passes: int = 2, size=(24, 32), **options) -> tuple[list, list, list]:
    "The same of a twin."
    random.seed(42)
    torch.manual_seed(42)
    loaders = module.plain_dataloaders(path, size=size, stats=module.IMAGENET_STATS, bs=16, **options)
    batches = [batch for _ in range(passes) for loader in (loaders.train, loaders.valid) for batch in loader]
    return batches, [random.random(), torch.rand(()).item()], loaders.vocab


def prove(ours: tuple, theirs: tuple):
    return prove_equal(ours[0], theirs[0]) + prove_equal(ours[1], theirs[1]) + prove_equal(ours[2], theirs[2])


@pytest.mark.parametrize('method, workers', [('crop', 0), ('crop', 2), ('pad', 0), ('pad', 2), ('squish', 0)])
def test_images_of_all_kinds(zoo, method, workers):
    prove(twin(zoo, method=method, workers=workers), reference(zoo, workers, method))


def test_a_random_split_without_a_seed_of_its_own(zoo):
    "from_folder with valid_pct takes images from everywhere, and splits them with PyTorch's generator."
    prove(twin(zoo, valid_pct=.3), reference(zoo, valid_pct=.3))


def test_labels_need_not_be_words(digits):
    import pandas as pd
    from fastai.vision.all import ImageDataLoaders, set_seed

    table = pd.read_csv(digits / 'labels.csv').iloc[:80]
    rows = [(name, int(label)) for name, label in table.itertuples(index=False)] + [('valid/7/' + next((digits / 'valid' / '7').iterdir()).name, 7)] * 9
    set_seed(1)
    dls = ImageDataLoaders.from_df(pd.DataFrame(rows), digits, seed=3, bs=8, num_workers=0, device='cpu')
    theirs = [*dls.train, *dls.valid]
    random.seed(1)
    loaders = plain_dataloaders(digits, labels=rows, seed=3, bs=8)
    assert loaders.vocab == list(dls.vocab) and all(label in (0, 3, 7) for label in loaders.vocab)
    prove_equal([*loaders.train, *loaders.valid], theirs)


@pytest.mark.prove
@pytest.mark.parametrize('seed', [0, 1, 2])
@pytest.mark.parametrize('bs, workers', [(64, 0), (32, 2)])
def test_whole_epochs(digits, seed, bs, workers):
    from fastai.vision.all import ImageDataLoaders, set_seed

    set_seed(seed)
    dls = ImageDataLoaders.from_folder(digits, valid='valid', bs=bs, num_workers=workers, device='cpu')
    theirs = [batch for _ in range(3) for loader in dls.loaders for batch in loader]
    random.seed(seed)
    loaders = plain_dataloaders(digits, bs=bs)
    prove_equal([batch for _ in range(3) for loader in (loaders.train, loaders.valid) for batch in loader], theirs)


# Mistakes on purpose: each of them must be seen

def mutated(module: types.ModuleType, old: str, new: str) -> types.ModuleType:
    "A module with one thing changed."
    source = Path(module.__file__).read_text(encoding='utf-8')
    assert source.count(old) == 1, f'{old!r} is {source.count(old)} times in {module.__name__}'
    changed = types.ModuleType(module.__name__ + '_with_a_mistake')
    changed.__package__ = module.__package__
    exec(compile(source.replace(old, new), module.__file__, 'exec'), changed.__dict__)
    return changed


@pytest.fixture(scope='module')
def of_fastai(zoo):
    return reference(zoo)


LOADER_MISTAKES = {
    'the last batch kept': ('len(self.files)//self.bs if self.shuffle else math.ceil', 'math.ceil'),
    'not normalised': ('if self.stats: x = ', 'if False: x = '),
    'not divided by the standard deviation': ('(x - self.stats[0])/self.stats[1]', 'x - self.stats[0]'),
    "one loader's draw forgotten": ('self.rng = random.Random(random.randint(0, 2**32 - 1)) ',
                                    'self.rng = random.Random(random.randint(0, 2**32 - 1)) if self.shuffle else random.Random(0) '),
    'the same order in every pass': ('self.rng = random.Random(self.rng.randint(0, 2**32 - 1))', 'self.rng = random.Random(7)'),
    "PyTorch's draw forgotten": ('torch.empty((), dtype=torch.int64).random_().item()', '0'),
    'multiplied, not divided': ('.div_(255)', '.mul_(1/255)'),
    'validation shuffled': ('if self.shuffle: order =', 'order ='),
    'training not shuffled': ('if self.shuffle: order =', 'if False: order ='),
    'files sorted': ('    return files\n', '    return sorted(files)\n'),
    'hidden folders read': ("not name.startswith('.'))]", 'True)]'),
    'classes not sorted': ('sorted({names[i] for i in rows[0]})', 'sorted({names[i] for i in rows[0]}, reverse=True)'),
    'training cropped in the middle': ('return generator.random(), generator.random()', 'return .5, .5'),
    'height and width swapped': ('height, width = (size,', 'width, height = (size,'),
    'the dropped images not drawn for': ('for _ in order[len(self)*self.bs:]:', 'for _ in []:'),
    'the trial image forgotten': ('    loaders[0].crop_at(random)', '    pass'),
    'resized with another filter': ('Resampling.BILINEAR', 'Resampling.BICUBIC'),
}


@pytest.mark.parametrize('name', LOADER_MISTAKES)
def test_a_mistake_in_the_loader_is_seen(zoo, of_fastai, name):
    with pytest.raises((NotEqual, OSError, ValueError)):
        prove(twin(zoo, mutated(dataloaders, *LOADER_MISTAKES[name])), of_fastai)


def everything_about(model, groups, unfreeze) -> dict:
    "Numbers, groups, switches, and outputs for images large enough for maps with more than one place."
    torch.manual_seed(42)
    x, switches = torch.randn(8, 3, 96, 96), [p.requires_grad for p in model.parameters()]
    numbers = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    outputs = {}
    for training in (False, True):
        model.train(training)
        torch.manual_seed(42)
        with torch.no_grad():
            outputs[str(training)] = model(x)
    groups = [[parameter.clone() for parameter in group] for group in groups(model)]
    unfreeze(model)
    return dict(numbers=numbers, switches=switches, groups=groups, outputs=outputs,
                unfrozen=[p.requires_grad for p in model.parameters()], next=torch.rand(()))


def model_of(module) -> dict:
    from easing_fastai.plain.narrow_resnet import digits_resnet18

    torch.manual_seed(42)
    model = module.plain_vision_model(digits_resnet18, 2)
    return everything_about(model, module.plain_groups, module.plain_unfreeze)


@pytest.fixture(scope='module')
def model_of_fastai(digits) -> dict:
    from easing_fastai.assets.backbone import digits_resnet18
    from fastai.vision.all import ImageDataLoaders, set_seed, vision_learner

    dls = ImageDataLoaders.from_folder(digits, valid='valid', device='cpu')
    set_seed(42)
    learn = vision_learner(dls, digits_resnet18)
    return everything_about(learn.model, lambda model: [list(group) for group in learn.opt.param_lists], lambda model: learn.unfreeze())


def test_the_model(model_of_fastai):
    prove_equal(model_of(vision_model), model_of_fastai)


@pytest.mark.parametrize('name', ['resnet34', 'resnet152', 'resnext50_32x4d', 'wide_resnet50_2', 'densenet121', 'vgg11_bn',
                                  'squeezenet1_1', 'alexnet', 'mobilenet_v3_small', 'efficientnet_b0'])
def test_the_layer_groups_of_other_architectures(name):
    "fastai knows only of some where to part the body; `meta` has no numbers, so that this is quick."
    from fastai.vision.learner import default_split, model_meta

    arch = getattr(torchvision.models, name)
    with torch.device('meta'):
        model = vision_model.plain_vision_model(arch, 3, pretrained=False)
    theirs = model_meta.get(arch, {}).get('split', default_split)(model)
    assert [list(map(id, group)) for group in vision_model.plain_groups(model)] == [list(map(id, group)) for group in theirs]


MODEL_MISTAKES = {
    'head not initialised again': ('if isinstance(layer, nn.Linear): nn.init', 'if False: nn.init'),
    'offset of BatchNorm at 0': ('nn.init.constant_(layer.bias, 1e-3)', 'pass'),
    'the image nobody sees left out': ('.uniform_(-1, 1)', ''),
    'cut one part too late': ('parts[:pools[-1]]', 'parts[:pools[-1] + 1]'),
    'poolings swapped': ('[self.largest(maps), self.average(maps)]', '[self.average(maps), self.largest(maps)]'),
    'dropout of the first half doubled': ('nn.Dropout(.25)', 'nn.Dropout(.5)'),
    'no ReLU': ('nn.ReLU(inplace=True)', 'nn.Identity()'),
    'BatchNorm frozen': ('if isinstance(layer, NORMS): layer', 'if False: layer'),
    'nothing frozen': ('if pretrained: plain_freeze(model)', 'pass'),
    'groups parted elsewhere': ('(body[:6], body[6:], head)', '(body[:5], body[5:], head)'),
    'two groups swapped': ('(body[:6], body[6:], head)', '(body[6:], body[:6], head)'),
    'two groups only': ('resnet152, digits_resnet18}', 'resnet152}'),
    'the head left frozen': ('model.requires_grad_(True)', 'model[0].requires_grad_(True); model[1].requires_grad_(False)'),
    'random body': ("'DEFAULT' if pretrained else None", 'None'),
}


@pytest.mark.parametrize('name', MODEL_MISTAKES)
def test_a_mistake_in_the_model_is_seen(model_of_fastai, name):
    with pytest.raises((NotEqual, RuntimeError)):
        prove_equal(model_of(mutated(vision_model, *MODEL_MISTAKES[name])), model_of_fastai)


AUGMENTATION_MISTAKES = {
    'the other half mirrored': ('flip = 1 - 2*sometimes(one, .5)', 'flip = 2*sometimes(one, .5) - 1'),
    'turned the other way': ('[-angle.sin(), angle.cos(), 0]])', '[-angle.sin(), angle.cos(), 0]]).transpose(1, 2)'),
    'zoomed before turned': ('@ matrix([[s, 0,', '@ torch.eye(3) @ matrix([[1/s, 0,'),
    'the shape left out': ('*= height/width', '*= 1'),
    'no tilt': ('if d.training and d.warp_x is not None', 'if False'),
    'validation not drawn for': ('    if max_lighting:\n', '    if max_lighting and training:\n'),
    'edges black': ("padding_mode='reflection'", "padding_mode='zeros'"),
    'light in validation': ('if d.training and d.brightness', 'if d.brightness'),
    'contrast before brightness': ('(logit(x) + logit(brightness))*contrast', 'logit(x)*contrast + logit(brightness)'),
    'not averaged first': ('if shrink > 1 and', 'if False and'),
}


def augmented(module=augmentation) -> list:
    "Batches of training and of validation, varied by a twin."
    torch.manual_seed(42)
    varied = []
    for x, training, size in images():
        varied.append((module.plain_augment(x, module.sample_augmentation(len(x), training=training), size),))
    return varied + [(torch.rand(()),)]


def images() -> list:
    "Batches of images that are not square: with whether they are for training, and the size that is asked for."
    source = torch.Generator().manual_seed(0)
    return [(torch.rand(6, 3, 30, 40, generator=source), training, size) for training, size in ((True, None), (False, None), (True, (10, 14)))]


@pytest.fixture(scope='module')
def varied_by_fastai() -> list:
    from fastai.vision.all import TensorImage, aug_transforms

    torch.manual_seed(42)
    varied = []
    for x, training, size in images():
        x = TensorImage(x)
        for transform in aug_transforms(size=size):
            x = transform(x, split_idx=int(not training))
        varied.append((x,))
    return varied + [(torch.rand(()),)]


def test_augmentation(varied_by_fastai):
    prove_equal(augmented(), varied_by_fastai)


@pytest.mark.parametrize('name', AUGMENTATION_MISTAKES)
def test_a_mistake_in_the_augmentation_is_seen(varied_by_fastai, name):
    with pytest.raises(NotEqual):
        prove_equal(augmented(mutated(augmentation, *AUGMENTATION_MISTAKES[name])), varied_by_fastai)


# Bad input

def folder(path: Path, **counts: int) -> Path:
    "Small images, so many in each folder; __ is a slash."
    for name, n in counts.items():
        (path / name.replace('__', '/')).mkdir(parents=True)
        for i in range(n):
            Image.new('RGB', (8, 8)).save(path / name.replace('__', '/') / f'{i}.png')
    return path


GOOD = dict(train__a=3, train__b=3, valid__a=1, valid__b=1)


@pytest.mark.parametrize('counts, options, error', [
    ({}, {}, 'no images in'),
    (dict(train__a=4, valid__a=1), {}, "are 'a': there is nothing to tell apart"),
    (dict(train__a=2, train__b=2), {}, '4 images, but none to validate with'),
    (dict(valid__a=2, valid__b=2), {}, '4 images, but none to train on'),
    (dict(train__a=2, train__b=2, valid__c=1), {}, "'c' is a class to validate with, but none to train on"),
    (dict(train=1, train__a=2, train__b=2, valid__a=1), {}, 'is not in a folder of a class'),
    (GOOD, dict(bs=64), '6 training images do not fill a batch of 64'),
    (GOOD, dict(bs=0), 'an integer, 1 or more, not 0'),
    (GOOD, dict(bs='4'), "an integer, 1 or more, not '4'"),
    (GOOD, dict(bs=4.0), r'not 4\.0'),
    (GOOD, dict(valid_pct=0), 'valid_pct is a share'),
    (GOOD, dict(valid_pct=1.5), 'valid_pct is a share'),
    (GOOD, dict(labels=[]), 'no images in'),
])
def test_folders_that_teach_nothing(tmp_path, counts, options, error):
    with pytest.raises(ValueError, match=error):
        plain_dataloaders(folder(tmp_path, **counts), **{'bs': 2, **options})


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(ValueError, match='There is no folder .*nowhere'):
        plain_dataloaders(tmp_path / 'nowhere')
    (tmp_path / 'file.txt').write_text('not a folder')
    with pytest.raises(ValueError, match=r'file\.txt is a file, not a folder'):
        plain_dataloaders(tmp_path / 'file.txt')


def test_a_size_of_one_number(zoo):
    file = dataloaders.image_files(zoo / 'valid')[0]
    prove_equal(dataloaders.plain_image(file, 24), dataloaders.plain_image(file, (24, 24)))
    one, two = (next(iter(plain_dataloaders(zoo, size=size, bs=4).valid)) for size in (24, (24, 24)))
    prove_equal(list(one), list(two))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 24 * 24, 2))
    one, two = (predict.plain_predict(model, file, ['cat', 'dog'], size=size) for size in (24, (24, 24)))
    prove_equal(one.probabilities, two.probabilities)
    x, drawn = torch.rand(2, 3, 30, 40), augmentation.sample_augmentation(2)
    prove_equal(augmentation.plain_augment(x, drawn, 14), augmentation.plain_augment(x, drawn, (14, 14)))


def test_images_that_cannot_be_used(tmp_path):
    path = folder(tmp_path, **GOOD)
    Image.new('RGB', (9, 7)).save(path / 'valid' / 'b' / 'wide.png')
    loaders = plain_dataloaders(path, bs=2)
    with pytest.raises(ValueError, match=r'has 9×7 pixels.*give a size|has 8×8 pixels.*wide\.png has 9×7 pixels: give a size'):
        list(loaders.valid)
    with pytest.raises(ValueError, match="'crop', 'pad' or 'squish', not 'fill'"):
        list(plain_dataloaders(path, bs=2, size=8, method='fill').valid)
    (path / 'train' / 'a' / '0.png').write_bytes(b'this is text')
    with pytest.raises(OSError, match=r'0\.png cannot be opened as an image'):
        list(loaders.train)
    with pytest.raises(OSError, match=r'gone\.png cannot be opened'):
        list(plain_dataloaders(path, labels=[('gone.png', 'a'), ('train/b/0.png', 'b')] * 4, bs=2, seed=0).train)


def xresnet(weights):
    from fastai.vision.all import xresnet18

    return xresnet18(weights=weights)


@pytest.mark.parametrize('arch, error', [
    ('resnet18', "not 'resnet18'; .* of timm, are not rebuilt$"),
    (None, 'not None$'),
    (torchvision.models.resnet18(), 'not ResNet$'),
    (xresnet, 'not xresnet: '),
    (lambda: None, 'not <lambda>: .*unexpected keyword'),
    (lambda weights: torch.nn.Linear(2, 2), 'not <lambda>: it gives Linear$'),
], ids=['a name', 'nothing', 'a model', 'xresnet', 'no weights', 'no resnet'])
def test_architectures_that_have_no_twin(arch, error):
    with pytest.raises(TypeError, match=f'a function of torchvision that gives a network, such as resnet18, {error}'):
        vision_model.plain_vision_model(arch, 2)


@pytest.mark.parametrize('arch', [torchvision.models.mobilenet_v2, torchvision.models.vit_b_16])
def test_networks_that_fastai_cannot_cut(arch):
    with torch.device('meta'), pytest.raises(TypeError, match='has no pooling layer.*fastai cannot cut it either'):
        vision_model.plain_vision_model(arch, 2, pretrained=False)


@pytest.mark.parametrize('n_out', [1, 0, None, '2', 2.0])
def test_numbers_of_classes_that_are_none(n_out):
    with pytest.raises(ValueError, match=f'n_out is the number of classes, 2 or more, not {n_out!r}'):
        vision_model.plain_vision_model(torchvision.models.resnet18, n_out)


@pytest.mark.parametrize('use', [vision_model.plain_groups, vision_model.plain_freeze])
@pytest.mark.parametrize('model', [torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Sequential(), torch.nn.Linear(2, 2)), None],
                         ids=['a layer', 'two parts', 'nothing'])
def test_models_from_elsewhere(model, use):
    "Where their body is to be parted, nobody knows."
    with pytest.raises(TypeError, match=f'only a model of plain_vision_model.*this is {type(model).__name__} from elsewhere'):
        use(model)


def test_predictions_that_make_no_sense(digits):
    from easing_fastai.plain.narrow_resnet import digits_resnet18

    model = vision_model.plain_vision_model(digits_resnet18, 2)
    file = next((digits / 'valid' / '3').iterdir())
    with pytest.raises(ValueError, match='2 outputs, the vocabulary 3 classes'):
        predict.plain_predict(model, file, ['a', 'b', 'c'])
    with pytest.raises(TypeError, match='opens a file, and got ndarray'):
        predict.plain_predict(model, np.ones((28, 28, 3)), ['a', 'b'])


def test_augmentation_of_what_cannot_be_varied():
    drawn = augmentation.sample_augmentation(2)
    for x in (torch.full((2, 3, 8, 8), -1.), torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.full((2, 3, 8, 8), float('nan'))):
        with pytest.raises(ValueError, match='after dividing by 255, before normalising'):
            augmentation.plain_augment(x, drawn)
    with pytest.raises(ValueError, match='3 images, but random numbers for 2'):
        augmentation.plain_augment(torch.zeros(3, 3, 8, 8), drawn)


def test_one_bit_in_a_million_is_seen():
    a = torch.rand(1000, 1000)
    b = a.clone()
    b[123, 456] = torch.nextafter(b[123, 456], torch.tensor(2.))
    with pytest.raises(NotEqual, match=re.escape('index (123, 456)')) as e:
        prove_equal([(a, a)], iter([(a, b)]))
    assert e.value.where == 'batch 0, y, index (123, 456)' and 0 < e.value.distance < 1e-7
    prove_equal([(a, a)], [(a, b)], tolerance=1e-7)


def test_a_photograph_that_lies_stays_so_in_all_twins(tmp_path):
    "fastai passes over the EXIF note that says how the camera was held; so does everything that claims to be its equal."
    from easing_fastai.core import digits_resnet18, in_memory
    from fastai.vision.all import ImageDataLoaders, Resize, vision_learner

    rng, exif = np.random.default_rng(0), Image.Exif()
    exif[0x0112] = 6
    for part in ('train', 'valid'):
        for label in ('cat', 'dog'):
            (tmp_path / part / label).mkdir(parents=True)
            for i in range(8):
                Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(tmp_path / part / label / f'{i}.jpg', exif=exif)
    prove(twin(tmp_path, size=(20, 30), passes=1), reference(tmp_path, size=(20, 30), passes=1))

    make = lambda: ImageDataLoaders.from_folder(tmp_path, valid='valid', item_tfms=Resize((20, 30)), bs=4, num_workers=0, device='cpu')  # noqa: E731
    prove_equal(list(in_memory(make()).valid), list(make().valid))

    learn, file = vision_learner(make(), digits_resnet18, normalize=False), tmp_path / 'valid' / 'cat' / '0.jpg'
    with learn.no_bar():
        theirs = learn.predict(file)[2].as_subclass(torch.Tensor)
    prove_equal(predict.plain_predict(learn.model, file, ['cat', 'dog'], size=(20, 30)).probabilities, theirs)
