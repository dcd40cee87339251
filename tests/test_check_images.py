"check_images and the guess at a layout: folders as they come, and as they should not come."
import os
import time
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFile
from photos import class_folders, cuttings, names
from test_chapters import state

from easing_fastai.images import check as module
from easing_fastai.images import one_file
from easing_fastai.images.check import check_images
from easing_fastai.base.files import FolderError
from easing_fastai.images.layout import guess_layout


def kinds(check) -> dict[str, list[str]]:
    "Where each kind of problem was found."
    found = {}
    for row in check.problems:
        found.setdefault(row.kind, []).append(row.where)
    return found


@pytest.fixture
def photos(tmp_path) -> Path:
    return class_folders(tmp_path / 'photos', n=12)


def test_good_images_have_no_problem_and_stay_as_they_are(photos):
    before = state(photos)
    check = check_images(photos)
    assert check.ok and set(kinds(check)) == {'sizes', 'no batch'} and check.layout.kind == 'folders'
    assert check.files.label.value_counts().to_dict() == {'sky': 12, 'temple': 12, 'flower': 12}
    assert state(photos) == before


def test_heic_is_told(photos):
    "fastai alone lists such files and cannot open them."
    pytest.importorskip('pillow_heif', reason='the extra heic is not installed')
    file = sorted((photos / 'sky').iterdir())[0]
    Image.open(file).save(file.with_suffix('.heic'), format='HEIF')
    file.with_suffix('.heic').rename(file.with_suffix('.HEIC'))
    file.unlink()
    check = check_images(photos)
    assert check.ok and kinds(check)['heic'] == [f'sky/{file.stem}.HEIC'] and 'easing_fastai.core' in str(check)


@pytest.mark.parametrize('path, words', [('nowhere', 'There is no folder'), ('a.txt', 'is a file'), ('x' * 5000, 'cannot be looked at'), ('a\nb', 'There is no folder a\\nb')])
def test_what_is_no_folder(path, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('a.txt').touch()
    with pytest.raises(FolderError, match=words.replace('\\', r'\\')):
        check_images(path)


def test_empty_folder(tmp_path):
    check = check_images(tmp_path)
    assert not check.ok and kinds(check) == {'no images': ['.']} and 'no images' in str(check)


def test_odd_names(tmp_path):
    odd = ['with space.png', 'Zoë.png', '🐈.png', 'two\nlines.png', "quo'te\".png", '[red].png', '<b>.png', '$x$.png', 'semi;colon,.png']
    try:
        (tmp_path / os.fsdecode(b'probe\xff')).touch()
        odd.append(os.fsdecode(b'bytes\xff.png'))
    except OSError:
        pass  # this disk allows text only
    for label in ('a\nb', 'c & d'):
        (tmp_path / label).mkdir()
        for name, piece in zip(odd, cuttings('sky', len(odd), seed=len(label))):
            piece.save(tmp_path / label / name)
        (tmp_path / label / odd[3]).write_bytes(b'')
    check = check_images(tmp_path)
    assert len(check.files) == 2 * len(odd) and check.files.label.notna().all()
    assert set(kinds(check)['empty file']) == {f'a\nb/{odd[3]}', f'c & d/{odd[3]}'}
    for text in (str(check), check._repr_html_()):
        text.encode('utf-8')
        assert 'two\\nlines' in text and 'two\nlines' not in text


def test_links_and_what_is_no_file(photos):
    (photos / 'sky' / 'again').symlink_to(photos, target_is_directory=True)
    (photos / 'sky' / 'gone.jpg').symlink_to(photos / 'nothing')
    (photos / 'sky' / 'self.jpg').symlink_to(photos / 'sky' / 'self.jpg')
    os.mkfifo(photos / 'sky' / 'pipe.jpg')
    found = kinds(check_images(photos))
    assert found['loop'] == ['sky/again'] and found['broken link'] == ['sky/gone.jpg', 'sky/self.jpg'] and found['not a file'] == ['sky/pipe.jpg']


def test_closed_files_and_folders(photos, monkeypatch):
    really_open, really_scan = open, os.scandir

    def closed(file, *args, **kwargs):
        if str(file).endswith('sky/00.jpg'):
            raise PermissionError(13, 'Permission denied')
        return really_open(file, *args, **kwargs)

    def scandir(path):
        if Path(path).name == 'temple':
            raise PermissionError(13, 'Permission denied')
        return really_scan(path)

    monkeypatch.setattr(one_file, 'open', closed, raising=False)
    monkeypatch.setattr(os, 'scandir', scandir)
    found = kinds(check_images(photos))
    assert found['closed file'] == ['sky/00.jpg'] and found['closed folder'] == ['temple']


@pytest.mark.parametrize('is_lenient', [False, True])
def test_every_format_cut_off(tmp_path, monkeypatch, is_lenient):
    monkeypatch.setattr(ImageFile, 'LOAD_TRUNCATED_IMAGES', is_lenient) # as in many notebooks: Pillow would fill them up
    for label in ('whole', 'cut'):
        (tmp_path / label).mkdir()
    for i, (ending, big) in enumerate((e, b) for e in ('jpg', 'png', 'gif', 'bmp', 'webp', 'tif') for b in (False, True)):
        piece = Image.fromarray(np.random.default_rng(i).integers(0, 255, (600, 600, 3) if big else (40, 40, 3), 'uint8'))
        file = tmp_path / 'whole' / f'{big}.{ending}'
        piece.save(file)
        for share in (0.3, 0.97):
            (tmp_path / 'cut' / f'{big} {share}.{ending}').write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    found = kinds(check_images(tmp_path))
    assert len(found['damaged']) == 24 and all(name.startswith('cut/') for name in found['damaged'])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is is_lenient


def test_the_same_image_by_content(tmp_path):
    for side in ('train', 'valid'):
        for label in ('sky', 'temple'):
            (tmp_path / side / label).mkdir(parents=True)
            for i, piece in enumerate(cuttings(label, 4, seed=len(side) + (side == 'valid'))):
                piece.save(tmp_path / side / label / f'{i}.png')
    Image.open(tmp_path / 'train/sky/0.png').save(tmp_path / 'valid/sky/another name.bmp')
    Image.open(tmp_path / 'train/sky/1.png').save(tmp_path / 'train/temple/1 again.png', compress_level=1)
    (tmp_path / 'valid/sky/0.png').rename(tmp_path / 'valid/sky/other.png')  # the same name says nothing
    found = kinds(check_images(tmp_path))
    assert found['leak'] == ['valid/sky/another name.bmp'] and found['two labels'] == ['train/sky/1.png']


def test_a_large_image_saved_anew(tmp_path, monkeypatch):
    big = cuttings('temple', 1)[0].resize((600, 600))
    for side, ending in (('train', 'png'), ('valid', 'bmp')):
        for label in ('a', 'b'):
            (tmp_path / side / label).mkdir(parents=True)
            for i, piece in enumerate(cuttings('sky', 2, seed=ord(label) + 10 * (side == 'valid'))):
                piece.save(tmp_path / side / label / f'{i}.png')
        big.save(tmp_path / side / 'b' / f'big.{ending}')
    found = kinds(check_images(tmp_path))
    assert found['leak'] == ['valid/b/big.bmp'] and 'unpacked' not in found
    monkeypatch.setattr(module, 'MANY', 1)  # more PNG files than that are not all unpacked
    check = check_images(tmp_path)
    assert 'leak' not in kinds(check) and kinds(check)['unpacked'] == ['train/b/big.png'] and 'byte by byte' in check._repr_html_()
    big.save(tmp_path / 'train' / 'b' / 'big.tif')
    assert kinds(check_images(tmp_path))['leak'] == ['valid/b/big.bmp']


def test_folders_of_other_systems(photos):
    (photos / '__MACOSX').mkdir()
    (photos / '.DS_Store').touch()
    row, = [row for row in check_images(photos).problems if row.kind == 'hidden' and row.where == '__MACOSX']
    assert 'a folder __MACOSX can be removed' in row.to_do


def test_a_table(tmp_path):
    names(tmp_path / 'images')
    rows = [f'{label} ({i}),{label},{i == 0}' for label in ('sky', 'temple') for i in range(6)]
    (tmp_path / 'list.csv').write_text('id,species,is_valid\n' + '\n'.join([*rows, 'sky (1),sky,False', 'sky (2),temple,False', 'gone,sky,False', 'temple (5),,False']))
    check = check_images(tmp_path)
    found = kinds(check)
    assert check.layout.kind == 'csv' and set(check.files.label.dropna()) == {'sky', 'temple'}
    assert found['csv missing'] == ['images/gone.png'] and found['csv twice'] == ['images/sky (1).png']
    assert found['csv labels'] == ['images/sky (2).png'] and len(found['csv unlisted']) == 6 and found['csv no label'] == ['list.csv']
    (tmp_path / 'list.csv').write_bytes('id,species\nsky (1),Löwe'.encode('utf-16'))
    assert kinds(check_images(tmp_path))['csv closed'] == ['list.csv']


def test_classes(tmp_path):
    (tmp_path / 'probe').touch()
    if (tmp_path / 'PROBE').exists():
        pytest.skip('this disk takes A and a for the same')
    (tmp_path / 'probe').unlink()
    class_folders(tmp_path, n=2)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'SKY').mkdir(exist_ok=True)
    for i, piece in enumerate(cuttings('sky', 40, seed=7)):
        piece.save(tmp_path / 'SKY' / f'{i}.png')
    (tmp_path / 'SKY' / 'inner').mkdir()
    piece.rotate(90).save(tmp_path / 'SKY' / 'inner' / 'deep.png')
    piece.save(tmp_path / 'SKY' / 'A.PNG'), piece.rotate(180).save(tmp_path / 'SKY' / 'a.png')
    found = kinds(check_images(tmp_path))
    assert {'few', 'unbalanced', 'alike', 'empty class', 'deeper', 'collide'} <= set(found)
    assert found['empty class'] == ['empty'] and found['alike'] == ['SKY'] and 'SKY/A.PNG' in found['collide']


def test_one_class_only_and_no_labels(tmp_path):
    class_folders(tmp_path, n=3)
    for file in (tmp_path / 'sky').iterdir():
        file.rename(tmp_path / f'IMG_{file.name}')
    assert 'beside' in kinds(check_images(tmp_path))
    for label in ('temple', 'flower'):
        for file in (tmp_path / label).iterdir():
            file.unlink()
    assert kinds(check_images(tmp_path))['no labels'] == ['.']
    (tmp_path / 'IMG_00.jpg').rename(tmp_path / 'temple' / '0.jpg')
    assert kinds(check_images(tmp_path))['one class'] == ['temple']


@pytest.mark.long
def test_a_hundred_thousand_entries(tmp_path):
    (tmp_path / 'a').mkdir()
    for i in range(100_000):
        os.close(os.open(tmp_path / 'a' / (f'{i}.png' if i < 10_000 else f'{i}.txt'), os.O_CREAT | os.O_WRONLY))
    done = []
    check = check_images(tmp_path, lambda n, total: done.append(total))
    found = kinds(check)
    assert len(found['empty file']) == 10_000 == len(done) and len(found['others']) == 90_000
    assert len(str(check)) < 10_000


def test_stopping_does_not_wait_for_the_rest(photos):
    seen = []

    def stop(done, total):
        seen.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_images(photos, stop)
    assert seen == [1]


@pytest.mark.parametrize('kind', ['folders', 'train and valid', 'names', 'csv', 'csv with words', 'inner'])
def test_the_line_that_is_shown_reads_what_was_guessed(tmp_path, kind):
    from fastai.vision.all import ImageDataLoaders, Resize, get_image_files

    from easing_fastai.chapters.your_own_images import labels_by_file

    path = names(tmp_path / 'p') if 'csv' in kind or kind == 'names' else class_folders(tmp_path / 'p' / ('inner' if kind == 'inner' else ''), n=6)
    if kind == 'inner':
        path = tmp_path / 'p'
    if kind == 'train and valid':
        for side in ('train', 'valid'):
            class_folders(path / side, n=4, seed=side == 'valid')
        for label in ('sky', 'temple', 'flower'):
            for file in (path / label).iterdir():
                file.unlink()
            (path / label).rmdir()
    if 'csv' in kind:
        valid = ('valid' if kind == 'csv with words' else 'True', 'train' if kind == 'csv with words' else 'False')
        rows = [f'{file.name};{file.name.split()[0]};{valid[i % 2]}' for i, file in enumerate(sorted(path.iterdir()))]
        (path / 'labels.csv').write_text('\n'.join(['file;label;split', *rows]))
    guess = guess_layout(path)
    assert guess.kind == {'csv with words': 'csv', 'inner': 'folders'}.get(kind, kind)
    *before, line = guess.code.split('\n')
    scope = {'path': path, 'pd': pd, 'ImageDataLoaders': ImageDataLoaders, 'Resize': Resize, 'get_image_files': get_image_files}
    exec('\n'.join(before), scope)
    made = labels_by_file(eval(line, scope))
    expected = guess.table.sort_values('file')
    files = [f'inner/{f}' if kind == 'inner' and not f.startswith('inner/') else f for f in made.file]
    assert files == expected.file.tolist() and made.label.tolist() == expected.label.tolist()
    if expected.is_valid.notna().all():
        assert (made['set'] == 'valid').tolist() == expected.is_valid.tolist()


def test_images_beside_the_classes(tmp_path):
    "A flat folder beside `train` would be taken for a class; a space at the end of a name shows."
    for label in ('cat', 'dog '):
        (tmp_path / 'train' / label).mkdir(parents=True)
        for i, piece in enumerate(cuttings('temple', 4, seed=len(label))):
            piece.save(tmp_path / 'train' / label / f'{label}{i}.png')
    (tmp_path / 'test').mkdir()
    cuttings('sky', 1)[0].save(tmp_path / 'test' / '1.png')
    check = check_images(tmp_path)
    assert check.layout.code.startswith("path = path/'train'") and 'test would be taken for a class' in check.layout.says
    assert [row.found for row in check.problems if row.kind == 'space'] == ["written 'dog '"]


def noise(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(len(name)).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / name)
    return folder


def draw(folder: Path, *names: str) -> list[str]:
    "Images that are all different; their names."
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / name)
    return [*names]


def table_of_images(folder: Path, names: list[str], labels: tuple = ('cat', 'cat', 'dog'), column: str = 'label') -> Path:
    rows = [f'{name},{labels[i % len(labels)]}\n' for i, name in enumerate(names)]
    (folder / 'labels.csv').write_text(f'name,{column}\n' + ''.join(rows))
    return folder


@pytest.mark.parametrize('folders', [['all'], ['shelf0', 'shelf1'], ['batch0', 'batch1'], ['crops/all'], ['data/images']])
def test_a_table_that_divides_the_images_in_another_way_than_the_folders(tmp_path, folders):
    names = [f'{folders[i % len(folders)]}/{i:02}.png' for i in range(24)]
    check = check_images(table_of_images(noise(tmp_path, *names), names))
    assert check.layout.kind == 'csv' and check.files.label.value_counts().to_dict() == {'cat': 16, 'dog': 8}
    assert ('not the folders' in check.layout.says) == (folders in (['all'], ['crops/all'], ['shelf0', 'shelf1'])) and 'one class' not in kinds(check)


def labels_of(folder: Path, table: str, names: list[str], name: str = 'labels.csv') -> dict[str, str]:
    "What `check_images` takes from a table beside images."
    (noise(folder, *names) / name).write_text(table)
    return dict(check_images(folder).layout.table[['file', 'label']].values)


def test_an_index_beside_the_names(tmp_path):
    names = [f'{i}.png' for i in range(24)]
    rows = [f'{i},{name},{"cat" if i % 3 else "dog"}' for i, name in enumerate(names[::-1])]
    labels = labels_of(tmp_path, '\n'.join([',name,label', *rows]), names)
    assert all(labels[name] == ('cat' if (23 - i) % 3 else 'dog') for i, name in enumerate(names))


def test_a_table_of_training_beside_a_test_set_of_the_same_names(tmp_path):
    names = [f'{side}/{i}.png' for side in ('test', 'train') for i in range(24)]
    labels = labels_of(tmp_path, 'name,label\n' + ''.join(f'{i}.png,{"cat" if i % 3 else "dog"}\n' for i in range(24)), names, 'train.csv')
    assert all(name.startswith('train/') for name in labels)


def test_own_predictions_are_no_labels(tmp_path):
    names = [f'{i}.png' for i in range(24)]
    (tmp_path / 'a.csv').write_text('image,class,probability,cat,dog\n' + ''.join(f'{name},cat,1,1,0\n' for name in names))
    assert set(labels_of(tmp_path, 'name,label\n' + ''.join(f'{name},{"cat" if i % 3 else "dog"}\n' for i, name in enumerate(names)), names).values()) == {'cat', 'dog'}


@pytest.mark.parametrize('sides, files, held_out', [(('train', 'valid', 'test'), 16, 8), (('train', 'test'), 24, 12)])
def test_rows_of_a_test_set(tmp_path, sides, files, held_out):
    names = [f'{i}.png' for i in range(24)]
    rows = ''.join(f'{name},{"cat" if i % 4 > 1 else "dog"},{sides[i % len(sides)]}\n' for i, name in enumerate(names))
    (noise(tmp_path, *names) / 'labels.csv').write_text('name,label,split\n' + rows)
    layout = check_images(tmp_path).layout
    assert len(layout.table) == files and (layout.table.is_valid == True).sum() == held_out  # noqa: E712
    scope = {'path': tmp_path}
    exec('from fastai.vision.all import *\n' + layout.code.replace('ImageDataLoaders', 'dls = ImageDataLoaders'), scope)
    assert (len(scope['dls'].train_ds), len(scope['dls'].valid_ds)) == (files - held_out, held_out)


@pytest.mark.parametrize('table, words', [
    (''.join(f'{i}.png,cat\n' for i in range(12)) + ''.join(f'{i}.png,dog\n' for i in range(12, 24)), 'names no columns'),
    ('name,label\n' + ''.join(f'{i}.png,{("cat", "dog", "cat;dog")[i % 3]}\n' for i in range(24)), 'several labels'),
    ('name,label,is_valid\n' + ''.join(f'{i % 24}.png,{("cat", "dog")[i % 2]},{i > 23}\n' for i in range(48)), 'for training and for validation')])
def test_a_table_that_nothing_can_be_trained_on(tmp_path, table, words):
    (noise(tmp_path, *(f'{i}.png' for i in range(24))) / 'labels.csv').write_text(table)
    check = check_images(tmp_path)
    assert not check.ok and words in str(check).replace('\n', ' ') or words in check.layout.csv.problem


def test_a_space_that_nobody_sees(tmp_path):
    noise(tmp_path, *(f'{i}.png' for i in range(24)))
    (tmp_path / 'labels.csv').write_text('name,label\n' + ''.join(f'{i}.png,{("cat", "cat" + chr(0x200b), "dog")[i % 3]}\n' for i in range(24)), encoding='utf-8')
    assert [(row.where, row.found) for row in check_images(tmp_path).problems if row.kind == 'alike'] == [('cat', 'and cat\\u200b')]


def test_sides_are_no_classes(tmp_path):
    noise(tmp_path, *(f'{side}/{label}/{i}.png' for side in ('train', 'dev') for label in ('cat', 'dog') for i in range(12)))
    layout = check_images(tmp_path).layout
    assert set(layout.table.label) == {'cat', 'dog'} and layout.kind == 'train and valid'


SIDES = [('training_set', 'test_set'), ('seg_train', 'seg_test'), ('train_data', 'val_data'), ('train', 'test_set'), ('TrainImages', 'ValidImages')]


@pytest.mark.parametrize('train, valid', SIDES)
@pytest.mark.parametrize('beside', ['', 'seg_pred/{}.png'])
def test_sides_by_a_word_in_their_names(tmp_path, train, valid, beside):
    "They are read as train and valid are, by fastai, too; with training alone, its folders are the classes."
    names = [f'{side}/{label}/{i}.png' for side in (train, valid) for label in ('cat', 'dog') for i in range(12)]
    layout = check_images(noise(tmp_path, *names, *(beside.format(i) for i in range(12) if beside))).layout
    assert layout.kind == 'train and valid' and set(layout.table.label) == {'cat', 'dog'} and layout.table.is_valid.sum() == 24
    scope = {'path': tmp_path}
    exec('from fastai.vision.all import *\n' + layout.code.replace('ImageDataLoaders', 'dls = ImageDataLoaders'), scope)
    assert (len(scope['dls'].train_ds), len(scope['dls'].valid_ds), *scope['dls'].vocab) == (24, 24, 'cat', 'dog')
    for file in names[24:]: (tmp_path / file).rename(tmp_path / valid / file.replace('/', ' '))
    assert set(guess_layout(tmp_path).table.label) == {'cat', 'dog'} and f'in {train}: ' in guess_layout(tmp_path).says


@pytest.mark.parametrize('sides', [('train_images', 'test_images'), ('train-jpg', 'test-jpg'), ('cars_train', 'cars_test')])
@pytest.mark.parametrize('are_same', [True, False])
def test_a_table_beside_sides(tmp_path, sides, are_same):
    "It counts for the folder it names; images of a test set need not be in it."
    names = [f'{side}/{side[-5:] * (not are_same)}{i:02}.png' for side in sides for i in range(24)]
    noise(tmp_path, *names)
    labels = ''.join(f'{name.rpartition("/")[2]},{"cat" if i % 3 else "dog"}\n' for i, name in enumerate(names[:24]))
    (tmp_path / 'train.csv').write_text('image_id,label\n' + labels)
    check = check_images(tmp_path)
    assert {row.kind for row in check.problems if row.verdict == 'wrong'} <= {'two labels'}, 'noise is the same under names of one length'
    assert check.layout.kind == 'csv' and set(check.layout.table.file) == {*names[:24]} and set(check.layout.table.label) == {'cat', 'dog'}


def test_folders_that_stay_the_classes(tmp_path):
    "A table with other names for them, and one of something else."
    names = [f'{"ab"[i % 2]}/{i:02}.png' for i in range(24)]
    noise(tmp_path, *names)
    for rows, labels, column in ((names, ('0', '1'), 'label'), (names, ('May', 'June', 'July'), 'month'), (names[:12], ('0', '1'), 'label')):
        assert guess_layout(table_of_images(tmp_path, rows, labels, column)).kind == 'folders', (labels, column)


@pytest.mark.parametrize('beside', ['valid/a', 'holdout/a'])
@pytest.mark.parametrize('has_table', [False, True])
def test_an_empty_train(tmp_path, beside, has_table):
    names = [f'{beside[:-1]}{label}/{i:02}.png' for label in 'ab' for i in range(12)]
    noise(tmp_path, *names)
    (tmp_path / 'train/a').mkdir(parents=True)
    if has_table: table_of_images(tmp_path, names, ('a',) * 12 + ('b',) * 12)
    is_named = has_table and beside == 'holdout/a' # a table may know more of other folders than one for validation
    layout = guess_layout(tmp_path)
    assert (layout.kind != 'unknown') if is_named else layout.says == 'the folder train holds no images to train with'


@pytest.mark.parametrize('names', [('IMG_{}', 'DSC_{}'), ('IMG_{}', 'cat_{}'), ('PXL_20230101_{}', 'MVI_{}'), ('frame{}', 'IMG-{}')])
def test_what_cameras_call_their_images(tmp_path, names):
    assert guess_layout(noise(tmp_path, *(f'{name.format(f"{i:04}")}.png' for name in names for i in range(9)))).kind == 'unknown'


@pytest.mark.parametrize('names', ['Screenshot from 2024-01-0{n} 10-11-{i:02}.png', 'Screenshot 2024-01-0{n} 1011{i:02}.png', 'Screenshot_2024010{n}_1011{i:02}.png', 'screenshots {n}-{i}.png',
                                   'Bildschirmfoto 2024-01-0{n} um 10.11.{i:02}.png', 'my 2024_01_0{n} {i}.png', 'download ({i}).png images ({i}).png'])
def test_numbered_and_dated_names_are_no_classes(tmp_path, names):
    files = {name.strip() for i in range(1, 10) for n in range(1, 4) for name in names.format(i=i, n=n).replace('.png ', '.png|').split('|')}
    assert guess_layout(noise(tmp_path, *files)).kind == 'unknown'


def test_a_class_before_a_date(tmp_path):
    layout = guess_layout(noise(tmp_path, *(f'{label}_2024-01-0{n}_{i}.png' for label in ('cat', 'dog') for n in range(1, 4) for i in range(5))))
    assert set(layout.table.label) == {'cat', 'dog'}


NO_CLASSES = {
    'masks': (['images/{}.png', 'masks/{}.png'], 'the folder masks seems to hold masks'),
    'masks of words': (['images/cat_{}.png', 'images/dog_{}.png', 'masks/cat_{}.png', 'masks/dog_{}.png'], 'SegmentationDataLoaders'),
    'frame and mask': (['frame/a{}.png', 'mask/a{}.png'], 'the folder mask seems to hold masks'),
    'trimaps': (['images/Pug_{}.png', 'images/Boxer_{}.png', 'annotations/trimaps/Pug_{}.png'], 'masks'),
    'masks on both sides': ([f'{side}/{part}/{{}}.png' for side in ('train', 'val') for part in ('images', 'masks')], 'masks'),
    'folds': ([f'fold{n}/{{}}.png' for n in (1, 2, 3)], 'the folders fold1, fold2, fold3 are named like parts of a data set'),
    'folds of classes': ([f'Fold_{n}/{label}/{{}}.png' for n in (0, 1) for label in ('cat', 'dog')], 'the folders Fold_0, Fold_1 are named like parts'),
    'batches': (['batch1/{}.png', 'batch2/{}.png'], 'the folders batch1, batch2 are named like parts'),
    'sides': (['train_images/{}.png', 'test_images/{}.png'], 'the folders test_images, train_images are named like parts'),
    'sides after a blank': (['my train/{}.png', 'my test/{}.png', 'my rest/{}.png'], 'are named like parts'),
    'cars': (['cars_train/{}.jpg', 'cars_test/{}.jpg'], 'the folders cars_test, cars_train are named like parts'),
    'sides of two kinds': ([f'{side}{kind}/{{}}.jpg' for side in ('train', 'test') for kind in 'AB'], 'testA, testB, trainA, trainB are named like'),
    'sides in names': (['train-jpg/train_{}.jpg', 'test-jpg/test_{}.jpg'], 'the folders test-jpg, train-jpg are named like parts'),
    'two of each side': ([f'{side}{n}/{label}/{{}}.png' for side in ('train', 'test') for n in 'AB' for label in ('cat', 'dog')], 'named like parts'),
    'masks of a kind': (['images/{}.png', 'masks_png/{}.png'], 'the folder masks_png seems to hold masks'),
    'PASCAL': (['JPEGImages/{}.jpg', 'SegmentationClass/{}.png'], 'the folder SegmentationClass seems to hold masks'),
    'annotations': (['img_dir/{}.jpg', 'ann_dir/{}.png'], 'the folder ann_dir seems to hold masks'),
    'HAM': ([f'HAM10000_images_part_{n}/ISIC_{{}}.jpg' for n in (1, 2)], 'HAM10000_images_part_1, HAM10000_images_part_2 are named like parts'),
    'super classes': ([f'{name}/{{}}.png' for name in ('fish/ray', 'fish/shark', 'mammals/beaver')], 'fish, mammals have folders in them, ray, shark'),
    'super classes on both sides': ([f'{side}/{name}/{{}}.png' for side in ('train', 'test') for name in ('fish/ray', 'fish/shark', 'mammals/beaver')], 'fish, mammals have'),
    'an archive that holds them once more': ([f'{folder}{label}/{{}}.png' for folder in ('', 'brains/') for label in ('yes', 'no')], 'brains, no, yes have folders in them, no, yes'),
    'folders of a camera': (['100APPLE/IMG_{}.JPG', '101APPLE/IMG_{}.JPG'], '100APPLE, 101APPLE are named like parts'),
    'masks beside their images': ([f'{label}/{label} ({{}}){mask}.png' for label in ('benign', 'normal') for mask in ('', '_mask')], '_mask.png seems to be a mask of benign/benign ('),
    'a project': ([*(f'data/{side}/{label}/{{}}.png' for side in ('train', 'val') for label in ('cat', 'dog')), 'docs/{}.png'], 'data, docs have folders in them'),
    'domains': ([f'{place}/images/{label}/{{}}.png' for place in ('amazon', 'dslr') for label in ('bag', 'bike')], 'amazon, dslr have folders in them'),
    'sites': ([f'site{site}/{label}/{{}}.png' for site in 'AB' for label in ('cat', 'dog')], 'the folders siteA, siteB have folders in them, cat, dog, and either'),
}


@pytest.mark.parametrize('names, words', NO_CLASSES.values(), ids=NO_CLASSES)
def test_folders_that_are_no_classes(tmp_path, names, words):
    "It is said why, and training stops."
    from easing_fastai.train.fit import usable_images
    check = check_images(noise(tmp_path, *(name.format(i) for name in names for i in range(12))))
    assert check.layout.kind == 'unknown' and words in check.layout.says and not check.ok
    with pytest.raises(FolderError) as caught: usable_images(check)
    assert words in str(caught.value)


@pytest.mark.parametrize('labels', [('mask', 'no_mask'), ('photos', 'drawings'), ('3', '7'), ('class1', 'class2'), ('part_a', 'part_b'),
                                    ('trainers', 'boots'), ('test tube', 'flask'), ('test tube', 'test strip'), ('valid ticket', 'no ticket'),
                                    ('train station', 'airport', 'test site', 'harbour'), ('trainA', 'bus'), ('masked', 'images')])
def test_classes_that_sound_like_parts(tmp_path, labels):
    assert set(guess_layout(noise(tmp_path, *(f'{label}/{i}.png' for label in labels for i in range(9)))).table.label) == set(labels)


@pytest.mark.parametrize('parts', [('batch1', 'batch2'), ('fold_0', 'fold_1'), ('images', 'masks'), ('rgb', 'masks')])
@pytest.mark.parametrize('labels', [('cat', 'dog'), ('cat', 'cat', 'dog')])
def test_a_table_beside_parts(tmp_path, parts, labels):
    "It counts, also if its labels happen to be divided as the folders are."
    names = [f'{parts[i % 2]}/{i:02}.png' for i in range(24)]
    if 'masks' in parts: names = [f'{part}/{i:02}.png' for part in parts for i in range(24)]
    rows = names if 'masks' not in parts else [f'{i:02}.png' for i in range(24)]
    layout = guess_layout(table_of_images(noise(tmp_path, *names), rows, labels))
    assert layout.kind == 'csv' and set(layout.table.label) == {'cat', 'dog'} and not layout.table.file.str.startswith('masks').any()


def test_a_column_for_each_class(tmp_path):
    "The line that is shown makes a table that can be read."
    noise(tmp_path, *(f'{i}.png' for i in range(24)))
    for columns in ('cat,dog', 'cat,dog,split'):
        rows = ''.join(f'{i}.png,{i % 2},{1 - i % 2},{"train" if i < 18 else "valid"}\n' for i in range(24))
        (tmp_path / 'labels.csv').write_text(f'name,{columns}\n' + (rows if 'split' in columns else rows.replace(',train', '').replace(',valid', '')))
        problem = check_images(tmp_path).layout.csv.problem
        assert 'the columns cat, dog have a 1' in problem and 'idxmax' in problem and '\n' not in problem
        line = problem[problem.index('table = pandas'):].replace("'labels.csv'", repr(str(tmp_path / 'labels.csv')))
        exec('import pandas\n' + line)
        check = check_images(tmp_path)
        assert check.layout.kind == 'csv' and dict(check.layout.table[['file', 'label']].values) == {f'{i}.png': 'cat' if i % 2 else 'dog' for i in range(24)}


def test_several_columns_of_zeros_and_ones(tmp_path):
    noise(tmp_path, *(f'{i}.png' for i in range(24)))
    for no in (0, -1):
        (tmp_path / 'labels.csv').write_text('name,cat,dog\n' + ''.join(f'{i}.png,{i % 2 or no},{i % 3 // 2 or no}\n' for i in range(24)))
        assert 'no column has the label: cat, dog are 0 or 1' in check_images(tmp_path).layout.csv.problem
    for columns in ('name,label,blurry', 'name,is_cat'):
        (tmp_path / 'labels.csv').write_text(f'{columns}\n' + ''.join(f'{i}.png,{i % 2}{",1" * (columns.count(",") - 1)}\n' for i in range(24)))
        assert set(guess_layout(tmp_path).table.label) == {'0', '1'}


TABLES = { # of 24 images: the columns, what is in them after the names, what is said; None: it is read
    'several labels': ('fname,labels', ['person', 'chair person', 'car', 'chair', 'car person'], "several labels, such as 'c"),
    'lists as text': ('name,label', ['"[\'cat\', \'dog\']"', '"[\'cat\']"', '"[\'dog\']"'], "lists written as text, such as ['cat', 'dog']"),
    'no row has one label': ('name,label', ['cat;dog', 'dog;cow', 'cat;cow'], "several labels, such as 'cat;cow'"),
    'a class called train': ('name,bus,car,train', ['1,0,0', '0,1,0', '0,0,1'], 'the columns bus, car, train have a 1'),
    'two words': ('fname,labels', ['great dane', 'dane', 'polar bear', 'brown bear'], None),
    'two columns': ('image,site,diagnosis', ['north,ill', 'south,healthy', 'south,ill', 'north,healthy'], 'the columns site, diagnosis may each have'),
    'one of two is called label': ('image,site,label', ['north,ill', 'south,healthy', 'south,ill', 'north,healthy'], None),
    'a name and its number': ('image,kind,number', ['cat,1', 'dog,2'], None),
    'another has one value': ('image,camera,kind', ['a,cat', 'a,dog'], None),
    'faces': ('image_id,Bald,Smiling,Young', ['1,-1,1', '-1,1,-1', '1,1,-1', '-1,-1,1'], 'no column has the label: Bald, Smiling, Young'),
    'tiles': ('name,x,y,tissue', ['0,0,tumor', '0,64,normal', '64,0,normal', '64,64,tumor'], 'the columns x, y, tissue may each have'),
    'an animal': ('file,class,species', ['Aves,wren', 'Aves,crow', 'Mammalia,fox', 'Mammalia,cat'], 'the columns class, species may each'),
    'an animal, and many kinds': ('file,class,species', [f'{"Aves" if i % 2 else "Mammalia"},{i % 20}' for i in range(24)], 'the columns class, species may each'),
    'a file as find writes it': ('./name,label', ['cat', 'dog'], None),
    'a list of find without names': ('./24.png,cat', ['cat', 'dog'], 'names no columns'),
    'a side that nobody knows': ('name,label,split', ['cat,train', 'dog,train', 'cat,holdout', 'dog,holdout'], 'what holdout means there'),
    'a side and no label': ('name,split', ['train', 'holdout'], 'no column has the label'),
    'parts and no label': ('image_id,partition', ['0', '1', '2'], 'no column has the label'),
    'held out by a number': ('name,label,holdout', ['cat,0', 'dog,0', 'cat,1', 'dog,0'], None),
    'no value': ('name,label', ['cat', '#N/A', 'dog'], 'the label #N/A is what a spreadsheet writes'),
    'a number in two ways': ('name,label', ['1', '0', '1.0'], 'its labels 1 and 1.0 are the same number'),
    'a code in two ways': ('name,label', ['7', '12', '07'], 'its labels 07 and 7 are the same number'),
    'valid for good': ('name,label,valid', ['cat,1', 'dog,True', 'cat,1', 'dog,0'], '18 of 24 images would be held out'),
    'more held out than not': ('name,label,is_valid', ['cat,1', 'dog,True', 'cat,1', 'dog,0', 'cat,0'], None),
    'more in words': ('name,label,split', ['cat,test', 'dog,test', 'cat,Test', 'dog,train', 'cat,train'], None),
    'parts of a cross-validation': ('name,label,split', ['cat,0', 'dog,1', 'cat,2', 'dog,2'], 'what 2 means there'),
    'sides in words, called partition': ('name,label,Partition', ['cat,train', 'dog,train', 'cat,val', 'dog,val'], None),
    'a partition in part of other words': ('name,label,partition', ['cat,train', 'dog,train', 'cat,holdout', 'dog,val'], 'what holdout means there'),
    'the folds of a cross-validation': ('name,label,fold', ['cat,0', 'dog,1', 'cat,2', 'dog,2'], None),
    'the phase of a thing': ('name,label,phase', ['cat,solid', 'dog,liquid'], None),
    'two that tell the same': ('name,label,phase,is_valid', ['cat,train,0', 'dog,test,1', 'dog,train,0', 'cat,Test,1'], None),
    'two that tell something else': ('name,label,split,phase', ['cat,train,train', 'dog,train,val', 'cat,val,val', 'dog,val,train'],
                                     'the columns split and phase may both tell the validation set, and say different things of 1.png'),
    'sides of a contest': ('name,label,Usage', ['cat,Training', 'dog,Training', 'cat,PublicTest', 'dog,PrivateTest'], 'the column Usage may tell'),
    'a side and yes or no': ('name,label,is_train', ['cat,yes', 'dog,yes', 'cat,no'], 'what yes, no means there'),
    'a medical test': ('name,label,test', ['cat,PCR', 'dog,PCR', 'cat,antigen'], None),
    'classes that sound like sides': ('name,label', ['train', 'test'], None),
    'is_training_img': ('name,label,is_training_img', ['cat,1', 'dog,1', 'cat,0', 'dog,0'], None),
    'train_or_test': ('name,label,train_or_test', ['cat,tr', 'dog,tr', 'cat,te', 'dog,te'], 'what tr, te means there'),
    'a target with fractions': ('name,label', ['0.5', '1.0', '2.25'], 'the labels are numbers such as 0.5, 1.0'),
    'classes written as floats': ('name,label', ['0.0', '1.0'], None),
    'a class is 1, others -1': ('image_id,cat,dog', ['1,-1', '-1,1'], 'the columns cat, dog have a 1'),
}


@pytest.mark.parametrize('columns, values, words', TABLES.values(), ids=TABLES)
def test_which_column_has_the_label(tmp_path, columns, values, words):
    before = './' if columns.startswith('./') else ''
    rows = [f'{before}{i}.png,{values[i % len(values)]}\n' for i in range(24)]
    (noise(tmp_path, *(f'{i}.png' for i in range(25))) / 'labels.csv').write_text(f'{columns}\n' + ''.join(rows))
    layout = guess_layout(tmp_path)
    assert (words in layout.csv.problem) if words else layout.kind == 'csv' and layout.table.label.nunique() > 1
    for i in range(24):
        (tmp_path / 'ab'[i % 2]).mkdir(exist_ok=True)
        (tmp_path / f'{i}.png').rename(tmp_path / 'ab'[i % 2] / f'{i}.png')
    (tmp_path / 'labels.csv').rename(tmp_path / 'facts.csv')
    assert 'may each' not in guess_layout(tmp_path).csv.problem, 'folders of classes need no table'


def test_a_number_before_a_word_is_no_class(tmp_path):
    noise(tmp_path, *(f'{i}_{label}.png' for i in range(1, 9) for label in ('cat', 'dog')))
    assert guess_layout(tmp_path).kind == 'unknown'


def test_numbers_of_rows_are_no_names(tmp_path):
    "Not even if they name more images than the column with whole names does."
    noise(tmp_path, *(f'{i}.png' for i in range(40)))
    rows = [f'{i},{i + 9}.png,{"ab"[i % 2]}' for i in range(30)] + ['30,99.png,a']
    (tmp_path / 'labels.csv').write_text('\n'.join(['id,filename,label', *rows]))
    layout = guess_layout(tmp_path)
    assert layout.csv.columns.startswith('files in column filename') and dict(zip(layout.table.file, layout.table.label))['9.png'] == 'a'


def test_names_without_folders_where_there_are_several(tmp_path):
    noise(tmp_path, *(f'images_part_{i % 2 + 1}/{i:02}.png' for i in range(24)))
    (tmp_path / 'labels.csv').write_text('image_id,label\n' + '\n'.join(f'{i:02},{"ab"[i // 2 % 2]}' for i in range(24)))
    problem = guess_layout(tmp_path).csv.problem
    assert 'without its folder' in problem and 'lies in images_part_' in problem, problem


def test_a_test_set_of_a_doubled_folder_is_told(tmp_path):
    noise(tmp_path, *(f'seg_{side}/seg_{side}/{label}/{i}.png' for side in ('train', 'test') for label in ('sea', 'wood') for i in range(4)))
    layout = guess_layout(tmp_path)
    assert layout.table.label.nunique() == 2 and set(layout.left_out.values()) == {'in seg_test, beside seg_train'}, layout


def test_a_table_in_a_folder_below_is_named(tmp_path):
    noise(tmp_path, *(f'train/{name}.png' for name in 'abcdefgh'))
    (tmp_path / 'train' / 'metadata.csv').write_text('file_name,label\n' + '\n'.join(f'{name}.png,{"xy"[name < "e"]}' for name in 'abcdefgh'))
    says = guess_layout(tmp_path).says
    assert 'train/metadata.csv' in says or 'in train' in says, says


WORDS = ('Train', 'Validation')


@pytest.mark.parametrize('column, sides', [*((name, WORDS) for name in ('partition', 'fold', 'Phase', 'set', 'subset', 'split', 'data set', 'where', ' split')), ('Usage', ('Training', 'Test')),
                                           ('is_train', ('1', '0')), ('train', ('True', 'False')), ('is_test', ('0', '1')), ('test', ('0', '1'))])
def test_a_column_that_names_the_side(tmp_path, column, sides):
    "The line that is shown reads it so, too."
    from fastai.vision.all import ImageDataLoaders, Resize, pd
    (noise(tmp_path, *(f'{i}.png' for i in range(24))) / 'labels.csv').write_text(
        f'name,label,{column}\n' + ''.join(f'{i}.png,{"ab"[i % 2]},{sides[i > 19]}\n' for i in range(24)))
    layout = guess_layout(tmp_path)
    assert layout.kind == 'csv' and layout.table.set_index('file').is_valid.to_dict() == {f'{i}.png': i > 19 for i in range(24)}
    exec(layout.code.replace('ImageDataLoaders', 'dls = ImageDataLoaders'), scope := {'path': tmp_path, 'pd': pd, 'ImageDataLoaders': ImageDataLoaders, 'Resize': Resize})
    assert sorted(scope['dls'].valid_ds.items.name) == ['20.png', '21.png', '22.png', '23.png']


def test_blanks_in_the_first_row(tmp_path):
    (noise(tmp_path, *(f'{i:02}.png' for i in ALL)) / 'labels.csv').write_text(of(ALL, 'a,north', 'b,south', head=' name , label, place'))
    layout = guess_layout(tmp_path)
    assert 'labels in column label' in layout.says and set(layout.table.label) == {'a', 'b'}
    (tmp_path / 'labels.csv').write_text(of(ALL, 'a,north', 'b,south', head='name,label, label'))
    assert "'label' is the name of two columns" in guess_layout(tmp_path).csv.problem


@pytest.mark.parametrize('column', ['name', 'photo'])
@pytest.mark.parametrize('disk, table', [('img_{}.jpg', 'IMG_{}.JPG'), ('in/Img_{}.JPG', 'img_{}'), ('IMG_{}.jpg', 'IMG_{}.JPG')])
def test_names_in_capitals_on_one_side_only(tmp_path, column, disk, table):
    "Even if it is one of many; and two files may differ so alone."
    names = [disk.format(i) for i in range(24)]
    def write(rows): (tmp_path / 'labels.csv').write_text(f'{column},label\n' + '\n'.join(f'{name},{"ab"[i % 2]}' for i, name in enumerate(rows)))
    noise(tmp_path, *names)
    for start in (24, 1):  # all of them, one
        write([*(table.format(i) for i in range(start)), *names[start:]])
        problem = guess_layout(tmp_path).csv.problem
        assert (f'it names {table.format(0)}, and the image is called {names[0]}' in problem) or (start == 1 and table == 'img_{}'), problem
    write(names)
    assert guess_layout(tmp_path).kind == 'csv'
    if (tmp_path / names[0].swapcase()).exists(): return  # a disk that makes no difference
    noise(tmp_path, *(name.upper() for name in names if '/' not in name))
    assert not guess_layout(tmp_path).csv.problem


BESIDE_FOLDERS = { # a/00.png, b/01.png, and so on: the columns, what is in them after the names of images, what is said; None: the table counts
    'the same': ('name,label', ['a', 'b'], ''),
    'the same for a half': ('name,label', ['a', 'b'] * 6, ''),
    'other words': ('name,label', ['0', '1'], ''),
    'numbers for sides': ('name,label,fold', ['a,0', 'b,1', 'a,2', 'b,3'], ''),
    'a test set, too': ('name,label,split', [f'{"ab"[i % 2]},{("train", "valid", "test")[i // 2 % 3]}' for i in range(24)], None),
    'some are corrected': ('name,label', ['b', *['b', 'a'] * 11, 'b'], None),
    'a half is corrected': ('name,label', ['b', *['b', 'a'] * 8], 'such as of a/00.png: b in the table, a by its name. If the table counts, give it a row'),
    'sides for a half': ('name,label,is_valid', ['a,1', 'b,1', 'a,0', 'b,0'] * 4, 'such as of a/00.png: a, for validation in the table, a by its name'),
    'sides, no labels': ('name,split', ['train', 'valid'] * 12, 'no column has the label'),
    'an unknown side': ('name,split', ['train', 'holdout'] * 12, 'no column has the label'),
    'two that may be labels': ('name,class,species', ['Aves,wren', 'Aves,crow', 'Mammalia,fox'], 'class, species may each'),
}


@pytest.mark.parametrize('columns, values, words', BESIDE_FOLDERS.values(), ids=BESIDE_FOLDERS)
def test_a_table_called_labels_beside_class_folders(tmp_path, columns, values, words):
    "It says the same, or counts, or training stops."
    from easing_fastai.train.fit import usable_images
    names = [f'{"ab"[i % 2]}/{i:02}.png' for i in range(24)]
    draw(tmp_path, *names)
    n = len(values) if len(values) > 4 else 24
    (tmp_path / 'labels.csv').write_text('\n'.join([columns, *(f'{name},{values[i % len(values)]}' for i, name in enumerate(names[:n]))]))
    check = check_images(tmp_path)
    if words:
        with pytest.raises(FolderError) as caught: usable_images(check)
        assert words in str(caught.value)
    else:
        files = usable_images(check)[0]
        assert check.layout.kind == ('folders' if words == '' else 'csv') and set(files.label) <= {'a', 'b'}
        if words is None and 'split' not in columns: assert files.set_index('file').label[names[0]] == 'b'
        if 'split' in columns: assert len(files) == 16 and files.is_valid.sum() == 8


@pytest.mark.parametrize('tables', ['train validation test', 'test', 'train'])
def test_tables_of_sides_beside_class_folders(tmp_path, tables):
    names = [f'{"ab"[i % 2]}/{i:02}.png' for i in range(24)]
    noise(tmp_path, *names)
    for table, some in dict(train=names[:16], validation=names[16:20], test=names[20:]).items():
        if table in tables: (tmp_path / f'{table}.csv').write_text('Filename,Label\n' + ''.join(f'{name},{name[0]}\n' for name in some))
    layout = guess_layout(tmp_path)
    assert layout.kind == 'unknown' and 'called like one for a part of the data' in layout.says, layout
    (tmp_path / 'train.csv').write_text('Filename,Label\n' + ''.join(f'{name},{name[0]}\n' for name in names))
    for table in ('validation', 'test'): (tmp_path / f'{table}.csv').unlink(missing_ok=True)
    assert guess_layout(tmp_path).says == 'a folder per class'


@pytest.mark.parametrize('name, is_told', [('exif.csv', True), ('labels.csv', False)])
def test_a_table_of_names_without_their_folders(tmp_path, name, is_told):
    "Folder and file in two columns, say: it does not count silently, unless its labels are the folders."
    names = draw(tmp_path, *(f'{"ab"[i % 2]}/{i:02}.png' for i in range(24)))
    (tmp_path / name).write_text('folder,file,label\n' + ''.join(f'{file.replace("/", ",")},{"xyz"[i % 3]}\n' for i, file in enumerate(names)))
    layout = guess_layout(tmp_path)
    assert (f'not used: {name}' in layout.says) and bool(layout.csv.problem) != is_told


@pytest.mark.parametrize('side', ['val', 'Test', 'validation'])
def test_a_folder_of_a_side_beside_class_folders(tmp_path, side):
    layout = guess_layout(noise(tmp_path, *(f'{label}/{i}.png' for label in ('cat', 'dog', side) for i in range(9))))
    assert layout.kind == 'unknown' and f'the folders {side}, cat, dog are named' in layout.says or f'cat, dog, {side}' in layout.says


@pytest.mark.parametrize('columns', ['name,label_1,label_2', 'name,age', 'name,label'])
@pytest.mark.parametrize('folder', ['images', 'pets', 'Dataset'])
def test_doubts_do_not_hang_on_what_the_only_folder_is_called(tmp_path, folder, columns):
    noise(tmp_path, *(f'{folder}/{i}.png' for i in range(24)))
    values = {'name,age': lambda i: f'{20 + i % 4}', 'name,label': lambda i: f'{i % 4 / 4}'}.get(columns, lambda i: f'{"ab"[i % 2]},{"abc"[i % 3]}')
    (tmp_path / 'data.csv').write_text(f'{columns}\n' + ''.join(f'{i}.png,{values(i)}\n' for i in range(24)))
    assert guess_layout(tmp_path).csv.problem


def test_a_table_in_the_only_folder(tmp_path):
    "It is found there, and its rows are looked at."
    from easing_fastai.train.fit import usable_images
    names = draw(tmp_path / 'data', *(f'imgs/{i}.png' for i in range(24)))
    table_of_images(tmp_path / 'data', [*names, 'imgs/gone.png'], ('cat', 'dog'))
    check = check_images(tmp_path)
    assert set(usable_images(check)[0].label) == {'cat', 'dog'} and kinds(check)['csv missing'] == ['data/imgs/gone.png']


LINES = { # of images named like this: what is in the table before and after the number, the columns, the values
    'zeros before a number': ('train/{:03}.png', '{:03}', 'id,label', ['cat', 'dog']),
    'numbers with zeros as labels': ('{}.png', '{}.png', 'id,label', ['01', '02', '10']),
    'a label NA': ('{}.png', '{}.png', 'name,label', ['NA', 'EU', 'None']),
    'powers': ('{}.png', '{}.png', 'name,label', ['1e5', '2e5']),
    'a blank at the end': ('{}.png', '{}.png ', 'name,label', ['cat ', 'dog', 'cat']),
    'names of Windows': ('b/{}.png', 'b\\{}.png', 'name,label', ['cat', 'dog']),
    'yes and no': ('{}.png', '{}.png', 'name,label', ['True', 'False']),
    'classes written as floats': ('{}.png', '{}.png', 'name,label', ['0.0', '1.0']),
    'a row without a label': ('{}.png', '{}.png', 'name,label', ['cat', 'dog', 'cat', '']),
    'numbers': ('{}.png', '{}', 'id,label', ['0', '1']),
}


@pytest.mark.parametrize('sides', ['', 'train', 'train valid', 'train valid test'])
@pytest.mark.parametrize('disk, table, columns, values', LINES.values(), ids=LINES)
def test_the_line_reads_what_the_table_says(tmp_path, disk, table, columns, values, sides):
    "The same images with the same labels on the same sides."
    words = sides.split()
    noise(tmp_path, *(disk.format(i) for i in range(24)))
    rows = [f'{table.format(i)},{values[i % len(values)]}' + (f',{words[i % 7 % len(words)]}' if words else '') for i in range(24)]
    (tmp_path / 'labels.csv').write_text('\n'.join([columns + ',split' * bool(words), *rows]))
    layout = guess_layout(tmp_path)
    known = layout.table.dropna(subset=['file', 'label'])
    scope = {'path': tmp_path}
    exec('from fastai.vision.all import *\n' + layout.code.replace('ImageDataLoaders', 'dls = ImageDataLoaders'), scope)
    dls = scope['dls']
    read = {}
    for is_valid, side in ((False, dls.train_ds), (True, dls.valid_ds)):
        for name, (_, label) in zip(side.items[columns.split(',')[0]], side):
            read[f'{name}'.removesuffix('.png')] = str(dls.vocab[label]), is_valid if len(words) > 1 else None
    expected = {Path(row.file).stem: (row.label, row.is_valid if len(words) > 1 else None) for row in known.itertuples()}
    assert {Path(name).name: what for name, what in read.items()} == expected


def test_a_table_of_features(tmp_path):
    "Of thousands of columns, only those that name images are compared with all of them."
    from easing_fastai.images.table import file_column, pd
    images = [f'class{i % 20}/{i:04}.png' for i in range(400)]
    table = pd.DataFrame({f'f{i}': [f'{n * i % 997 / 997:.4f}' for n in range(400)] for i in range(500)} | {'file': images})
    started = time.process_time()
    assert file_column(table, images) == ('file', '', '') and time.process_time() - started < 1
    table['file'] = [name[-8:-4] for name in images]
    assert file_column(table, [name.replace('/', '-').split('-')[1] for name in images]) == ('file', '', '.png')


@pytest.mark.parametrize('disk, table', [('NFD', 'NFC'), ('NFC', 'NFD'), ('NFC', 'NFC'), ('NFD', 'NFD')])
def test_two_ways_to_write_an_accent(tmp_path, disk, table):
    "The line of pandas that is named makes a table that is read."
    names = [f'Zo\u00eb {i}.png' for i in range(24)]
    noise(tmp_path, *(normalize(disk, name) for name in names))
    labels = pd.DataFrame({'name': [normalize(table, name) for name in names], 'label': ['cat' if i % 3 else 'chât' for i in range(24)]})
    labels.to_csv(tmp_path / 'labels.csv', index=False)
    check = check_images(tmp_path)
    if disk != table:
        assert check.layout.kind == 'unknown' and not check.ok and "str.normalize('NFC') or ('NFD')" in check.layout.csv.problem
        labels.assign(name=labels.name.str.normalize(disk)).to_csv(tmp_path / 'labels.csv', index=False)
        check = check_images(tmp_path)
    assert set(check.files.label) == {'cat', 'chât'} and 'csv missing' not in kinds(check)


def test_an_image_that_is_twice_in_a_table_is_one(tmp_path):
    noise(tmp_path, *(f'{i}.png' for i in range(8)))
    table_of_images(tmp_path, [f'{i % 8}.png' for i in range(80)], ('cat', 'dog'))
    check = check_images(tmp_path)
    assert [row.found for row in check.problems if row.kind == 'no batch'] == ['6 images'] and ', bs=2,' in check.layout.code


@pytest.mark.parametrize('names', [('sam_{}', 'anna_{}'), ('photo_{}', 'drawing_{}')])
def test_classes_that_sound_like_cameras(tmp_path, names):
    assert guess_layout(noise(tmp_path, *(f'{name.format(i)}.png' for name in names for i in range(9)))).kind == 'names'


def test_folders_that_are_closed(photos):
    "are named first."
    from easing_fastai.train.fit import usable_images
    check = check_images(photos)
    for n, what in (1, 'These folders may not be opened: sky.'), (2, 'These folders may not be opened: sky, temple. Only one'):
        closed = ['sky', 'temple'][:n]
        check.problems = [module.Problem('closed folder', name) for name in closed]
        check.files = check.files[~check.files.label.isin(closed)]
        if n == 1: assert any(what in note for note in usable_images(check)[1])
        else:
            with pytest.raises(FolderError, match=what[:30]): usable_images(check)
    assert next(iter(module.PROBLEMS)) == 'closed folder'


def test_a_class_that_is_left_out_is_told(photos):
    "Its images have endings that nobody knows, or it looks like a model."
    from easing_fastai.train.fit import usable_images
    assert not any('Left out' in note for note in usable_images(check_images(photos))[1])
    for name in ('big', 'card'):
        noise(photos, *(f'{name}/{"x" * i}.png' for i in range(1, 13)))
    for file in (photos / 'big').iterdir(): file.rename(file.with_suffix('.jpg_large'))
    (photos / 'card/model.json').write_text('{"made_by": "easing-fastai train", "format": 1}')
    files, notes = usable_images(check_images(photos))
    assert set(files.label) == {'sky', 'temple', 'flower'}
    assert any('going by the endings of their names: big.' in note and 'model.json in them: card.' in note for note in notes)


def test_a_table_that_says_the_sides_of_class_folders(tmp_path):
    "It counts; one that has no image for validation says nothing, and a random split decides."
    names = [f'{"ab"[i % 2]}/{"x" * i}{i:02}.png' for i in range(24)]
    noise(tmp_path, *names)
    for last in (24, 16):
        (tmp_path / 'labels.csv').write_text('name,label,is_valid\n' + ''.join(f'{name},{name[0]},{int(i >= last)}\n' for i, name in enumerate(names)))
        layout = check_images(tmp_path).layout
        assert layout.kind == ('csv' if last < 24 else 'folders') and (layout.table.is_valid == True).sum() == 24 - last  # noqa: E712


@pytest.mark.parametrize('orientation', range(0, 10))
def test_how_a_camera_was_held(tmp_path, orientation):
    "5 to 8 lie on their side, 2 to 4 are upside down or mirrored, the others say nothing."
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new('RGB', (40, 30)).save(tmp_path / 'x.jpg', exif=exif)
    kind = 'turned' if orientation in (5, 6, 7, 8) else 'mirrored' if orientation in (2, 3, 4) else None
    assert one_file.look_at(tmp_path / 'x.jpg').problems == ([(kind, f'orientation {orientation}')] if kind else [])


@pytest.mark.parametrize('packed', [None, 'tiff_lzw'])
def test_a_tiff_is_turned_by_pillow(tmp_path, packed):
    "So nobody has to."
    Image.new('RGB', (40, 30)).save(tmp_path / 'x.tif', tiffinfo={0x0112: 6}, compression=packed)
    seen = one_file.look_at(tmp_path / 'x.tif')
    with Image.open(tmp_path / 'x.tif') as image: assert image.convert('RGB').size == (seen.width, seen.height) == (30, 40)
    assert seen.problems == []


NUMBERS = {
    'of 8 bits': (np.linspace(0, 255, 1024).astype(np.uint16), False), 'one of 256': (np.linspace(0, 256, 1024).astype(np.uint16), False),
    'a tenth above': (np.linspace(0, 283, 1024).astype(np.uint16), True), 'of 16 bits': (np.linspace(0, 65535, 1024).astype(np.uint16), True),
    'small': (np.linspace(0, 200, 1024).astype(np.int32), False), 'below 0': (np.linspace(0, -9, 1024).astype(np.int32), True),
    '0 to 1': (np.linspace(0, 1, 1024), True), '0 to 2': (np.linspace(0, 2, 1024), True), '0 to 5': (np.linspace(0, 5, 1024), True),
    '0 to 1, nan first': (np.append(np.nan, np.linspace(0, 1, 1023)), True), 'nan': (np.full(1024, np.nan), True),
    '0 to 255': (np.linspace(0, 255, 1024), False), '0 to 255, nan first': (np.append(np.nan, np.linspace(0, 255, 1023)), False),
    'byte order': (np.linspace(0, 200, 1024).astype('>u2'), False), 'byte order, 16 bits': (np.linspace(0, 65535, 1024).astype('>u2'), True),
}


@pytest.mark.parametrize('name', ['x.png', 'x.tif'])
@pytest.mark.parametrize('numbers, is_deep', NUMBERS.values(), ids=NUMBERS)
def test_many_bits_for_small_numbers(tmp_path, name, numbers, is_deep):
    "What is lost, is judged by the share of the pixels that fastai reads as others."
    if name == 'x.png' and numbers.dtype != np.uint16: pytest.skip('PNG has no such numbers')
    pixels = (numbers.astype(np.float32) if numbers.dtype.kind == 'f' else numbers).reshape(32, 32)
    image = Image.frombytes('I;16B', (32, 32), pixels.tobytes()) if numbers.dtype == '>u2' else Image.fromarray(pixels)
    image.save(tmp_path / name)
    seen = one_file.look_at(tmp_path / name)
    assert [kind for kind, _ in seen.problems] == ['deep colours'] * is_deep and seen.digest


@pytest.mark.parametrize('mode', ['I;16', 'RGBA', 'I;16B'])
def test_what_differs_where_eight_bits_do_not_show_it(tmp_path, mode):
    "Numbers above 255, and what is seen by its transparency alone."
    rng = np.random.default_rng(0)
    for label in 'ab':
        (tmp_path / label).mkdir()
        for i in range(2):
            if mode == 'RGBA': pixels = np.dstack([np.zeros((32, 32, 3), np.uint8), (rng.random((32, 32)) > 0.5) * 255]).astype(np.uint8)
            else: pixels = rng.integers(1000, 60000, (32, 32)).astype('>u2' if mode == 'I;16B' else '<u2')
            Image.frombytes(mode, (32, 32), pixels.tobytes()).save(tmp_path / label / f'{i}.tif')
    (tmp_path / 'a' / 'copy.tif').write_bytes((tmp_path / 'a' / '1.tif').read_bytes())
    found = kinds(check_images(tmp_path))
    assert 'two labels' not in found and found['twice'] == ['a/copy.tif']


def test_what_could_be_transparent_and_is_opaque(tmp_path):
    photo = cuttings('sky', 1)[0]
    for name, alpha in (('opaque', 255), ('clear', 254)):
        image = photo.convert('RGBA')
        image.putalpha(alpha)
        image.save(tmp_path / f'{name}.png')
        photo.save(tmp_path / f'{name} too.png')
    assert one_file.look_at(tmp_path / 'opaque.png').problems == []
    assert [kind for kind, _ in one_file.look_at(tmp_path / 'clear.png').problems] == ['transparent']
    same, other = (one_file.look_at(tmp_path / f'{name}.png').digest for name in ('opaque', 'clear'))
    assert same == one_file.look_at(tmp_path / 'opaque too.png').digest != other


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'L', 'P'])
@pytest.mark.parametrize('side', [128, 600])
def test_a_png_whose_end_is_zeros(tmp_path, mode, side):
    "Pillow decodes some of them, to other pixels."
    for seed, piece in enumerate(cuttings('temple', 6)):
        piece.resize((side, side)).convert(mode).save(tmp_path / 'x.png')
        whole = (tmp_path / 'x.png').read_bytes()
        n = len(whole) * (seed + 2) // 10
        (tmp_path / 'x.png').write_bytes(whole[:n] + bytes(len(whole) - n))
        for unpack_all in (True, False):
            seen = one_file.look_at(tmp_path / 'x.png', unpack_all)
            assert 'damaged' in [kind for kind, _ in seen.problems] and seen.digest is None


def photoshop(layers: bytes) -> bytes:
    "A Photoshop file: its layers, and the image that they make together."
    size = (32).to_bytes(4, 'big')
    head = b'8BPS' + (1).to_bytes(2, 'big') + bytes(6) + (3).to_bytes(2, 'big') + size * 2 + (8).to_bytes(2, 'big') + (3).to_bytes(2, 'big')
    return head + bytes(8) + layers + bytes(2) + np.random.default_rng(0).integers(0, 255, 3 * 32 * 32, dtype=np.uint8).tobytes()


@pytest.mark.parametrize('layers', [bytes(4), (40).to_bytes(4, 'big') + (36).to_bytes(4, 'big') + (-5).to_bytes(2, 'big', signed=True) + b'\xff' * 34])
def test_broken_layers_beside_a_whole_image(tmp_path, layers):
    (tmp_path / 'x.psd').write_bytes(photoshop(layers))
    seen = one_file.look_at(tmp_path / 'x.psd')
    assert seen.digest and seen.problems == []


def of(n: range, *labels: str, head: str = 'name,label') -> str:
    "A table of numbered images."
    return f'{head}\n' + ''.join(f'{i:02}.png,{labels[i % len(labels)]}\n' for i in n)


FIRST, LAST, ALL = range(12), range(12, 40), range(40)
TWO = {
    'submission': ({'train.csv': of(FIRST, 'a', 'b'), 'sampleSubmission.csv': of(LAST, 'a', 'b')}, 'not used: sampleSubmission.csv'),
    'results': ({'train.csv': of(FIRST, 'a', 'b'), 'My_Results.csv': of(ALL, 'a', 'b', 'c')}, 'not used: My_Results.csv'),
    'only answers': ({'predictions.csv': of(ALL, 'a', 'b')}, None),
    'train and val': ({'train.csv': of(FIRST, 'a', 'b'), 'val.csv': of(LAST, 'a', 'b')}, 'val.csv, which has labels too, is not used'),
    'sides after a word': ({'labels_train.csv': of(FIRST, 'a', 'b'), 'labels_val.csv': of(LAST, 'a', 'b')}, 'labels_val.csv, which has labels too'),
    'old and new': ({'labels.csv': of(FIRST, 'a', 'b'), 'labels_old.csv': of(ALL, 'a', 'b', 'c')}, 'labels_old.csv, which has labels too'),
    'annotators': ({'anna.csv': of(ALL, 'a', 'b'), 'ben.csv': of(ALL, 'a', 'b', 'b')}, None),
    'halves': ({'labels1.csv': of(FIRST, 'a', 'b'), 'labels2.csv': of(LAST, 'a', 'b')}, None),
    'copies': ({'anna.csv': of(ALL, 'a', 'b'), 'copy.csv': of(ALL, 'a', 'b')}, ''),
    'cameras': ({'anna.csv': of(FIRST, 'a', 'b'), 'exif.csv': of(ALL, 'Canon', 'Nikon', head='file,camera')}, ''),
}


@pytest.mark.parametrize('tables, words', TWO.values(), ids=TWO)
def test_several_tables(tmp_path, tables, words):
    "One is called so that it counts, and the others are named; or it stops, and all are named."
    noise(tmp_path, *(f'{i:02}.png' for i in ALL))
    for name, text in tables.items(): (tmp_path / name).write_text(text)
    layout = guess_layout(tmp_path)
    if words is None:
        said = layout.csv.problem if layout.csv else layout.says
        assert layout.kind == 'unknown' and all(name in said for name in tables) and 'labels.csv' in said
    else:
        assert layout.kind == 'csv' and next(iter(tables)) in layout.says and words in layout.says and set(layout.table.label) == {'a', 'b'}
        assert ('not used' in layout.says) == bool(words)


@pytest.mark.parametrize('name', ['metadata.csv', 'results.csv', 'labels.csv'])
def test_a_table_against_class_folders(tmp_path, name):
    "Which of them counts is not guessed, if the table is not called so."
    names = [f'{"ab"[i % 2]}/{i:02}.png' for i in ALL]
    (noise(tmp_path, *names) / name).write_text('file,label\n' + ''.join(f'{file},batch{i % 3}\n' for i, file in enumerate(names)))
    layout = guess_layout(tmp_path)
    assert layout.kind == {'metadata.csv': 'unknown', 'results.csv': 'folders', 'labels.csv': 'csv'}[name] and name in layout.says


CAT_DOG = [f'{label}_{i}.png' for label in ('cat', 'dog') for i in range(12)]
SAID = {
    'flat sides, labels in the names': ([f'{side}/{name}' for side in ('train', 'valid') for name in CAT_DOG], {}, 'the folders train, valid'),
    'flat sides, labels in a table': ([f'{side}/{i:02}.png' for side in ('train', 'test') for i in FIRST],
                                      {'labels.csv': 'name,label\n' + ''.join(f'{s}/{i:02}.png,{"ab"[i % 2]}\n' for s in ('train', 'test') for i in FIRST)}, 'column is_valid'),
    'a class called train': ([f'{label}/{view}_{i}.png' for label in ('bus', 'car', 'train') for view in ('front', 'back') for i in FIRST], {}, 'rename these folders if they are'),
    'numbers before a word': ([f'{i:04}_{label}.png' for label in ('tumor', 'normal') for i in FIRST], {}, 'no labels were found'),
    'names from the folder above': ([f'{i:02}.png' for i in ALL], {'labels.csv': of(ALL, 'a', 'b').replace('\n', '\nimages/')[:-7]}, 'such as images/00.png. Write the names as on the disk, from this folder on, as 00.png'),
    'names of another kind': ([f'{i:02}.jpeg' for i in ALL], {'labels.csv': of(ALL, 'a', 'b')}, 'as 00.jpeg'),
    'names of another computer': ([f'{i:02}.png' for i in ALL], {'labels.csv': of(ALL, 'a', 'b').replace('\n', '\nC:\\imgs\\')[:-8]}, 'from this folder on, as 00.png'),
    'images that are gone': ([f'x{i:02}.png' for i in ALL], {'labels.csv': of(ALL, 'a', 'b')}, 'no image that it names is here, such as 00.png'),
    'no rows': ([f'{i:02}.png' for i in ALL], {'labels.csv': 'name,label\n'}, 'no row with an image'),
    'sizes': ([f'{i:02}.png' for i in ALL], {'sizes.csv': of(ALL, '480', '640', head='name,width')}, 'width has numbers such as 480, 640'),
    'days': ([f'{i:02}.png' for i in ALL], {'days.csv': of(ALL, '2024-01-01', '2024-01-02', head='name,day')}, 'day has numbers'),
    'UTF-16': ([f'{i:02}.png' for i in ALL], {'labels.csv': of(ALL, 'a', 'b').encode('utf-16')}, "encoding='utf-16'"),
    'Excel': ([f'{i:02}.png' for i in ALL], {'labels.csv': b'PK\x03\x04\x14'}, 'workbook of Excel'),
    'Git LFS': ([f'{i:02}.png' for i in ALL], {'labels.csv': 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n'}, 'git lfs pull'),
    'a web page': ([f'{i:02}.png' for i in ALL], {'labels.csv': '<!DOCTYPE html>\n<p>Sign in</p>\n'}, 'a web page'),
    'sep=': ([f'{i:02}.png' for i in ALL], {'labels.csv': 'sep=,\n' + of(ALL, 'a', 'b')}, 'take that line out'),
}


@pytest.mark.parametrize('names, tables, words', SAID.values(), ids=SAID)
def test_what_may_mean_something_else_stops(tmp_path, names, tables, words):
    "It is said what to do; the line for UTF-16 reads the table."
    from easing_fastai.images.table import pd
    from easing_fastai.train.fit import usable_images
    for i, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / name)
    for name, text in tables.items(): (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    check = check_images(tmp_path)
    assert not check.ok and words in (check.layout.csv.problem if check.layout.csv else check.layout.says), check.layout
    with pytest.raises(FolderError) as caught: usable_images(check)
    assert words in str(caught.value)
    if words == "encoding='utf-16'": assert [*pd.read_csv(tmp_path / 'labels.csv', encoding='utf-16', sep=None, engine='python')] == ['name', 'label']


@pytest.mark.parametrize('test', ['test/{}.png', 'test1/{}.png'])
def test_labels_in_the_names_of_train_beside_numbers(tmp_path, test):
    "As in Kaggle's dogs and cats."
    layout = guess_layout(noise(tmp_path, *(f'train/{name}' for name in CAT_DOG), *(test.format(i) for i in range(9))))
    assert layout.kind == 'names' and set(layout.table.file) == {f'train/{name}' for name in CAT_DOG} and layout.table.label.value_counts().to_dict() == {'cat': 12, 'dog': 12}


def test_two_numbers_after_a_class(tmp_path):
    layout = guess_layout(noise(tmp_path, *(f'Black_{bird}_{i:04}_{i * 79:05}.png' for bird in ('Tern', 'footed_Albatross') for i in range(9))))
    assert set(layout.table.label) == {'Black_Tern', 'Black_footed_Albatross'}


@pytest.mark.parametrize('column', ['has_cactus', 'level', 'camera'])
def test_a_column_that_is_not_called_label_is_said(tmp_path, column):
    labels = {'has_cactus': '01', 'level': '01234', 'camera': ('Canon', 'Nikon')}[column]
    (noise(tmp_path, *(f'{i:02}.png' for i in ALL)) / 'train.csv').write_text(of(ALL, *labels, head=f'id,{column}'))
    layout = guess_layout(tmp_path)
    assert f'labels in column {column} (no column is called label)' in layout.says and set(layout.table.label) == {*labels}


@pytest.mark.parametrize('is_table', [True, False])
def test_a_test_set_beside_one_for_validation(tmp_path, is_table):
    "Its images are left out, and nobody says that they have no label."
    from easing_fastai.train.fit import usable_images
    names = [f'{side}/{label}/{side}{i}.png' for side in ('train', 'val', 'test') for label in 'ab' for i in range(6)]
    files = [name.replace('/', '-') if is_table else name for name in names]
    for i, name in enumerate(files):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / name)
    if is_table: (tmp_path / 'labels.csv').write_text('name,label,split\n' + ''.join(f'{file},{name.split("/")[1]},{name.split("/")[0]}\n' for file, name in zip(files, names)))
    check = check_images(tmp_path)
    why = 'of a test set, by the word test in column split' if is_table else 'in test, neither in train nor in val'
    assert f'12 left out: {why}' in check.layout.says and 'csv unlisted' not in kinds(check)
    used, notes = usable_images(check)
    assert len(used) == 24 and any(f'12 left out: {why} (test' in note for note in notes) and not any('no label' in note for note in notes)


TWO_NAMES = { # of numbered images: the columns and what is in them, the column that is taken; '' if it stops
    'numbers of rows': (',photo,label', lambda i: f'{i},{i * 5 % 24}', 'photo'),
    'an id of something else': ('id,image_id,label', lambda i: f'{i},{i * 5 % 24}', 'image_id'),
    'a row': ('row,picture,label', lambda i: f'{i},{i * 5 % 24}', ''),
    'pairs': ('image1,image2,label', lambda i: f'{i}.png,{(i + 1) % 24}.png', ''),
    'the same twice': ('path,picture,label', lambda i: f'imgs/{i}.png,{i}.png', 'path'),
    'an index that names them': (',label', str, 'Unnamed: 0'),
}


@pytest.mark.parametrize('columns, values, taken', TWO_NAMES.values(), ids=TWO_NAMES)
def test_two_columns_that_name_images(tmp_path, columns, values, taken):
    noise(tmp_path, *(f'imgs/{i}.png' for i in range(24)))
    (tmp_path / 'train.csv').write_text(f'{columns}\n' + ''.join(f'{values(i)},{"ab"[i % 2]}\n' for i in range(24)))
    csv = guess_layout(tmp_path).csv
    assert csv.columns.startswith(f'files in column {taken},') and not csv.problem if taken else 'both name images here' in csv.problem


def test_names_without_endings_of_images_with_several(tmp_path):
    noise(tmp_path, *(f'{i}.{"jpg" if i % 2 else "png"}' for i in range(24)))
    (tmp_path / 'labels.csv').write_text('id,label\n' + ''.join(f'{i},{"ab"[i % 3 // 2]}\n' for i in range(24)))
    assert 'without its ending' in guess_layout(tmp_path).csv.problem


def test_names_of_another_computer_beside_numbers_of_tasks(tmp_path):
    noise(tmp_path, *(f'images/{i}.png' for i in range(1, 25)))
    (tmp_path / 'project.csv').write_text('image,id,choice\n' + ''.join(f'/data/?d=images/{i}.png,{25 - i},{"ab"[i % 2]}\n' for i in range(1, 25)))
    assert 'id and image both name images' in guess_layout(tmp_path).csv.problem


def test_a_table_that_stops_is_not_passed_over_for_another(tmp_path):
    noise(tmp_path, *(f'{i}.png' for i in range(24)))
    (tmp_path / 'GroundTruth.csv').write_text('image,MEL,NV\n' + ''.join(f'{i},{i % 2}.0,{1 - i % 2}.0\n' for i in range(24)))
    (tmp_path / 'Groupings.csv').write_text('image,confirmed\n' + ''.join(f'{i},{["follow up", "consensus"][i // 2 % 2]}\n' for i in range(24)))
    assert 'the columns MEL, NV have a 1' in guess_layout(tmp_path).csv.problem
    (tmp_path / 'labels.csv').write_text('image,label\n' + ''.join(f'{i},{"ab"[i % 2]}\n' for i in range(24)))
    assert guess_layout(tmp_path).csv.file == 'labels.csv'


def test_tags(tmp_path):
    "A shorter label and something more, most of the time; kinds of bears and of birds are not so."
    noise(tmp_path, *(f'{i}.png' for i in range(40)))
    tags = [f'{sky} primary{more}' for sky in ('clear', 'haze') for more in ('', ' road', ' road water', ' water', ' agriculture road')]
    birds = [f'{kind} {bird}' for kind in ('Black', 'Arctic', 'Black footed', 'Great white') for bird in ('Tern', 'Heron', 'Albatross')]
    for labels, problem in ((tags, 'several labels'), (birds, '')):
        (tmp_path / 'labels.csv').write_text('name,label\n' + ''.join(f'{i}.png,{labels[i % len(labels)]}\n' for i in range(40)))
        assert problem in guess_layout(tmp_path).csv.problem and bool(problem) == bool(guess_layout(tmp_path).csv.problem)


def test_an_image_with_two_labels_in_a_table_is_left_out(tmp_path):
    "As a copy with another label is; a table of boxes, say."
    from easing_fastai.train.fit import usable_images
    names = draw(tmp_path, *(f'{i}.png' for i in range(24)))
    (tmp_path / 'boxes.csv').write_text('filename,class,x\n' + ''.join(f'{name},{label},1\n' for i, name in enumerate(names) for label in ('ab'[i % 2], 'abb'[i % 3])))
    files, notes = usable_images(check_images(tmp_path))
    same = [name for i, name in enumerate(names) if 'ab'[i % 2] == 'abb'[i % 3]]
    assert sorted(files.file) == sorted(same) and any('boxes.csv has two labels for them' in note for note in notes)
