"Ten classes: a cleaner that touches no original; the twins and the tools, with one image left over in a batch."
import shutil
from pathlib import Path

import pytest
import torch
from conftest import state
from test_plain_training import fastais, prove, random_resnet18, twins


@pytest.fixture(scope='module')
def ten(tmp_path_factory) -> Path:
    "129 images to train on and 33 held out, all ten digits: a last batch of one image with a batch size of 32."
    from easing_fastai.chapters.several_classes import write_digits

    every = write_digits(tmp_path_factory.mktemp('digits') / 'every')
    some = every.with_name('ten')
    for part, n in (('train', 129), ('valid', 33)):
        for file in sorted((every / part).rglob('*.png'), key=lambda file: file.name)[:n]:
            (some / part / file.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, some / part / file.parent.name)
    return some


@pytest.fixture(scope='module')
def walked(ten):
    from easing_fastai.assets.backbone import digits_resnet18

    return digits_resnet18, *fastais(ten, digits_resnet18, bs=32)


def test_fine_tune_with_ten_classes(ten, walked):
    arch, losses, learn = walked
    assert len(learn.dls.vocab) == 10 and len(losses) == 8 and len(list(learn.dls.valid)[-1][1]) == 1
    proof = str(prove(*twins(ten, arch, bs=32), losses, learn))
    assert proof.startswith('every one of 8 losses, 132 tensors') and proof.endswith('equal to the last bit')


def test_predict_with_ten_classes(ten, walked):
    from easing_fastai.plain.dataloaders import IMAGENET_STATS
    from easing_fastai.plain.predict import plain_predict
    from easing_fastai.plain.prove import prove_equal

    _, _, learn = walked
    vocab = list(learn.dls.vocab)
    for file in learn.dls.valid_ds.items[::6]:
        with learn.no_bar():
            label, number, probabilities = learn.predict(file)
        ours = plain_predict(learn.model, file, vocab, IMAGENET_STATS)
        assert (ours.label, ours.number) == (label, number)
        prove_equal(ours.probabilities, probabilities.as_subclass(torch.Tensor))


@pytest.mark.prove
@pytest.mark.parametrize('bs', [32, 64])
@pytest.mark.parametrize('name', ['digits_resnet18', 'resnet18'])
def test_fine_tune_with_all_images_of_ten_classes(name, bs, tmp_path, monkeypatch):
    from easing_fastai.assets.backbone import digits_resnet18
    from easing_fastai.chapters.several_classes import write_digits
    from torchvision.models import ResNet18_Weights

    before, url = torch.hub.get_dir(), ResNet18_Weights.DEFAULT.value.url
    try:
        arch = digits_resnet18 if name == 'digits_resnet18' else random_resnet18(tmp_path)
        path = write_digits(tmp_path / 'digits', n_train=20 * bs + 1)  # one image over
        losses, learn = fastais(path, arch, bs=bs)
        print(prove(*twins(path, arch, bs=bs), losses, learn))
    finally:
        torch.hub.set_dir(before)
        ResNet18_Weights.DEFAULT.value.url = url


# ---- the tools ----


def test_in_memory_gives_the_same_batches(ten):
    from easing_fastai.plain.prove import prove_equal
    from easing_fastai.speed.in_memory import InMemoryDL, in_memory
    from fastai.vision.all import ImageDataLoaders, set_seed

    def passes(kind):
        set_seed(42)
        dls = kind(ImageDataLoaders.from_folder(ten, valid='valid', bs=32, num_workers=0, device='cpu'))
        return dls, [batch for loader in (dls.train, dls.valid, dls.train) for batch in loader]

    (_, stock), (dls, kept) = passes(lambda dls: dls), passes(in_memory)
    assert type(dls.train) is InMemoryDL and len(kept) == 4 + 2 + 4 and len(kept[5][1]) == 1
    prove_equal([list(batch) for batch in kept], [list(batch) for batch in stock])


def test_anatomy_and_unpack(walked):
    from easing_fastai.anatomy.anatomy import anatomy
    from easing_fastai.unpack.unpack import unpack

    _, _, learn = walked
    assert '5,120' in str(anatomy(learn)), 'ten rows of 512 weights'
    with learn.no_bar():
        shown = unpack(learn.predict, learn.dls.valid_ds.items[0])
    assert 'Learner.predict' in str(shown) and len(shown.result[2]) == 10


def test_check_images(ten):
    from easing_fastai.images.check import check_images

    assert check_images(ten).ok


def test_diagnose_a_head_for_two_of_ten_classes(ten):
    from easing_fastai.assets.backbone import digits_resnet18
    from easing_fastai.diagnose.diagnose import diagnose
    from fastai.vision.all import ImageDataLoaders, vision_learner

    dls = ImageDataLoaders.from_folder(ten, valid='valid', bs=32, num_workers=0, device='cpu')
    learn = vision_learner(dls, digits_resnet18, n_out=2)
    with pytest.raises(Exception) as error, learn.no_bar(), learn.no_logging():
        learn.fit(1)
    text = str(diagnose(error.value))
    assert '10' in text and 'n_out' in text, text


# ---- the cleaner ----


@pytest.fixture
def cleaning(ten, tmp_path):
    from easing_fastai.chapters.several_classes import copy_to_clean

    before = state(ten)
    yield copy_to_clean(ten, tmp_path / 'copy')
    assert state(ten) == before, 'the original stays as it is'


def test_move_an_image_there_and_back(ten, cleaning):
    from easing_fastai.chapters.several_classes import move_image

    file = next((ten / 'train' / '3').iterdir()).relative_to(ten)
    before = state(cleaning)
    moved = move_image(cleaning, file, '8')
    assert moved.as_posix() == f'train/8/{file.name}' and (cleaning / moved).is_file() and not (cleaning / file).exists()
    assert move_image(cleaning, moved, 'unclear').parent.name == 'unclear'
    move_image(cleaning, f'train/unclear/{file.name}', '3')
    assert state(cleaning) == before


def test_what_the_cleaner_refuses(ten, cleaning, tmp_path):
    from easing_fastai.chapters.several_classes import copy_to_clean, move_image

    file = next((cleaning / 'train' / '3').iterdir()).relative_to(cleaning)
    before = state(cleaning)
    shutil.copy(cleaning / file, cleaning / 'train' / '8' / file.name)
    for folder, image, to, message in (
        (ten, file, '8', 'is no copy'),
        (cleaning, ten / file, '8', 'is not below'),
        (cleaning, '../' + file.as_posix(), '8', 'is not below'),
        (cleaning, file, '../8', 'is no name of a class'),
        (cleaning, file, '', 'is no name of a class'),
        (cleaning, file, '..', 'is no name of a class'),
        (cleaning, 'train/3/none.png', '8', 'There is no image'),
        (cleaning, file, '8', 'There is a file'),
        (cleaning, file.name, '8', 'an image lies in a folder'),
    ):
        with pytest.raises(ValueError, match=message):
            move_image(folder, image, to)
    (cleaning / 'train' / '8' / file.name).unlink()
    assert state(cleaning) == before
    with pytest.raises(ValueError, match='is inside'):
        copy_to_clean(cleaning, cleaning / 'copy')


def test_what_is_clicked_goes_to_move_image(ten, cleaning, walked, monkeypatch):
    "fastai's widget, with the choices that somebody makes in its menus."
    pytest.importorskip('ipywidgets')
    from easing_fastai.chapters.several_classes import move_image
    from fastai.vision.widgets import ImageClassifierCleaner

    monkeypatch.setattr('fastai.vision.widgets.display', lambda *widgets: None, raising=False)  # of a notebook
    _, learn = fastais(cleaning, walked[0], bs=32)
    with learn.no_bar():
        cleaner = ImageClassifierCleaner(learn, max_n=4)
    menus = [box.children[1] for box in cleaner.widget.children[2].children]
    menus[0].value, menus[1].value = '<Delete>', '8'
    files = [file.name for file in cleaner.fns[:2]]
    choices = [(i, 'unclear') for i in cleaner.delete()] + list(cleaner.change())
    for i, to in choices:
        move_image(cleaning, cleaner.fns[i].relative_to(cleaning), to)
    assert [(cleaning / 'train' / to / name).is_file() for to, name in zip(('unclear', '8'), files)] == [True, True]
