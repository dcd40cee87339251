"Loaders in memory against the stock ones: the same batches and learners, a sentence where that cannot be."
import ctypes
import os
import platform
import random
import tempfile
from contextlib import nullcontext, redirect_stdout
from copy import deepcopy
from io import StringIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import cold_start
from fastai.vision.all import (Adam, Brightness, Callback, CategoryBlock, CropPad, CutMix, DataBlock, DataLoader,
                               DataLoaders, Datasets, FlipItem, GradientAccumulation, GrandparentSplitter, ImageBlock,
                               ImageDataLoaders, Interpretation, IntToFloatTensor, Learner, MaskBlock, MixedPrecision,
                               MixUp, MultiCategoryBlock, Normalize, PILImage, PILImageBW, PointBlock, RandomCrop, RandomResizedCrop,
                               ReduceLROnPlateau, RegexLabeller, Resize, ResizeMethod, SaveModelCallback, SkipItemException,
                               TensorImage, TfmdDL, TfmdLists, ToTensor, TransformBlock, accuracy, aug_transforms, get_image_files,
                               imagenet_stats, listify, load_learner, noop, parent_label, set_seed, vision_learner)
from fasttransform.transform import Function, Transform
from PIL import Image

from easing_fastai.assets.backbone import digits_resnet18
from easing_fastai.speed.cheaper_steps import FusedAdam, fewer_calls, memory_reused
from easing_fastai.speed.in_memory import InMemoryDL, in_memory, state_of


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    "32 images of noise to train on and 10 to validate, all of one size."
    return make_images(tmp_path_factory.mktemp('images'), lambda i: (24, 24))


def make_images(folder, size, n_train=32, n_valid=10):
    rng = np.random.default_rng(0)
    for part, n in (('train', n_train), ('valid', n_valid)):
        for i in range(n):
            file = folder / part / 'ab'[i % 2] / f'{i:02}.png'
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (*size(i), 3), dtype=np.uint8)).save(file)
    return folder


def loaders(folder, blocks=(ImageBlock, CategoryBlock), get_y=parent_label, num_workers=0, bs=8, **kwargs):
    block = DataBlock(blocks, get_items=lambda f: get_image_files(f).sorted(), get_y=get_y,
                      splitter=GrandparentSplitter(valid_name='valid'), **kwargs)
    return block.dataloaders(folder, path=folder, device='cpu', num_workers=num_workers, bs=bs)


def bits(dls):
    parts = [part for dl in (dls.train, dls.valid, dls.train) for batch in dl for part in batch]
    return [(type(part), part.stride(), part.dtype, part.numpy().tobytes()) for part in parts]


def rng_states():
    "Where the three shared random number generators stand."
    name, keys, *rest = np.random.get_state()
    return random.getstate(), (name, keys.tobytes(), *rest), torch.get_rng_state().numpy().tobytes()


def flips_the_last(x):
    "Draws only for an image that is not among those looked at beforehand."
    is_it = isinstance(x, Image.Image) and x.getpixel((0, 0)) == flips_the_last.pixel
    return x.rotate(180) if is_it and random.random() < 2 else x


def normalize_while_training():
    normalize = Normalize.from_stats(*imagenet_stats)
    normalize.split_idx = 0
    return normalize


def center(file): return [[12, 12], [3, 4]]


def mask_of(file): return file


def first_letter(file, letters='ab'): return letters[file.parent.name == 'b']


class OwnCrop(RandomCrop): pass


def paints(x):
    "Changes what it gets."
    if isinstance(x, Image.Image): x.putpixel((0, 0), tuple(255 - v for v in x.getpixel((0, 0))) if x.mode == 'RGB' else 255 - x.getpixel((0, 0)))
    return x


def skips(x):
    if isinstance(x, Image.Image) and x.getpixel((0, 0)) == skips.pixel: raise SkipItemException
    return x


class OwnGenerator:
    "A transform that draws from nobody's generator but its own, and seldom."
    def __init__(self): self.rng = random.Random(1)
    def __call__(self, x): return x.rotate(90) if isinstance(x, Image.Image) and self.rng.random() < 0.02 else x


def counted():
    "A transform with a state, but without a generator."
    calls = []
    def each_another(x):
        if not isinstance(x, Image.Image): return x
        calls.append(0)
        return x.rotate(len(calls))
    return each_another


def turned(x): return x.rotate(90) if isinstance(x, Image.Image) else x


class Fade(Transform):
    "Less from epoch to epoch, if somebody says so."
    order, steps = 6, [4]
    def __init__(self): self.by, self.table = 4, {'by': 4}
    def encodes(self, x: TensorImage): return x // (self.by * self.table['by'] * self.steps[0])


GREY = ImageBlock(cls=PILImageBW), CategoryBlock
WAYS = {
    'plain': {}, 'grey': dict(blocks=GREY), 'small batches': dict(bs=5),
    'squish': dict(item_tfms=Resize(20, method=ResizeMethod.Squish)), 'crop': dict(item_tfms=RandomCrop(16)),
    'flip, then resize': dict(item_tfms=[FlipItem(), Resize(32)]), 'pad': dict(item_tfms=CropPad(30)),
    'batch': dict(batch_tfms=aug_transforms()), 'normalized': dict(batch_tfms=Normalize.from_stats(*imagenet_stats)),
    'normalized while training': dict(batch_tfms=normalize_while_training()),
    'normalized by its own numbers': lambda: dict(batch_tfms=Normalize()),
    'grey, normalized': lambda: dict(blocks=GREY, batch_tfms=Normalize()),
    'divided by less': dict(batch_tfms=IntToFloatTensor(div=2.)),
    'masks': dict(blocks=(ImageBlock, MaskBlock), get_y=mask_of),
    'no label': dict(blocks=(ImageBlock,), get_y=None), 'a late draw': dict(item_tfms=flips_the_last),
    'own crop': dict(item_tfms=OwnCrop(8)), 'own generator': lambda: dict(item_tfms=OwnGenerator()),
    'a state': lambda: dict(item_tfms=counted()), 'an item left out': dict(item_tfms=skips),
    'changes what it gets': dict(item_tfms=paints), 'changes what it gets, grey': dict(blocks=GREY, item_tfms=paints),
    'own label': dict(get_y=lambda file: file.parent.name.upper()),
    'a label in the name': dict(get_y=RegexLabeller(r'[/\\](.)[/\\][^/\\]+$')),
    'several labels': dict(blocks=(ImageBlock, MultiCategoryBlock), get_y=lambda file: [file.parent.name, 'image']),
    'squish in workers': dict(item_tfms=Resize(20, 'squish'), num_workers=2, batch_tfms=aug_transforms(size=12)),
    'vouched for': dict(get_y=first_letter, num_workers=2, item_tfms=turned, pure=[first_letter, turned]),
    'a class vouched for': lambda: dict(num_workers=2, item_tfms=Fade(), pure=Fade),
}


@pytest.mark.parametrize('way', WAYS)
def test_the_same_bits(images, way):
    flips_the_last.pixel = skips.pixel = Image.open(sorted(images.glob('train/*/*'))[7]).getpixel((0, 0))
    def run(make):
        set_seed(3)
        kwargs = WAYS[way]() if callable(WAYS[way]) else dict(WAYS[way])  # anew: some find their numbers in the data
        pure = kwargs.pop('pure', [])
        dls = loaders(images, **kwargs)
        if make: dls = in_memory(dls, pure=pure)
        assert all(isinstance(dl, InMemoryDL) == make for dl in dls.loaders)
        return bits(dls), rng_states()
    stock, kept = run(False), run(True)
    assert stock == kept and len(stock[0]) > 4


@pytest.fixture(scope='module')
def many(tmp_path_factory):
    "So many that worker processes read them."
    return make_images(tmp_path_factory.mktemp('many'), lambda i: (4, 4), n_train=2100)


@pytest.mark.parametrize('copies', [True, False])
def test_the_same_bits_as_with_workers_and_for_many_rows(copies, many, monkeypatch):
    started = []
    start = torch.multiprocessing.Process.start
    monkeypatch.setattr('torch.multiprocessing.Process.start', lambda process: (started.append(0), start(process)))
    monkeypatch.setattr('easing_fastai.speed.in_memory.COPIES', copies)
    def run(make):
        set_seed(3)
        return bits(make(loaders(many, num_workers=2, bs=64)))
    assert run(noop) == run(in_memory)
    assert len(started) == (3 + copies)*2 # three passes of the stock loaders, and the reading


def test_an_image_of_another_size_that_a_worker_process_finds(many, capsys):
    file = sorted(many.glob('train/*/*'))[1500]
    whole = file.read_bytes()
    try:
        Image.new('RGB', (5, 5)).save(file)
        dls = loaders(many, num_workers=2)
        assert in_memory(dls) is dls
    finally: file.write_bytes(whole)
    said = capsys.readouterr().out.splitlines()
    assert said[-1].endswith('stay as they are: its images differ in size, or items hold more than numbers') and len(said) == 2


def test_an_image_of_one_point_among_large_ones(tmp_path, capsys):
    "It is read by itself, and would fill the place of a large one."
    for part in ('train', 'valid'):
        for i in range(20):
            file = tmp_path / part / 'ab'[i % 2] / f'{i:02}.png'
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (1, 1) if (part, i) == ('train', 4) else (600, 600)).save(file)
    dls = loaders(tmp_path)
    assert in_memory(dls) is dls and 'its images differ in size' in capsys.readouterr().out


@pytest.mark.parametrize('num_workers', [1, 3])
def test_no_worker_process_where_there_is_nothing_to_do(num_workers, images, monkeypatch):
    def run(make):
        set_seed(3)
        dls = make(loaders(images, num_workers=num_workers, item_tfms=Resize(10, method=ResizeMethod.Squish)))
        if make is in_memory:
            monkeypatch.setattr('torch.multiprocessing.Process.start', lambda process: pytest.fail('a worker process'))
        return bits(dls), rng_states(), dls.test_dl(get_image_files(images)).fake_l.num_workers
    assert run(noop) == run(in_memory)


@pytest.mark.parametrize('kwargs', [dict(num_workers=2), dict(num_workers=0, item_tfms=RandomCrop(8)),
                                    dict(num_workers=2, after_item=RandomCrop(8))],
                         ids=['workers later', 'other transforms', 'random transforms in workers later'])
def test_what_no_longer_fits_is_read_as_stock_loaders_do(kwargs, images):
    kwargs = dict(kwargs)
    item_tfms, after_item = kwargs.pop('item_tfms', None), kwargs.pop('after_item', None)
    def run(make):
        set_seed(3)
        dls = make(loaders(images, item_tfms=item_tfms))
        if after_item: dls = type(dls)(*[dl.new(after_item=[after_item, *dl.after_item.fs]) for dl in dls.loaders])
        return bits(type(dls)(*[dl.new(**kwargs) for dl in dls.loaders]))
    assert run(noop) == run(in_memory)


def test_an_order_drawn_by_pytorch(images):
    def run(make):
        set_seed(3)
        dls = make(loaders(images))
        drawn = dict(shuffle=True, shuffle_fn=lambda rows: torch.randperm(len(rows)).tolist())
        return bits(type(dls)(*[dl.new(**drawn) for dl in dls.loaders]))
    assert run(noop) == run(in_memory)


def test_after_a_look_at_one_image(images):
    "fastai's `show_batch(unique=True)` leaves a method behind that belongs to the loader it was called on."
    def run(make):
        set_seed(3)
        dls = loaders(images)
        dls.show_batch(unique=True)
        made = make(dls)
        before = dls.train.rng.getstate()
        found = bits(made)
        return found, made is dls or dls.train.rng.getstate() == before
    stock, kept = run(noop), run(in_memory)
    assert stock == kept and kept[1]


def test_fewer_rows_than_the_data_set_has(images):
    def run(make):
        set_seed(3)
        dls = loaders(images)
        dls.train.n = 9
        few = make(dls)
        return bits(few), [x.numpy().tobytes() for x, _ in few.train.new(shuffle=False, drop_last=False)]
    assert run(noop) == run(in_memory)


@pytest.mark.parametrize('cls', [PILImage, PILImageBW])
@pytest.mark.parametrize('n_grey', [16, 42])
def test_grey_files_among_others(n_grey, cls, tmp_path):
    folder = make_images(tmp_path, lambda i: (10, 8))
    for i, file in enumerate(get_image_files(folder).sorted()):
        if i % 42 < n_grey: Image.open(file).convert('L').save(file)
        elif i % 5 == 0: Image.open(file).convert('RGBA').save(file)
        elif i % 5 == 1: Image.open(file).convert('P').save(file)
    def run(make):
        set_seed(3)
        dls = make(loaders(folder, blocks=(ImageBlock(cls=cls), CategoryBlock)))
        assert make is noop or dls.train.kept.columns
        return bits(dls)
    assert run(noop) == run(in_memory)


def upside_down(file, mode=None): return Image.open(file).convert(mode).rotate(180)


def mirrored(self, x: TensorImage): return x.flip(-1).float() / 255


def transposed(self, x: PILImage): return TensorImage(np.asarray(x).T.copy())


def turned_by_lot(self, x: PILImage): return TensorImage(np.asarray(x).T.copy()[:, ::random.choice([1, -1])].copy())


@pytest.mark.parametrize('name, value', [('vision.core.load_image', upside_down),
                                         ('vision.core.ToTensor.encodes', transposed),
                                         ('vision.core.ToTensor.encodes', turned_by_lot),
                                         ('data.transforms.IntToFloatTensor.encodes', mirrored)])
def test_steps_of_fastais_that_somebody_has_changed(name, value, images, monkeypatch):
    monkeypatch.setattr(f'fastai.{name}', Function(value).dispatch(value) if 'encodes' in name else value)
    def run(make):
        set_seed(3)
        return bits(make(loaders(images, batch_tfms=Normalize.from_stats(*imagenet_stats))))
    changed = run(noop)
    assert changed == run(in_memory)
    monkeypatch.undo()
    assert changed != run(in_memory)


@pytest.mark.parametrize('kwargs', [dict(bs=None), dict(pin_memory=True), dict(before_batch=lambda items: items[::-1]),
                                    dict(create_batch=lambda items: torch.stack([x for x, _ in items]))],
                         ids=lambda kwargs: list(kwargs)[0])
@pytest.mark.parametrize('first', [True, False])
def test_other_ways_to_make_batches(first, kwargs, images):
    def changed(dls): return type(dls)(*[dl.new(drop_last=False, **kwargs) for dl in dls.loaders])
    def run(make):
        set_seed(3)
        dls = loaders(images)
        return bits(make(changed(dls)) if first else changed(make(dls)))
    assert run(noop) == run(in_memory)


@pytest.mark.parametrize('kwargs', [dict(pin_memory=True), dict(shuffle=False, bs=7), dict(drop_last=False)])
def test_no_file_is_opened_again(kwargs, images, monkeypatch):
    dls = in_memory(loaders(images))
    monkeypatch.setattr(Image, 'open', lambda *args: pytest.fail('a file was opened'))
    assert bits(type(dls)(*[dl.new(**kwargs) for dl in dls.loaders])) and dls.show_batch(show=False)


def test_predictions_open_no_file_either(images, monkeypatch):
    set_seed(3)
    stock = loaders(images)
    learn = vision_learner(stock, digits_resnet18)
    expected = learn.get_preds()
    learn.dls = in_memory(stock)
    monkeypatch.setattr(Image, 'open', lambda *args: pytest.fail('a file was opened'))
    assert all(map(torch.equal, learn.get_preds(), expected))
    assert len(Interpretation.from_learner(learn).top_losses(3)[0]) == 3


def test_twice(images, capsys):
    kept = in_memory(loaders(images))
    assert in_memory(kept) is kept and 'in memory already' in capsys.readouterr().out


def test_what_is_said_and_kept(images, capsys):
    kept = in_memory(loaders(images)).train.kept
    assert '42 items' in capsys.readouterr().out
    assert [tuple(part.shape) for part in kept.columns] == [(32, 3, 24, 24), (32,)]
    assert kept.columns[0].dtype == torch.uint8
    kept = in_memory(loaders(images, item_tfms=RandomCrop(8))).train.kept
    assert capsys.readouterr().out.endswith('MB; done anew each time: RandomCrop\n')
    assert not kept.columns and isinstance(kept.items[0][0], PILImage)


LABELS = random.Random(1)


def drawn_label(file, choose=LABELS.choice): return choose('ab')


def noisy(file): return PILImage.create((np.random.rand(8, 8, 3) * 255).astype(np.uint8))


class Other(TfmdDL):
    "A kind of loader that somebody has made."


def words(images):
    return Datasets(list('abcd'), [[str.upper]], splits=[[0, 1], [2, 3]]).dataloaders(bs=1, num_workers=0)


def pytorchs(images):
    return DataLoaders(*[torch.utils.data.DataLoader([(torch.rand(3, 8, 8), 0)] * 8, batch_size=4)] * 2)


def with_own_sample(images):
    dls = loaders(images)
    dls.train.sample = lambda: iter([3, 1, 2])
    return dls


def table_of(images):
    files = get_image_files(images).sorted()
    return pd.DataFrame({'file': [file.relative_to(images).as_posix() for file in files], 'label': [file.parent.name for file in files]})


def from_a_table(images):
    return ImageDataLoaders.from_df(table_of(images), images, valid_pct=.5, seed=1, bs=4, num_workers=0, device='cpu')


def from_a_column(images):
    column = pd.Series(list(get_image_files(images).sorted())).sample(frac=1, random_state=1)
    return ImageDataLoaders.from_path_func(images, column, parent_label, bs=8, num_workers=0, device='cpu')


def from_arrays(images):
    arrays = [np.asarray(Image.open(file)) for file in get_image_files(images).sorted()]
    dsets = Datasets(arrays, [[PILImage.create], []], splits=[list(range(32)), list(range(32, 42))])
    return dsets.dataloaders(bs=4, num_workers=0, after_item=ToTensor, after_batch=IntToFloatTensor, device='cpu')


def of_lists(images):
    files = get_image_files(images).sorted()
    lists = TfmdLists(files, [PILImage.create], splits=[list(range(30)), list(range(30, 37))])
    return lists.dataloaders(bs=6, num_workers=0, after_item=ToTensor, after_batch=IntToFloatTensor, device='cpu')


def labelled_by_a_table(images):
    labels = dict(zip(get_image_files(images), 'ab' * 21))
    return loaders(images, get_y=lambda file: labels[file])


def of_several_sizes(images):
    folder = images.parent / 'several_sizes'
    return loaders(folder if folder.exists() else make_images(folder, lambda i: (20 + i % 5, 30)), bs=1)


STAY = {  # what makes loaders, and a word of the sentence
    'own crop in workers': (lambda images: loaders(images, num_workers=2, item_tfms=OwnCrop(8)), 'OwnCrop'),
    'crops in workers': (lambda images: loaders(images, item_tfms=Resize((16, 20)), num_workers=2, bs=5), 'Resize'),
    'more workers than batches': (lambda images: loaders(images, item_tfms=FlipItem(), num_workers=3, bs=16), 'FlipItem'),
    'own generator in workers': (lambda images: loaders(images, item_tfms=OwnGenerator(), num_workers=2), 'OwnGenerator'),
    'generator for labels': (lambda images: loaders(images, get_y=drawn_label), 'pure=[drawn_label]'),
    'a table of labels': (labelled_by_a_table, '<lambda>'),
    'random reading': (lambda images: loaders(images, blocks=(TransformBlock(noisy), CategoryBlock)), 'noisy'),
    'points': (lambda images: loaders(images, blocks=(ImageBlock, PointBlock), get_y=center), 'TensorPoint.create'),
    'a table': (from_a_table, 'lists of files'), 'a column': (from_a_column, 'lists of files'),
    'arrays': (from_arrays, 'lists of files'), 'several sizes': (of_several_sizes, 'size'),
    'another kind': (lambda images: loaders(images, dl_type=Other), 'Other'), 'lists': (of_lists, 'TfmdLists'),
    "fastai's plain kind": (lambda images: DataLoaders(DataLoader([1, 2, 3]), DataLoader([1, 2])), 'DataLoader'),
    "PyTorch's": (pytorchs, 'torch.utils.data'), 'no images': (words, 'str'), 'own sample': (with_own_sample, 'sample'),
    'an item left out': (lambda images: loaders(images, item_tfms=skips, num_workers=2), 'skips'),
}


@pytest.mark.parametrize('case', STAY)
def test_loaders_that_stay_as_they_are(case, images, capsys):
    skips.pixel = Image.open(sorted(images.glob('train/*/*'))[7]).getpixel((0, 0))
    make, word = STAY[case]
    set_seed(3)
    dls = make(images)
    before = rng_states()
    assert in_memory(dls) is dls and rng_states() == before
    assert word in capsys.readouterr().out.splitlines()[-1].partition('stay as they are:')[2]


@pytest.mark.parametrize('case', [case for case in STAY if case not in ('another kind', "fastai's plain kind", "PyTorch's",
                                                                        'no images', 'generator for labels', 'lists')])
def test_the_batches_of_loaders_that_stay(case, images):
    "Looking at them has not moved a generator."
    skips.pixel = Image.open(sorted(images.glob('train/*/*'))[7]).getpixel((0, 0))
    def run(make):
        set_seed(3)
        return bits(make(STAY[case][0](images)))
    assert run(noop) == run(in_memory)


@pytest.fixture(scope='module')
def learners(images):
    "A stock learner and one in memory, trained alike."
    def trained(make):
        set_seed(3)
        learn = vision_learner(make(loaders(images)), digits_resnet18, metrics=accuracy)
        with learn.no_bar(), learn.no_logging(): learn.fine_tune(1)
        return learn
    return trained(noop), trained(in_memory)


def test_the_same_learner(learners, images, tmp_path):
    stock, kept = learners
    assert all(map(torch.equal, stock.model.state_dict().values(), kept.model.state_dict().values()))
    file = get_image_files(images).sorted()[3]
    with stock.no_bar(), kept.no_bar():
        for what in (lambda learn: learn.predict(file)[2], lambda learn: learn.get_preds()[0],
                     lambda learn: learn.get_preds(dl=learn.dls.test_dl([file, file]))[0],
                     lambda learn: learn.get_preds(ds_idx=0)[0], lambda learn: torch.tensor(learn.validate()),
                     lambda learn: Interpretation.from_learner(learn).top_losses()[0]):
            assert torch.equal(what(stock), what(kept))
        results = []
        for learn in learners:
            learn.path = tmp_path
            set_seed(5)
            results.append(learn.lr_find(show_plot=False, num_it=5))
        assert results[0] == results[1]
    assert type(kept.dls.test_dl([file])) is TfmdDL and isinstance(kept.dls.train.new(shuffle=False), InMemoryDL)


def test_show(learners):
    for learn in learners:
        learn.dls.show_batch(max_n=4)
        learn.dls.show_batch(unique=True)
        with learn.no_bar(): learn.show_results(max_n=4)
        titles = [ax.get_title() for ax in plt.gcf().axes]
        assert len(titles) == 4 and all(set(title) <= set('ab\n') for title in titles)
        plt.close('all')


def test_export_leaves_the_images_behind(learners, images, tmp_path):
    sizes = []
    for learn in learners:
        learn.export(tmp_path / 'model.pkl')
        sizes.append((tmp_path / 'model.pkl').stat().st_size)
    assert sizes[1] < sizes[0] + 2000
    loaded = load_learner(tmp_path / 'model.pkl')
    with loaded.no_bar(): assert loaded.predict(get_image_files(images)[0])[0] in ('a', 'b')


def test_changed_transforms_are_heeded(images):
    kept = in_memory(loaders(images))
    original = loaders(images)
    smaller = kept.train.new(after_item=[Resize(12, method=ResizeMethod.Squish), *kept.train.after_item.fs])
    assert smaller.one_batch()[0].shape[-2:] == (12, 12)
    before = len(original.train.after_batch.fs)
    in_memory(original).add_tfms([IntToFloatTensor()], 'after_batch')
    assert len(original.train.after_batch.fs) == before
    assert kept.valid.one_batch()[0].shape[-2:] == (24, 24)


def fade_of(dls): return next(tfm for tfm in dls.train.after_item.fs if isinstance(tfm, Fade))


def halved(x: PILImage): return TensorImage(np.asarray(x).transpose(2, 0, 1) // 2)


LATER = {  # the transforms, and what is changed in loaders that have them
    'own attribute': ([Resize(20, 'squish'), Fade], lambda dls: setattr(fade_of(dls), 'by', 2)),
    'of the class': ([Resize(20, 'squish'), Fade], lambda dls: setattr(Fade, 'steps', [1])),
    'size': (Resize(20, 'squish'), lambda dls: [setattr(tfm, 'size', (12, 12)) for dl in dls.loaders for tfm in dl.after_item.fs if isinstance(tfm, Resize)]),
    'method': (Resize(20, 'squish'), lambda dls: [setattr(tfm, 'method', 'crop') for dl in dls.loaders for tfm in dl.after_item.fs if isinstance(tfm, Resize)]),
    'classes': (None, lambda dls: dls.vocab.o2i.update(a=1, b=0)),
    'files': (None, lambda dls: [tl.items.__setitem__(0, tl.items[1]) for dl in dls.loaders for tl in dl.dataset.tls]),
    'fewer files': (None, lambda dls: [setattr(tl, 'items', tl.items[:9]) for dl in dls.loaders for tl in dl.dataset.tls]),
    'a transform more': (None, lambda dls: dls.add_tfms([Resize(12, 'squish')], 'after_item')),
    'a type more': (None, lambda dls: setattr(dls.train.after_item.fs[0], 'encodes', Function(halved).dispatch(halved))),
    'a method of the loader': (None, lambda dls: setattr(dls.train, 'do_item', lambda row: dls.valid.after_item(dls.valid_ds[row % 3]))),
}


def test_a_function_that_changes_later(images):
    "As IPython's autoreload changes it."
    def run(make):
        def label(file): return file.parent.name
        set_seed(3)
        dls = make(loaders(images, get_y=label))
        before = bits(dls)
        label.__code__ = (lambda file: 'b').__code__
        return before, bits(dls)
    stock, kept = run(noop), run(in_memory)
    assert stock == kept and stock[0] != stock[1]


def test_the_stock_loaders_go_on_as_before(images):
    set_seed(3)
    dls = loaders(images)
    bits(in_memory(dls))
    found = bits(dls)
    set_seed(3)
    assert found == bits(loaders(images))


@pytest.mark.parametrize('case', LATER)
def test_what_changes_later_is_heeded(images, case, monkeypatch):
    tfms, change = LATER[case]
    def run(make):
        monkeypatch.setattr(Fade, 'steps', [4])
        set_seed(3)
        dls = make(loaders(images, item_tfms=[tfm() if tfm is Fade else deepcopy(tfm) for tfm in listify(tfms)]))
        assert make is noop or type(dls.train) is InMemoryDL
        before = bits(dls)
        change(dls)
        if case == 'fewer files':
            for dl in dls.loaders: dl.n = 9
        return before, bits(dls)
    stock, kept = run(noop), run(in_memory)
    assert stock == kept and stock[0] != stock[1]


@pytest.mark.parametrize('tfms', [Resize(20), FlipItem(), RandomCrop(16), [CropPad(30), RandomResizedCrop(16)]], ids=str)
def test_nothing_has_changed_after_a_training(tfms, images):
    "What fastai's transforms set while they work is no change."
    dls = in_memory(loaders(images, item_tfms=tfms))
    learn = vision_learner(dls, digits_resnet18, metrics=accuracy)
    with learn.no_bar(), learn.no_logging():
        learn.fine_tune(2)
        learn.predict(get_image_files(images)[0])
        learn.tta(n=1)
    learn.dls.show_batch(max_n=2)
    plt.close('all')
    for dl in dls.loaders:
        dl.one_batch()
        assert state_of(dl) == dl.kept.state


@pytest.mark.parametrize('tfms', [RandomCrop(16), CropPad(16, split_idx=0)], ids=['crop', 'only while training'])
def test_training_transforms_on_validation_images(images, tfms):
    "As `tta` does it."
    def run(make):
        set_seed(3)
        dl = make(loaders(images, item_tfms=tfms)).valid
        before = [x.shape for x, _ in dl]
        with dl.dataset.set_split_idx(0): return before, [x.numpy().tobytes() for x, _ in dl]
    assert run(noop) == run(in_memory)


def test_an_empty_validation_set(images):
    files = get_image_files(images).sorted()
    def run(make):
        set_seed(3)
        dls = make(ImageDataLoaders.from_path_func(images, files, parent_label, valid_pct=0., bs=8, num_workers=0,
                                                   device='cpu'))
        assert len(dls.valid_ds) == 0 and list(dls.valid) == []
        return [x.numpy().tobytes() for x, _ in dls.train]
    assert run(noop) == run(in_memory)


def test_refusals(images, learners):
    with pytest.raises(TypeError, match='takes DataLoaders, and this is a Learner'): in_memory(learners[0])
    with pytest.raises(TypeError, match='limit_gb is a number of gigabytes'): in_memory(loaders(images), limit_gb='2')


@pytest.mark.parametrize('tfms, n_bytes', [(None, 42*(24*24*3 + 8)), (RandomCrop(8), 32*(24*24*3 + 8) + 10*(8*8*3 + 8))],
                         ids=['in one tensor', 'images to be cropped'])
def test_a_limit(images, tfms, n_bytes):
    "Three bytes for a point, eight for a label."
    with pytest.raises(MemoryError, match=r'42 items.*the limit is.*limit_gb='):
        in_memory(loaders(images, item_tfms=tfms), limit_gb=n_bytes/1e9*0.999)
    assert type(in_memory(loaders(images, item_tfms=tfms), limit_gb=n_bytes/1e9).train) is InMemoryDL


def test_a_missing_and_a_damaged_file(tmp_path):
    folder = make_images(tmp_path, lambda i: (10, 10))
    file = sorted(folder.glob('train/*/*'))[7]
    whole = file.read_bytes()
    dls = loaders(folder)
    for make, kind in ((file.unlink, FileNotFoundError), (lambda: file.write_bytes(whole[:200]), OSError),
                       (lambda: file.write_text('text'), OSError)):
        make()
        errors = []
        for go in (lambda: in_memory(dls), lambda: list(dls.train)):
            with pytest.raises(kind) as caught: go()
            errors.append((caught.type, str(caught.value)))
        assert errors[0] == errors[1]


def test_cheaper_steps_learn_the_same(images):
    "Adam and FusedAdam from the same seed: the losses agree to rounding, frozen and free; fewer calls change nothing."
    def losses(opt_func, cheap):
        set_seed(3)
        learn = vision_learner(loaders(images), digits_resnet18, opt_func=opt_func)
        with learn.no_bar(), learn.no_logging():
            if cheap:
                with fewer_calls(learn): learn.fine_tune(2)
            else: learn.fine_tune(2)
        return torch.stack(learn.recorder.losses)
    stock, cheap, fused = losses(Adam, False), losses(Adam, True), losses(FusedAdam, True)
    assert torch.equal(stock, cheap)
    assert torch.allclose(stock, fused, rtol=1e-3) and not torch.equal(stock, fused)


class Brighter(Callback):
    "A transform of fastai's in a callback: it works on images and leaves plain tensors alone."
    order = 5
    def before_batch(self): self.learn.xb = (Brightness(0.9, p=1.)(self.x, split_idx=0),)


class Types(Callback):
    "Keeps the types of what it computes, with images and with losses."
    order = 5
    def __init__(self): self.found = []
    def before_batch(self): self.found.append((type(self.x), type(self.x.float() + 1), type(self.y)))
    def after_loss(self): self.found.append(type(self.pred * 2))


class Nothing(Callback):
    "Hears everything in a way of its own."
    def __call__(self, event_name):
        if event_name == 'after_step': self.model[1][-1].weight.data.mul_(0.99)


class Halved(Learner):
    "A learner with a step of its own."
    def _step(self):
        super()._step()
        self.model[1][-1].weight.data.mul_(0.5)


@pytest.mark.parametrize('callbacks', [MixUp, CutMix, lambda: GradientAccumulation(16), Brighter, Nothing,
                                       MixedPrecision, SaveModelCallback])
def test_fewer_calls_change_nothing(callbacks, images, tmp_path):
    def training(context):
        set_seed(3)
        learn = vision_learner(loaders(images), digits_resnet18, metrics=accuracy, path=tmp_path)
        with learn.no_bar(), learn.no_logging(), context(learn): learn.fit(1, cbs=callbacks())
        weights = learn.model[1][-1].weight.detach()
        return torch.stack(learn.recorder.losses), torch.tensor(learn.recorder.values), weights
    assert all(map(torch.equal, training(nullcontext), training(fewer_calls)))


def test_fewer_calls_show_callbacks_the_usual_types(images):
    def found(context):
        learn = vision_learner(loaders(images), digits_resnet18, cbs=Types())
        with learn.no_bar(), learn.no_logging(), context(learn): learn.fit(1)
        return learn.types.found
    usual = found(nullcontext)
    assert usual == found(fewer_calls) and usual[0][:2] == (TensorImage, TensorImage)


def test_fewer_calls_for_another_kind_of_learner(images, tmp_path):
    def training(context):
        set_seed(3)
        body = vision_learner(loaders(images), digits_resnet18)
        learn = Halved(body.dls, body.model, loss_func=body.loss_func, splitter=body.splitter, path=tmp_path)
        with learn.no_bar(), learn.no_logging(), context(learn):
            learn.fit(1)
            assert isinstance(learn, Halved)
            learn.export('inside.pkl')
        assert type(learn) is type(load_learner(tmp_path / 'inside.pkl')) is Halved
        return learn.model[1][-1].weight.detach()
    assert torch.equal(training(nullcontext), training(fewer_calls))


def slower(callback): callback.model[1][-1].weight.data.mul_(0.9)


class Late(Callback):
    "Gets its method in the middle of an epoch."
    def after_train(self): self.after_step = lambda: slower(self)


class Patched(Callback):
    "Gets its method between two trainings."


@pytest.mark.parametrize('callback', [Late, Patched])
def test_methods_that_come_later_are_heard(callback, images):
    def training(context):
        set_seed(3)
        learn = vision_learner(loaders(images), digits_resnet18, cbs=callback())
        with learn.no_bar(), learn.no_logging(), context(learn), pytest.MonkeyPatch.context() as monkeypatch:
            learn.fit(1)
            monkeypatch.setattr(Patched, 'after_step', slower, raising=False)
            learn.fit(1)
        return learn.model[1][-1].weight.detach()
    assert torch.equal(training(nullcontext), training(fewer_calls))


def test_a_learner_with_events_of_its_own_stays_as_it_is(images):
    class Loud(Learner):
        heard = []
        def _call_one(self, event_name):
            self.heard.append(event_name)
            super()._call_one(event_name)
    body = vision_learner(loaders(images), digits_resnet18)
    learn = Loud(body.dls, body.model, loss_func=body.loss_func)
    with learn.no_bar(), learn.no_logging(), fewer_calls(learn): learn.fit(1)
    assert learn.heard.count('after_step') == 4


def test_settings_of_fused_adam_can_be_set(images):
    "`ReduceLROnPlateau` does so."
    rates = []
    for opt_func in (Adam, FusedAdam):
        learn = vision_learner(loaders(images), digits_resnet18, opt_func=opt_func, lr=slice(1e-4, 1e-2))
        learn.create_opt()
        assert len({settings['lr'] for settings in learn.opt.hypers}) == 3  # one for each layer group
        on_plateau = ReduceLROnPlateau('valid_loss', patience=0, min_delta=10, factor=10)
        with learn.no_bar(), learn.no_logging(), redirect_stdout(StringIO()): learn.fit(3, 1e-2, cbs=on_plateau)
        rates.append([settings['lr'] for settings in learn.opt.hypers])
        learn.opt.hypers[0]['mom'] = 0.5
        assert learn.opt.hypers[0]['mom'] == 0.5
    assert rates[0] == rates[1] and max(rates[0]) < 1e-2


def test_inside_fewer_calls_everything_else_works(images):
    learn = vision_learner(loaders(images), digits_resnet18, metrics=accuracy)
    file = learn.dls.valid_ds.items[0]
    def answers():
        with learn.no_bar(), learn.no_logging():
            learn.show_results(max_n=4)
            return learn.get_preds()[0], learn.predict(file)[2], torch.tensor(learn.validate())
    usual = answers()
    with fewer_calls(learn), fewer_calls(learn): assert all(map(torch.equal, usual, answers()))
    assert type(learn) is Learner


class CLibrary:
    "Notes what it is asked to set."
    def __init__(self): self.asked = []
    def mallopt(self, number, value): self.asked.append((number, value))
    def malloc_trim(self, pad): self.asked.append('trim')


@pytest.mark.parametrize('name', ['glibc', '']) # the second: macOS, Windows
def test_memory_is_given_back_after_an_error(name, monkeypatch):
    libc = CLibrary()
    monkeypatch.setattr(ctypes, 'CDLL', lambda name: libc)
    monkeypatch.setattr(platform, 'libc_ver', lambda: (name, '1'))
    with pytest.raises(KeyboardInterrupt), memory_reused():
        inside = dict(libc.asked)
        raise KeyboardInterrupt
    if not name: assert not libc.asked
    else:
        after = dict(libc.asked[len(inside):-1])
        assert after.keys() == inside.keys() and all(after[number] < inside[number] for number in inside)
        assert libc.asked[-1] == 'trim'


FAULTS = """
import resource, sys, torch
from contextlib import nullcontext
from easing_fastai.speed.cheaper_steps import memory_reused

def page_faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

with memory_reused() if sys.argv[1] == "reused" else nullcontext():
    for i in range(6):
        before = page_faults()
        gradients = [torch.ones(1_000_000) for _ in range(10)]
        del gradients
print(page_faults() - before)
"""


@pytest.mark.long
@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc' or 'LD_PRELOAD' in os.environ,
                    reason='another library takes care of memory')
def test_memory_is_used_again():
    "Also where glibc was told to give back what is larger than 128 kB, which is what it begins with."
    without, reused = (int(cold_start('-c', FAULTS, way, MALLOC_MMAP_THRESHOLD_='131072').stdout)
                       for way in ('as it comes', 'reused'))
    assert reused < 10 < without


def test_what_is_compiled_lies_where_nobody_else_can_put_anything(monkeypatch):
    "torch.compile runs what it finds in its usual folder, whose name everybody knows."
    from easing_fastai.speed.bench import try_tricks
    from torch._inductor import config
    seen = []
    def compiled(model):
        assert not getattr(config, 'cpp_cache_precompile_headers', False), 'these lie in the usual folder'
        return lambda x: seen.append(Path(os.environ.get('TORCHINDUCTOR_CACHE_DIR', ''))) or model(x)
    monkeypatch.setattr('torch.compile', compiled)
    monkeypatch.setenv('TORCHINDUCTOR_CACHE_DIR', usual := str(Path(tempfile.gettempdir(), 'torchinductor_me')))
    for _ in range(2):
        try_tricks(lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 2)), True, steps=1, size=8)
    folder, = set(seen)
    assert len(seen) == 6 and folder.is_dir() and str(folder) != usual and os.environ['TORCHINDUCTOR_CACHE_DIR'] == usual
    assert os.name == 'nt' or folder.stat().st_mode & 0o777 == 0o700
