"The tools on a network of timm, photographs and three classes; its weights are random, so no network is needed."
import linecache
import pickle
import socket
from hashlib import sha256

import photos
import pytest
import torch
from fastai.vision.all import ImageDataLoaders, Resize, accuracy, aug_transforms, set_seed, vision_learner

from easing_fastai.anatomy.anatomy import anatomy
from easing_fastai.assets.network import AssetError
from easing_fastai.base.files import FolderError
from easing_fastai.diagnose.diagnose import diagnose
from easing_fastai.images.check import check_images
from easing_fastai.plain.prove import NotEqual, prove_equal
from easing_fastai.speed.in_memory import InMemoryDL, in_memory
from easing_fastai.train import fit as fitting
from easing_fastai.train.model import load_model
from easing_fastai.train.train import train
from easing_fastai.unpack.unpack import unpack

timm = pytest.importorskip('timm')
NAME = 'test_resnet' # one of those that timm tests itself with


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return photos.class_folders(tmp_path_factory.mktemp('photos') / 'three', n=12)


def learner(folder, make=lambda dls: dls):
    set_seed(3)
    dls = ImageDataLoaders.from_folder(folder, valid_pct=0.2, seed=42, item_tfms=Resize(64, 'squish'), bs=8,
                                       batch_tfms=aug_transforms(size=48), num_workers=0, device='cpu')
    return vision_learner(make(dls), NAME, pretrained=False, metrics=accuracy)


def trained(learn):
    with learn.no_bar(), learn.no_logging(): learn.fine_tune(1)
    return learn


def test_anatomy(folder):
    found = anatomy(learner(folder))
    assert NAME in found.title and [group.part for group in found.groups] == ['body', 'head']
    assert found.parameters == sum(p.numel() for p in learner(folder).model.parameters())
    assert found.inputs == [(3, 48, 48)] and found.layers[-1].out == (3,)


def test_unpack(folder):
    learn = learner(folder)
    with learn.no_bar(), learn.no_logging(): opened = unpack(learn.fine_tune, 1)
    assert 'fit_one_cycle' in str(opened) and len(learn.recorder.losses) == len(learn.dls.train)


def test_in_memory_and_prove_equal(folder, capsys):
    stock, kept = trained(learner(folder)), trained(learner(folder, in_memory))
    assert type(kept.dls.train) is InMemoryDL
    prove_equal(stock.model, kept.model)
    prove_equal(stock.recorder.losses, kept.recorder.losses, 'losses')
    stock.model[1][-1].weight.data[0, 0] += 1e-3
    with pytest.raises(NotEqual, match=r'1\.8\.weight'): prove_equal(stock.model, kept.model)


def test_check_images(folder): assert check_images(folder).ok


def test_diagnose(folder):
    learn = learner(folder)
    learn.model[1][-1] = torch.nn.Linear(7, 3)
    try: trained(learn)
    except RuntimeError as e: report = str(diagnose(e))
    assert '512' in report and '7' in report


def test_train_and_load(folder, tmp_path, monkeypatch):
    "With random weights in place of those on the Hub."
    create = timm.create_model
    monkeypatch.setattr(timm, 'create_model', lambda name, pretrained=False, **kwargs: create(name, **kwargs))
    monkeypatch.setattr(fitting, 'ready_timm', lambda name: 'nowhere')
    said = []
    card = train(folder, tmp_path / 'model', 1, NAME, say=said.append, settings=fitting.Settings(size=48))
    assert card.arch == NAME and card.mean == [0.5, 0.5, 0.5] and any(NAME in text for text in said)
    found = load_model(tmp_path / 'model').predict(next((folder / 'sky').glob('*')))
    assert set(found) == {'flower', 'sky', 'temple'}


def test_weights_that_cannot_be_had(monkeypatch):
    monkeypatch.setenv('EASING_FASTAI_OFFLINE', '1')
    monkeypatch.setenv('HF_HUB_CACHE', 'nowhere')
    with pytest.raises(AssetError, match=f'weights of {NAME} could not be downloaded: EASING_FASTAI_OFFLINE'):
        fitting.ready_timm(NAME)
    monkeypatch.delenv('EASING_FASTAI_OFFLINE')
    def closed(url): raise OSError('no route')
    monkeypatch.setattr('urllib.request.urlopen', closed)
    with pytest.raises(AssetError, match='no route'): fitting.ready_timm(NAME)
    with pytest.raises(AssetError, match='timm has no pretrained weights for resnet18d_none'):
        monkeypatch.setattr(timm, 'get_pretrained_cfg', lambda name: None)
        fitting.ready_timm('resnet18d_none')


class Program:
    "A pickle of it makes a file when it is loaded."
    def __init__(self, file): self.file = file
    def __reduce__(self): return open, (str(self.file), 'w')


def cached(cache, name, content, digest=None):
    "A file of weights, where Hugging Face's client keeps it."
    repo = cache / f'models--{timm.get_pretrained_cfg(NAME).hf_hub_id.replace("/", "--")}'
    file, blob = repo / 'snapshots' / ('a' * 40) / name, repo / 'blobs' / (digest or sha256(content).hexdigest())
    for path in (file, blob, repo / 'refs/main'): path.parent.mkdir(parents=True, exist_ok=True)
    (repo / 'refs/main').write_text('a' * 40)
    blob.write_bytes(content)
    file.symlink_to(blob)
    return file


@pytest.fixture
def cache(tmp_path, monkeypatch):
    "An empty cache of Hugging Face's client, and no network."
    def no_network(*args, **kwargs): raise AssertionError(f'the network was asked: {args}')
    monkeypatch.setattr(socket, 'getaddrinfo', no_network)
    monkeypatch.setenv('EASING_FASTAI_OFFLINE', '1')
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    return tmp_path


def weights(change=lambda tensors: tensors):
    from safetensors.torch import save
    return save(change(timm.create_model(NAME, pretrained=False).state_dict()))


def test_weights_on_this_disk(cache, folder):
    "They are used, and nobody is asked whether there are newer ones."
    cached(cache, 'model.safetensors', content := weights())
    from safetensors.torch import load
    dls = ImageDataLoaders.from_folder(folder, valid_pct=0.2, seed=42, item_tfms=Resize(64, 'squish'), bs=8, num_workers=0)
    learn = fitting.learner_for(dls, NAME)
    found, stored = learn.model[0].model.state_dict(), load(content)
    prove_equal(found, {name: stored[name] for name in found})


def without_one(tensors): return dict(list(tensors.items())[1:])
def with_nan(tensors): return {name: x * float('nan') if x.is_floating_point() else x for name, x in tensors.items()}
def of_another(tensors): return {'x': torch.zeros(3)}


@pytest.mark.parametrize('change, says', [(without_one, 'Missing key'), (with_nan, 'numbers that are none'), (of_another, 'Missing key')])
def test_weights_that_are_others(cache, change, says):
    cached(cache, 'model.safetensors', weights(change))
    with pytest.raises(AssetError, match=rf'cannot be used: .*{says}.*Remove .*models--'): fitting.ready_timm(NAME)


def test_weights_cut_off(cache):
    cached(cache, 'model.safetensors', weights()[:-99])
    with pytest.raises(AssetError, match='cannot be used'): fitting.ready_timm(NAME)


def test_weights_with_a_wrong_byte(cache):
    content = bytearray(weights())
    content[-3] ^= 1
    cached(cache, 'model.safetensors', bytes(content), sha256(weights()).hexdigest())
    with pytest.raises(AssetError, match='SHA-256 is not'): fitting.ready_timm(NAME)


def test_a_program_as_weights(cache):
    cached(cache, 'pytorch_model.bin', pickle.dumps(Program(cache / 'it_ran'), protocol=2))
    with pytest.raises(AssetError, match='Nothing in them was run'): fitting.ready_timm(NAME)
    assert not (cache / 'it_ran').exists()


def test_a_network_with_a_size_of_its_own():
    with pytest.raises(FolderError, match=r'vit_tiny_patch16_224 .* 64×64 pixels \(Input height .*\).*--size'):
        fitting.try_out('vit_tiny_patch16_224', 64)
    fitting.try_out('test_resnet', 48)


@pytest.mark.parametrize('name', ['hf-hub:someone/model', '../model', 'test_resnett'])
def test_names_that_are_none(name):
    with pytest.raises(FolderError, match='There is no network.*and of timm'): fitting.architecture(name)


def test_without_timm(monkeypatch):
    monkeypatch.setattr(fitting, 'find_spec', lambda name: None)
    with pytest.raises(FolderError, match=r'pip install "easing_fastai\[photos\]"'): fitting.architecture(NAME)


def test_a_network_of_timm_in_the_place_of_its_name(folder):
    "The name stands in the call; `create_model` alone is no architecture."
    names = {'vision_learner': vision_learner, 'timm': timm, 'dls': learner(folder).dls}
    code, file = f"learn = vision_learner(dls, timm.create_model('{NAME}', pretrained=False), pretrained=False)", 'somebodys_script.py'
    linecache.cache[file] = (len(code), None, [code], file)
    with pytest.raises(TypeError) as caught: exec(compile(code, file, 'exec'), names | {'__name__': 'somebodys_script'})
    assert (change := diagnose(caught.value).fix) == f"learn = vision_learner(dls, '{NAME}', pretrained=False)"
    exec(change, names)
