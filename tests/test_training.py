"train, predict and the three commands: real pictures in, a whole model or none out."
import base64
import errno
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from rich.console import Console
import torch
from fastai.learner import Learner
from pictures import class_folders, cuttings, names
from test_chapters import state
from typer.testing import CliRunner

from easing_fastai.cli import app
from easing_fastai.train import training
from easing_fastai.images.check import check_images
from easing_fastai.base.files import FolderError
from easing_fastai.train.training import FILES, ModelError, load_model, usable_pictures

QUICK = dict(epochs=1, arch="digits_resnet18", say=lambda text: None)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return class_folders(tmp_path_factory.mktemp("p") / "my photos")


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory) -> tuple[Path, Learner, list[str]]:
    "The folder of a model, the learner it was written from, and what was said."
    out, said, kept = tmp_path_factory.mktemp("m") / "model", [], []
    write = training.write_model
    training.write_model = lambda folder, learn, *args, **kwargs: kept.append(learn) or write(folder, learn, *args, **kwargs)
    try:
        training.train(photos, out, epochs=4, arch="digits_resnet18", say=said.append)
    finally:
        training.write_model = write
    return out, kept[0], said


def command(*args) -> tuple[int, str]:
    "Exit code and output of the command line; names of folders may be broken by its lines."
    with patch("easing_fastai.cli.console", Console(width=200)):
        done = CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "200"}, catch_exceptions=False)
    return done.exit_code, " ".join(done.output.split())


def test_three_classes_in_colour(trained):
    out, learn, said = trained
    card = load_model(out).card
    assert {file.name for file in out.iterdir()} == FILES and [p.name for p in out.parent.iterdir()] == ["model"]
    assert card.labels == ["flower", "sky", "temple"] and card.accuracy > 0.8 and (card.n_train, card.n_valid) == (48, 12)
    assert set(card.versions) >= {"fastai", "torch", "torchvision"} and card.mean and 32 <= card.size <= 48
    assert any("a folder per class" in line for line in said) and any("12 kept aside" in line for line in said)


def test_the_model_answers_as_the_learner_did(trained, tmp_path):
    out, learn, _ = trained
    model = load_model(out)
    for label in ("sky", "temple", "flower"):
        file = tmp_path / f"{label}.png"
        cuttings(label, 1, seed=99)[0].resize((61, 33)).save(file)
        answer = model.predict(file)
        with learn.no_bar():
            theirs = learn.predict(file)[2].cpu()
        ours = torch.tensor([answer[name] for name in model.labels])
        assert torch.allclose(ours, theirs, atol=1e-5) and list(answer.values()) == sorted(answer.values(), reverse=True)


def test_no_pickle_is_opened(trained, photos, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("a pickle was opened")

    for where, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(where, name, forbidden)
    assert load_model(trained[0]).predict(photos / "sky" / "00.jpg")


def test_the_page_stands_alone(trained):
    page = (trained[0] / "index.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == 2 == page.count("<img alt=") and "http" not in page
    for picture in re.findall(r'base64,([^"]+)"', page):
        assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert "pictures kept aside wrong" in page and "train_loss" in page and "easing-fastai predict" in page and "different sizes" in page


def test_the_same_seed_gives_the_same_model(photos, tmp_path):
    digests = [training.train(photos, tmp_path / "model", seed=seed, **QUICK).weights_sha256 for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("damage", ["pickle as weights", "cut off", "other weights", "pickle as card", "labels", "arch", "no card", "surrogates"])
def test_a_folder_that_is_not_what_it_claims(damage, trained, tmp_path):
    copy = Path(shutil.copytree(trained[0], tmp_path / "model"))
    card, weights = json.loads((copy / "model.json").read_text()), (copy / "model.safetensors").read_bytes()
    change = lambda **values: (copy / "model.json").write_text(json.dumps({**card, **values}))
    {"pickle as weights": lambda: (copy / "model.safetensors").write_bytes(pickle.dumps(print)),
     "cut off": lambda: (copy / "model.safetensors").write_bytes(weights[:-100]),
     "other weights": lambda: (copy / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1])),
     "pickle as card": lambda: (copy / "model.json").write_bytes(pickle.dumps(print)),
     "labels": lambda: change(labels=["a", "b"]), "arch": lambda: change(arch="../../evil"),
     "no card": (copy / "model.json").unlink, "surrogates": lambda: change(size=True, std=[0, 0, 0])}[damage]()
    with pytest.raises(ModelError):
        load_model(copy)
    code, output = command("predict", copy, "x.jpg")
    assert code == 1 and "✗" in output and "Traceback" not in output


def test_predict_refuses_pictures_that_are_none(trained, photos, tmp_path):
    (tmp_path / "words.png").write_text("no picture")
    shutil.copy(photos / "sky" / "00.jpg", tmp_path / "lie.png")
    (tmp_path / "half.jpg").write_bytes((photos / "sky" / "00.jpg").read_bytes()[:500])
    good = shutil.copy(photos / "sky" / "00.jpg", tmp_path / "two\nlines 🐈 [b].jpg")
    bad = ["words.png", "lie.png", "half.jpg", "nothing.jpg", "."]
    code, output = command("predict", trained[0], good, *(tmp_path / name for name in bad))
    assert code == 1 and output.count("✗") == 5 and "two\\nlines 🐈 [b].jpg" in output and "it is JPEG" in output
    code, output = command("predict", trained[0], good)
    assert code == 0 and re.search(r"(sky|temple|flower) \d+\.\d%", output)


# ---- which pictures ----

def test_what_can_not_be_used_is_left_out_and_copies_stay_together(tmp_path):
    path = names(tmp_path / "p", n=12)
    (path / "sky (90).png").write_bytes(b"no picture")
    for i in range(5):
        shutil.copy(path / "temple (3).png", path / f"temple ({i + 50}).png")
    shutil.copy(path / "flower (1).png", path / "sky (91).png")
    before = state(path)
    for seed in range(5):
        files, says = usable_pictures(check_images(path), seed)
        copies = files[files.file.isin(["temple (3).png", *(f"temple ({i + 50}).png" for i in range(5))])]
        assert len(copies) == 6 and copies.is_valid.nunique() == 1
        assert not files.file.isin(["sky (90).png", "sky (91).png", "flower (1).png"]).any()
        assert set(files.label[files.is_valid]) == set(files.label[~files.is_valid]) == {"sky", "temple", "flower"}
    assert len(says) == 3 and state(path) == before


def test_train_and_valid_without_a_leak(tmp_path):
    for side in ("train", "valid"):
        class_folders(tmp_path / side, n=5, seed=side == "valid")
    shutil.copy(tmp_path / "valid/sky/01.jpg", tmp_path / "train/sky/leak.jpg")
    (tmp_path / "valid/other").mkdir()
    cuttings("sky", 1, seed=5)[0].save(tmp_path / "valid/other/1.jpg")
    files, says = usable_pictures(check_images(tmp_path))
    assert "train/sky/leak.jpg" not in set(files.file) and "valid/sky/01.jpg" in set(files.file) and "other" not in set(files.label)
    assert (files.is_valid == files.file.str.startswith("valid/")).all() and len(says) == 3


@pytest.mark.parametrize("n, labels, words", [(0, 3, "no pictures"), (4, 1, "Only one class"), (1, 3, "too few")])
def test_nothing_to_learn_from(n, labels, words, tmp_path):
    path = class_folders(tmp_path / "p", n=n)
    for label in ("sky", "temple", "flower")[labels:]:
        shutil.rmtree(path / label)
    with pytest.raises(FolderError, match=words):
        training.train(path, tmp_path / "model", **QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def test_odd_labels_reach_the_page(tmp_path):
    for label, thing in (("<b> $x^$", "sky"), ("two\nlines 🐈", "temple")):
        (tmp_path / "p" / label).mkdir(parents=True)
        for i, piece in enumerate(cuttings(thing, 6)):
            piece.save(tmp_path / "p" / label / f"é {i}\n.png")
    card = training.train(tmp_path / "p", tmp_path / "mo del", **QUICK)
    assert card.labels == ["<b> $x^$", "two\\nlines 🐈"]
    page = (tmp_path / "mo del" / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;" in page and "<b> $" not in page


@pytest.mark.parametrize("arch, words", [("resnet19", "Near that"), ("os.system", "There is no network"), ("vit_b_16", "can not use vit_b_16"), ("squeezenet1_1", "could not be downloaded")])
def test_networks_that_can_not_be_had(arch, words, photos, tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    if arch == "vit_b_16":  # as it is cut, without building 86 million weights
        monkeypatch.setattr(training, "create_vision_model", lambda *args, **kwargs: next(iter(())))
    with pytest.raises(FolderError, match=words):
        training.train(photos, tmp_path / "model", **{**QUICK, "arch": arch})
    assert list(tmp_path.iterdir()) == []


# ---- whole or not at all ----

@pytest.fixture
def previous(trained, tmp_path) -> tuple[Path, dict]:
    "A model that is there already, and the state of its files."
    shutil.copytree(trained[0], tmp_path / "model")
    return tmp_path / "model", state(tmp_path / "model")


def press_ctrl_c(*args, **kwargs):
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("moment", ["check", "first batch", "second epoch", "page", "second file", "first rename", "second rename", "clearing up"])
def test_ctrl_c_leaves_the_previous_or_the_new_model(moment, previous, photos, monkeypatch):
    out, before = previous
    really, calls = {"write": Path.write_bytes, "rename": Path.rename, "rmtree": shutil.rmtree}, []

    def pressed_at(n, really):
        def call(*args, **kwargs):
            calls.append(args)
            if len(calls) == n:
                press_ctrl_c()
            return really(*args, **kwargs)
        return call

    def on_progress(what, done, total):
        if (what, done) == {"check": ("check", 5), "first batch": ("train", 1), "second epoch": ("train", 9)}.get(moment):
            press_ctrl_c()

    if moment == "page":
        monkeypatch.setattr(training, "report_page", press_ctrl_c)
    if moment == "second file":
        monkeypatch.setattr(Path, "write_bytes", pressed_at(2, really["write"]))
    if "rename" in moment:
        monkeypatch.setattr(Path, "rename", pressed_at(1 if "first" in moment else 2, really["rename"]))
    if moment == "clearing up":
        monkeypatch.setattr(shutil, "rmtree", pressed_at(1, really["rmtree"]))
    with pytest.raises(KeyboardInterrupt):
        training.train(photos, out, on_progress=on_progress, seed=7, **QUICK)
    monkeypatch.undo()
    assert [p.name for p in out.parent.iterdir()] == ["model"]
    after = load_model(out)  # whole: its checksum fits
    if moment in ("first rename", "second rename", "clearing up"):
        assert after.card.seed == 7 and {file.name for file in out.iterdir()} == FILES
    else:
        assert state(out) == before


def test_a_disk_that_fills_up(previous, photos, monkeypatch):
    out, before = previous

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    code, output = command("train", photos, "--epochs", 1, "--arch", "digits_resnet18", "--out", out)
    assert code == 1 and "No space left on device" in output and "still whole" in output
    assert state(out) == before and [p.name for p in out.parent.iterdir()] == ["model"]


def test_a_small_disk(photos, tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", tmp_path / "small"], capture_output=True).returncode:
        pytest.skip("a file system of our own can not be made here")
    try:
        with pytest.raises(FolderError, match="MB free"):  # said before the training
            training.train(photos, tmp_path / "small" / "model", **QUICK)
        monkeypatch.setattr(training, "room_for_a_model", lambda *args: None)
        with pytest.raises(OSError) as caught:
            training.train(photos, tmp_path / "small" / "model", **QUICK)
        assert caught.value.errno == errno.ENOSPC and list((tmp_path / "small").iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path / "small"], check=True)


def test_what_lies_beside_the_model_stays(previous, photos):
    out, _ = previous
    mine = out.with_name("model.previous")
    mine.mkdir()
    (mine / "holiday.jpg").write_text("precious")
    before = state(mine)
    training.train(photos, out, seed=7, **QUICK)
    assert load_model(out).card.seed == 7 and state(mine) == before
    assert sorted(p.name for p in out.parent.iterdir()) == ["model", "model.previous"]


def test_a_stop_of_the_computer_between_the_renames(previous, photos, monkeypatch):
    out, before = previous
    really, n = Path.rename, []

    class PowerCut(BaseException): pass

    def rename(self, target):
        n.append(target)
        if len(n) == 2: raise PowerCut
        return really(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(PowerCut): training.train(photos, out, seed=7, **QUICK)
    monkeypatch.undo()
    aside, = out.parent.iterdir()
    assert state(aside) == before
    with pytest.raises(ModelError, match=re.escape(aside.name)): load_model(out)
    aside.rename(out)
    assert load_model(out)


@pytest.mark.parametrize("there", ["a picture", "a file", "a link"])
def test_nothing_of_yours_is_overwritten(there, photos, tmp_path):
    out = tmp_path / "model"
    if there == "a file":
        out.write_text("mine")
    else:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "holiday.jpg").touch()
        out.symlink_to(tmp_path / "mine") if there == "a link" else (tmp_path / "mine").rename(out)
    before = state(tmp_path)
    code, output = command("train", photos, "--out", out)
    assert code == 1 and "overwritten" in output and state(tmp_path) == before


# ---- the commands ----

def test_the_three_commands_in_a_row(tmp_path):
    path = names(tmp_path / "p", n=8)
    code, output = command("check", path)
    assert code == 0 and "the label at the beginning of each name" in output
    code, output = command("train", path, "--epochs", 2, "--arch", "digits_resnet18", "--out", tmp_path / "m", "--seed", 3)
    assert code == 0 and "kept aside wrong" in output and load_model(tmp_path / "m").card.seed == 3
    code, output = command("predict", tmp_path / "m", path / "sky (0).png")
    assert code == 0 and "%" in output
    (path / "sky (0).png").write_bytes(b"")
    code, output = command("check", path)
    assert code == 1 and "file of 0 bytes" in output


@pytest.mark.parametrize("which", ["check", "train", "predict"])
@pytest.mark.parametrize("path", ["nowhere", "a\nb", "file.txt", "empty"])
def test_commands_on_bad_input(which, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file.txt").touch()
    Path("empty").mkdir()
    before = state(tmp_path)
    code, output = command(which, path, *(["x.jpg"] if which == "predict" else []), *(["--arch", "digits_resnet18"] if which == "train" else []))
    assert code == 1 and "✗" in output and "Traceback" not in output
    assert state(tmp_path) == before and sorted(os.listdir()) == ["empty", "file.txt"]
