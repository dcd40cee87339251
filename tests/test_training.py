"train, predict and the three commands: real images in, a whole model or none out."
import base64
import csv
import errno
import io
import json
import os
import pickle
import platform
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import REAL_HOME, cold_start, command, start, state
from fastai.learner import Learner
from photos import class_folders, cuttings, names
from PIL import ExifTags, Image, ImageFile
from typer.testing import CliRunner

from easing_fastai.base.files import FolderError, claimed, whole_file, whole_folder
from easing_fastai.cli import app, print_predictions
from easing_fastai.images.check import check_images
from easing_fastai.train import fit, train as training
from easing_fastai.serve.app import about, verdict
from easing_fastai.train.fit import usable_images
from easing_fastai.train.model import FILES, ModelCard, ModelError, TrainedModel, checked_image, image2tensor, load_model, refuse_to_overwrite
from easing_fastai.train.report import next_step, result_line
from easing_fastai.train.train import epoch_line

QUICK = dict(epochs=1, arch='digits_resnet18', say=lambda text: None)


@pytest.fixture(scope='module')
def photos(tmp_path_factory) -> Path:
    return class_folders(tmp_path_factory.mktemp('p') / 'my photos')


@pytest.fixture(scope='module')
def trained(photos, tmp_path_factory) -> tuple[Path, Learner, list[str]]:
    "The folder of a model, the learner it was written from, and what was printed."
    out, printed, kept = tmp_path_factory.mktemp('m') / 'model', [], []
    write = training.write_with_report
    training.write_with_report = lambda folder, learn, *args, **kwargs: kept.append(learn) or write(folder, learn, *args, **kwargs)
    try:
        training.train(photos, out, epochs=4, arch='digits_resnet18', say=printed.append)
    finally:
        training.write_with_report = write
    return out, kept[0], printed


def test_three_classes_in_colour(trained):
    out, learn, printed = trained
    card = load_model(out).card
    assert {file.name for file in out.iterdir()} == FILES and [p.name for p in out.parent.iterdir()] == ['model']
    assert card.labels == ['flower', 'sky', 'temple'] and card.accuracy > 0.8 and (card.n_train, card.n_valid) == (48, 12)
    assert set(card.versions) >= {'fastai', 'torch', 'torchvision'} and card.mean and 32 <= card.size <= 48
    assert any('a folder per class' in line for line in printed) and any('12 held out' in line for line in printed)
    assert sum('never a photograph' in line for line in printed) == 1, 'the digits network gets no photograph in silence'
    page = (out / 'index.html').read_text(encoding='utf-8')
    assert 'never a photograph' in page and 'easing_fastai[photos]' in page and 'frozen network' not in page


def test_the_model_predicts_as_the_learner_did(trained, tmp_path):
    out, learn, _ = trained
    model = load_model(out)
    for label in ('sky', 'temple', 'flower'):
        file = tmp_path / f'{label}.png'
        cuttings(label, 1, seed=99)[0].resize((61, 33)).save(file)
        predicted = model.predict(file)
        with learn.no_bar():
            theirs = learn.predict(file)[2].cpu()
        ours = torch.tensor([predicted[name] for name in model.labels])
        assert torch.allclose(ours, theirs, atol=1e-5) and list(predicted.values()) == sorted(predicted.values(), reverse=True)


def test_no_pickle_is_opened(trained, photos, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError('a pickle was opened')

    for where, name in ((pickle, 'load'), (pickle, 'loads'), (pickle, 'Unpickler'), (torch, 'load')):
        monkeypatch.setattr(where, name, forbidden)
    assert load_model(trained[0]).predict(photos / 'sky' / '00.jpg')


def test_the_page_stands_alone(trained):
    page = (trained[0] / 'index.html').read_text(encoding='utf-8')
    assert page.count('src="data:image/png;base64,') == 2 == page.count('<img alt=') and 'http' not in page
    for figure in re.findall(r'base64,([^"]+)"', page):
        assert base64.b64decode(figure).startswith(b'\x89PNG')
    assert 'accuracy' in page and 'train_loss' in page and 'easing-fastai predict' in page and 'different sizes' in page


def test_one_mistake_is_not_none(trained):
    "2,037 of 2,038 are not 100.0%, wherever it is said; nor is 0.999 of a threshold."
    card = replace(load_model(trained[0]).card, accuracy=2037/2038, n_valid=2038)
    said = [result_line(card), about(asdict(card), 0.999), epoch_line({'trained': 'all', 'train_loss': 0, 'valid_loss': 0, 'accuracy': 2037/2038}),
            next_step(card, True, {'colours alone': 2037/2038}), verdict({'a': 0.998}, 0.999)]
    for text in said: assert '99.9%' in text and '100' not in text.replace('1000', ''), text


def test_mistakes_come_first_with_their_files(trained):
    from easing_fastai.train.report import ranked_predictions

    page = (trained[0] / 'index.html').read_text(encoding='utf-8')
    learn = trained[1]
    files = [str(file) for file in learn.dls.valid_ds.items.file]
    with learn.no_bar():
        probabilities, truth = (t.cpu().numpy() for t in learn.get_preds())
    ranked = ranked_predictions(files, probabilities, truth, list(learn.dls.vocab))
    wrong = ranked[ranked.wrong]
    assert all(f'<td>{file}</td>' in page for file in wrong.file) and wrong.probability.is_monotonic_decreasing
    assert all(file.startswith(label) for file, label in zip(ranked.file, ranked.label)), 'a file keeps its label'
    assert 'colours alone' in page and '<b>Next:</b>' in page


def test_what_was_chosen_is_done(photos, tmp_path):
    said, chosen = [], fit.Settings(bs=7, lr=0.003, valid=0.5, size=24, flip=True)
    card = training.train(photos, tmp_path / 'model', settings=chosen, **{**QUICK, 'say': said.append})
    assert (card.size, card.n_valid, card.n_train) == (24, 30, 30) and any('50% of each class' in line for line in said)
    files, _ = usable_images(check_images(photos))
    dls = fit.dataloaders_for(photos, files, 24, flip=True, bs=7)
    assert dls.bs == 7 and any('Flip' in type(t).__name__ for t in dls.after_batch.fs)
    assert not any('Flip' in type(t).__name__ for t in fit.dataloaders_for(photos, files, 24).after_batch.fs)


@pytest.mark.parametrize('bs, says', [(1, '1 image '), (49, '49 images ')])
def test_a_batch_that_cannot_be_is_refused_before_the_training(bs, says, photos, tmp_path):
    with pytest.raises(FolderError, match=f'Batches of {says}.* of 48 images, from 2 to 48 .*--bs'):
        training.train(photos, tmp_path / 'm', settings=fit.Settings(bs=bs), **QUICK)
    assert not os.listdir(tmp_path)


def test_a_learning_rate_that_is_too_large_is_named(photos, tmp_path):
    with pytest.raises(FolderError, match='not a number any more.*smaller --lr'):
        training.train(photos, tmp_path / 'm', settings=fit.Settings(lr=1e30), **QUICK)


def test_a_photograph_that_lies_is_trained_and_predicted_upright(trained, photos, tmp_path):
    out, learn, _ = trained
    upright, exif = cuttings('temple', 1, seed=99)[0].resize((60, 40)), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    upright.save(tmp_path / 'upright.png')
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / 'lying.png', exif=exif)
    model = load_model(out)
    assert model.predict(tmp_path / 'upright.png') == model.predict(tmp_path / 'lying.png')
    batches = [learn.dls.test_dl([tmp_path / name]).one_batch()[0] for name in ('upright.png', 'lying.png')]
    assert torch.equal(*batches)


@pytest.mark.parametrize('photographs', [True, False])
def test_an_image_is_prepared_as_the_held_out_ones_were(photos, tmp_path, photographs):
    "Whether they are squished, or their middle is cut out: `predict` sees what the training was judged by."
    files, _ = usable_images(check_images(photos))
    dls = fit.dataloaders_for(photos, files, 32, photographs=photographs)
    card = ModelCard('digits_resnet18', ['a', 'b', 'c'], 32, 0.9, 48, 12, 5, 42, 'folders', '0' * 64,
                     resize='middle' if photographs else 'squish')
    model, seen = TrainedModel(torch.nn.Identity(), card), dls.valid.one_batch()[0]
    for x, file in zip(seen, files.file[files.is_valid]):
        image = model.resize(model.upright(checked_image(photos / file)), split_idx=1)
        assert torch.allclose((image2tensor(image).float() / 255 - model.mean) / model.std, torch.Tensor(x), atol=1e-5), file


def test_predict_a_folder(trained, photos, tmp_path, monkeypatch, capsys):
    (tmp_path / 'my').mkdir()
    for i in range(2):
        shutil.copy(photos / 'sky' / f'0{i}.jpg', tmp_path / 'my' / f'{i}-{"long" * 40}.jpg')
    runner, names = CliRunner(), sorted(str(file) for file in (tmp_path / 'my').iterdir())
    out = str(trained[0])
    table = runner.invoke(app, ['predict', out, str(tmp_path / 'my')], env={'COLUMNS': '80'}).output
    assert all(name in table for name in names), 'long names are whole'
    rows = list(csv.reader(io.StringIO(runner.invoke(app, ['predict', out, str(tmp_path / 'my'), '--csv']).output)))
    assert rows[0] == ['image', 'class', 'probability', 'flower', 'sky', 'temple'] and [row[0] for row in rows[1:]] == names
    found = json.loads(runner.invoke(app, ['predict', out, str(tmp_path / 'my'), '--json']).output)
    assert [one['image'] for one in found] == names and all(abs(sum(one['probabilities'].values()) - 1) < 1e-5 for one in found)
    assert command('predict', out, photos, '--csv', '--json')[0] == 2
    bad = tmp_path / 'red\x1b[31m\x9b.jpg'
    for terminal in (True, False):
        monkeypatch.setattr('sys.stdout.isatty', lambda terminal=terminal: terminal)
        print_predictions({bad: {'a\x9b': 1.0}}, ['a\x9b'], 'csv')
        print_predictions({bad: {'a\x9b': 1.0}}, ['a\x9b'], 'json')
        printed = capsys.readouterr().out
        assert ('\x9b' in printed) != terminal and ('\x1b' in printed) != terminal, 'a file keeps what a terminal would obey'


@pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere names are text')
@pytest.mark.parametrize('closed', [False, True])
def test_csv_of_a_name_that_is_no_text(closed, trained, photos, tmp_path):
    "It stands in a pipe as on the disk, and no row is lost; where nobody listens, nothing is wrong."
    for name in (b'\xe9t\xe9.jpg', b'zoo.jpg'): shutil.copy(photos / 'sky' / '00.jpg', os.fsencode(tmp_path) + b'/' + name)
    done = subprocess.run(['sh', '-c', '"$@"' + ' >&-' * closed, 'sh', sys.executable, '-m', 'easing_fastai', 'predict', trained[0], tmp_path, '--csv'],
                          capture_output=True)
    assert done.returncode == 0 and b'Traceback' not in done.stderr, done.stderr
    assert closed or [line.split(b',')[0].split(b'/')[-1] for line in done.stdout.splitlines()] == [b'image', b'zoo.jpg', b'\xe9t\xe9.jpg']


def test_predict_says_that_deep_colours_become_white(trained, tmp_path):
    for name, most in (('deep', 60000), ('small', 200)):
        numbers = torch.linspace(0, most, 1600).view(40, 40).int().numpy().astype('uint16')
        Image.fromarray(numbers).save(tmp_path / f'{name}.png')
    code, output = command('predict', trained[0], tmp_path)
    assert code == 0 and 'deep.png has 16 or 32 bits' in output and 'small.png has' not in output


def test_photographs_and_a_network_for_them(tmp_path):
    "The frozen network with logistic regression is computed from the network as it was before, and stands in the report."
    from sklearn.linear_model import LogisticRegression

    from easing_fastai.assets.backbone import lite0_file
    from easing_fastai.train.head import body_outputs
    from easing_fastai.train.report import frozen_rival

    if lite0_file() is None: pytest.skip('the extra photos is not installed')
    folder, kept, write = class_folders(tmp_path / 'photos', n=10), [], training.write_with_report
    training.write_with_report = lambda folder, learn, *args, **kwargs: kept.append(learn) or write(folder, learn, *args, **kwargs)
    try:
        training.train(folder, tmp_path / 'model', epochs=0, settings=fit.Settings(size=64), say=lambda text: None)
    finally:
        training.write_with_report = write
    learn, files = kept[0], usable_images(check_images(folder))[0]
    found, = frozen_rival(learn, files).values()
    page = (tmp_path / 'model' / 'index.html').read_text(encoding='utf-8')
    assert f'frozen network with logistic regression {found:.1%}' in page
    sides = (learn.dls.test_dl(files[files.is_valid == side], with_labels=True) for side in (False, True))
    train, valid = (body_outputs(learn, batches) for batches in sides)  # the body is as it was
    assert LogisticRegression(C=0.1, max_iter=2000).fit(*train).score(*valid) == found > 0.8
    model, image = load_model(tmp_path / 'model'), folder / files.file[files.is_valid].iloc[0]
    assert model.card.head == 'one layer' and len(model.model[1]) == 4, 'means, a flat row, scaled, one sum for each class'
    with learn.no_bar(): probabilities = learn.get_preds(dl=learn.dls.test_dl([image]))[0][0]
    assert list(model.predict(image).values()) == pytest.approx(sorted(probabilities.tolist(), reverse=True), abs=1e-5)
    assert not fit.plan_for(folder, files, 'efficientnet_lite0', fit.Settings(lr=1e-3)).head_alone, 'a rate asks for steps'
    for weights in learn.model[0].parameters():
        torch.nn.init.zeros_(weights)
    assert frozen_rival(learn, files) == {'frozen network with logistic regression': found}, 'of the network as it was before'


def test_a_body_without_maps():
    "Some networks of timm give a row for each image, and not maps: the features are the same numbers."
    from easing_fastai.train.head import body_outputs
    batches = [(torch.arange(12.).view(2, 6), torch.tensor([0, 1]))]
    rows, labels = body_outputs(SimpleNamespace(model=[torch.nn.Identity()], dls=SimpleNamespace(device='cpu')), batches)
    assert rows.tolist() == batches[0][0].tolist() and labels.tolist() == [0, 1]


@pytest.mark.real
def test_ants_and_bees(tmp_path):
    "One of the trainings that the page of `train` tells of: it is not worse than the frozen network."
    from easing_fastai.assets.backbone import lite0_file

    path = Path(REAL_HOME or Path.home() / '.fastai') / 'data' / 'hymenoptera_data'
    if not (path.is_dir() and lite0_file()): pytest.skip('the ants and bees or the extra photos are not on this disk')
    card = training.train(path, tmp_path / 'model', arch='efficientnet_lite0', seed=0)
    page = (tmp_path / 'model' / 'index.html').read_text(encoding='utf-8')
    frozen = float(re.search(r'frozen network with logistic regression (\d+\.\d)%', page)[1]) / 100
    assert (card.n_train, card.n_valid, card.size) == (245, 153, 224)
    assert card.accuracy > 0.92 and card.accuracy > frozen - 0.02, (card.accuracy, frozen)


@pytest.mark.parametrize('missing, installed, said', [('resnet18', False, True), ('resnet18', True, False), ('photographs', False, False)])
def test_download_names_a_network_for_photographs(missing, installed, said, monkeypatch, tmp_path):
    "Where ResNet-18 cannot be had, and no other network has seen a photograph."
    from easing_fastai.assets import backbone, datasets, photographs
    from easing_fastai.assets.network import AssetError

    def fetch(name):
        if name == missing: raise AssetError('no network')
        return tmp_path

    monkeypatch.setattr(backbone, 'download_resnet18', lambda: fetch('resnet18'))
    monkeypatch.setattr(photographs, 'download_photographs', lambda: fetch('photographs'))
    monkeypatch.setattr(datasets, 'download_mnist_sample', lambda: fetch('digits'))
    monkeypatch.setattr(backbone, 'lite0_file', lambda: tmp_path if installed else None)
    code, output = command('download')
    assert code == 1 and 'Not everything could be fetched' in output
    assert ('pip install "easing_fastai[photos]"' in output) == said == ('never seen a photograph' in output)


@pytest.mark.long
def test_the_same_seed_gives_the_same_model(photos, tmp_path):
    digests = [training.train(photos, tmp_path / 'model', seed=seed, **QUICK).weights_sha256 for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_photographs_of_an_iphone(tmp_path):
    "HEIC goes all the way: checked, trained with, predicted."
    folder = class_folders(tmp_path / 'photos', suffix='.heic')
    assert check_images(folder).ok
    training.train(folder, tmp_path / 'model', **QUICK)
    for name in ('photo.heic', 'photo.png'):
        cuttings('temple', 1, seed=99)[0].save(tmp_path / name, quality=100)
    model = load_model(tmp_path / 'model')
    assert model.predict(tmp_path / 'photo.heic') == pytest.approx(model.predict(tmp_path / 'photo.png'), abs=0.05)


@pytest.mark.long
@pytest.mark.parametrize('name', ['photo.heic', 'photo.jpg'])
def test_heic_without_its_reader(tmp_path, name):
    "The extra is named where a HEIC file cannot be read."
    cuttings('temple', 1)[0].save(tmp_path / 'photo.heic')
    (tmp_path / 'photo.heic').rename(tmp_path / name)
    code = f"""
import sys
sys.modules['pillow_heif'] = None
from easing_fastai.images.check import check_images
from easing_fastai.train.model import ModelError, checked_image
from pathlib import Path
from types import SimpleNamespace
print(check_images({str(tmp_path)!r}))
try: checked_image(Path({str(tmp_path / name)!r}))
except ModelError as e: print(e)
"""
    said = start('-c', code).stdout
    assert said.count('easing_fastai[heic]') == (2 if name.endswith('.heic') else 1), said

@pytest.mark.parametrize('dtype, device', [(torch.float64, 'cpu'), (torch.float16, 'meta')])
def test_a_model_is_loaded_the_same_whatever_new_tensors_are(trained, photos, dtype, device):
    file = photos / 'sky' / '00.jpg'
    expected = load_model(trained[0]).predict(file)
    torch.set_default_dtype(dtype)
    torch.set_default_device(device)
    try:
        model = load_model(trained[0])
        assert torch.get_default_dtype() == dtype and model.predict(file) == expected
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert {t.device.type for t in (*model.model.state_dict().values(), model.mean, model.std)} == {'cpu'}


def test_loading_a_model_draws_no_number_that_a_training_would_get(trained):
    before = torch.get_rng_state()
    load_model(trained[0])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize('thing', [None, 3, b'model', ['a.jpg'], Image.new('RGB', (9, 9))], ids=lambda thing: type(thing).__name__)
def test_what_names_no_file(trained, thing):
    for action in (load_model, load_model(trained[0]).predict):
        with pytest.raises(FolderError, match=f'by a text or a Path; this is {type(thing).__name__}'): action(thing)


@pytest.mark.parametrize('damage', ['pickle as weights', 'cut off', 'other weights', 'no weights', 'pickle as card', 'no card', 'a list as card'])
def test_a_folder_that_is_not_what_it_claims(damage, trained, tmp_path):
    copy = Path(shutil.copytree(trained[0], tmp_path / 'model'))
    card, weights = copy / 'model.json', copy / 'model.safetensors'
    data = weights.read_bytes()
    {'pickle as weights': lambda: weights.write_bytes(pickle.dumps(print)),
     'cut off': lambda: weights.write_bytes(data[:-100]),
     'other weights': lambda: weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1])),
     'no weights': weights.unlink,
     'pickle as card': lambda: card.write_bytes(pickle.dumps(print)),
     'no card': card.unlink,
     'a list as card': lambda: card.write_text('[1, 2]')}[damage]()
    with pytest.raises(ModelError, match='card|model.json' if 'card' in damage else 'model.safetensors'):
        load_model(copy)
    code, output = command('predict', copy, 'x.jpg')
    assert code == 1 and '✗' in output


def test_a_card_that_an_editor_has_put_a_mark_before(trained, tmp_path):
    copy = Path(shutil.copytree(trained[0], tmp_path / 'model'))
    (copy / 'model.json').write_text((copy / 'model.json').read_text(encoding='utf-8'), encoding='utf-8-sig')
    assert load_model(copy).card == load_model(trained[0]).card
    refuse_to_overwrite(copy)  # it is still known as the model's own


@pytest.mark.parametrize('field, found', [('size', True), ('size', 0), ('std', [0, 0, 0]), ('mean', [0.5, float('nan'), 0.5]), ('labels', ['a']), ('labels', 'ab'),
                                          ('labels', ['\ud800', 2]), ('arch', None), ('made_by', 'x'), ('format', 2), ('resize', 'pad')])
def test_the_field_that_is_wrong_is_named(field, found, trained, tmp_path):
    copy = Path(shutil.copytree(trained[0], tmp_path / 'model'))
    card = json.loads((copy / 'model.json').read_text())
    (copy / 'model.json').write_text(json.dumps({**card, field: found}))
    code, output = command('predict', copy, 'x.jpg')
    assert code == 1 and f"model.json: {field} is {'missing' if found is None else ''}" in output and 'must be' in output


def test_a_huge_network_in_a_card_is_not_built(trained, tmp_path, monkeypatch):
    copy = Path(shutil.copytree(trained[0], tmp_path / 'model'))
    values = json.loads((copy / 'model.json').read_text(encoding='utf-8')) | {'arch': 'vit_h_14'}
    (copy / 'model.json').write_text(json.dumps(values), encoding='utf-8')
    monkeypatch.setattr('easing_fastai.train.model.SPARE', 1_000_000)
    with pytest.raises(ModelError, match='do not fit the network vit_h_14') as raised: load_model(copy)
    assert 'has more than' in str(raised.value.__cause__)


@pytest.mark.parametrize('change', [{'labels': ['a', 'b']}, {'arch': '../../evil'}, {'arch': 'resnet34'}])
def test_a_card_of_other_weights(change, trained, tmp_path):
    copy = Path(shutil.copytree(trained[0], tmp_path / 'model'))
    (copy / 'model.json').write_text(json.dumps({**json.loads((copy / 'model.json').read_text()), **change}))
    with pytest.raises(ModelError, match='they do not fit the network|written with the labels'):
        load_model(copy)


def test_half_an_image_is_refused_where_pillow_fills_it_up(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, 'LOAD_TRUNCATED_IMAGES', True)
    file = tmp_path / 'half.jpg'
    Image.effect_noise((200, 200), 80).save(file)
    file.write_bytes(file.read_bytes()[:9000])
    Image.open(file).load()
    with pytest.raises(ModelError, match='cut off'): checked_image(file)


def test_predict_refuses_images_that_are_none(trained, photos, tmp_path):
    (tmp_path / 'words.png').write_text('no image')
    shutil.copy(photos / 'sky' / '00.jpg', tmp_path / 'lie.png')
    (tmp_path / 'half.jpg').write_bytes((photos / 'sky' / '00.jpg').read_bytes()[:500])
    good = shutil.copy(photos / 'sky' / '00.jpg', tmp_path / 'two\nlines 🐈 [b].jpg')
    (tmp_path / 'empty').mkdir()
    bad = ['words.png', 'lie.png', 'half.jpg', 'nothing.jpg', 'empty']
    code, output = command('predict', trained[0], good, *(tmp_path / name for name in bad))
    assert code == 1 and output.count('✗') == 5 and 'two\\nlines 🐈 [b].jpg' in output and 'it is JPEG' in output
    code, output = command('predict', trained[0], good)
    assert code == 0 and re.search(r'(sky|temple|flower) \d+\.\d%', output)


# ---- which images ----

def test_what_cannot_be_used_is_left_out_and_copies_stay_together(tmp_path):
    path = names(tmp_path / 'p', n=12)
    (path / 'sky (90).png').write_bytes(b'no image')
    for i in range(5):
        shutil.copy(path / 'temple (3).png', path / f'temple ({i + 50}).png')
    shutil.copy(path / 'flower (1).png', path / 'sky (91).png')
    before = state(path)
    for seed in range(5):
        files, notes = usable_images(check_images(path), seed)
        copies = files[files.file.isin(['temple (3).png', *(f'temple ({i + 50}).png' for i in range(5))])]
        assert len(copies) == 6 and copies.is_valid.nunique() == 1
        assert not files.file.isin(['sky (90).png', 'sky (91).png', 'flower (1).png']).any()
        assert set(files.label[files.is_valid]) == set(files.label[~files.is_valid]) == {'sky', 'temple', 'flower'}
    assert len(notes) == 3 and state(path) == before


def test_train_and_valid_without_a_leak(tmp_path):
    for side in ('train', 'valid'):
        class_folders(tmp_path / side, n=5, seed=side == 'valid')
    shutil.copy(tmp_path / 'valid/sky/01.jpg', tmp_path / 'train/sky/leak.jpg')
    (tmp_path / 'valid/other').mkdir()
    cuttings('sky', 1, seed=5)[0].save(tmp_path / 'valid/other/1.jpg')
    files, notes = usable_images(check_images(tmp_path))
    assert 'train/sky/leak.jpg' not in set(files.file) and 'valid/sky/01.jpg' in set(files.file) and 'other' not in set(files.label)
    assert (files.is_valid == files.file.str.startswith('valid/')).all() and len(notes) == 3


@pytest.mark.parametrize('n, labels, words', [(0, 3, 'no images'), (4, 1, 'Only one class'), (1, 3, 'too few')])
def test_nothing_to_learn_from(n, labels, words, tmp_path):
    path = class_folders(tmp_path / 'p', n=n)
    for label in ('sky', 'temple', 'flower')[labels:]:
        shutil.rmtree(path / label)
    with pytest.raises(FolderError, match=words):
        training.train(path, tmp_path / 'model', **QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ['p']


def noisy(path: Path, *labels: str) -> Path:
    "Folders of twelve images that show nothing."
    for label in labels:
        (path / label).mkdir(parents=True)
        for i in range(12): Image.effect_noise((32, 32), 80).save(path / label / f'{i}.png')
    return path


def test_the_reason_why_one_class_or_none_is_left(tmp_path):
    noisy(tmp_path, 'cat', 'dog')
    def why():
        with pytest.raises(FolderError) as caught: usable_images(check_images(tmp_path))
        return str(caught.value)
    for file in (tmp_path / 'dog').iterdir(): file.write_bytes(b'')
    assert '12 left out: they cannot be read (dog/0.png' in why() and f'Only one class is left in {tmp_path}: cat.' in why()
    for file in (tmp_path / 'cat').iterdir(): file.write_bytes(b'')
    assert '24 left out' in why() and 'No image is left' in why() and 'none' not in why() and 'Only one class' not in why()


def test_nothing_to_validate_with(tmp_path):
    noisy(tmp_path, 'images')
    (tmp_path / 'labels.csv').write_text('name,label,is_valid\n' + ''.join(f'{i}.png,{("cat", "dog")[i % 2]},0\n' for i in range(12)))
    with pytest.raises(FolderError, match='12 images to train with and none to validate with are too few'):
        usable_images(check_images(tmp_path))


def test_images_without_an_ending_are_counted(tmp_path):
    for file in [*(noisy(tmp_path, 'cat', 'dog') / 'dog').iterdir()]: file.rename(file.with_suffix(''))
    (tmp_path / 'LICENSE').write_text('of these images')
    check = check_images(tmp_path)
    endless = [row.where for row in check.problems if row.kind == 'no ending']
    assert not check.ok and len(endless) == 12 and all(name.startswith('dog/') for name in endless)
    assert [row.where for row in check.problems if row.kind == 'others'] == ['LICENSE']
    with pytest.raises(FolderError, match='12 images without an ending such as .jpg: dog/.* Only one class in'): usable_images(check)
    code, output = command('train', tmp_path / 'dog', '--arch', 'digits_resnet18', '--out', tmp_path / 'm')
    assert code == 1 and '12 images without an ending' in output and 'There are no images' in output


def test_odd_labels_reach_the_page(tmp_path):
    for label, thing in (('<b> $x^$', 'sky'), ('two\nlines 🐈', 'temple')):
        (tmp_path / 'p' / label).mkdir(parents=True)
        for i, piece in enumerate(cuttings(thing, 6)):
            piece.save(tmp_path / 'p' / label / f'é {i}\n.png')
    card = training.train(tmp_path / 'p', tmp_path / 'mo del', **QUICK)
    assert card.labels == ['<b> $x^$', 'two\\nlines 🐈']
    page = (tmp_path / 'mo del' / 'index.html').read_text(encoding='utf-8')
    assert '&lt;b&gt;' in page and '<b> $' not in page


@pytest.mark.parametrize('arch, words', [('resnet19', 'Near that'), ('os.system', 'There is no network'), ('vit_b_16', 'cannot use vit_b_16'), ('squeezenet1_1', 'could not be downloaded')])
def test_networks_that_cannot_be_had(arch, words, photos, tmp_path, monkeypatch):
    for name in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'):
        monkeypatch.setenv(name, 'http://127.0.0.1:9')
    if arch == 'vit_b_16':  # as it is cut, without building 86 million weights
        monkeypatch.setattr(fit, 'create_vision_model', lambda *args, **kwargs: next(iter(())))
    with pytest.raises(FolderError, match=words):
        training.train(photos, tmp_path / 'model', **{**QUICK, 'arch': arch})
    assert list(tmp_path.iterdir()) == []


# ---- whole or not at all ----

def test_a_signal_waits_until_the_new_folder_is_in_its_place(tmp_path, monkeypatch):
    really, folder = Path.rename, tmp_path / 'model'
    folder.mkdir()

    def and_a_signal(file, to):
        really(file, to)
        if 'previous' in str(to):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Path, 'rename', and_a_signal)
    before = signal.signal(signal.SIGTERM, lambda *_: exit(143))  # as the command line has it
    try:
        with pytest.raises(SystemExit), whole_folder(folder, replace=True) as work:
            work.mkdir()
            (work / 'new').touch()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob('*')] == ['model', 'model/new']


@pytest.mark.skipif(os.name != 'posix', reason='elsewhere such bits mean something else')
def test_an_unfinished_file_lies_where_nobody_else_can_lay_a_link(tmp_path):
    with whole_file(tmp_path / 'a.png') as unfinished:
        unfinished.write_text('new')
        assert unfinished.parent.stat().st_mode & 0o77 == 0 and unfinished.parent.parent == tmp_path
    (tmp_path / 'b.png').touch()
    assert (tmp_path / 'a.png').stat().st_mode == (tmp_path / 'b.png').stat().st_mode


def test_a_folder_with_two_dots_in_its_path(tmp_path):
    with whole_folder(tmp_path / 'never' / '..' / 'made') as work:
        work.mkdir()
    assert [file.name for file in tmp_path.iterdir()] == ['made']


def test_two_dots_behind_a_link(tmp_path):
    (tmp_path / 'elsewhere' / 'below').mkdir(parents=True)
    (tmp_path / 'link').symlink_to(tmp_path / 'elsewhere' / 'below')
    (tmp_path / 'made').mkdir()
    (tmp_path / 'made' / 'thesis.txt').touch()
    with whole_folder(tmp_path / 'link' / '..' / 'made', replace=True) as work:
        work.mkdir()
    assert (tmp_path / 'made' / 'thesis.txt').exists() and (tmp_path / 'elsewhere' / 'made').is_dir()


@pytest.mark.parametrize('there', ['a link', 'the working folder'])
def test_what_stays_even_if_it_is_empty(there, tmp_path, monkeypatch):
    folder = tmp_path / 'new'
    (tmp_path / 'disk').mkdir()
    folder.symlink_to(tmp_path / 'disk') if there == 'a link' else folder.mkdir()
    inode = folder.lstat().st_ino
    if there != 'a link':
        monkeypatch.chdir(folder)
    with pytest.raises(FolderError, match='is no folder' if there == 'a link' else there), whole_folder(folder, replace=True) as work:
        work.mkdir()
    assert folder.lstat().st_ino == inode and sorted(file.name for file in tmp_path.iterdir()) == ['disk', 'new']


def test_what_a_killed_process_could_not_remove_goes_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr('easing_fastai.base.files.is_over', lambda pid: pid == '7')
    left = tmp_path / f'.model-{platform.node()}-7-x1y2z3_8.previous'
    left.mkdir()
    for stays in (True, False):  # as long as nothing has taken its place
        with whole_folder(tmp_path / 'model', replace=True) as work:
            work.mkdir()
        assert left.exists() == stays


def test_a_model_that_is_replaced_while_it_is_read(previous, monkeypatch):
    "The card is of before, the weights of now: both are read once more."
    from easing_fastai.train import model as module
    out, _ = previous
    old = module.read_card(out)
    data = (out / 'model.safetensors').read_bytes()
    module.write_model(out, ModelCard(**{**vars(old), 'weights_sha256': '0' * 64}), data, {})
    stale = module.read_card(out)
    module.write_model(out, old, data, {})
    cards = iter([stale])
    really = module.read_card
    monkeypatch.setattr(module, 'read_card', lambda folder: next(cards, None) or really(folder))
    assert module.load_model(out).card == old


def test_two_trainings_into_one_place(photos, tmp_path):
    "The second stops at once, and names the process of the first."
    out, second = tmp_path / 'new' / 'model', []

    def say(text):
        if not second:
            second.append(None)
            second.append(command('train', photos, '--arch', 'digits_resnet18', '--out', out))

    training.train(photos, out, **{**QUICK, 'say': say})
    code, output = second[1]
    assert code == 1 and f'Another process, {os.getpid()}, is making' in output and '--out. Nothing was written.' in output, output
    assert load_model(out) and os.listdir(out.parent) == ['model']


def test_a_killed_training_claims_nothing(tmp_path):
    out = tmp_path / 'model'
    code = f'import os, pathlib, easing_fastai.base.files as f\nplace = f.claimed(pathlib.Path({str(out)!r}))\nplace.__enter__()\nos.kill(os.getpid(), 9)'
    assert start('-c', code).returncode == -9
    assert (tmp_path / '.model.easing-fastai.lock').exists()
    with claimed(out), whole_folder(out) as work: work.mkdir()
    assert os.listdir(tmp_path) == ['model']


def test_a_lock_of_somebody_else_stays(tmp_path):
    (lock := tmp_path / '.poetry.lock').write_text('mine')
    with claimed(tmp_path / 'poetry'): pass
    assert lock.read_text() == 'mine'


def test_on_a_disk_that_knows_no_locks_nobody_is_stopped(tmp_path, monkeypatch):
    def refused(*args): raise OSError(errno.ENOLCK, 'No locks available')
    monkeypatch.setattr('fcntl.flock', refused)
    with claimed(tmp_path / 'model'): assert os.listdir(tmp_path)
    assert not os.listdir(tmp_path)
    (lock := tmp_path / '.model.easing-fastai.lock').touch()  # of another computer, say
    with claimed(tmp_path / 'model'): pass
    assert lock.exists()


def test_a_place_that_cannot_be_written_is_said_before_the_images_are_looked_at(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(training, 'check_images', None)
    (tmp_path / 'file').touch()
    with pytest.raises(FolderError, match='cannot be (made|written)'): training.train(photos, tmp_path / 'file' / 'model', **QUICK)


def test_a_folder_named_like_a_file_of_a_model_is_kept(trained, tmp_path):
    out = tmp_path / 'model'
    shutil.copytree(trained[0], out)
    (out / 'results.png').unlink()
    (out / 'results.png').mkdir()
    with pytest.raises(FolderError, match='holds results.png'):
        refuse_to_overwrite(out)


def test_a_matplotlibrc_changes_no_figure(photos, tmp_path):
    (tmp_path / 'matplotlibrc').write_text('text.usetex: True\nfigure.dpi: 9999\n')
    done = start('-m', 'easing_fastai', 'train', str(photos), '--epochs', '1', '--arch', 'digits_resnet18', '--out', 'model', cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / 'model' / 'results.png').stat().st_size < 1e6, done.stderr


@pytest.mark.parametrize('where', ['working folder', 'settings', 'variable'])
@pytest.mark.parametrize('what', ['no UTF-8', 'a pipe', 'closed'])
def test_a_matplotlibrc_that_cannot_be_read(what, where, tmp_path):
    place = {'working folder': tmp_path, 'settings': tmp_path / 'home' / '.config' / 'matplotlib', 'variable': tmp_path / 'elsewhere'}[where]
    place.mkdir(parents=True, exist_ok=True)
    rc = place / 'matplotlibrc'
    if what == 'a pipe': os.mkfifo(rc)
    else: rc.write_bytes(b'# f\xfcr mich\n')
    if what == 'closed': rc.chmod(0)
    code = """
from easing_fastai.cli import prepare
prepare()
import os, matplotlib.pyplot as plt
print(os.getcwd(), plt.rcParams['figure.dpi'], os.path.basename(os.environ.get('MPLCONFIGDIR', '')))
"""
    env = {'HOME': str(tmp_path / 'home'), 'XDG_CONFIG_HOME': '', 'MPLCONFIGDIR': ''} | ({'MATPLOTLIBRC': str(rc)} if where == 'variable' else {})
    done = cold_start('-c', code, cwd=tmp_path, **env)
    assert (done.returncode, done.stdout.split()) == (0, [str(tmp_path), '100.0']), done.stderr


@pytest.fixture
def previous(trained, tmp_path) -> tuple[Path, dict]:
    "A model that is there already, and the state of its files."
    shutil.copytree(trained[0], tmp_path / 'model')
    return tmp_path / 'model', state(tmp_path / 'model')


def press_ctrl_c(*args, **kwargs):
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize('moment', ['check', 'first batch', 'second epoch', 'page', 'second file', 'first rename', 'second rename', 'clearing up'])
def test_ctrl_c_leaves_the_previous_or_the_new_model(moment, previous, photos, monkeypatch):
    out, before = previous
    really, calls = {'write': Path.write_bytes, 'rename': Path.rename, 'rmtree': shutil.rmtree}, []

    def pressed_at(n, really, ending=''):
        def call(*args, **kwargs):
            if counts := str(args[0]).endswith(ending):
                calls.append(args)
            if counts and len(calls) == n:
                press_ctrl_c()
            return really(*args, **kwargs)
        return call

    def on_progress(what, done, total):
        if (what, done) == {'check': ('check', 5), 'first batch': ('train', 1), 'second epoch': ('train', 9)}.get(moment):
            press_ctrl_c()

    if moment == 'page':
        monkeypatch.setattr(training, 'report_page', press_ctrl_c)
    if moment == 'second file':
        monkeypatch.setattr(Path, 'write_bytes', pressed_at(2, really['write']))
    if 'rename' in moment:
        monkeypatch.setattr(Path, 'rename', pressed_at(1 if 'first' in moment else 2, really['rename']))
    if moment == 'clearing up':
        monkeypatch.setattr(shutil, 'rmtree', pressed_at(1, really['rmtree'], '.previous'))
    with pytest.raises(KeyboardInterrupt):
        training.train(photos, out, on_progress=on_progress, seed=7, **QUICK)
    monkeypatch.undo()
    assert [p.name for p in out.parent.iterdir()] == ['model']
    after = load_model(out)  # whole: its checksum fits
    if moment in ('first rename', 'second rename', 'clearing up'):
        assert after.card.seed == 7 and {file.name for file in out.iterdir()} == FILES
    else:
        assert state(out) == before


def test_a_disk_that_fills_up(previous, photos, monkeypatch):
    out, before = previous

    def full(self, data):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(Path, 'write_bytes', full)
    code, output = command('train', photos, '--epochs', 1, '--arch', 'digits_resnet18', '--out', out)
    assert code == 1 and 'No space left on device' in output and 'is whole' in output
    assert state(out) == before and [p.name for p in out.parent.iterdir()] == ['model']


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='a device that is full')
@pytest.mark.parametrize('log', ['/dev/full', 'a pipe that nobody reads'])
def test_a_line_that_cannot_be_printed_ends_no_training(log, photos, tmp_path):
    if log != '/dev/full':
        reader, log = os.pipe()
        os.close(reader)
    with open(log, 'w') as stdout:
        done = subprocess.run([sys.executable, '-m', 'easing_fastai', 'train', photos, '--epochs', '1', '--arch', 'digits_resnet18',
                               '--out', tmp_path / 'm'], stdout=stdout, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0 and load_model(tmp_path / 'm').card.epochs == 1
    assert re.search('Not all could be printed: (No space left on device|Broken pipe).* is whole', done.stderr), done.stderr
    assert 'Traceback' not in done.stderr and 'Exception ignored' not in done.stderr


def test_a_script_whose_lines_cannot_be_printed_gets_its_model(photos, tmp_path):
    def full(*args): raise OSError(errno.ENOSPC, 'No space left on device')
    with pytest.warns(UserWarning, match='written, but not all could be printed: No space'):
        training.train(photos, tmp_path / 'm', **{**QUICK, 'say': full, 'on_progress': full})
    assert load_model(tmp_path / 'm').card.epochs == 1


def test_a_small_disk(photos, tmp_path, monkeypatch):
    (tmp_path / 'small').mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=600k', 'none', tmp_path / 'small'], capture_output=True).returncode:
        pytest.skip('a file system of our own cannot be made here')
    try:
        with pytest.raises(FolderError, match='MB free'):  # said before the training
            training.train(photos, tmp_path / 'small' / 'model', **QUICK)
        monkeypatch.setattr(training, 'refuse_small_disk', lambda *args: None)
        with pytest.raises(OSError) as caught:
            training.train(photos, tmp_path / 'small' / 'model', **QUICK)
        assert caught.value.errno == errno.ENOSPC and list((tmp_path / 'small').iterdir()) == []
    finally:
        subprocess.run(['umount', tmp_path / 'small'], check=True)


def test_what_lies_beside_the_model_stays(previous, photos):
    out, _ = previous
    mine = out.with_name('model.previous')
    mine.mkdir()
    (mine / 'holiday.jpg').write_text('precious')
    before = state(mine)
    training.train(photos, out, seed=7, **QUICK)
    assert load_model(out).card.seed == 7 and state(mine) == before
    assert sorted(p.name for p in out.parent.iterdir()) == ['model', 'model.previous']


def test_a_stop_of_the_computer_between_the_renames(previous, photos, monkeypatch):
    out, before = previous
    really, n = Path.rename, []

    class PowerCut(BaseException): pass

    def rename(self, target):
        n.append(target)
        if len(n) == 2: raise PowerCut
        return really(self, target)

    monkeypatch.setattr(Path, 'rename', rename)
    with pytest.raises(PowerCut): training.train(photos, out, seed=7, **QUICK)
    monkeypatch.undo()
    aside, = out.parent.iterdir()
    assert state(aside) == before and aside.name.startswith('.')  # no class of the folder it lies in
    with pytest.raises(ModelError, match=re.escape(aside.name)): load_model(out)
    aside.rename(out)
    assert load_model(out)


@pytest.mark.parametrize('there', ['an image', 'a file', 'a link'])
def test_nothing_of_yours_is_overwritten(there, photos, tmp_path):
    out = tmp_path / 'model'
    if there == 'a file':
        out.write_text('mine')
    else:
        (tmp_path / 'mine').mkdir()
        (tmp_path / 'mine' / 'holiday.jpg').touch()
        out.symlink_to(tmp_path / 'mine') if there == 'a link' else (tmp_path / 'mine').rename(out)
    before = state(tmp_path)
    code, output = command('train', photos, '--out', out)
    assert code == 1 and 'overwritten' in output and state(tmp_path) == before


@pytest.mark.parametrize('name', ['index.html', 'training.csv', 'model.json', 'results.png'])
def test_a_file_that_you_have_changed_stays(name, previous, photos):
    out, _ = previous
    refuse_to_overwrite(out)  # as it was written
    text = (out / name).read_bytes()
    (out / name).write_bytes(text.replace(b'"temple"', b'"a temple"') if name == 'model.json' else text + b'my notes')
    before = state(out)
    code, output = command('train', photos, '--out', out)
    assert code == 1 and f'{name} is not as it was written' in output and 'overwritten' in output and state(out) == before


def test_what_systems_lay_into_a_folder_is_nobodys(previous):
    out, _ = previous
    for name in ('.DS_Store', 'Thumbs.db', 'desktop.ini'):
        (out / name).touch()
    (out / '@eaDir').mkdir()
    refuse_to_overwrite(out)
    (out / '@eaDir' / 'thesis.docx').touch()  # in a wastebasket, say
    with pytest.raises(FolderError, match='it holds @eaDir'): refuse_to_overwrite(out)
    shutil.rmtree(out / '@eaDir')
    (out / 'notes.txt').touch()
    with pytest.raises(FolderError, match='notes.txt'): refuse_to_overwrite(out)


def test_a_card_that_was_only_formatted_and_one_of_before(previous):
    out, _ = previous
    card = json.loads((out / 'model.json').read_text())
    (out / 'model.json').write_text(json.dumps(card, indent=4))
    refuse_to_overwrite(out)
    (out / 'index.html').write_text('my page')
    with pytest.raises(FolderError, match='index.html is not as'): refuse_to_overwrite(out)
    (out / 'model.json').write_text(json.dumps({**card, 'written': 'everything'}))
    with pytest.raises(FolderError, match='is not as'): refuse_to_overwrite(out)
    del card['written']  # as in the card that `serve --export` writes: nobody can tell
    (out / 'model.json').write_text(json.dumps(card))
    with pytest.raises(FolderError, match='changes were not noted yet'): refuse_to_overwrite(out)


# ---- the commands ----

def test_the_three_commands_in_a_row(tmp_path):
    path = names(tmp_path / 'p', n=8)
    code, output = command('check', path)
    assert code == 0 and 'the label at the beginning of each name' in output
    code, output = command('train', path, '--epochs', 2, '--arch', 'digits_resnet18', '--out', tmp_path / 'm', '--seed', 3)
    assert code == 0 and 'accuracy' in output and load_model(tmp_path / 'm').card.seed == 3
    code, output = command('predict', tmp_path / 'm', path / 'sky (0).png')
    assert code == 0 and '%' in output
    (path / 'sky (0).png').write_bytes(b'')
    code, output = command('check', path)
    assert code == 1 and 'file of 0 bytes' in output


@pytest.mark.parametrize('which', ['check', 'train', 'predict'])
@pytest.mark.parametrize('path', ['nowhere', 'a\nb', 'file.txt', 'empty'])
def test_commands_on_bad_input(which, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('file.txt').touch()
    Path('empty').mkdir()
    before = state(tmp_path)
    code, output = command(which, path, *(['x.jpg'] if which == 'predict' else []), *(['--arch', 'digits_resnet18'] if which == 'train' else []))
    assert code == 1 and '✗' in output
    assert state(tmp_path) == before and sorted(os.listdir()) == ['empty', 'file.txt']
