"The twins of loaders, model, prediction and augmentation: without fastai, with odd input, and with deliberate mistakes."
import ast
import random
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPO, start
from easing_fastai.plain import augmentation, dataloaders, predict, vision_model
from easing_fastai.plain.dataloaders import plain_dataloaders
from easing_fastai.plain.prove import NotEqual, prove_equal
from PIL import Image

PLAIN = sorted(p for p in (REPO / "easing_fastai" / "plain").glob("*.py") if p.name != "__init__.py")
PAGES = ["02b_plain_dataloaders", "02c_plain_augmentation", "04b_plain_vision_model", "06b_plain_predict"]


# Without fastai

@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
def test_what_a_twin_imports(path):
    allowed = {"torch", "torchvision", "PIL", "numpy", *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert all(name.name.split(".")[0] in allowed for name in node.names), ast.unparse(node)
        if isinstance(node, ast.ImportFrom): # level 1: from another twin
            assert node.level == 1 or (node.level == 0 and node.module.split(".")[0] in allowed), ast.unparse(node)


def named_in_comments(path: Path) -> list[str]:
    "What a twin says that it mirrors: `# fastai: Learner.freeze, Learner.unfreeze (why)`."
    return [name for names in re.findall(r"# fastai: ([\w.]+(?:, [\w.]+)*)|; fastai: ([\w.]+)", path.read_text(encoding="utf-8"))
            for name in ", ".join(filter(None, names)).split(", ")]


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
def test_what_a_twin_says_it_mirrors_is_in_fastai(path):
    import fastai.vision.all as everything
    from fastai.vision import learner # its private names, too

    names = named_in_comments(path)
    assert names
    for name in names:
        first, *rest = name.split(".")
        place = getattr(everything, first, None) or getattr(learner, first, None)
        assert place is not None, f"fastai has no {name}"
        for part in rest:
            assert hasattr(place, part), f"fastai has no {name}"
            place = getattr(place, part)


WITHOUT_FASTAI = """
import random, sys
sys.modules['fastai'] = sys.modules['fastcore'] = None
import torch
from pathlib import Path
from easing_fastai.plain.augmentation import draw_augmentation, plain_augment
from easing_fastai.plain.dataloaders import IMAGENET_STATS, plain_dataloaders
from easing_fastai.plain.predict import plain_predict, plain_results
from easing_fastai.plain.vision_model import plain_groups, plain_unfreeze, plain_vision_model
from easing_fastai.plain.narrow_resnet import digits_resnet18
random.seed(42); torch.manual_seed(42)
train, valid, vocab = plain_dataloaders(Path(sys.argv[1]), stats=IMAGENET_STATS)
model = plain_vision_model(digits_resnet18, len(vocab))
x, y = next(iter(train))
plain_augment(x.sigmoid(), draw_augmentation(len(x)))
torch.nn.functional.cross_entropy(model(x), y).backward()
plain_unfreeze(model)
print(vocab, len(train), [len(group) for group in plain_groups(model)], len(plain_results(model, valid, vocab)))
print(plain_predict(model, valid.files[0], vocab, IMAGENET_STATS).label in vocab)
assert not [name for name in sys.modules if name.split('.')[0] in ('pandas', 'matplotlib') or name.startswith(('fastai.', 'fastcore.'))]
"""


def test_the_twins_run_without_fastai(digits):
    done = start("-c", WITHOUT_FASTAI, str(digits))
    assert done.stdout.splitlines() == ["['3', '7'] 36 [30, 30, 6] 9", "True"], done.stderr


# A folder of all kinds of pictures: sizes, modes, endings, hidden files

@pytest.fixture(scope="module")
def zoo(tmp_path_factory) -> Path:
    "Sixty pictures to train on and twelve to validate with, no two sizes alike for long."
    path, draw = tmp_path_factory.mktemp("zoo"), np.random.default_rng(0)
    modes, endings = ["RGB", "L", "P", "RGBA", "LA", "1", "I;16", "CMYK"], [".png", ".PNG", ".jpg", ".gif", ".bmp", ".tif"]
    for part, n in (("train", 30), ("valid", 6)):
        for label in ("cat", "dog"):
            (path / part / label).mkdir(parents=True)
            for i in range(n):
                height, width = draw.integers(20, 60, 2)
                image = Image.fromarray(draw.integers(0, 255, (height, width, 3), dtype=np.uint8))
                mode, ending = modes[i % len(modes)], endings[i % len(endings)]
                if mode == "I;16":
                    image, ending = Image.fromarray(draw.integers(0, 500, (height, width)).astype(np.uint16)), ".png"
                else:
                    image = image.convert(mode)
                if mode in ("RGBA", "LA", "CMYK"):
                    ending = ".tif"
                if mode == "P":
                    ending = ".gif"
                image.save(path / part / label / f"picture {i}{ending}")
        (path / part / "cat" / ".hidden.png").write_bytes(b"not a picture")
        (path / part / "cat" / "notes.txt").write_text("not a picture")
        (path / part / ".thumbnails").mkdir()
        (path / part / ".thumbnails" / "a.png").write_bytes(b"not a picture")
    (path / "other" / "cat").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(path / "other" / "cat" / "a.png")
    return path


def reference(path: Path, workers: int = 0, method: str = "crop", size=(24, 32), passes: int = 2, **options) -> tuple[list, list]:
    "All batches of fastai, and what the two lists of random numbers give next."
    from fastai.vision.all import ImageDataLoaders, Normalize, Resize, imagenet_stats, set_seed

    set_seed(42)
    dls = ImageDataLoaders.from_folder(path, valid="valid", item_tfms=Resize(size, method=method), bs=16, num_workers=workers,
                                       batch_tfms=Normalize.from_stats(*imagenet_stats), device="cpu", **options)
    batches = [batch for _ in range(passes) for loader in dls.loaders for batch in loader]
    return batches, [random.random(), torch.rand(()).item()], list(dls.vocab)


def twin(path: Path, module=dataloaders, passes: int = 2, size=(24, 32), **options) -> tuple[list, list]:
    "The same of a twin."
    random.seed(42)
    torch.manual_seed(42)
    loaders = module.plain_dataloaders(path, size=size, stats=module.IMAGENET_STATS, bs=16, **options)
    batches = [batch for _ in range(passes) for loader in (loaders.train, loaders.valid) for batch in loader]
    return batches, [random.random(), torch.rand(()).item()], loaders.vocab


def prove(ours: tuple, theirs: tuple):
    return prove_equal(ours[0], theirs[0]) + prove_equal(ours[1], theirs[1]) + prove_equal(ours[2], theirs[2])


@pytest.mark.parametrize("method, workers", [("crop", 0), ("crop", 2), ("squish", 0)])
def test_pictures_of_all_kinds(zoo, method, workers):
    prove(twin(zoo, method=method, workers=workers), reference(zoo, workers, method))


def test_a_lot_without_a_seed_of_its_own(zoo):
    "from_folder with valid_pct takes pictures from everywhere, and its lot from PyTorch's list."
    prove(twin(zoo, valid_pct=.3), reference(zoo, valid_pct=.3))


def test_labels_need_not_be_words(digits):
    import pandas as pd
    from fastai.vision.all import ImageDataLoaders, set_seed

    table = pd.read_csv(digits / "labels.csv").iloc[:80]
    rows = [(name, int(label)) for name, label in table.itertuples(index=False)] + [("valid/7/" + next((digits / "valid" / "7").iterdir()).name, 7)] * 9
    set_seed(1)
    dls = ImageDataLoaders.from_df(pd.DataFrame(rows), digits, seed=3, bs=8, num_workers=0, device="cpu")
    theirs = [*dls.train, *dls.valid]
    random.seed(1)
    loaders = plain_dataloaders(digits, labels=rows, seed=3, bs=8)
    assert loaders.vocab == list(dls.vocab) and all(label in (0, 3, 7) for label in loaders.vocab)
    prove_equal([*loaders.train, *loaders.valid], theirs)


@pytest.mark.prove
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("bs, workers", [(64, 0), (32, 2)])
def test_whole_epochs(digits, seed, bs, workers):
    from fastai.vision.all import ImageDataLoaders, set_seed

    set_seed(seed)
    dls = ImageDataLoaders.from_folder(digits, valid="valid", bs=bs, num_workers=workers, device="cpu")
    theirs = [batch for _ in range(3) for loader in dls.loaders for batch in loader]
    random.seed(seed)
    loaders = plain_dataloaders(digits, bs=bs)
    prove_equal([batch for _ in range(3) for loader in (loaders.train, loaders.valid) for batch in loader], theirs)


# Mistakes on purpose: each of them must be seen

def mutated(module: types.ModuleType, old: str, new: str) -> types.ModuleType:
    "A module with one thing changed."
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in {module.__name__}"
    changed = types.ModuleType(module.__name__ + "_with_a_mistake")
    changed.__package__ = module.__package__
    exec(compile(source.replace(old, new), module.__file__, "exec"), changed.__dict__)
    return changed


@pytest.fixture(scope="module")
def of_fastai(zoo):
    return reference(zoo)


LOADER_MISTAKES = {
    "the last batch kept": ("len(self.files)//self.bs if self.shuffle else math.ceil", "math.ceil"),
    "not normalised": ("if self.stats: x = ", "if False: x = "),
    "not divided by the spread": ("(x - self.stats[0])/self.stats[1]", "x - self.stats[0]"),
    "one loader's draw forgotten": ("self.rng = random.Random(random.randint(0, 2**32 - 1)) ",
                                    "self.rng = random.Random(random.randint(0, 2**32 - 1)) if shuffle else random.Random(0) "),
    "the same order in every pass": ("self.rng = random.Random(self.rng.randint(0, 2**32 - 1))", "self.rng = random.Random(7)"),
    "PyTorch's draw forgotten": ("torch.empty((), dtype=torch.int64).random_().item()", "0"),
    "multiplied, not divided": (".div_(255)", ".mul_(1/255)"),
    "validation shuffled": ("if self.shuffle: order =", "order ="),
    "training not shuffled": ("if self.shuffle: order =", "if False: order ="),
    "files sorted": ("    return files\n", "    return sorted(files)\n"),
    "hidden folders read": ("not name.startswith('.'))]", "True)]"),
    "classes not sorted": ("sorted({names[i] for i in rows[0]})", "sorted({names[i] for i in rows[0]}, reverse=True)"),
    "training cropped in the middle": ("return chance.random(), chance.random()", "return .5, .5"),
    "height and width swapped": ("height, width = (size,", "width, height = (size,"),
    "the dropped pictures not drawn for": ("for _ in order[len(self)*self.bs:]:", "for _ in []:"),
    "the trial picture forgotten": ("    loaders[0].where(random)", "    pass"),
    "resized with another filter": ("Resampling.BILINEAR", "Resampling.BICUBIC"),
}


@pytest.mark.parametrize("name", LOADER_MISTAKES)
def test_a_mistake_in_the_loader_is_seen(zoo, of_fastai, name):
    with pytest.raises((NotEqual, OSError, ValueError)):
        prove(twin(zoo, mutated(dataloaders, *LOADER_MISTAKES[name])), of_fastai)


def everything_about(model, groups, unfreeze) -> dict:
    "Numbers, groups, switches, and answers to pictures large enough for maps with more than one place."
    torch.manual_seed(42)
    x, switches = torch.randn(8, 3, 96, 96), [p.requires_grad for p in model.parameters()]
    numbers = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    answers = {}
    for training in (False, True):
        model.train(training)
        torch.manual_seed(42)
        with torch.no_grad():
            answers[str(training)] = model(x)
    groups = [[parameter.clone() for parameter in group] for group in groups(model)]
    unfreeze(model)
    return dict(numbers=numbers, switches=switches, groups=groups, answers=answers,
                unfrozen=[p.requires_grad for p in model.parameters()], next=torch.rand(()))


def model_of(module) -> dict:
    from easing_fastai.plain.narrow_resnet import digits_resnet18

    torch.manual_seed(42)
    model = module.plain_vision_model(digits_resnet18, 2)
    return everything_about(model, module.plain_groups, module.plain_unfreeze)


@pytest.fixture(scope="module")
def model_of_fastai(digits) -> dict:
    from easing_fastai.assets.backbone import digits_resnet18
    from fastai.vision.all import ImageDataLoaders, set_seed, vision_learner

    dls = ImageDataLoaders.from_folder(digits, valid="valid", device="cpu")
    set_seed(42)
    learn = vision_learner(dls, digits_resnet18)
    return everything_about(learn.model, lambda model: [list(group) for group in learn.opt.param_lists], lambda model: learn.unfreeze())


def test_the_model(model_of_fastai):
    prove_equal(model_of(vision_model), model_of_fastai)


MODEL_MISTAKES = {
    "head not initialised again": ("if isinstance(layer, nn.Linear): nn.init", "if False: nn.init"),
    "offset of BatchNorm at 0": ("nn.init.constant_(layer.bias, 1e-3)", "pass"),
    "the picture nobody sees left out": (".uniform_(-1, 1)", ""),
    "cut one part too late": ("[:-2])", "[:-1])"),
    "poolings swapped": ("[self.largest(maps), self.average(maps)]", "[self.average(maps), self.largest(maps)]"),
    "dropout of the first half doubled": ("nn.Dropout(.25)", "nn.Dropout(.5)"),
    "no ReLU": ("nn.ReLU(inplace=True)", "nn.Identity()"),
    "BatchNorm frozen": ("if isinstance(layer, nn.BatchNorm2d): layer", "if False: layer"),
    "nothing frozen": ("if pretrained: plain_freeze(model)", "pass"),
    "groups parted elsewhere": ("(body[:6], body[6:], head)", "(body[:5], body[5:], head)"),
    "two groups swapped": ("(body[:6], body[6:], head)", "(body[6:], body[:6], head)"),
    "the head left frozen": ("model.requires_grad_(True)", "model[0].requires_grad_(True); model[1].requires_grad_(False)"),
    "random body": ("'DEFAULT' if pretrained else None", "None"),
}


@pytest.mark.parametrize("name", MODEL_MISTAKES)
def test_a_mistake_in_the_model_is_seen(model_of_fastai, name):
    with pytest.raises((NotEqual, RuntimeError)):
        prove_equal(model_of(mutated(vision_model, *MODEL_MISTAKES[name])), model_of_fastai)


AUGMENTATION_MISTAKES = {
    "order of the coins": ("flip = 1 - 2*sometimes(one, .5)", "flip = 2*sometimes(one, .5) - 1"),
    "turned the other way": ("[-angle.sin(), angle.cos(), 0]])", "[-angle.sin(), angle.cos(), 0]]).transpose(1, 2)"),
    "zoomed before turned": ("@ matrix([[s, 0,", "@ torch.eye(3) @ matrix([[1/s, 0,"),
    "the shape left out": ("*= height/width", "*= 1"),
    "no tilt": ("if d.training and d.warp_x is not None", "if False"),
    "validation not drawn for": ("    if max_lighting:\n", "    if max_lighting and training:\n"),
    "edges black": ("padding_mode='reflection'", "padding_mode='zeros'"),
    "light in validation": ("if d.training and d.brightness", "if d.brightness"),
    "contrast before brightness": ("(logit(x) + logit(brightness))*contrast", "logit(x)*contrast + logit(brightness)"),
    "not averaged first": ("if shrink > 1 and", "if False and"),
}


def augmented(module=augmentation) -> list:
    "Batches of training and of validation, varied by a twin."
    torch.manual_seed(42)
    varied = []
    for x, training, size in pictures():
        varied.append((module.plain_augment(x, module.draw_augmentation(len(x), training=training), size),))
    return varied + [(torch.rand(()),)]


def pictures() -> list:
    "Batches of pictures that are not square: with whether they are for training, and the size that is asked for."
    source = torch.Generator().manual_seed(0)
    return [(torch.rand(6, 3, 30, 40, generator=source), training, size) for training, size in ((True, None), (False, None), (True, (10, 14)))]


@pytest.fixture(scope="module")
def varied_by_fastai() -> list:
    from fastai.vision.all import TensorImage, aug_transforms

    torch.manual_seed(42)
    varied = []
    for x, training, size in pictures():
        x = TensorImage(x)
        for transform in aug_transforms(size=size):
            x = transform(x, split_idx=int(not training))
        varied.append((x,))
    return varied + [(torch.rand(()),)]


def test_augmentation(varied_by_fastai):
    prove_equal(augmented(), varied_by_fastai)


@pytest.mark.parametrize("name", AUGMENTATION_MISTAKES)
def test_a_mistake_in_the_augmentation_is_seen(varied_by_fastai, name):
    with pytest.raises(NotEqual):
        prove_equal(augmented(mutated(augmentation, *AUGMENTATION_MISTAKES[name])), varied_by_fastai)


# Bad input

def folder(path: Path, **counts: int) -> Path:
    "Small pictures, so many in each folder; __ is a slash."
    for name, n in counts.items():
        (path / name.replace("__", "/")).mkdir(parents=True)
        for i in range(n):
            Image.new("RGB", (8, 8)).save(path / name.replace("__", "/") / f"{i}.png")
    return path


GOOD = dict(train__a=3, train__b=3, valid__a=1, valid__b=1)


@pytest.mark.parametrize("counts, options, told", [
    ({}, {}, "no pictures in"),
    (dict(train__a=4, valid__a=1), {}, "are 'a': there is nothing to tell apart"),
    (dict(train__a=2, train__b=2), {}, "4 pictures, but none to validate with"),
    (dict(valid__a=2, valid__b=2), {}, "4 pictures, but none to train on"),
    (dict(train__a=2, train__b=2, valid__c=1), {}, "'c' is a class to validate with, but none to train on"),
    (dict(train=1, train__a=2, train__b=2, valid__a=1), {}, "is not in a folder of a class"),
    (GOOD, dict(bs=64), "6 training pictures do not fill a batch of 64"),
    (GOOD, dict(bs=0), "bs is 0"),
    (GOOD, dict(bs="4"), "a whole number of pictures, 1 or more; bs is '4'"),
    (GOOD, dict(bs=4.0), r"bs is 4\.0"),
    (GOOD, dict(valid_pct=0), "valid_pct is a share"),
    (GOOD, dict(valid_pct=1.5), "valid_pct is a share"),
    (GOOD, dict(labels=[]), "no pictures in"),
])
def test_folders_that_teach_nothing(tmp_path, counts, options, told):
    with pytest.raises(ValueError, match=told) as e:
        plain_dataloaders(folder(tmp_path, **counts), **{"bs": 2, **options})
    assert "Traceback" not in str(e.value)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(ValueError, match="There is no folder .*nowhere"):
        plain_dataloaders(tmp_path / "nowhere")
    (tmp_path / "file.txt").write_text("not a folder")
    with pytest.raises(ValueError, match=r"file\.txt is a file, not a folder"):
        plain_dataloaders(tmp_path / "file.txt")


def test_a_size_of_one_number(zoo):
    file = dataloaders.image_files(zoo / "valid")[0]
    prove_equal(dataloaders.plain_image(file, 24), dataloaders.plain_image(file, (24, 24)))
    one, two = (next(iter(plain_dataloaders(zoo, size=size, bs=4).valid)) for size in (24, (24, 24)))
    prove_equal(list(one), list(two))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 24 * 24, 2))
    one, two = (predict.plain_predict(model, file, ["cat", "dog"], size=size) for size in (24, (24, 24)))
    prove_equal(one.probabilities, two.probabilities)
    x, drawn = torch.rand(2, 3, 30, 40), augmentation.draw_augmentation(2)
    prove_equal(augmentation.plain_augment(x, drawn, 14), augmentation.plain_augment(x, drawn, (14, 14)))


def test_pictures_that_can_not_be_used(tmp_path):
    path = folder(tmp_path, **GOOD)
    Image.new("RGB", (9, 7)).save(path / "valid" / "b" / "wide.png")
    loaders = plain_dataloaders(path, bs=2)
    with pytest.raises(ValueError, match=r"has 9×7 pixels.*give a size|has 8×8 pixels.*wide\.png has 9×7 pixels: give a size"):
        list(loaders.valid)
    with pytest.raises(ValueError, match="'crop' or 'squish', not 'pad'"):
        list(plain_dataloaders(path, bs=2, size=8, method="pad").valid)
    (path / "train" / "a" / "0.png").write_bytes(b"this is text")
    with pytest.raises(OSError, match=r"0\.png cannot be opened as a picture"):
        list(loaders.train)
    with pytest.raises(OSError, match=r"gone\.png cannot be opened"):
        list(plain_dataloaders(path, labels=[("gone.png", "a"), ("train/b/0.png", "b")] * 4, bs=2, seed=0).train)


def test_models_that_can_not_be_made():
    from torchvision.models import squeezenet1_1

    for n_out in (1, 0, None, "2", 2.0):
        with pytest.raises(ValueError, match=f"n_out is the number of classes, 2 or more, not {n_out!r}"):
            vision_model.plain_vision_model(squeezenet1_1, n_out)
    with pytest.raises(TypeError, match="not for SqueezeNet"):
        vision_model.plain_vision_model(lambda weights: squeezenet1_1(), 2)


@pytest.mark.parametrize("model, told", [
    (torch.nn.Linear(2, 2), "this is Linear"),
    (torch.nn.Sequential(torch.nn.Linear(2, 2)), "this is Sequential of 1"),
    (torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), "this is Sequential of 2"),
    (None, "this is NoneType"),
], ids=["layer", "one part", "body is a layer", "nothing"])
def test_models_that_are_not_a_body_and_a_head(model, told):
    for use in (vision_model.plain_groups, vision_model.plain_freeze):
        with pytest.raises(TypeError, match=f"a body and a head.*{told}"):
            use(model)


def test_predictions_that_make_no_sense(digits):
    from easing_fastai.plain.narrow_resnet import digits_resnet18

    model = vision_model.plain_vision_model(digits_resnet18, 2)
    file = next((digits / "valid" / "3").iterdir())
    with pytest.raises(ValueError, match="2 outputs, and the vocabulary 3 classes"):
        predict.plain_predict(model, file, ["a", "b", "c"])


def test_augmentation_of_what_can_not_be_varied():
    drawn = augmentation.draw_augmentation(2)
    for x in (torch.full((2, 3, 8, 8), -1.), torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.full((2, 3, 8, 8), float("nan"))):
        with pytest.raises(ValueError, match="after dividing by 255, before normalising"):
            augmentation.plain_augment(x, drawn)
    with pytest.raises(ValueError, match="3 pictures, but numbers were drawn for 2"):
        augmentation.plain_augment(torch.zeros(3, 3, 8, 8), drawn)


def test_one_bit_in_a_million_is_seen():
    a = torch.rand(1000, 1000)
    b = a.clone()
    b[123, 456] = torch.nextafter(b[123, 456], torch.tensor(2.))
    with pytest.raises(NotEqual, match=re.escape("index (123, 456)")) as e:
        prove_equal([(a, a)], iter([(a, b)]))
    assert e.value.where == "batch 0, y, index (123, 456)" and 0 < e.value.distance < 1e-7
    prove_equal([(a, a)], [(a, b)], tolerance=1e-7)


# Where fastai would take another device than the CPU

OTHER_DEVICE = """
import json, sys
import fastai.torch_core as torch_core
from fastai.torch_core import defaults
import torch
torch_core.default_device = lambda use=-1: [setattr(defaults, 'use_cuda', use) if use != -1 else None,
                                            torch.device('cpu' if defaults.use_cuda is False else 'meta')][1]
import matplotlib
matplotlib.use('agg')
cells = [''.join(cell['source']) for cell in json.load(open(sys.argv[1], encoding='utf-8'))['cells'] if cell['cell_type'] == 'code' and cell['id'] != 'head-install']
names = {}
for cell in cells:
    cell = cell.replace('device = best_device()', "import fastai.torch_core as _c; assert _c.default_device().type == 'meta'; device = torch.device('cpu')")
    exec(compile(cell, '<cell>', 'exec'), names)
print('proven on', torch_core.default_device())
"""


@pytest.mark.parametrize("page", ["04b_plain_vision_model", *(pytest.param(page, marks=pytest.mark.prove) for page in PAGES if not page.startswith("04b"))])
def test_the_proofs_are_on_the_cpu_wherever_fastai_would_compute(digits, page):
    done = start("-c", OTHER_DEVICE, str(REPO / "nbs" / f"{page}.ipynb"))
    assert done.stdout.endswith("proven on cpu\n"), done.stderr[-3000:]
