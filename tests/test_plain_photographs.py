"The twins on photographs, several classes and other architectures: equal to the last bit."
import random
from pathlib import Path

import photos
import pytest
import torch
import torchvision
from conftest import REAL_HOME
from test_plain_training import prove

from easing_fastai.plain import augmentation, dataloaders, fine_tune, vision_model
from easing_fastai.plain.prove import prove_equal


class Varied:
    "Batches of a loader, varied as by `aug_transforms(size=…)`."
    def __init__(self, loader, size): self.loader, self.size = loader, size

    def __len__(self): return len(self.loader)

    def __iter__(self):
        for x, y in self.loader:
            drawn = augmentation.sample_augmentation(len(x), training=self.loader.shuffle)
            yield augmentation.plain_augment(x, drawn, self.size), y


def ten_classes(path, n_train, n_valid):
    "Cuttings of three photographs, in ten folders."
    for part, n in (('train', n_train), ('valid', n_valid)):
        for i in range(10):
            folder = path / part / f'class {i}'
            folder.mkdir(parents=True)
            for j, piece in enumerate(photos.cuttings(sorted(photos.WHERE)[i % 3], n, seed=100*n + i)):
                piece.crop((0, 0, piece.width, piece.height - 2*i)).save(folder / f'{j}.png')
    return path


@pytest.fixture(scope='module')
def folder(tmp_path_factory): return ten_classes(tmp_path_factory.mktemp('ten'), 4, 1)


def fastais(path, arch, method='crop', bs=13, size=(40, 32), workers=0, seed=42):
    "40 images in batches of 13: one is left over; `fine_tune(1)` from random weights."
    from fastai.vision.all import ImageDataLoaders, Resize, accuracy, aug_transforms, set_seed, vision_learner
    from easing_fastai.chapters.fine_tune import RecordRates

    set_seed(seed)
    dls = ImageDataLoaders.from_folder(path, valid='valid', bs=bs, num_workers=workers, item_tfms=Resize(size[0], method),
                                       batch_tfms=aug_transforms(size=size[1]), device='cpu')
    learn = vision_learner(dls, arch, metrics=accuracy, pretrained=False, cbs=RecordRates())
    with learn.no_bar(), learn.no_logging(): learn.fine_tune(1)
    return learn.record_rates.table().loss.tolist(), learn


def twins(path, arch, method='crop', bs=13, size=(40, 32), workers=0, seed=42):
    random.seed(seed), torch.manual_seed(seed)
    train, valid, vocab = dataloaders.plain_dataloaders(path, size=size[0], method=method, bs=bs, workers=workers)
    augmentation.sample_augmentation(1) # fastai tries one image when its loaders are done
    model = vision_model.plain_vision_model(arch, len(vocab), pretrained=False)
    return fine_tune.plain_fine_tune(model, Varied(train, size[1]), Varied(valid, size[1]), 1), model


def both(path, arch, **options): return str(prove(*twins(path, arch, **options), *fastais(path, arch, **options)))


@pytest.mark.parametrize('method', ['crop', 'pad', 'squish'])
def test_fine_tune_on_photographs(folder, method):
    "Ten classes, presizing, augmentation, an image left over."
    from easing_fastai.assets.backbone import digits_resnet18

    assert both(folder, digits_resnet18, method=method).endswith('equal to the last bit')


def batches_proof(path, method, valid, size=64, bs=13):
    "Both loaders, pass by pass: crops at random, an image left over."
    from fastai.vision.all import ImageDataLoaders, Normalize, Resize, imagenet_stats, set_seed

    set_seed(42)
    dls = ImageDataLoaders.from_folder(path, valid=valid, bs=bs, num_workers=0, item_tfms=Resize(size, method), device='cpu',
                                       batch_tfms=Normalize.from_stats(*imagenet_stats))
    theirs = [[t.as_subclass(torch.Tensor) for t in batch] for loader in dls for batch in loader]
    random.seed(42), torch.manual_seed(42)
    train, held_out, _ = dataloaders.plain_dataloaders(path, size=size, method=method, bs=bs, valid=valid, stats=imagenet_stats)
    return prove_equal([[*batch] for loader in (train, held_out) for batch in loader], theirs)


@pytest.fixture(scope='module')
def jpegs(tmp_path_factory):
    "Pieces of two photographs, of many sizes and of both kinds of JPEG: in colour and grey."
    from sklearn.datasets import load_sample_image

    path, rng = tmp_path_factory.mktemp('jpegs'), random.Random(0)
    for part, n in (('train', 15), ('valid', 5)):
        for label in ('china', 'flower'):
            (path / part / label).mkdir(parents=True)
            photo = photos.Image.fromarray(load_sample_image(f'{label}.jpg'))
            for i in range(n):
                width, height = rng.randint(70, 640), rng.randint(70, 427)
                left, top = rng.randint(0, 640 - width), rng.randint(0, 427 - height)
                piece = photo.crop((left, top, left + width, top + height)).convert('L' if i == 3 else 'RGB')
                piece.save(path / part / label / f'{i}.jpg', quality=rng.choice((60, 80, 95)))
    return path


@pytest.mark.parametrize('method', ['crop', 'pad', 'squish'])
def test_batches_of_jpegs_of_many_sizes(jpegs, method):
    assert str(batches_proof(jpegs, method, valid='valid')).endswith('equal to the last bit')


@pytest.mark.real
@pytest.mark.parametrize('method', ['crop', 'pad', 'squish'])
def test_batches_of_ants_and_bees(method):
    path = Path(REAL_HOME or Path.home() / '.fastai') / 'data' / 'hymenoptera_data'
    if not path.is_dir(): pytest.skip('the ants and bees are not on this disk: `easing-fastai download`')
    assert str(batches_proof(path, method, valid='val', bs=61)).endswith('equal to the last bit')


ARCHS = ['resnet34', 'densenet121', 'vgg11_bn', 'squeezenet1_1', 'mobilenet_v3_small', 'resnext50_32x4d', 'efficientnet_b0']


def model_proof(name):
    from fastai.vision.all import default_split, model_meta
    from fastai.vision.learner import create_vision_model

    arch = getattr(torchvision.models, name)
    torch.manual_seed(42)
    ours = vision_model.plain_vision_model(arch, 10, pretrained=False)
    torch.manual_seed(42)
    theirs = create_vision_model(arch, 10, pretrained=False)
    groups = model_meta.get(arch, {}).get('split', default_split)(theirs)
    return prove_equal(ours, theirs) + prove_equal([len(group) for group in vision_model.plain_groups(ours)],
                                                   [len(group) for group in groups])


@pytest.mark.parametrize('name', ['squeezenet1_1', 'mobilenet_v3_small'])
def test_the_models_of_other_architectures(name): assert str(model_proof(name)).endswith('equal to the last bit')


@pytest.mark.prove
@pytest.mark.parametrize('name', ARCHS)
def test_fine_tune_of_other_architectures(folder, name):
    print(model_proof(name))
    print(both(folder, getattr(torchvision.models, name), size=(80, 64)))


@pytest.mark.prove
@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('method', ['crop', 'pad', 'squish'])
def test_fine_tune_on_photographs_with_resnet18(folder, method, workers):
    print(both(folder, torchvision.models.resnet18, method=method, workers=workers, size=(80, 64)))
