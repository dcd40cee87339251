"""The cases of faults.py: what happens, what is prepared, what is run, and what must be seen."""
import atexit
import io
import json
import os
import pickle
import shutil
import socket
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from warm import Warm

RNG = np.random.default_rng(3)
LIMIT = 180  # seconds
HOME = Path(tempfile.mkdtemp(prefix='easing-fastai-faults-home-'))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ.setdefault('OMP_NUM_THREADS', '1')
# a Python that has imported all that commands import
python = Warm(HOME, 'easing_fastai.core', 'easing_fastai.train.train', 'easing_fastai.serve.space', 'rich.progress', 'sklearn.pipeline',
              'typer._coercion', 'typer._adapters', 'typer.completion', 'pydantic.type_adapter', 'pygments.lexers.python',
              'matplotlib.backends.backend_agg')


def environment(folder: Path, env: dict | None = None) -> dict[str, str]:
    return {'FASTAI_HOME': str(folder / 'home'), 'TORCH_HOME': str(folder / 'torch'), 'OMP_NUM_THREADS': '1',
            'EASING_FASTAI_OFFLINE': '1', 'COLUMNS': '300', **(env or {})}


@cache
def made(program: str) -> Path:
    "A folder in which a program has run; it is only read."
    folder = Path(tempfile.mkdtemp(dir=HOME))
    done = python('-c', program, cwd=folder, **environment(folder))
    assert done.returncode == 0, done.stderr
    return folder


@dataclass
class Case:
    "One fault; the folder that `prepare` gets is the working folder of the command."
    name: str
    prepare: Callable[[Path], object]  # called with an empty folder
    args: tuple | str                  # of easing-fastai; or Python to run
    code: int | None = 1               # the exit code; None for any
    words: tuple = ()                  # all of these are said
    never: tuple = ()                  # and none of these
    env: dict | None = None
    keeps: str = ''                    # a file that stays as it was
    absent: str = ''                   # files that must not be there
    quick: bool = True                 # may be part of the sample
    cold: bool = False                 # in a Python of its own from the beginning, not in a forked one
    within: tuple = ()                 # a command before that one
    limit: int = 120                   # seconds


# ---- what is prepared ----

def images(folder: Path, names: list[str], side: int = 32) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(RNG.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(folder / name)
    return folder


def classes(top: Path, labels: str = 'ab', n: int = 12) -> Path:
    for label in labels:
        images(top / label, [f'{label}{i}.png' for i in range(n)])
    return top


def classes_and(name: str, content: bytes = b'', pipe: bool = False) -> Callable:
    "Two classes, and one file more."
    def prepare(folder: Path):
        file = classes(folder) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(file) if pipe else file.write_bytes(content)
    return prepare


def links(folder: Path, to: dict[str, str]):
    "Two classes, and links: name -> where it leads."
    classes(folder)
    for name, target in to.items():
        os.symlink(folder / target, folder / name)


def numbered(pattern: str, n: int = 300) -> Callable:
    return lambda folder: images(folder, [pattern.format(i) for i in range(n)], side=16)


def table(content: bytes) -> Callable:
    "Numbered images and a table of them."
    def prepare(folder: Path):
        (images(folder, [f'{i}.png' for i in range(20)]) / 'labels.csv').write_bytes(content)
    return prepare


def table_of(folders: str, labels: str = 'cat cat dog') -> Callable:
    "Images in folders that are no classes, and a table that says what they show."
    def prepare(folder: Path):
        names = [f'{folders.split()[i % len(folders.split())]}/{i:02}.png' for i in range(24)]
        for name in names:
            images((folder / name).parent, [Path(name).name])
        lines = [f'{name},{labels.split()[i % len(labels.split())]}' for i, name in enumerate(names)]
        (folder / 'labels.csv').write_text('\n'.join(['name,label', *lines, '']))
    return prepare


def closed(*names: str) -> Callable:
    "Three classes, and folders of them that may not be opened."
    def prepare(folder: Path):
        classes(folder, 'abc')
        for name in names:
            (folder / name).chmod(0)
    return prepare


def rows(label: bytes = b'cat', separator: bytes = b',') -> bytes:
    return b'name' + separator + b'label\n' + b''.join(b'%d.png%s%s\n' % (i, separator, label) for i in range(20))


class Program:
    "A pickle of it makes a file when it is loaded."

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), 'w')


def program_as(name: str) -> Callable:
    "A program in place of a file of weights, in TORCH_HOME."
    def prepare(folder: Path):
        file = folder / 'torch/hub/checkpoints' / name
        file.parent.mkdir(parents=True)
        file.write_bytes(pickle.dumps(Program(folder / 'it_ran'), protocol=2))
        classes(folder)
    return prepare


def ghostscript(folder: Path):
    "What stands for it, first in PATH: makes a file if it is so much as asked for its version."
    (folder / 'gs').write_text('#!/bin/sh\ntouch it_ran\n')
    (folder / 'gs').chmod(0o755)


WITH_GS = {'PATH': f'.{os.pathsep}{os.environ["PATH"]}'}
POSTSCRIPT = (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\n'
              b'(it_ran) (w) file closefile\nshowpage\n')


def in_iptc(content: bytes) -> bytes:
    "A file of the format IPTC, which holds one of any other; Pillow opens what is in it."
    def field(number: int, value: bytes, record: int = 3) -> bytes: return bytes((28, record, number)) + len(value).to_bytes(2, 'big') + value
    head = field(60, b'\1\0') + field(20, b'\0\x1c') + field(30, b'\0\x1c') + field(120, b'\5')
    return head + bytes((28, 8, 10, 132, 0)) + len(content).to_bytes(4, 'big') + content


def in_blp(jpeg: bytes, side: int = 4000) -> bytes:
    "A texture of a game: a JPEG in another format."
    return b'BLP1' + struct.pack('<iIIIii', 0, 0, side, side, 0, 0) + struct.pack('<16I', 160, *[0] * 15) + struct.pack('<16I', len(jpeg), *[0] * 15) + bytes(4) + jpeg


def packed_fits(side: int) -> bytes:
    "Black pixels of a telescope, packed by gzip."
    def head(*cards: str) -> bytes: return b''.join(card.ljust(80).encode() for card in (*cards, 'END')).ljust(2880, b' ')
    size = {'BITPIX': 8, 'NAXIS': 2, 'NAXIS1': 8, 'NAXIS2': 2, 'ZIMAGE': 'T', 'ZCMPTYPE': "'GZIP_1  '", 'ZBITPIX': 8, 'ZNAXIS': 2, 'ZNAXIS1': side, 'ZNAXIS2': side}
    first = head(*(f'{name:8}= {value:>20}' for name, value in {'SIMPLE': 'T', 'BITPIX': 8, 'NAXIS': 0}.items()))
    second = head("XTENSION= 'BINTABLE'", *(f'{name:8}= {value:>20}' for name, value in size.items()))
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return first + second + bytes(16) + packer.compress(bytes(side * side * 4)) + packer.flush()


def own_beside(folder: Path):
    "What a person may keep beside a model: copies by date and time."
    classes(folder)
    for time in ('120000', '20240131'):
        (mine := folder / f'.m-{os.uname().nodename}-20240131-{time}').mkdir()
        (mine / 'weights').write_text('mine')


# turned by a quarter, and a tag of a type that Pillow reads and cannot write
ODD_NOTE = (b'Exif\0\0MM\0*\0\0\0\x08\0\x02' + bytes.fromhex('0112 0003 00000001 00060000' '02bc 000c 00000003 00000028') + bytes(60))


def turned(folder: Path):
    Image.new('RGB', (40, 30), 'red').save(folder / 'turned.jpg', exif=ODD_NOTE)


def model_json(text: str) -> Callable:
    "A folder of another program, where the model shall be."
    def prepare(folder: Path):
        classes(folder / 'photos')
        (folder / 'mine').mkdir()
        (folder / 'mine/model.json').write_text(text)
        (folder / 'mine/index.html').write_text('mine')
    return prepare


def model(change: Callable) -> Callable:
    "A model that has learned nothing, with one thing changed."
    def prepare(folder: Path):
        shutil.copytree(made(MODEL) / 'model', folder / 'model')
        images(folder, ['one.png'])
        change(folder / 'model')
    return prepare


MODEL = """
from hashlib import sha256
from pathlib import Path
from easing_fastai.train.model import *
from fastai.vision.learner import create_vision_model
from easing_fastai.train.fit import architecture
data = packed_weights(create_vision_model(architecture('digits_resnet18'), 2, pretrained=False), ['a', 'b'])
card = ModelCard('digits_resnet18', ['a', 'b'], size=28, accuracy=0.5, n_train=9, n_valid=3, epochs=1, seed=1, layout='folders',
                 weights_sha256=sha256(data).hexdigest())
write_model(Path('model'), card, data, {})
"""


def field(**values) -> Callable:
    def change(folder: Path):
        card = json.loads((folder / 'model.json').read_text())
        (folder / 'model.json').write_text(json.dumps({**card, **values}))
    return model(change)


def pipe_for(name: str) -> Callable:
    def change(folder: Path):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    return model(change)


def flipped(name: str, at: int) -> Callable:
    "digits_sample, and in one of its files another bit."
    def prepare(folder: Path):
        shutil.copytree(made(MAKE) / 'home', folder / 'home')
        file = sorted((folder / 'home/data/digits_sample').glob(name))[0]
        content = bytearray(file.read_bytes())
        content[at] ^= 1
        file.write_bytes(content)
    return prepare


def chunk(kind: bytes, content: bytes) -> bytes:
    "A piece of a PNG, its checksum right."
    return len(content).to_bytes(4, 'big') + kind + content + zlib.crc32(kind + content).to_bytes(4, 'big')


def png(data: bytes | None, side: int = 32, depth: int = 8, colours: int = 2, between: bytes = b'') -> bytes:
    "A PNG with this in place of its compressed rows."
    head = side.to_bytes(4, 'big') * 2 + bytes([depth, colours, 0, 0, 0])
    rows = chunk(b'IDAT', data) if data is not None else b''
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + between + rows + chunk(b'IEND', b'')


def rows_of(side: int = 32, n: int | None = None, filter: int = 0) -> bytes:
    "Rows of a PNG, compressed."
    return zlib.compress((bytes([filter]) + RNG.integers(0, 255, 3 * side, dtype=np.uint8).tobytes()) * (side if n is None else n))


BROKEN_PNGS = {
    'cut rows': png(rows_of()[:60]), 'half of the rows': png(rows_of(n=16)), 'no rows': png(None), 'rows of nothing': png(b''),
    'rows that are no zlib': png(bytes(range(200))), 'a filter that is none': png(rows_of(filter=9)),
    'a size of others': png(rows_of(), side=64), 'depth 3': png(rows_of(), depth=3), 'colours 5': png(rows_of(), colours=5),
    'no palette': png(rows_of(), colours=3), 'no pixels': png(rows_of(), side=0), 'a bomb': png(rows_of(), side=60_000),
    'zeros at its end': png(rows_of())[:-16] + bytes(16),
    'a text that is a bomb': png(rows_of(), between=chunk(b'zTXt', b'a\0\0' + zlib.compress(bytes(3_000_000)))),
}


def many_scans() -> bytes:
    "A JPEG that goes over its pixels again and again, for a minute here."
    file = io.BytesIO()
    Image.new('L', (6000, 5000)).save(file, 'JPEG', progressive=True)
    content = file.getvalue()
    return content[:-2] + 2500 * content[content.rindex(b'\xff\xda'):-2] + content[-2:]


def run_lengths(width: int, height: int, icon: bool = False) -> bytes:
    "A BMP, or an icon, that says: go 255 rows up."
    head = struct.pack('<IiiHHIIiiII', 40, width, height * (1 + icon), 1, 8, 1, 6, 0, 0, 256, 256) + bytes(1024)
    body = b'\0\2\0\xff\0\1'
    if icon:
        return struct.pack('<HHHBBBBHHII', 0, 1, 1, 1, 1, 0, 0, 1, 8, 10_000, 22) + head + body + bytes(10_000)
    return b'BM' + struct.pack('<IHHI', len(head) + 20, 0, 0, len(head) + 14) + head + body


def many_png(bad: bytes, at: int = 0) -> Callable:
    "More large PNG files than are all decoded, and a broken one."
    def prepare(folder: Path):
        for label in 'ab':
            (folder / label).mkdir()
            for i in range(260):
                (folder / label / f'{i:03}.png').write_bytes(png(zlib.compress(bytes([0, *[i % 250] * 1800]) * 600), side=600))
        (folder / 'a' / f'{at:03}.png').write_bytes(bad)
    return prepare


def packed(images: dict[str, Callable]) -> Callable:
    "Two classes, and images saved as they are given: name -> function that gives an image."
    def prepare(folder: Path):
        classes(folder)
        for name, make in images.items():
            make().save(folder / name)
    return prepare


MAKE = 'from easing_fastai.assets.datasets import mnist_sample; mnist_sample()'


def nothing(folder: Path):
    pass


def own(name: str) -> Callable:
    "A file of the working folder that is called like a module."
    return classes_and(name, b'raise SystemExit("the working folder was imported")')


def free_port() -> int:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


DEAD = f'http://127.0.0.1:{free_port()}'
ONLINE = {'EASING_FASTAI_OFFLINE': '0', 'http_proxy': DEAD, 'https_proxy': DEAD}
PROVE = 'from easing_fastai.plain.prove import prove_equal\ntry: prove_equal({0}, {0})\nexcept (TypeError, AssertionError) as e: print("refused", e)'
WEIGHTS = {'words': ('Nothing in it was run', 'Remove that file'), 'absent': 'it_ran'}
def with_weights(change: str, labels: str = "json.dumps(card['labels'])") -> Callable:
    "A model with other weights, `change` of each tensor `t`, and a card that fits them."
    return model(lambda folder: exec(f"""
import json
from hashlib import sha256
import safetensors.torch, torch
file = folder/'model.safetensors'
weights = {{name: {change} for name, t in safetensors.torch.load_file(file).items()}}
card = json.loads((folder/'model.json').read_text())
file.write_bytes(data := safetensors.torch.save(weights, metadata={{'labels': {labels}}}))
(folder/'model.json').write_text(json.dumps({{**card, 'weights_sha256': sha256(data).hexdigest()}}))
""", {'folder': folder}))


OFFLINE = """
import socket, sys
asked = []
def connect(self, address):
    asked.append(address)
    raise OSError(111, 'refused')
socket.socket.connect = connect
sys.argv = ['easing-fastai', 'download']
from easing_fastai.cli import main
try: main()
except SystemExit as e: print(f'exit {e.code}, asked {asked}')
"""
TRAIN = ('train', '.', '--epochs', '1', '--out', 'm', '--arch', 'digits_resnet18', '--size', '28')
NO_LABELS = ('no labels',)
LAB = """
import subprocess, sys
lab = subprocess.Popen([sys.executable, '-m', 'easing_fastai', 'lab', 'nb', '--no-browser', '--allow-root'], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
for line in lab.stdout:
    print(line, end='')
    if 'http://' in line: break
lab.terminate()
"""

CASES = [
    # nothing runs
    Case('a program as weights: doctor', program_as('resnet18-f37072fd.pth'), ('doctor',), **WEIGHTS),
    Case('a program as weights: train', program_as('resnet18-f37072fd.pth'), TRAIN[:6], **WEIGHTS),
    Case('a program as weights: download', program_as('resnet18-f37072fd.pth'), ('download',), env=ONLINE, **WEIGHTS),
    Case('a program as weights: train --arch', program_as('squeezenet1_0-b66bff10.pth'), (*TRAIN, '--arch', 'squeezenet1_0'), **WEIGHTS),
    Case('a program as weights: backbone()', program_as('resnet18-f37072fd.pth'), 'from easing_fastai.core import backbone; backbone()',
          **WEIGHTS),
    Case('a program as a model', model(lambda folder: (folder / 'model.safetensors').write_bytes(pickle.dumps(Program(folder.parent / 'it_ran')))),
         ('predict', 'model', 'one.png'), words=('no safetensors file',), absent='it_ran'),
    *(Case(f'PostScript as {name}: check', lambda folder, name=name: (classes_and(f'a/{name}', POSTSCRIPT)(folder), ghostscript(folder)),
          ('check', '.'), words=(name, 'cannot be read here'), absent='it_ran', env=WITH_GS)
      for name in ('x.jpg', 'x.png', 'x.tif', 'x.gif')),
    Case('PostScript in IPTC: check', lambda folder: (classes_and('a/x.jpg', in_iptc(POSTSCRIPT))(folder), ghostscript(folder)),
         ('check', '.'), words=('x.jpg', 'not an image'), absent='it_ran', env=WITH_GS),
    Case('PostScript: predict', model(lambda folder: (ghostscript(folder.parent), (folder.parent / 'x.jpg').write_bytes(POSTSCRIPT))),
         ('predict', 'model', 'x.jpg'), words=('x.jpg is not an image',), absent='it_ran', env=WITH_GS),
    Case('PostScript that holds PhotoCD: predict', model(lambda folder: (ghostscript(folder.parent),
          (folder.parent / 'x.jpg').write_bytes((POSTSCRIPT + b'%\n' * 1024)[:2047] + b'\nPCD_' + b'\n%' * 300000))),
         ('predict', 'model', 'x.jpg'), words=('x.jpg',), absent='it_ran', env=WITH_GS),
    # cold: in a forked Python all of these have been imported before
    *(Case(f'an own {name}', own(name), ('check', '.'), 0, never=('was imported',), cold=True) for name in ('random.py', 'typing.py', 'rich.py',
          'torch.py', 'fastai.py')),
    Case('an own fastai.py is named', own('fastai.py'), ('doctor',), 0, words=('fastai.py', 'rename'), never=('was imported',), cold=True),
    *(Case(f'an own {name}: lab', own(name), LAB, 0, words=('http://',), never=('was imported',), cold=True) for name in
          ('jupyterlab.py', 'random.py') if find_spec('jupyterlab')),
    # nothing is lost
    *(Case(f'a foreign model.json: {text[:20]}', model_json(text), ('train', 'photos', '--epochs', '1', '--out', 'mine'),
          words=('mine', '--out'),
           keeps='mine/index.html') for text in ('{"format": "layers-model"}', 'no JSON', '[]', '{"made_by": "easing-fastai train"}',
                 '{"format": 1}', 'null')),
    Case('--out .', lambda folder: classes(folder / 'photos'), ('train', 'photos', '--epochs', '1', '--out', '.'),
          words=('working folder', 'Name a new one')),
    Case('--out is a file', classes_and('m', b'mine'), TRAIN, words=('no folder', 'Name a new folder'), keeps='m'),
    Case('--out ~nosuchuser', classes, ('train', '.', '--out', '~nosuchuser/m'), words=('no such home folder',)),
    *(Case(f'--out {name[:3]} of {len(name)}, too long', classes, (*TRAIN[:5], name, *TRAIN[6:]), words=('cannot be', 'too long', 'Nothing was written'))
      for name in ('é' * 120, 'x' * 240, 'x' * 256 + '/m')),
    Case('--out /proc/m', classes, (*TRAIN[:5], '/proc/m', *TRAIN[6:]), words=('/proc/m cannot be', '--out')),
    Case('--out under a file', classes_and('f', b'mine'), ('train', '.', '--epochs', '1', '--out', 'f/m'), None, words=('✗',), keeps='f'),
    Case('a line per epoch where no bar is seen', classes, TRAIN, 0, words=('head alone: training loss', 'everything: training loss')),
    Case('train . twice', classes, f"""
import subprocess, sys
for _ in range(2): print(subprocess.run([sys.executable, '-m', 'easing_fastai', *{TRAIN}], capture_output=True, text=True).stdout)
""", 0, words=('classes: a, b',), never=('classes: a, b, m',), quick=False, limit=600),
    # no success that is none
    *(Case(f'numbers are no labels: {pattern}', numbered(pattern), ('check', '.'), words=NO_LABELS)
      for pattern in ('{:03}.png', '{}.png', '2023-01-{:04}.png', '({}).png')),
    *(Case(f'a table that cannot be read: {what}', table(content), TRAIN, words=('labels.csv', 'cannot be read'))
      for what, content in {'cp1252': rows(b'caf\xe9'), 'UTF-16': rows().decode().encode('utf-16'), 'binary': bytes(range(256)) * 9,
                            'quotes': b'name,label\n' + b'1.png,"cat\n' * 20,
                                  'columns': b'name,label\n1.png,cat,x,y\n2.png,dog\n'}.items()),
    Case('an unreadable table beside classes', classes_and('labels.csv', rows(b'caf\xe9')), TRAIN, words=('labels.csv', 'encoding=')),
    *(Case(f'a table beside {folders}', table_of(folders), ('check', '.'), None, words=('cat 16, dog 8', '' if 'batch' in folders else 'not the folders'),
          never=('only one class',)) for folders in ('all', 'batch0 batch1', 'crops/all')),
    *(Case(f'parts of a data set: {folders}', lambda folder, folders=folders: [images(folder / name, [f'{i}.png' for i in range(12)])
          for name in folders.split()], TRAIN, words=(words,)) for folders, words in {
        'train_images test_images': 'named like parts', 'cars_train cars_test': 'named like parts', 'images masks_png': 'masks_png seems to hold masks',
        'trainA trainB testA testB': 'named like parts', 'siteA/a siteA/b siteB/a siteB/b': 'have the same folders in them, a, b'}.items()),
    Case('sides by a word in their names', lambda folder: [classes(folder / name) for name in ('seg_train', 'seg_test')], ('check', '.'), None,
          words=('a 24, b 24', 'seg_test')),
    Case('a table of a training set beside a test set', lambda folder: (images(folder / 'test_images', ['x.png']), table(rows())(folder / 'train_images'),
          (folder / 'train_images/labels.csv').rename(folder / 'labels.csv')),
          ('check', '.'), None, words=('cat 20', "folder='train_images'")),
    Case('a table with two columns that may be the label', table(b'image,site,kind\n' + b''.join(b'%d.png,%s\n' % (i, [b'n,a', b's,b', b's,a', b'n,b'][i % 4])
          for i in range(20))), TRAIN, words=('site, kind may each have the label',)),
    Case('a class with endings that nobody knows', lambda folder: [file.rename(file.with_suffix('.jpg_large'))
          for file in (classes(folder, 'abc') / 'c').iterdir()], TRAIN, 0, words=('endings of their names: c.', 'classes: a, b'), quick=False),
    Case('a table with other names for the folders', table_of('a b', '0 1'), ('check', '.'), None, words=('a 12, b 12',)),
    *(Case(f'closed folders: {" ".join(names)}', closed(*names), TRAIN, code, words=words) for names, code, words in (
        (('a',), 0, ('These folders may not be opened: a.',)), (('a', 'b'), 1, ('✗ These folders may not be opened: a, b. Only one class',)),
        (('a', 'b', 'c'), 1, ('✗ These folders may not be opened: a, b, c. There are no images',)))),
    *(Case(f'names of cameras: {one} {other}', lambda folder, names=(one, other): images(folder, [f'{name}_{i:04}.png'
          for name in names for i in range(9)]), ('check', '.'), words=NO_LABELS) for one, other in (('IMG', 'DSC'), ('PXL_20230101', 'MVI'))),
    Case('train is empty, a table beside it', lambda folder: (table_of('valid/a valid/b', 'a b')(folder), (folder / 'train').mkdir()), TRAIN,
          words=('train holds no images',)),
    Case('train is empty, beside holdout', lambda folder: (classes(folder / 'holdout'), (folder / 'train').mkdir()), TRAIN,
          words=('train holds no images',)),
    Case('train is empty', lambda folder: (classes(folder / 'valid'), (folder / 'train').mkdir()), TRAIN, words=('train holds no images',)),
    Case('train has empty classes', lambda folder: (classes(folder / 'test'), (folder / 'train/a').mkdir(parents=True)), TRAIN,
          words=('train holds no images',)),
    *(Case(f'a card with {name} {value!r:.20}', field(**{name: value}), ('predict', 'model', 'one.png'), words=('model.json', name),
          quick=False)
      for name, value in (('labels', ['a', 'a']), ('labels', ['a']), ('labels', 'ab'), ('accuracy', '1'), ('accuracy', 2), ('n_train', -1),
            ('n_valid', 1.5),
                          ('epochs', None), ('seed', 'x'), ('layout', 3), ('weights_sha256', 'x'), ('versions', []), ('versions', {'a': 1}),
                          ('size', True),
                          ('size', 0), ('std', [0, 1, 1]), ('mean', [1, 2]), ('format', True), ('format', 2), ('made_by', 'me'),
                          ('arch', 7), ('resize', 'pad'))),
    *(Case(f'a card with {name} {value!r:.20}', field(**{name: value}), ('predict', 'model', 'one.png'), words=words)
      for name, value, words in (('arch', 'vit_b_16', ('the network vit_b_16',)), ('mean', [10**60] * 3, ('model.json', 'mean is')),
                                 ('std', [1e-44] * 3, ('gives no probabilities', 'model.json')))),
    *(Case(f'weights that give no probabilities {form}', with_weights("-t.abs() - 1 if name.endswith('running_var') else t"),
          ('predict', 'model', 'one.png', *form), words=('gives no probabilities',), never=('nan', 'NaN')) for form in ((), ('--json',))),
    *(Case(f'weights in {kind}', with_weights(f't.to(torch.{kind}) if t.is_floating_point() else t'), ('predict', 'model', 'one.png'),
          words=('do not fit',)) for kind in ('float16', 'float8_e4m3fn', 'complex64')),
    Case('weights that are not numbers', with_weights('t/0 if t.is_floating_point() else t'), ('predict', 'model', 'one.png'),
          words=('not numbers',)),
    Case('a label that is no text: serve --export', with_weights('t', "[card.update(labels=['cat', chr(0xdcff)]), json.dumps(card['labels'])][1]"),
          ('serve', 'model', '--export', 'page'), 0, words=('page is written',), quick=False),
    Case('labels in 100,000 lists', with_weights('t', "100_000*'['"), ('predict', 'model', 'one.png'), words=('damaged',)),
    Case('a note of an odd type: predict', model(lambda folder: turned(images(folder.parent / 'p', ['x.png']))), ('predict', 'model', 'p'), 0,
          words=('turned.jpg', 'x.png')),
    Case('a note of an odd type: train', lambda folder: turned(classes(folder) / 'a'), TRAIN, 0, words=('✓',)),
    Case('predict leaves out', model(lambda folder: [images(folder.parent / 'p' / 'closed', ['1.png']).chmod(0),
          *((images(folder.parent / 'p', [f'{name}.png']) / f'{name}.png').rename(folder.parent / 'p' / name) for name in ('two', '3.jpg_large')),
          images(folder.parent / 'p', ['4.png']), (folder.parent / 'p' / 'notes.txt').write_text('mine')]), ('predict', 'model', 'p'),
         words=('4.png', 'may not be opened (closed)', '2 images not named like one (3.jpg_large, two)'), never=('notes',)),
    Case('offline means offline: download', nothing, OFFLINE, 0, words=('EASING_FASTAI_OFFLINE', 'exit 1, asked []'),
         env={'http_proxy': DEAD, 'https_proxy': DEAD}),
    *(Case(f'a link to an empty folder: {args[0]}', model(lambda folder: ((folder.parent / 'disk').mkdir(),
          (folder.parent / 'link').symlink_to('disk'))), args, words=('link is no folder',)) for args in (
              ('lab', 'link', '--no-browser', '--allow-root'), ('serve', 'model', '--export', 'link'))),
    Case('lab in the empty working folder', nothing, ('lab', '.', '--no-browser', '--allow-root'), words=('is the working folder',)),
    Case('a pipe among the examples', model(lambda folder: (folder.parent / 'p').mkdir() or os.mkfifo(folder.parent / 'p' / 'x.png')),
         ('serve', 'model', '--export', 'page', '--examples', 'p'), words=('There are no images in',), limit=60),
    Case('labels that were swapped', field(labels=['b', 'a']), ('predict', 'model', 'one.png'),
          words=('written with the labels', 'in this order'), quick=False),
    *(Case(f'prove_equal of {x}', nothing, PROVE.format(x), 0, words=('refused',)) for x in ('None', '[None]', '[]', '{}', 'object()',
          '{1, 2}', 'b"1"')),
    *(Case(f'a wrong byte: {name} at {at}', flipped(name, at), MAKE, words=('is damaged',))
      for name, at in (('train/3/*.png', 60), ('valid/7/*.png', 40), ('train/7/*.png', 20), ('labels.csv', 30), ('labels.csv', -3))),
    *(Case(f'EASING_FASTAI_OFFLINE: {args[0]}', classes, args, words=words) for args, words in (
        (('download',), ('EASING_FASTAI_OFFLINE',)), ((*TRAIN, '--arch', 'resnet34'), ('EASING_FASTAI_OFFLINE', 'resnet34')))),
    Case('a broken package', nothing, """
from unittest.mock import patch
from pathlib import Path
Path('cut').write_bytes(b'cut off')
from easing_fastai.plain import narrow_resnet
with patch.object(narrow_resnet, 'weights_file', lambda: Path('cut')): narrow_resnet.digits_resnet18('DEFAULT')
""", words=('cut is damaged', 'force-reinstall')),
    # nothing hangs
    *(Case(f'a pipe named {name}', classes_and(name, pipe=True), ('check', '.'), None,
          words=(name.rpartition('/')[2],)) for name in ('labels.csv', 'a/x.png', 'table.tsv')),
    *(Case(f'a pipe named {name} in a model', pipe_for(name), ('predict', 'model', 'one.png'),
          words=(name, 'no file')) for name in ('model.json', 'model.safetensors')),
    *(Case(f'links: {to}', lambda folder, to=to: links(folder, to), ('check', '.'), words=('link',)) for to in (
        {'a/up': ''}, {'a/up': '', 'b/up': ''}, {'a/x': 'b', 'b/x': 'a'}, {'a/root': '/'}, {'c': 'a', 'd': 'a'},
        {f'{c}/{i}': f'{"ab"[i % 2]}' for c in 'ab' for i in range(9)})),
    Case('a link to itself', lambda folder: links(folder, {'a/self': 'a/self'}), ('check', '.'), 0, words=('a/self',)),
    # no traceback
    *(Case(f'output as {encoding}: {args[0]} {args[-1]}', classes, args, None, never=('UnicodeEncodeError',),
          env={'PYTHONIOENCODING': encoding, 'PYTHONUTF8': '0'})
      for encoding in ('cp1252', 'ascii', 'latin-1') for args in (('check', '.'), ('doctor',), ('check', 'nowhere'))),
    *(Case(f'a place that is not there: {path[:20]!r}', nothing, ('check', path), words=('✗',)) for path in ('nowhere', '~nosuchuser/x',
          'x' * 300, '[red]x[b]', '/dev/null')),
    Case('no working folder', nothing, 'import os, subprocess, sys\nos.mkdir("x"); os.chdir("x"); os.rmdir("../x")\n'
         'sys.exit(subprocess.run([sys.executable, "-m", "easing_fastai", "check", "."]).returncode)', words=('✗', 'working folder')),
    Case('no temporary folder', classes, f"""
import sys, tempfile
def none(): raise FileNotFoundError(2, 'No usable temporary directory found')
tempfile.gettempdir = none
sys.argv = ['x', *{TRAIN}]
from easing_fastai.cli import main
main()
""", words=('no temporary folder',)),
    Case('no home folder', classes, ('check', '.'), 0, env={'HOME': ''}),
    *(Case(f'proxy {name}', nothing, ('download',), words=('could not be downloaded',),
          env={**ONLINE, 'http_proxy': proxy, 'https_proxy': proxy})
      for name, proxy in {  # names that are the same in each process, which a port is not
          'where nobody listens': DEAD, 'port 99999': 'http://127.0.0.1:99999', 'nonsense': 'nonsense', 'http://[::1': 'http://[::1',
          '127.0.0.1:x': '127.0.0.1:x'}.items()),
    *(Case(f'a matplotlibrc that is {what}', lambda folder, make=make: (classes(folder / 'photos'), make(folder / 'matplotlibrc')),
          ('train', 'photos', '--out', 'm', *TRAIN[6:]), 0, words=('✓',), quick=False, cold=True) for what, make in {
          'no text in UTF-8': lambda file: file.write_bytes(b'# f\xfcr'), 'a pipe': os.mkfifo}.items()),
    Case('a matplotlibrc that names a backend that is not there', lambda folder: (classes(folder / 'photos'), (folder / 'matplotlibrc').write_text(
          'backend: module://nowhere')), ('train', 'photos', '--out', 'my $m', *TRAIN[6:]), 0, words=("predict 'my $m' IMAGE",), quick=False, cold=True),
    *(Case(f'an empty argument: {args[0]}', model(lambda folder: None), args, words=('An argument is empty',), absent='m')
      for args in (('check', ''), ('predict', 'model', ''), ('train', '', *TRAIN[2:]), ('serve', 'model', '--examples='))),
    *(Case(f'an odd MPLBACKEND: {args[0]}', model(lambda folder: classes(folder.parent / 'photos')), args, code, words=words,
          never=('nonsense',), env={'MPLBACKEND': 'nonsense'}, quick=False, cold=True) for args, code, words in (
        (('doctor',), 0, ('Ready',)), (('check', 'photos'), 0, ('labels',)), (('predict', 'model', 'one.png'), 0, ('one.png',)),
        (('download',), 1, ('EASING_FASTAI_OFFLINE',)), (('run', '00'), 0, ('00_environment: ', '✓')), (('serve', 'model', '--html', 'x.html'), None, ()),
        (('train', 'photos', *TRAIN[2:]), 0, ('✓',)))),
]


CASES += [
    *(Case(f'a PNG with {what}', classes_and('a/x.png', content), ('check', '.'), words=('x.png',)) for what,
          content in BROKEN_PNGS.items()),
    *(Case(f'a PNG with {what}: train', classes_and('a/x.png', content), TRAIN, 0, words=('x.png', 'left out'), quick=False) for what,
          content in BROKEN_PNGS.items() if 'text' in what or 'half' in what),
    *(Case(f'a PNG with {what}: predict', model(lambda folder, content=content: (folder.parent / 'x.png').write_bytes(content)),
          ('predict', 'model', 'x.png'), words=('x.png',)) for what, content in BROKEN_PNGS.items()),
    *(Case(f'a JPEG of many scans: {args[0]}', model(lambda folder: (classes(folder.parent / 'p') / 'a' / 'x.jpg').write_bytes(many_scans())),
          args, words=('x.jpg', 'more than 40 scans'), limit=30) for args in (('check', 'p'), ('predict', 'model', 'p'))),
    *(Case(f'a JPEG of many scans in a BLP: {args[0]}', model(lambda folder: (classes(folder.parent / 'p') / 'a' / 'x.png').write_bytes(
          in_blp(many_scans()))), args, words=('x.png', 'not an image'), limit=30) for args in (('check', 'p'), ('predict', 'model', 'p'))),
    *(Case(f'compressed {kind} of many pixels', lambda folder, content=content: (classes(folder) / 'a' / 'x.png').write_bytes(content()), ('check', '.'),
          words=('x.png', 'more than 2,000 pixels'), limit=30) for kind, content in {
          'FITS': lambda: packed_fits(9000), 'QOI': lambda: b'qoif' + struct.pack('>IIBB', 9000, 9000, 3, 0) + b'\xfd' * 1_306_452}.items()),
    *(Case(f'COLUMNS={columns!r}: {args[0]}', classes, args, None, words=words, env={'COLUMNS': columns}, cold=True, quick=False)
      for columns in ('0', '', 'x', '1') for args, words in ((('check', '.'), ('images',)), (('predict', 'none', 'x.png'), ('✗',)))),
    Case('a model.json of 4 GB', model(lambda folder: os.truncate(folder / 'model.json', 2**32)), ('predict', 'model', 'one.png'),
          words=('model.json is damaged',), limit=30),
    Case('a folder of yours that is called nearly like an unfinished one', own_beside, TRAIN, 0, words=('✓',), quick=False,
          keeps=f'.m-{os.uname().nodename}-20240131-120000/weights .m-{os.uname().nodename}-20240131-20240131/weights'),
    *(Case(f'a {name} that goes 255 rows up: {args[0]}', model(lambda folder, name=name: (classes(folder.parent / 'p') / 'a' / f'x.{name}').write_bytes(
          run_lengths(20_000, 1, name == 'ico'))), args, words=(f'x.{name}', 'slow to unpack'), limit=30)
      for name in ('bmp', 'ico') for args in (('check', 'p'), ('predict', 'model', 'p'))),
    Case('a broken PNG among many', many_png(png(zlib.compress(bytes(1801) * 300), side=600), at=0), ('check', '.'),
          words=('000.png', 'not decoded'), quick=False),
    # names
    *(Case(f'an image named {name!r:.30}: {args[0]}', classes_and(f'a/{name}', png(rows_of())), args, None, words=words)
      for name in ('[red]x[b].png', 'two\nlines.png', '\x1b[31m.png', b'\xff\xfe.png'.decode('utf-8', 'surrogateescape'), '-x.png',
            '=1+1.png', "a'b\"c.png", 'x' * 250 + '.png', '%s{0}.png', '<b>.png', '$x$.png', 'NA.png')
      for args, words in ((('check', '.'), ('images',)), (TRAIN, ('✓',)))),
    *(Case(f'predict {form} of a name that cp1252 does not have', model(lambda folder: images(folder.parent / 'p', ['a`文.png'])),
          ('predict', 'model', 'p', form), 0, words=(shown,), env={'PYTHONIOENCODING': 'cp1252', 'PYTHONUTF8': '0'})
      for form, shown in (('--csv', 'a`文.png'), ('--json', r'a`\u6587.png'))),
    Case('a backtick in a name: predict', model(lambda folder: images(folder.parent / 'p', ['a`b.png'])), ('predict', 'model', 'p'), 0,
          words=('a`b.png',)),
    Case('backticks in names: check', lambda folder: [(classes(folder) / name).write_text('no image') for name in ('a`b.png', 'a`c.png')],
          ('check', '.'), None, words=('a`b.png, a`c.png',)),
    Case('an archive', lambda folder: (folder / 'a.tar.gz').write_text('packed'), ('train', 'a.tar.gz', '--out', 'm'), words=('Unpack it',)),
    Case('a name for a shell: bench', nothing, ('bench', '--out', 'my chart'), 2, words=("--out 'my chart.png'",)),
    *(Case(f'predict {form or "table"} of {name!r:.30}', model(lambda folder,
          name=name: (images(folder.parent / 'p', ['x.png']) / 'x.png').rename(folder.parent / 'p' / name)),
                ('predict', 'model', 'p', *form), 0, words=('p',))
      for name in ('[red]x[b].png', 'two\nlines.png', b'\xff\xfe.png'.decode('utf-8', 'surrogateescape'), '-x.png',
            'x' * 250 + '.png') for form in ((), ('--csv',), ('--json',))),
    *(Case(f'a class named {name!r:.30}', lambda folder, name=name: (classes(folder), (folder / 'a').rename(folder / name)), TRAIN, 0,
          words=('✓',), quick=False)
      for name in ('[red]x[b]', 'two\nlines', '\x1b[31m', b'\xff\xfe'.decode('utf-8', 'surrogateescape'), '-x', 'nan', 'None', '<b>', '$x$',
            '01', 'é', '文', '__pycache__', 'x' * 250)),
    # tables
    *(Case(f'a table with {what}', table(content), ('check', '.'), None, words=words) for what, content, words in (
        ('nothing', b'', ('labels.csv',)), ('a head alone', b'name,label\n', ('labels.csv',)),
        ('one column', b'name\n1.png\n', ('labels.csv',)), ('zero bytes in it', rows().replace(b'cat', b'\0'), ('labels.csv',)),
        ('semicolons', rows(separator=b';'), ('labels.csv',)), ('tabs', rows(separator=b'\t'), ('labels.csv',)),
        ('a BOM', b'\xef\xbb\xbf' + rows(), ('labels.csv',)),
        ('absolute names', rows().replace(b'\n', b'\n/'), ('labels.csv',)),
        ('names above', rows().replace(b'\n', b'\n../'), ('labels.csv',)),
        ('a row twice', rows() + b'1.png,dog\n', ('two labels',)), ('one class', rows(), ('one class',)),
        ('labels NA', rows(b'NA') + b'0.png,EU\n', ('labels.csv',)),
        ('no labels', rows(b''), ('label',)), ('Windows lines', rows().replace(b'\n', b'\r\n'), ('labels.csv',)),
        ('Mac lines', rows().replace(b'\n', b'\r'), ('labels.csv',)),
        ('a million columns', b'name,label' + b',x' * 100_000 + b'\n1.png,cat' + b',1' * 100_000, ('labels.csv',)),
        ('a long field', b'name,label\n1.png,' + b'x' * 1_000_000 + b'\n2.png,y\n', ('labels.csv',)),
        ('quotes that do not end', b'name,label\n"1.png,cat\n', ('labels.csv',)))),
    Case('a table that is a folder', lambda folder: (images(folder, ['1.png', '2.png']), (folder / 'labels.csv').mkdir()), ('check', '.'),
          words=('no labels',)),
    Case('a table that is a device', lambda folder: (images(folder, ['1.png', '2.png']), os.symlink('/dev/zero', folder / 'labels.csv')),
          ('check', '.'), words=('labels.csv',)),
    Case('a table that leads nowhere', lambda folder: (images(folder, ['1.png', '2.png']), os.symlink('/nowhere', folder / 'labels.csv')),
          ('check', '.'), words=('labels.csv',)),
    Case('a closed table', lambda folder: (table(rows())(folder), os.chmod(folder / 'labels.csv', 0)), TRAIN, words=('labels.csv',)),
    # devices, closed
    *(Case(f'{target} as an image: {args[0]}', lambda folder, target=target: links(folder, {}) or os.symlink(target, folder / 'a/x.png'),
          args, None, words=('x.png',))
      for target in ('/dev/zero', '/dev/full', '/dev/stdin', '/proc/self/mem', '/proc/self/fd/0', '/nowhere') for args in (('check', '.'),
            )),
    Case('a folder named x.png', lambda folder: (classes(folder), images(folder / 'a/x.png', ['1.png'])), ('check', '.'), words=('x.png',)),
    Case('a closed image', lambda folder: (classes(folder), os.chmod(folder / 'a/a1.png', 0)), ('check', '.'),
          words=('a1.png', 'may not be read')),
    Case('a closed image: train', lambda folder: (classes(folder), os.chmod(folder / 'a/a1.png', 0)), TRAIN, 0,
          words=('a1.png', 'left out')),
    Case('a closed class', lambda folder: (classes(folder, 'abc'), os.chmod(folder / 'c', 0)), ('check', '.'),
          words=('c', 'may not be opened')),
    Case('all classes but one closed', lambda folder: (classes(folder, 'abc'), os.chmod(folder / 'c', 0), os.chmod(folder / 'b', 0)), TRAIN,
          words=('may not be opened',)),
    Case('all closed', lambda folder: (classes(folder / 'p'), os.chmod(folder / 'p', 0)), ('train', 'p', '--out', 'm'), None, words=('p',)),
    # options
    *(Case(f'train {" ".join(options)}', classes, (*TRAIN, *options), None, never=('✓',), quick=i % 4 == 0)
      for i, options in enumerate((('--epochs', '0'), ('--epochs', '-1'), ('--epochs', 'x'), ('--epochs', '1e3'), ('--seed', '-1'),
            ('--seed', '99999999999'), ('--lr', '0'), ('--lr', 'nan'), ('--lr', 'inf'), ('--lr', '1e30'),
                      ('--bs', '0'), ('--valid', '0'), ('--valid', '1'), ('--valid', 'nan'), ('--size', '7'), ('--size', '99999'),
                      ('--arch', 'no'), ('--arch', '../x'), ('--arch', 'vit_b_16'), ('--arch', 'list_models'), ('--arch', 'ResNet'),
                      ('--arch', 'resnet18'), ('--no-such', '1')))),
    *(Case(f'--out {out!r:.20}', lambda folder: (classes(folder / 'photos'), os.symlink('nowhere', folder / 'dangling'),
          images(folder / 'full', ['1.png']), os.symlink('full', folder / 'link'), (folder / 'closed').mkdir(),
                os.chmod(folder / 'closed', 0o500)),
           ('train', 'photos', '--epochs', '1', '--out', out), words=('✗',), keeps='full/1.png', quick=False)
      for out in ('/', '', '~', 'dangling', 'full', 'link', 'closed/m', 'x' * 300, 'photos', 'photos/a', '/proc/m', '/dev/null',
            '/dev/null/m', 'photos/../full', 'full/1.png')),
    Case('images that are all alike', lambda folder: [(folder / label).mkdir() or [Image.new('RGB', (32, 32),
          label == 'a' and 'red' or 'blue').save(folder / label / f'{i}.png') for i in range(20)] for label in 'ab'], TRAIN, None,
                never=('nan',), quick=False),
    Case('two images of each class', lambda folder: classes(folder, n=2), TRAIN, None, never=('nan',)),
    Case('one image of each class', lambda folder: classes(folder, n=1), TRAIN, words=('too few',)),
    Case('images of one pixel', lambda folder: [images(folder / label, [f'{label}{i}.png' for i in range(20)], side=1) for label in 'ab'],
          TRAIN, None, quick=False),
    # where a program is started
    *(Case(f'{name}={value!r:.20}: {args[0]}', classes, args, code, env={name: value}, words=words) for name, value, args, code, words in (
        ('COLUMNS', '20', ('check', '.'), 0, ()), ('COLUMNS', '0', ('check', '.'), 0, ()), ('COLUMNS', '-1', ('check', '.'), 0, ()),
        ('COLUMNS', 'x', ('check', '.'), 0, ()), ('COLUMNS', '1', ('check', '.'), 0, ()), ('COLUMNS', '20', ('doctor',), None, ()),
        ('TERM', 'dumb', ('check', '.'), 0, ()), ('LC_ALL', 'nonsense', ('check', '.'), 0, ()),
        ('TMPDIR', '/nowhere', ('check', '.'), 0, ()), ('HOME', '/nowhere', ('doctor',), 0, ()),
        ('HOME', '/dev/null', ('doctor',), None, ()),
        ('FASTAI_HOME', '/dev/null', ('doctor',), 1, ('FASTAI_HOME',)), ('FASTAI_HOME', '~nosuchuser', ('doctor',), 1, ('✗',)),
        ('FASTAI_HOME', '', ('doctor',), None, ()), ('FASTAI_HOME', 'x' * 5000, ('doctor',), 1, ('✗',)),
        ('FASTAI_HOME', 'a/a1.png', ('doctor',), 1, ('FASTAI_HOME',)), ('FASTAI_HOME', '/proc', ('doctor',), 1, ('✗',)),
        ('TORCH_HOME', '/dev/null', ('doctor',), None, ()), ('TORCH_HOME', 'a/a1.png', TRAIN, 0, ()),
        ('TORCH_HOME', '~nosuchuser', TRAIN, 0, ()), ('TORCH_HOME', '', TRAIN, 0, ()),
        ('EASING_FASTAI_OFFLINE', 'no', ('download',), 1, ('EASING_FASTAI_OFFLINE',)), ('CUDA_VISIBLE_DEVICES', '9', ('doctor',), 0, ()),
        ('WORLD_SIZE', '2', TRAIN, None, ()), ('WORLD_SIZE', 'x', TRAIN, 1, ()), ('RANK', 'x', TRAIN, None, ()))),
]
def midway(change: str, workers: int = 0) -> str:
    "A training of the command line in which something happens after the first epoch."
    return f"""
import os, signal, sys
from pathlib import Path
from easing_fastai.train import fit
from easing_fastai.train import train as training
def change(): {change}
class Table(fit.KeepTable):
    def after_epoch(self):
        super().after_epoch()
        if len(self.rows) == 1: change()
    def before_batch(self):
        if os.environ.pop('KILL', ''):
            import psutil
            psutil.Process().children()[0].kill()
fit.KeepTable, stock = Table, training.dataloaders_for
training.dataloaders_for = lambda *args, **kwargs: stock(*args, **kwargs | {{'num_workers': {workers}}})
sys.argv = ['x', *{TRAIN}]
from easing_fastai.cli import main
main()
"""


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_{0}, ({1}, {1}))
sys.argv = ['x', *{2}]
from easing_fastai.cli import main
main()
"""
GONE = ('could be read when this training began', 'take it out, and train again', 'Nothing was written')
SHM = ('unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o size={} tmpfs /dev/shm && exec "$@"', 'x')
FORK = 'import os, sys\nos.fork = os.posix_spawn = lambda *a: (_ for _ in ()).throw(BlockingIOError(11, "Resource temporarily unavailable"))\n'
THREADS = 'import threading, sys\ndef start(self): raise RuntimeError("can\'t start new thread")\nthreading.Thread.start = start\n'
RUN = "sys.argv = ['x', *{}]\nfrom easing_fastai.cli import main\nmain()\n"
WITH = 'from easing_fastai.train import train as t\nstock = t.dataloaders_for\nt.dataloaders_for = lambda *a, **k: stock(*a, **k | {"num_workers": 2})\n'
CASES += [
    *(Case(f'an image {what}, {workers} workers', lambda folder: (classes(folder), ghostscript(folder)), midway(change, workers),
          words=('a1.png' if 'all' not in what else '.png', *GONE), never=('Traceback', '--out'), absent='m it_ran', env=WITH_GS, quick=False)
      for workers in (0, 2) for what, change in {'vanishes': "[Path('a', f'a{i}.png').unlink() for i in range(1, 12)]",
            'is cut off': "[Path('a', f'a{i}.png').write_bytes(Path('a', f'a{i}.png').read_bytes()[:900]) for i in range(1, 12)]",
                                                 'becomes text': "[Path('a', f'a{i}.png').write_text('Dear') for i in range(1, 12)]",
                                                       'becomes PostScript': f"[Path('a', f'a{{i}}.png').write_bytes({POSTSCRIPT!r}) for i in range(1, 12)]",
                                                 'is closed': "[Path('a', f'a{i}.png').chmod(0) for i in range(1, 12)]",
                                                       'becomes a folder': "[(Path('a', f'a{i}.png').unlink(), Path('a', f'a{i}.png').mkdir()) for i in range(1, 12)]",
                                                 'vanishes with all': "__import__('shutil').rmtree('a')"}.items()),
    Case('a worker is killed', classes, midway("os.environ.update(KILL='1')", 2),
          words=('ended from outside', 'memory', 'Nothing was written'), never=('Traceback',), absent='m', quick=False),
    Case('a small /dev/shm', classes, WITH + 'import sys\n' + RUN.format(TRAIN), 0, words=('without worker processes', '/dev/shm'),
          within=(*SHM[:4], SHM[4].format('16k'), 'x'), cold=True),
    Case('a closed /dev/shm', classes, WITH + 'import sys\n' + RUN.format(TRAIN), 0, words=('without worker processes',),
          within=('unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o ro tmpfs /dev/shm; exec "$@"', 'x'), cold=True),
    Case('no processes: train', classes, FORK + WITH + RUN.format(TRAIN), 0, words=('without worker processes',)),
    Case('no processes: doctor', classes, FORK + RUN.format(('doctor',)), None, never=('Traceback',)),
    *(Case(f'no threads: {args[0]}', model(lambda folder: classes(folder.parent)), THREADS + RUN.format(args), None,
          never=('Traceback',)) for args in (('check', '.'), TRAIN, ('doctor',), ('predict', 'model', 'one.png'))),
    *(Case(f'no threads: {args[0]}', nothing, THREADS + RUN.format(args), None, words=('✗',),
          never=('Traceback',)) for args in (('run', '05'), ('bench',))),
    *(Case(f'{what} {n}: {args[0]}', classes, LIMITED.format(what, n, args), None, never=('Traceback', 'Segmentation'), cold=True) for what,
          n in (('NOFILE', 12), ('FSIZE', 10_000)) for args in (TRAIN, ('check', '.'))),
    *(Case(f'output to {to}: {args[0]}', classes, args, None, within=('sh', '-c', f'exec "$@" {to}', 'x'),
          cold=True) for to in ('>/dev/full', '2>/dev/full', '>&-', '2>&-', '<&-', '>&- 2>&-', '| head -c 1') for args in (('check', '.'),
                )),
    *(Case(f'output to {to}: train', classes, TRAIN, None, within=('sh', '-c', f'exec "$@" {to}', 'x'), cold=True) for to in ('>/dev/full',
          '| head -c 1')),
    *(Case(f'memory for {n} MB: {args[0]}', model(lambda folder: classes(folder.parent / 'photos')),
          LIMITED.format('AS', n * 1_000_000, args), 1, words=('not enough memory',), never=('Traceback',), quick=False, cold=True)
      for n in (1500, 2500) for args in (('check', 'photos'), ('predict', 'model', 'one.png'))),
    *(Case(f'{name} in a training', classes, midway(f'os.kill(os.getpid(), signal.{name})'), code, never=('Traceback',), absent='m',
          quick=False) for name, code in (('SIGTERM', 143), ('SIGHUP', 129))),
    Case('Ctrl-C in a training', classes, midway('os.kill(os.getpid(), signal.SIGINT)'), 130, words=('Stopped', 'Nothing was written'),
          never=('Traceback',), absent='m', quick=False),
    Case('SIGKILL in a training, then another', classes, f"""
import subprocess, sys
first = subprocess.run([sys.executable, '-c', {midway('os.kill(os.getpid(), signal.SIGKILL)')!r}], capture_output=True)
second = subprocess.run([sys.executable, '-m', 'easing_fastai', *{TRAIN}], capture_output=True, text=True)
import os; print(first.returncode, second.stdout[-99:], sorted(n for n in os.listdir() if n not in ('home', 'torch')), [n for n in os.listdir(os.environ.get('TMPDIR', '.'))])
""", 0, words=('-9', "['a', 'b', 'm']"), quick=False, limit=600),
    Case('5,000 classes: check', lambda folder: [images(folder / f'class_{i:04}', ['1.png'], 8) for i in range(5000)], ('check', '.'), None,
          words=('5,000 classes',), env={'COLUMNS': '20'}, quick=False),
    Case('2,000 classes: train', lambda folder: [images(folder / f'class_{i:04}', [f'{j}.png' for j in range(2)], 8) for i in range(2000)],
          (*TRAIN, '--bs', '256'), 0, words=('2,000 classes',), never=('class_1234',), quick=False),
]
UPLOADS = """
import io, os, zlib, json, sys
from dataclasses import asdict
from pathlib import Path
import numpy as np
from PIL import Image, ImageFile
from easing_fastai.serve.app import answer, as_batch
from easing_fastai.train.model import load_model, ModelError
from fault_cases import png, rows_of, ODD_NOTE, POSTSCRIPT, BROKEN_PNGS, many_scans, run_lengths
model = load_model('model')
os.mkdir('uploads'); os.chdir('uploads'); os.environ['GRADIO_TEMP_DIR'] = os.getcwd()
noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
exif = Image.Exif(); exif[0x0112] = 6
def save(name, image=noise, **how): image.save(name, **how)
"""
UPLOAD_KINDS = { # name of the file -> how it is made, what is said (None: a prediction, and the one of `predict`)
    'text.jpg': ("Path(name).write_text('Dear')", 'not an image'), 'empty.jpg': ('Path(name).touch()', 'not an image'),
          'folder.jpg': ('Path(name).mkdir()', 'was not uploaded'), 'gone.jpg': ('None', 'was not uploaded'),
                'pipe.jpg': ('os.mkfifo(name)', 'was not uploaded'), '../model.jpg': ('save(name)', 'was not uploaded'),
    'script.jpg': ('Path(name).write_bytes(POSTSCRIPT)', 'not an image'), 'page.svg': ("Path(name).write_text('<svg/>')", 'not an image'),
          'x.pdf': ("save(name, format='PDF')", 'not an image'),
    '40.jpg': ('save(name, noise.resize((7300, 5500)))', None), '51.png': ("save(name, Image.new('1', (10000, 5100)))", 'megapixels'),
          'bomb.png': ("Path(name).write_bytes(BROKEN_PNGS['a bomb'])", 'pixels'),
                'text bomb.png': ("Path(name).write_bytes(BROKEN_PNGS['a text that is a bomb'])", 'damaged'),
    'animated.gif': ('save(name, save_all=True, append_images=[noise.rotate(90)])', None),
          'animated.webp': ('save(name, save_all=True, append_images=[noise.rotate(90)])', None),
                'animated.png': ('save(name, save_all=True, append_images=[noise.rotate(90)])', None),
                      'pages.tif': ('save(name, save_all=True, append_images=[noise.rotate(90)])', None),
    'cmyk.jpg': ("save(name, noise.convert('CMYK'))", None), 'cmyk.tif': ("save(name, noise.convert('CMYK'))", None),
          'deep.png': ('save(name, Image.fromarray(np.arange(4800, dtype=np.uint16).reshape(60, 80)*13))', 'more than 8 bits'),
                'deep.tif': ('save(name, Image.fromarray(np.arange(4800, dtype=np.uint16).reshape(60, 80)))', 'more than 8 bits'),
                      'float.tif': ('save(name, Image.fromarray(np.linspace(0, 1, 4800, dtype=np.float32).reshape(60, 80)))', 'more than 8 bits'),
          'deep in name only.png': ('save(name, Image.fromarray(np.arange(4800, dtype=np.uint16).reshape(60, 80) % 256))', None),
    'alpha.png': ('save(name, Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 80, 4), dtype=np.uint8)))', None),
          'grey alpha.png': ("save(name, noise.convert('LA'))", None), 'palette.png': ("save(name, noise.convert('P'))", None),
                'transparent.gif': ("save(name, noise.convert('P'), transparency=3)", None),
                      'bits.png': ("save(name, noise.convert('1'))", None), 'lab.tif': ("save(name, noise.convert('LAB'))", None),
                            'ycc.tif': ("save(name, noise.convert('YCbCr'))", 'damaged'),
    'rotated.jpg': ('save(name, exif=exif)', None), 'rotated.png': ('save(name, exif=exif)', None),
          'rotated.webp': ('save(name, exif=exif)', None), 'bad exif.jpg': ("save(name, exif=b'Exif\\0\\0' + bytes(range(99)))", None),
                'note of an odd type.jpg': ('save(name, exif=ODD_NOTE)', None),
                'odd exif.jpg': ('exif.__setitem__(0x0112, 99) or save(name, exif=exif)', None),
                      'pixel.png': ('save(name, noise.crop((0, 0, 1, 1)))', None),
                            'line.png': ('save(name, noise.resize((5000, 1)))', None),
                                  'column.png': ('save(name, noise.resize((1, 5000)))', None),
                                        'thin.png': ('save(name, noise.resize((3000, 3)))', None),
    'cut.jpg': ('(save(name), Path(name).write_bytes(Path(name).read_bytes()[:2000]))', 'damaged'),
          'scans.jpg': ('Path(name).write_bytes(many_scans())', 'damaged'), 'cut.png': ("Path(name).write_bytes(BROKEN_PNGS['cut rows'])", 'damaged'), 'bmp.jpg': ("save(name, format='BMP')", ''),
                'x.bmp': ('save(name)', None), 'up.bmp': ('Path(name).write_bytes(run_lengths(20_000, 1))', 'damaged'),
                      'small.bmp': ('Path(name).write_bytes(run_lengths(60, 40))', None),
}


def upload(name: str, how: str, said: str | None, resize: str = 'squish') -> Case:
    check = f"""
name = {name!r}
{how}
text, found = answer({{'path': name, 'orig_name': '<b>' + name}}, model.predict, 0)
print(text, found)
assert '<b>' not in text and 'Traceback' not in text and '/tmp' not in text
if {said!r} is None:
    assert found and abs(sum(found.values()) - 1) < 1e-5
    x = as_batch(name, asdict(model.card))
    import torch
    from easing_fastai.train.model import checked_image, image2tensor
    image = model.resize(model.upright(checked_image(Path(name))), split_idx=1)
    theirs = ((image2tensor(image).float()/255 - model.mean)/model.std).numpy()
    print('apart', np.abs(x[0] - theirs).max())
    assert x.shape == (1, 3, 28, 28) and np.abs(x[0] - theirs).max() < 1e-4, 'the exported page sees another image'
else: assert {said!r} in text
"""
    return Case(f'upload {name} {resize}', field(resize=resize), UPLOADS + check, 0,
          env={'PYTHONPATH': os.pathsep.join([str(Path(__file__).parent), os.environ.get('PYTHONPATH', '')])})


def export(name: str) -> Case:
    def prepare(folder):
        model(lambda at: None)(folder)
        images(folder / 'full', ['1.png'])
        (folder / 'empty').mkdir()
        (folder / 'file').write_text('mine')
        os.symlink('full', folder / 'link')
        os.symlink('nowhere', folder / 'dangling')
        (folder / 'closed').mkdir()
        (folder / 'closed').chmod(0o500)
    return Case(f'--export {name!r:.20}', prepare, ('serve', 'model', '--export', name), words=('✗',),
          keeps='full/1.png file model/model.json model/model.safetensors', quick=False)


def data_set(change: Callable, make: str = 'from easing_fastai.assets.photographs import photo_sample; photo_sample()') -> Callable:
    def prepare(folder):
        shutil.copytree(made(make) / 'home', folder / 'home')
        change(folder / 'home/data')
    return prepare


PHOTOS = 'from easing_fastai.core import *\nfrom easing_fastai.assets.photographs import photo_sample\ntry: print(photo_sample())\nexcept RuntimeError as e: print("AssetError", e)'
DIGITS = 'from easing_fastai.core import mnist_sample\ntry: print(mnist_sample())\nexcept RuntimeError as e: print("AssetError", e)'
def first(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


ARCHIVE = """
import io, os, shutil, sys, tarfile, zipfile
from pathlib import Path
from easing_fastai.assets.datasets import extract
from easing_fastai.assets.network import AssetError
def tar(*members):
    with tarfile.open('a.tgz', 'w:gz') as t:
        for name, kind, content in members:
            info = tarfile.TarInfo(name); info.type = kind
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE): info.linkname = content
            else: info.size = len(content)
            t.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return Path('a.tgz')
def zipped(*members, mode=0o644, **how):
    with zipfile.ZipFile('a.zip', 'w', **how) as z:
        for name, content in members:
            info = zipfile.ZipInfo(name); info.external_attr = mode << 16
            z.writestr(info, content)
    return Path('a.zip')
def changed(file, at, to):
    content = bytearray(file.read_bytes()); content[at:at + len(to)] = to; file.write_bytes(content); return file
R, L, H, C, F = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE
os.mkdir('in'); Path('out').write_text('mine')
try: extract({0}, Path('in'), 'the server')
except AssetError as e: print('AssetError', e)
print(Path('out').read_text() == 'mine' and 'kept', [str(p) for p in Path('in').rglob('*')], [os.path.realpath(p) for p in Path('in').rglob('*') if p.is_symlink()])
for p in Path('in').rglob('*'): assert os.path.realpath(p).startswith(os.path.realpath('in')), p
"""
CASES += [
    *(upload(name, how, said, resize) for resize in ('squish', 'middle') for name,
          (how, said) in UPLOAD_KINDS.items() if resize == 'squish' or said is None),
    *(export(name) for name in ('full', 'file', 'link', 'dangling', '.', '', '/', 'closed/x', 'file/x', '/dev/null', '/proc/x', 'x' * 300,
          '~nosuchuser/x', 'model', 'full/1.png')),
    *(Case(f'serve {" ".join(args)}', model(lambda folder: (os.mkfifo(folder.parent / 'pipe'), (folder.parent / 'empty').mkdir())),
          ('serve', 'model', *args), None, words=words) for args, words in (
        (('--examples', 'pipe'), ('pipe',)), (('--examples', 'empty'), ('no images',)), (('--examples', 'one.png'), ('is a file',)),
        (('--host', '256.1.1.1'), ('no address',)), (('--host', ''), ('✗',)), (('--host', 'x' * 300), ('✗',)),
        (('--host', '\x1b[31m'), ('✗',)),
        (('--port', '80'), ('80',)), (('--port', 'x'), ('port',)), (('--port', '70000'), ('port',)),
        (('--threshold', 'nan'), ('threshold',)), (('--threshold', '-1'), ('threshold',))) if args[-1] != '80' or os.geteuid()),
    *(Case(f'photographs: {what}', data_set(change), PHOTOS, 0, words=words) for what, change, words in (
        ('an image less', lambda d: first(d, '*/train/sky/*').unlink(), ('AssetError', 'damaged')),
        ('a class less', lambda d: shutil.rmtree(d / 'photo_patches/val/sky'), ('AssetError', 'damaged')),
        ('an image of 0 bytes', lambda d: first(d, '*/train/sky/*').write_bytes(b''), ('AssetError', 'broken')),
        ('an image cut off', lambda d: (lambda f: f.write_bytes(f.read_bytes()[:99]))(first(d, '*/train/sky/*')), ('AssetError', 'broken')),
        ('a link to nowhere', lambda d: (lambda f: (f.unlink(), f.symlink_to('/nowhere')))(first(d, '*/train/sky/*')), ('AssetError',)),
        ('a pipe', lambda d: (lambda f: (f.unlink(), os.mkfifo(f)))(first(d, '*/train/sky/*')), ('AssetError',)),
        ('a device', lambda d: (lambda f: (f.unlink(), f.symlink_to('/dev/zero')))(first(d, '*/train/sky/*')), ('AssetError',)),
        ('closed', lambda d: first(d, '*/train/sky/*').chmod(0), ('AssetError',)),
        ('PostScript', lambda d: first(d, '*/train/sky/*').write_bytes(POSTSCRIPT), ('AssetError',)),
        ('a file in place of the folder', lambda d: (shutil.rmtree(d / 'photo_patches'), (d / 'photo_patches').write_text('x')),
        ('AssetError',)), ('a link in place of the folder', lambda d: (shutil.rmtree(d / 'photo_patches'),
        (d / 'photo_patches').symlink_to('/nowhere')), ()), ('ants and bees that are empty', lambda d: (d / 'hymenoptera_data').mkdir(),
        ('AssetError', 'hymenoptera_data')),
        ('ants and bees that are patches', lambda d: (d / 'photo_patches').rename(d / 'hymenoptera_data'),
        ('AssetError', 'hymenoptera_data')), ('a half download', lambda d: (d / '.hymenoptera_data-x-1-y').mkdir(), ('photo_patches',)),
        ('an image more', lambda d: images(d / 'photo_patches/train/sky', ['more.png']), ('AssetError', 'holds 34 of 33')),
        ('read-only', lambda d: [p.chmod(0o500) for p in (d, d / 'photo_patches')], ('photo_patches',)))),
    *(Case(f'digits: {what}', data_set(change, MAKE), DIGITS, 0, words=words) for what, change, words in (
        ('a class more', lambda d: images(d / 'digits_sample/train/5', ['x.png']), ('AssetError', 'train/5/x.png does not belong there')),
        ('an image of another ending more', lambda d: images(d / 'digits_sample/train/3', ['zz.bmp']), ('AssetError', 'train/3 holds')),
        ('an image that is another', lambda d: (lambda f: Image.open(f).transpose(Image.Transpose.ROTATE_180).save(f))(
            first(d, '*/train/3/*')), ('AssetError', 'its images are not those of digits_sample')),
        ('an image less', lambda d: first(d, '*/train/3/*').unlink(), ('AssetError', 'damaged')),
        ('a link to nowhere', lambda d: (lambda f: (f.unlink(), f.symlink_to('/nowhere')))(first(d, '*/train/3/*')), ('AssetError',)),
        ('a file in place of the folder', lambda d: (shutil.rmtree(d / 'digits_sample'), (d / 'digits_sample').write_text('x')),
        ('AssetError',)),
        ('labels.csv is a pipe', lambda d: ((d / 'digits_sample/labels.csv').unlink(), os.mkfifo(d / 'digits_sample/labels.csv')),
        ('AssetError',)), ('labels.csv is binary', lambda d: (d / 'digits_sample/labels.csv').write_bytes(bytes(range(256))),
        ('AssetError',)), ('a device', lambda d: (lambda f: (f.unlink(), f.symlink_to('/dev/zero')))(first(d, '*/train/3/*')),
        ('AssetError',)),
        ('mnist_sample that is digits_sample', lambda d: (d / 'digits_sample').rename(d / 'mnist_sample'), ('AssetError',)),
        ('mnist_sample is a link to nowhere', lambda d: (d / 'mnist_sample').symlink_to('/nowhere'), ()),
        ('mnist_sample is empty', lambda d: (d / 'mnist_sample').mkdir(), ('AssetError',)),
        ('closed', lambda d: (d / 'digits_sample').chmod(0), ('AssetError',)))),
    *(Case(f'archive: {what}', nothing, ARCHIVE.replace('{0}', archive), 0, words=words) for what, archive, words in (
        ('a name above', "tar(('../out', R, b'theirs'))", ('kept',)), ('an absolute name', "tar((os.path.abspath('out'), R, b'theirs'))",
        ('kept',)), ('a link above', "tar(('l', L, '../out'), ('l', R, b'theirs'))", ('kept',)),
        ('a link to /', "tar(('l', L, '/'))", ('kept',)), ('a hard link above', "tar(('l', H, '../out'))", ('kept',)),
        ('a device', "tar(('d', C, b''))", ('kept',)), ('a pipe', "tar(('p', F, b''))", ('kept',)),
        ('links in a circle', "tar(('a', L, 'b'), ('b', L, 'a'), ('a/x', R, b'1'))", ('kept',)),
        ('a folder that is a link', "tar(('d', L, '..'), ('d/out', R, b'theirs'))", ('kept',)),
        ('half of it', "(lambda f: (f.write_bytes(f.read_bytes()[:60]), f)[1])(tar(('x', R, os.urandom(9999))))", ('AssetError', 'kept')),
        ('nothing', "Path('a.tgz').touch() or Path('a.tgz')", ('AssetError', 'kept')),
        ('text', "Path('a.tgz').write_text('x') and Path('a.tgz')", ('AssetError', 'kept')),
        ('a zip with a name above', "zipped(('../out', 'theirs'))", ('kept',)),
        ('a zip with an absolute name', "zipped((os.path.abspath('out'), 'theirs'))", ('kept',)),
        ('a zip with a link', "zipped(('l', '../out'), mode=0o120777)", ('kept',)),
        ('a zip cut off', "(lambda f: (f.write_bytes(f.read_bytes()[:60]), f)[1])(zipped(('x', os.urandom(999))))", ('AssetError', 'kept')),
        ('a zip that is text', "Path('a.zip').write_text('x') and Path('a.zip')", ('AssetError', 'kept')),
        ('a zip with a wrong byte', "changed(zipped(('x', b'0'*999)), 99, b'1')", ('AssetError', 'kept')),
        ('an encrypted zip', "(lambda f: changed(changed(f, 6, b'\\1'), f.read_bytes().index(b'PK\\1\\2') + 8, b'\\1'))(zipped(('x', b'0'*999)))", ('AssetError', 'kept')), ('a zip packed in another way', "(lambda f: changed(changed(f, 8, b'\\x63'), f.read_bytes().index(b'PK\\1\\2') + 10, b'\\x63'))(zipped(('x', b'0'*999)))", ('AssetError', 'kept')), ('a zip with a long name', "zipped(('x'*300, 'y'))", ('kept',)), ('a zip with a folder for a file', "zipped(('x', 'y'), ('x/y', 'z'))", ('kept',)), ('a zip with a zero byte in a name', "changed(zipped(('xxxx', 'y')), 32, b'\\0')", ('kept',)))),
    *(Case(f'weights that are {what}: {args[0]}', lambda folder, make=make: (classes(folder),
          (folder / 'torch/hub/checkpoints').mkdir(parents=True), make(folder / 'torch/hub/checkpoints/resnet18-f37072fd.pth')), args, 1,
          words=('resnet18-f37072fd.pth',), never=('Traceback',)) for what, make in (
        ('a folder', lambda f: f.mkdir()), ('a pipe', lambda f: os.mkfifo(f)), ('nothing', lambda f: f.touch()),
        ('closed', lambda f: (f.write_text('x'), f.chmod(0))), ('a device', lambda f: f.symlink_to('/dev/zero')),
        ('text', lambda f: f.write_text('x'))) for args in (('doctor',), ('train', '.', '--epochs', '1', '--out', 'm'))),
    Case('weights that lead nowhere: doctor', lambda folder: ((folder / 'torch/hub/checkpoints').mkdir(parents=True),
          (folder / 'torch/hub/checkpoints/resnet18-f37072fd.pth').symlink_to('/nowhere')), ('doctor',), None),
]
