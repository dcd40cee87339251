"Loaders in memory against the stock ones: the same batches, the same learner around them, clear refusals."
import ctypes
import os
import platform
import random
from contextlib import nullcontext, redirect_stdout
from io import StringIO

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.vision.all import (Adam, Brightness, Callback, Categorize, CategoryBlock, CropPad, CutMix, DataBlock, DataLoader, DataLoaders, Datasets, FlipItem, GradientAccumulation,
                               GrandparentSplitter, ImageBlock, ImageDataLoaders, IntToFloatTensor, Interpretation, Learner, MaskBlock, MixedPrecision, MixUp, Normalize, PILImage, PILImageBW,
                               PointBlock, RandomCrop, ReduceLROnPlateau, Resize, ResizeMethod, SaveModelCallback, SkipItemException, TensorImage, TfmdDL, TfmdLists, ToTensor, TransformBlock, accuracy,
                               aug_transforms, get_image_files, imagenet_stats, load_learner, noop, parent_label, set_seed, vision_learner)
from conftest import start
from PIL import Image

from easing_fastai.speed.cheaper_steps import FusedAdam, fewer_calls, memory_reused
from easing_fastai.speed.in_memory import InMemoryDL, in_memory, rng_states
from easing_fastai.assets.backbone import digits_resnet18


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    "32 pictures of noise to train on and 10 to validate, all of one size."
    return make_pictures(tmp_path_factory.mktemp("pictures"), lambda i: (24, 24))


def make_pictures(folder, size, n_train=32, n_valid=10):
    chance = np.random.default_rng(0)
    for part, n in (("train", n_train), ("valid", n_valid)):
        for i in range(n):
            file = folder / part / "ab"[i % 2] / f"{i:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(chance.integers(0, 256, (*size(i), 3), dtype=np.uint8)).save(file)
    return folder


def loaders(folder, blocks=(ImageBlock, CategoryBlock), get_y=parent_label, num_workers=0, bs=8, **kwargs):
    block = DataBlock(blocks, get_items=lambda f: get_image_files(f).sorted(), get_y=get_y, splitter=GrandparentSplitter(valid_name="valid"), **kwargs)
    return block.dataloaders(folder, path=folder, device="cpu", num_workers=num_workers, bs=bs)


def bits(dls):
    return [(type(part), part.stride(), part.dtype, part.numpy().tobytes()) for dl in (dls.train, dls.valid, dls.train) for batch in dl for part in batch]


class OwnGenerator:
    "A transform that draws from nobody's generator but its own."
    def __init__(self): self.chance = random.Random(1)
    def __call__(self, x): return x.rotate(self.chance.choice([0, 90])) if isinstance(x, Image.Image) else x


def flips_the_last(x):
    "Draws only for a picture that is not among those looked at beforehand."
    if isinstance(x, Image.Image) and x.getpixel((0, 0)) == flips_the_last.pixel and random.random() < 2: return x.rotate(180)
    return x


def normalize_while_training():
    normalize = Normalize.from_stats(*imagenet_stats)
    normalize.split_idx = 0
    return normalize


def center(file): return [[12, 12], [3, 4]]


def mask_of(file): return file


WAYS = {
    "plain": {}, "grey": dict(blocks=(ImageBlock(cls=PILImageBW), CategoryBlock)), "small batches": dict(bs=5), "squish": dict(item_tfms=Resize(20, method=ResizeMethod.Squish)), "crop": dict(item_tfms=RandomCrop(16)),
    "flip, then resize": dict(item_tfms=[FlipItem(), Resize(32)]), "pad": dict(item_tfms=CropPad(30)), "batch": dict(batch_tfms=aug_transforms()),
    "normalized": dict(batch_tfms=Normalize.from_stats(*imagenet_stats)), "normalized while training": dict(batch_tfms=normalize_while_training()),
    "normalized by its own numbers": lambda: dict(batch_tfms=Normalize()), "grey, normalized": lambda: dict(blocks=(ImageBlock(cls=PILImageBW), CategoryBlock), batch_tfms=Normalize()), "divided by less": dict(batch_tfms=IntToFloatTensor(div=2.)),
    "masks": dict(blocks=(ImageBlock, MaskBlock), get_y=mask_of), "points": dict(blocks=(ImageBlock, PointBlock), get_y=center),
    "no label": dict(blocks=(ImageBlock,), get_y=None), "a late draw": dict(item_tfms=flips_the_last),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_bits(pictures, way):
    flips_the_last.pixel = Image.open(sorted(pictures.glob("train/*/*"))[7]).getpixel((0, 0))
    def run(make):
        set_seed(3)
        kwargs = WAYS[way]() if callable(WAYS[way]) else WAYS[way]  # anew, where a transform finds its numbers in the data
        return bits(make(loaders(pictures, **kwargs))), rng_states()
    stock, kept = run(noop), run(in_memory)
    assert stock == kept and len(stock[0]) > 4


@pytest.mark.parametrize("helpers_from", [0., 1000.])
def test_the_same_bits_as_with_workers_and_for_many_rows(helpers_from, tmp_path, monkeypatch):
    monkeypatch.setattr("easing_fastai.speed.in_memory.WORTH_HELPERS", helpers_from)  # seconds of reading
    folder = make_pictures(tmp_path, lambda i: (4, 4), n_train=1100)
    def run(make):
        set_seed(3)
        return bits(make(loaders(folder, num_workers=2, bs=64)))
    assert run(noop) == run(in_memory)


@pytest.mark.parametrize("num_workers", [1, 2, 3])
@pytest.mark.parametrize("item_tfms", [Resize(10), RandomCrop(8), FlipItem()], ids=["resize", "crop", "flip"])
def test_the_random_numbers_of_worker_processes(item_tfms, num_workers, tmp_path):
    folder = make_pictures(tmp_path, lambda i: (20, 12))
    def run(make):
        set_seed(3)
        return bits(make(loaders(folder, num_workers=num_workers, item_tfms=item_tfms))), rng_states()
    assert run(noop) == run(in_memory)


def test_without_worker_processes(pictures, monkeypatch):
    kept = [in_memory(loaders(pictures, num_workers=2, **kwargs)) for kwargs in ({}, dict(item_tfms=RandomCrop(8)))]
    monkeypatch.setattr("torch.multiprocessing.Process.start", lambda process: pytest.fail("a worker process was started"))
    assert all(len(bits(dls)) for dls in kept)
    assert kept[0].test_dl(get_image_files(pictures)).fake_l.num_workers == 2  # files: as in stock loaders


def test_an_order_drawn_by_pytorch(pictures):
    def run(make):
        set_seed(3)
        dls = make(loaders(pictures))
        return bits(type(dls)(*[dl.new(shuffle=True, shuffle_fn=lambda rows: torch.randperm(len(rows)).tolist()) for dl in dls.loaders]))
    assert run(noop) == run(in_memory)


def test_after_a_look_at_one_picture(pictures):
    "fastai's `show_batch(unique=True)` leaves a method behind that belongs to the loader it was called on."
    def run(make):
        set_seed(3)
        dls = loaders(pictures)
        dls.show_batch(unique=True)
        made = make(dls)
        before = dls.train.rng.getstate()
        found = bits(made)
        return found, made is dls or dls.train.rng.getstate() == before
    stock, kept = run(noop), run(in_memory)
    assert stock == kept and kept[1]


def test_files_from_a_column_of_pandas(pictures):
    files = get_image_files(pictures).sorted()
    column = pd.Series(list(files)).sample(frac=1, random_state=1)
    for valid_pct in (0.2, 0.):
        def run(make):
            set_seed(3)
            return bits(make(ImageDataLoaders.from_path_func(pictures, column, parent_label, valid_pct=valid_pct, bs=8, num_workers=0, device="cpu")))
        assert run(noop) == run(in_memory)


def test_fewer_rows_than_the_data_set_has(pictures):
    def run(make):
        set_seed(3)
        dls = loaders(pictures)
        dls.train.n = 9
        few = make(dls)
        return bits(few), [[part.numpy().tobytes() for part in batch] for batch in few.train.new(shuffle=False, drop_last=False)]
    assert run(noop) == run(in_memory)


def test_batches_of_one_picture_without_a_label(pictures):
    files = get_image_files(pictures).sorted()
    def run(make):
        set_seed(3)
        dls = make(TfmdLists(files, [PILImage.create], splits=[list(range(30)), list(range(30, 37))]).dataloaders(bs=6, num_workers=0, after_item=ToTensor, after_batch=IntToFloatTensor, device="cpu"))
        return [(type(batch), batch.shape, batch.numpy().tobytes()) for dl in [*dls.loaders, dls.valid] for batch in dl]
    assert run(noop) == run(in_memory)


@pytest.mark.parametrize("cls", [PILImage, PILImageBW])
@pytest.mark.parametrize("n_grey", [16, 42])
def test_grey_files_among_others(n_grey, cls, tmp_path):
    folder = make_pictures(tmp_path, lambda i: (10, 8))
    for i, file in enumerate(get_image_files(folder).sorted()):
        if i % 42 < n_grey: Image.open(file).convert("L").save(file)
        elif i % 5 == 0: Image.open(file).convert("RGBA").save(file)
        elif i % 5 == 1: Image.open(file).convert("P").save(file)
    def run(make):
        set_seed(3)
        dls = make(loaders(folder, blocks=(ImageBlock(cls=cls), CategoryBlock)))
        assert make is noop or dls.train.kept.columns
        return bits(dls)
    assert run(noop) == run(in_memory)


@pytest.mark.parametrize("change", ["to tensor", "to float", "load_image"])
def test_steps_of_fastais_that_somebody_has_changed(change, pictures, monkeypatch):
    if change == "load_image": monkeypatch.setattr("fastai.vision.core.load_image", lambda file, mode=None: Image.open(file).convert(mode).rotate(90))
    else:
        step = ToTensor if change == "to tensor" else IntToFloatTensor
        usual = step.__call__
        def other(self, x, *args, **kwargs):
            x = usual(self, x, *args, **kwargs)
            return (x[0].flip(-1), *x[1:]) if isinstance(x, tuple) else x.flip(-1) if isinstance(x, TensorImage) else x
        monkeypatch.setattr(step, "__call__", other)
    def run(make):
        set_seed(3)
        return bits(make(loaders(pictures, batch_tfms=Normalize.from_stats(*imagenet_stats))))
    assert run(noop) == run(in_memory)


@pytest.mark.parametrize("rows", [[0, 7, 30], [7, 30]])
def test_a_label_that_asks_to_be_left_out(rows, pictures):
    left_out = []
    def label(file):
        if file in left_out: raise SkipItemException
        return file.parent.name
    def run(make, num_workers=0):
        set_seed(3)
        left_out.clear()  # fastai wants to see the first item before
        dsets = Datasets(get_image_files(pictures).sorted(), [[PILImage.create], [label, Categorize(vocab=["a", "b"])]], splits=[list(range(32)), list(range(32, 42))])
        dls = dsets.dataloaders(bs=4, num_workers=num_workers, after_item=ToTensor, after_batch=IntToFloatTensor, device="cpu")
        left_out.extend(get_image_files(pictures / "train").sorted()[rows])
        return bits(make(dls))
    assert run(noop) == run(in_memory) and run(noop, 2) == run(in_memory, 2)


def test_a_target_without_transforms(pictures):
    arrays = [np.asarray(Image.open(file)) for file in get_image_files(pictures).sorted()]
    def run(make):
        set_seed(3)
        dsets = Datasets(arrays, [[PILImage.create], []], splits=[list(range(32)), list(range(32, 42))])
        return bits(make(dsets.dataloaders(bs=4, num_workers=0, after_item=ToTensor, after_batch=IntToFloatTensor, device="cpu")))
    assert run(noop) == run(in_memory)


@pytest.mark.parametrize("kwargs", [dict(bs=None), dict(pin_memory=True), dict(before_batch=lambda items: items)], ids=["single", "pinned", "before_batch"])
def test_no_file_is_opened_again(kwargs, pictures, monkeypatch):
    def run(make):
        set_seed(3)
        dls = make(loaders(pictures))
        return bits(type(dls)(*[dl.new(drop_last=False, **kwargs) for dl in dls.loaders]))
    stock, dls = run(noop), in_memory(loaders(pictures))
    set_seed(3)
    dls = in_memory(loaders(pictures))
    monkeypatch.setattr(Image, "open", lambda *args: pytest.fail("a file was opened"))
    assert stock == bits(type(dls)(*[dl.new(drop_last=False, **kwargs) for dl in dls.loaders]))


def test_twice(pictures, capsys):
    kept = in_memory(loaders(pictures))
    assert in_memory(kept) is kept and "in memory already" in capsys.readouterr().out


def test_pictures_of_several_sizes(tmp_path):
    folder = make_pictures(tmp_path, lambda i: (20 + i % 5, 30))
    def run(make):
        set_seed(3)
        return bits(make(loaders(folder, bs=1)))
    assert run(noop) == run(in_memory)
    kept = in_memory(loaders(folder, bs=8))
    with pytest.raises(RuntimeError, match="not the same size"): kept.one_batch()  # as in stock loaders


def test_an_item_that_asks_to_be_left_out(pictures):
    def skips(x):
        if isinstance(x, Image.Image) and x.getpixel((0, 0)) == pixel: raise SkipItemException
        return x
    pixel = Image.open(sorted(pictures.glob("train/*/*"))[9]).getpixel((0, 0))
    def run(make):
        set_seed(3)
        return bits(make(loaders(pictures, item_tfms=skips, bs=4)))
    assert run(noop) == run(in_memory)


def test_what_is_said_and_kept(pictures, capsys):
    kept = in_memory(loaders(pictures))
    assert "42 items are read once and take about 0.1 MB\n" in capsys.readouterr().out
    assert [tuple(part.shape) for part in kept.train.kept.columns] == [(32, 3, 24, 24), (32,)] and kept.train.kept.columns[0].dtype == torch.uint8
    kept = in_memory(loaders(pictures, item_tfms=OwnGenerator()))
    assert "done anew each time, because of randomness: OwnGenerator" in " ".join(capsys.readouterr().out.split())
    assert not kept.train.kept.columns and isinstance(kept.train.kept.items[0][0], PILImage)


@pytest.fixture(scope="module")
def learners(pictures):
    "A stock learner and one in memory, trained alike."
    def trained(make):
        set_seed(3)
        learn = vision_learner(make(loaders(pictures)), digits_resnet18, metrics=accuracy)
        with learn.no_bar(), learn.no_logging(): learn.fine_tune(1)
        return learn
    return trained(noop), trained(in_memory)


def test_the_same_learner(learners, pictures, tmp_path):
    stock, kept = learners
    assert all(map(torch.equal, stock.model.state_dict().values(), kept.model.state_dict().values()))
    file = get_image_files(pictures).sorted()[3]
    with stock.no_bar(), kept.no_bar():
        for ask in (lambda learn: learn.predict(file)[2], lambda learn: learn.get_preds(dl=learn.dls.test_dl([file, file]))[0],
                    lambda learn: learn.get_preds()[0], lambda learn: learn.get_preds(ds_idx=0)[0], lambda learn: torch.tensor(learn.validate()),
                    lambda learn: Interpretation.from_learner(learn).top_losses()[0]):
            assert torch.equal(ask(stock), ask(kept))
        results = []
        for learn in learners:
            learn.path = tmp_path
            set_seed(5)
            results.append(learn.lr_find(show_plot=False, num_it=5))
        assert results[0] == results[1]
    assert type(kept.dls.test_dl([file])) is TfmdDL and isinstance(kept.dls.train.new(shuffle=False), InMemoryDL)


def test_show(learners):
    import matplotlib.pyplot as plt
    for learn in learners:
        learn.dls.show_batch(max_n=4)
        learn.dls.show_batch(unique=True)
        with learn.no_bar(): learn.show_results(max_n=4)
        titles = [ax.get_title() for ax in plt.gcf().axes]
        assert len(titles) == 4 and all(set(title) <= set("ab\n") for title in titles)
        plt.close("all")


def test_export_leaves_the_pictures_behind(learners, pictures, tmp_path):
    sizes = []
    for learn in learners:
        learn.export(tmp_path / "model.pkl")
        sizes.append((tmp_path / "model.pkl").stat().st_size)
    assert sizes[1] < sizes[0] + 2000
    loaded = load_learner(tmp_path / "model.pkl")
    with loaded.no_bar(): assert loaded.predict(get_image_files(pictures)[0])[0] in ("a", "b")


def test_changed_transforms_are_heeded(pictures):
    kept = in_memory(loaders(pictures))
    original = loaders(pictures)
    smaller = kept.train.new(after_item=[Resize(12, method=ResizeMethod.Squish), *kept.train.after_item.fs])
    assert smaller.one_batch()[0].shape[-2:] == (12, 12)
    before = len(original.train.after_batch.fs)
    in_memory(original).add_tfms([IntToFloatTensor()], "after_batch")
    assert len(original.train.after_batch.fs) == before
    assert kept.valid.one_batch()[0].shape[-2:] == (24, 24)


def test_training_transforms_on_validation_pictures(pictures):
    "As `tta` does it."
    def run(make):
        set_seed(3)
        dl = make(loaders(pictures, item_tfms=RandomCrop(16))).valid
        with dl.dataset.set_split_idx(0): return [x.numpy().tobytes() for x, _ in dl]
    assert run(noop) == run(in_memory)


def test_an_empty_validation_set(pictures):
    files = get_image_files(pictures).sorted()
    def run(make):
        set_seed(3)
        dls = make(ImageDataLoaders.from_path_func(pictures, files, parent_label, valid_pct=0., bs=8, num_workers=0, device="cpu"))
        assert len(dls.valid_ds) == 0 and list(dls.valid) == []
        return [x.numpy().tobytes() for x, _ in dls.train]
    assert run(noop) == run(in_memory)


def test_refusals(pictures, learners):
    with pytest.raises(TypeError, match="takes DataLoaders, and this is a Learner"): in_memory(learners[0])
    with pytest.raises(TypeError, match="limit_gb is a number of gigabytes"): in_memory(loaders(pictures), limit_gb="2")
    with pytest.raises(TypeError, match="one of these is a DataLoader"): in_memory(DataLoaders(DataLoader([1, 2, 3]), DataLoader([1, 2])))
    words = Datasets(list("abcd"), [[str.upper]], splits=[[0, 1], [2, 3]]).dataloaders(bs=1, num_workers=0)
    with pytest.raises(TypeError, match="keeps images, and the first item of these loaders is a str"): in_memory(words)
    def noisy(file): return PILImage.create((np.random.rand(8, 8, 3) * 255).astype(np.uint8))
    noise = loaders(pictures, blocks=(TransformBlock(type_tfms=noisy), CategoryBlock))
    with pytest.raises(ValueError, match="no item can be kept"): in_memory(noise)


def test_a_limit_that_only_a_few_large_pictures_pass(tmp_path, capsys):
    "Those looked at beforehand are small; the reading stops when the limit is passed."
    folder = make_pictures(tmp_path, lambda i: (400, 400) if i == 5 else (10, 10))
    with pytest.raises(MemoryError, match=r"limit is 0\.0004 GB.*limit_gb="): in_memory(loaders(folder), limit_gb=0.0004)
    assert in_memory(loaders(folder), limit_gb=0.001).train.kept.items


def test_a_missing_and_a_damaged_file(tmp_path):
    folder = make_pictures(tmp_path, lambda i: (10, 10))
    file = sorted(folder.glob("train/*/*"))[7]
    whole = file.read_bytes()
    dls = loaders(folder)
    for make, kind in ((file.unlink, FileNotFoundError), (lambda: file.write_bytes(whole[:200]), OSError), (lambda: file.write_text("text"), OSError)):
        make()
        errors = []
        for go in (lambda: in_memory(dls), lambda: list(dls.train)):
            with pytest.raises(kind) as caught: go()
            errors.append((caught.type, str(caught.value)))
        assert errors[0] == errors[1]


def test_cheaper_steps_learn_the_same(pictures):
    "Adam and FusedAdam from the same seed: the losses agree to rounding, frozen and free; fewer calls change nothing."
    def losses(opt_func, cheap):
        set_seed(3)
        learn = vision_learner(loaders(pictures), digits_resnet18, opt_func=opt_func) if opt_func else vision_learner(loaders(pictures), digits_resnet18)
        with learn.no_bar(), learn.no_logging():
            if cheap:
                with fewer_calls(learn): learn.fine_tune(2)
            else: learn.fine_tune(2)
        return torch.stack(learn.recorder.losses)
    stock, cheap, fused = losses(None, False), losses(None, True), losses(FusedAdam, True)
    assert torch.equal(stock, cheap)
    assert torch.allclose(stock, fused, rtol=1e-3) and not torch.equal(stock, fused)


class Brighter(Callback):
    "A transform of fastai's in a callback: it works on pictures and leaves plain tensors alone."
    order = 5
    def before_batch(self): self.learn.xb = (Brightness(0.9, p=1.)(self.x, split_idx=0),)


class Types(Callback):
    "Keeps the types of what it computes, with pictures and with losses."
    order = 5
    def __init__(self): self.found = []
    def before_batch(self): self.found.append((type(self.x), type(self.x.float() + 1), type(self.y)))
    def after_loss(self): self.found.append(type(self.pred * 2))


class Nothing(Callback):
    "Hears everything in a way of its own."
    def __call__(self, event_name):
        if event_name == "after_step": self.model[1][-1].weight.data.mul_(0.99)


class Halved(Learner):
    "A learner with a step of its own."
    def _step(self):
        super()._step()
        self.model[1][-1].weight.data.mul_(0.5)


@pytest.mark.parametrize("callbacks", [MixUp, CutMix, lambda: GradientAccumulation(16), Brighter, Nothing, MixedPrecision, SaveModelCallback])
def test_fewer_calls_change_nothing(callbacks, pictures, tmp_path):
    def training(context):
        set_seed(3)
        learn = vision_learner(loaders(pictures), digits_resnet18, metrics=accuracy, path=tmp_path)
        with learn.no_bar(), learn.no_logging(), context(learn): learn.fit(1, cbs=callbacks())
        return torch.stack(learn.recorder.losses), torch.tensor(learn.recorder.values), learn.model[1][-1].weight.detach()
    assert all(map(torch.equal, training(nullcontext), training(fewer_calls)))


def test_fewer_calls_show_callbacks_the_usual_types(pictures):
    def found(context):
        learn = vision_learner(loaders(pictures), digits_resnet18, cbs=Types())
        with learn.no_bar(), learn.no_logging(), context(learn): learn.fit(1)
        return learn.types.found
    usual = found(nullcontext)
    assert usual == found(fewer_calls) and usual[0][:2] == (TensorImage, TensorImage)


def test_fewer_calls_for_another_kind_of_learner(pictures, tmp_path):
    def training(context):
        set_seed(3)
        body = vision_learner(loaders(pictures), digits_resnet18)
        learn = Halved(body.dls, body.model, loss_func=body.loss_func, splitter=body.splitter, path=tmp_path)
        with learn.no_bar(), learn.no_logging(), context(learn):
            learn.fit(1)
            assert isinstance(learn, Halved)
            learn.export("inside.pkl")
        assert type(learn) is type(load_learner(tmp_path / "inside.pkl")) is Halved
        return learn.model[1][-1].weight.detach()
    assert torch.equal(training(nullcontext), training(fewer_calls))


def slower(callback): callback.model[1][-1].weight.data.mul_(0.9)


class Late(Callback):
    "Gets its method in the middle of an epoch."
    def after_train(self): self.after_step = lambda: slower(self)


class Patched(Callback):
    "Gets its method between two trainings."


@pytest.mark.parametrize("callback", [Late, Patched])
def test_methods_that_come_later_are_heard(callback, pictures):
    def training(context):
        set_seed(3)
        learn = vision_learner(loaders(pictures), digits_resnet18, cbs=callback())
        with learn.no_bar(), learn.no_logging(), context(learn), pytest.MonkeyPatch.context() as monkeypatch:
            learn.fit(1)
            monkeypatch.setattr(Patched, "after_step", slower, raising=False)
            learn.fit(1)
        return learn.model[1][-1].weight.detach()
    assert torch.equal(training(nullcontext), training(fewer_calls))


def test_a_learner_with_events_of_its_own_stays_as_it_is(pictures):
    class Loud(Learner):
        heard = []
        def _call_one(self, event_name):
            self.heard.append(event_name)
            super()._call_one(event_name)
    body = vision_learner(loaders(pictures), digits_resnet18)
    learn = Loud(body.dls, body.model, loss_func=body.loss_func)
    with learn.no_bar(), learn.no_logging(), fewer_calls(learn): learn.fit(1)
    assert learn.heard.count("after_step") == 4


def test_settings_of_fused_adam_can_be_set(pictures):
    "`ReduceLROnPlateau` does so."
    rates = []
    for opt_func in (Adam, FusedAdam):
        learn = vision_learner(loaders(pictures), digits_resnet18, opt_func=opt_func, lr=slice(1e-4, 1e-2))
        learn.create_opt()
        assert len({settings["lr"] for settings in learn.opt.hypers}) == 3  # one for each layer group
        with learn.no_bar(), learn.no_logging(), redirect_stdout(StringIO()): learn.fit(3, 1e-2, cbs=ReduceLROnPlateau("valid_loss", patience=0, min_delta=10, factor=10))
        rates.append([settings["lr"] for settings in learn.opt.hypers])
        learn.opt.hypers[0]["mom"] = 0.5
        assert learn.opt.hypers[0]["mom"] == 0.5
    assert rates[0] == rates[1] and max(rates[0]) < 1e-2


def test_inside_fewer_calls_everything_else_works(pictures):
    learn = vision_learner(loaders(pictures), digits_resnet18, metrics=accuracy)
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
    def malloc_trim(self, pad): self.asked.append("trim")


@pytest.mark.parametrize("name", ["glibc", ""]) # the second: macOS, Windows
def test_memory_is_given_back_after_an_error(name, monkeypatch):
    libc = CLibrary()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: libc)
    monkeypatch.setattr(platform, "libc_ver", lambda: (name, "1"))
    with pytest.raises(KeyboardInterrupt), memory_reused():
        inside = dict(libc.asked)
        raise KeyboardInterrupt
    if not name: assert not libc.asked
    else:
        after = dict(libc.asked[len(inside):-1])
        assert after.keys() == inside.keys() and all(after[number] < inside[number] for number in inside) and libc.asked[-1] == "trim"


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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or "LD_PRELOAD" in os.environ, reason="another library takes care of memory")
def test_memory_is_used_again():
    "Also where glibc was told to give back what is larger than 128 kB, which is what it begins with."
    without, reused = (int(start("-c", FAULTS, way, MALLOC_MMAP_THRESHOLD_="131072").stdout) for way in ("as it comes", "reused"))
    assert reused < 10 < without
