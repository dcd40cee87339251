"""Faults and bad input against the command line and the library, each in a process of its own: `make faults`.

A case is a row of CASES: what happens, what is prepared, what is run, and what must be seen. Bounded in time, nothing but
loopback. `python tests/faults.py --sample` runs the quick ones; it prints `N passed, N failed`, and the exit code is 1 if any failed.
"""
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

RNG = np.random.default_rng(3)


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
    absent: str = ''                   # a file that must not be there
    quick: bool = True                 # part of the sample


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


POSTSCRIPT = (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\n'
              b'(it_ran) (w) file closefile\nshowpage\n')


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
        done = subprocess.run([sys.executable, '-c', MODEL, str(folder / 'model')], env=environment(folder), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        images(folder, ['one.png'])
        change(folder / 'model')
    return prepare


MODEL = """
import sys
from hashlib import sha256
from pathlib import Path
from easing_fastai.train.model import *
from fastai.vision.learner import create_vision_model
from easing_fastai.train.fit import architecture
data = packed_weights(create_vision_model(architecture('digits_resnet18'), 2, pretrained=False), ['a', 'b'])
card = ModelCard('digits_resnet18', ['a', 'b'], size=28, accuracy=0.5, n_train=9, n_valid=3, epochs=1, seed=1, layout='folders',
                 weights_sha256=sha256(data).hexdigest())
write_model(Path(sys.argv[1]), card, data, {})
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
        done = subprocess.run([sys.executable, '-c', MAKE], env=environment(folder), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        file = sorted((folder / 'home/data/digits_sample').glob(name))[0]
        content = bytearray(file.read_bytes())
        content[at] ^= 1
        file.write_bytes(content)
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
TRAIN = ('train', '.', '--epochs', '1', '--out', 'm')
NO_LABELS = ('no labels',)

CASES = [
    # nothing runs
    Case('a program as weights: doctor', program_as('resnet18-f37072fd.pth'), ('doctor',), **WEIGHTS),
    Case('a program as weights: train', program_as('resnet18-f37072fd.pth'), TRAIN, **WEIGHTS),
    Case('a program as weights: download', program_as('resnet18-f37072fd.pth'), ('download',), env=ONLINE, **WEIGHTS),
    Case('a program as weights: train --arch', program_as('squeezenet1_0-b66bff10.pth'), (*TRAIN, '--arch', 'squeezenet1_0'), **WEIGHTS),
    Case('a program as weights: backbone()', program_as('resnet18-f37072fd.pth'), 'from easing_fastai.core import backbone; backbone()', **WEIGHTS),
    Case('a program as a model', model(lambda folder: (folder / 'model.safetensors').write_bytes(pickle.dumps(Program(folder.parent / 'it_ran')))),
         ('predict', 'model', 'one.png'), words=('no safetensors file',), absent='it_ran'),
    *(Case(f'PostScript as {name}: check', classes_and(f'a/{name}', POSTSCRIPT), ('check', '.'), words=(name, 'cannot be read here'), absent='it_ran')
      for name in ('x.jpg', 'x.png', 'x.tif', 'x.gif')),
    Case('PostScript: predict', model(lambda folder: (folder.parent / 'x.jpg').write_bytes(POSTSCRIPT)), ('predict', 'model', 'x.jpg'),
         words=('x.jpg is not an image',), absent='it_ran'),
    *(Case(f'an own {name}', own(name), ('check', '.'), 0, never=('was imported',)) for name in ('random.py', 'typing.py', 'rich.py', 'torch.py', 'fastai.py')),
    Case('an own fastai.py is named', own('fastai.py'), ('doctor',), 0, words=('fastai.py', 'rename'), never=('was imported',)),
    # nothing is lost
    *(Case(f'a foreign model.json: {text[:20]}', model_json(text), ('train', 'photos', '--epochs', '1', '--out', 'mine'), words=('mine', '--out'),
           keeps='mine/index.html') for text in ('{"format": "layers-model"}', 'no JSON', '[]', '{"made_by": "easing-fastai train"}', '{"format": 1}', 'null')),
    Case('--out .', lambda folder: classes(folder / 'photos'), ('train', 'photos', '--epochs', '1', '--out', '.'), words=('working folder', '--out')),
    Case('--out is a file', classes_and('m', b'mine'), TRAIN, words=('no folder', '--out'), keeps='m'),
    Case('--out ~nosuchuser', classes, ('train', '.', '--out', '~nosuchuser/m'), words=('no such home folder',)),
    Case('--out under a file', classes_and('f', b'mine'), ('train', '.', '--epochs', '1', '--out', 'f/m'), None, words=('✗',), keeps='f'),
    Case('train . twice', classes, f"""
import subprocess, sys
for _ in range(2): print(subprocess.run([sys.executable, '-m', 'easing_fastai', *{TRAIN}], capture_output=True, text=True).stdout)
""", 0, words=('classes: a, b',), never=('classes: a, b, m',), quick=False),
    # no success that is none
    *(Case(f'numbers are no labels: {pattern}', numbered(pattern), ('check', '.'), words=NO_LABELS)
      for pattern in ('{:03}.png', '{}.png', '2023-01-{:04}.png', '({}).png')),
    *(Case(f'a table that cannot be read: {what}', table(content), TRAIN, words=('labels.csv', 'cannot be read'))
      for what, content in {'cp1252': rows(b'caf\xe9'), 'UTF-16': rows().decode().encode('utf-16'), 'binary': bytes(range(256)) * 9,
                            'quotes': b'name,label\n' + b'1.png,"cat\n' * 20, 'columns': b'name,label\n1.png,cat,x,y\n2.png,dog\n'}.items()),
    Case('an unreadable table beside classes', classes_and('labels.csv', rows(b'caf\xe9')), TRAIN, words=('labels.csv', 'encoding=')),
    Case('train is empty', lambda folder: (classes(folder / 'valid'), (folder / 'train').mkdir()), TRAIN, words=('train holds no images',)),
    Case('train has empty classes', lambda folder: (classes(folder / 'test'), (folder / 'train/a').mkdir(parents=True)), TRAIN, words=('train holds no images',)),
    *(Case(f'a card with {name} {value!r:.20}', field(**{name: value}), ('predict', 'model', 'one.png'), words=('model.json', name), quick=False)
      for name, value in (('labels', ['a', 'a']), ('labels', ['a']), ('labels', 'ab'), ('accuracy', '1'), ('accuracy', 2), ('n_train', -1), ('n_valid', 1.5),
                          ('epochs', None), ('seed', 'x'), ('layout', 3), ('weights_sha256', 'x'), ('versions', []), ('versions', {'a': 1}), ('size', True),
                          ('size', 0), ('std', [0, 1, 1]), ('mean', [1, 2]), ('format', True), ('format', 2), ('made_by', 'me'), ('arch', 7), ('resize', 'crop'))),
    Case('labels that were swapped', field(labels=['b', 'a']), ('predict', 'model', 'one.png'), words=('written with the labels', 'in this order'), quick=False),
    *(Case(f'prove_equal of {x}', nothing, PROVE.format(x), 0, words=('refused',)) for x in ('None', '[None]', '[]', '{}', 'object()', '{1, 2}', 'b"1"')),
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
    *(Case(f'a pipe named {name}', classes_and(name, pipe=True), ('check', '.'), None, words=(name.rpartition('/')[2],)) for name in ('labels.csv', 'a/x.png', 'table.tsv')),
    *(Case(f'a pipe named {name} in a model', pipe_for(name), ('predict', 'model', 'one.png'), words=(name, 'no file')) for name in ('model.json', 'model.safetensors')),
    *(Case(f'links: {to}', lambda folder, to=to: links(folder, to), ('check', '.'), words=('link',)) for to in (
        {'a/up': ''}, {'a/up': '', 'b/up': ''}, {'a/x': 'b', 'b/x': 'a'}, {'a/root': '/'}, {'a/self': 'a/self'}, {'c': 'a', 'd': 'a'},
        {f'{c}/{i}': f'{"ab"[i % 2]}' for c in 'ab' for i in range(9)})),
    # no traceback
    *(Case(f'output as {encoding}: {args[0]}', classes, args, None, never=('UnicodeEncodeError',), env={'PYTHONIOENCODING': encoding, 'PYTHONUTF8': '0'})
      for encoding in ('cp1252', 'ascii', 'latin-1') for args in (('check', '.'), ('doctor',), ('check', 'nowhere'))),
    *(Case(f'a place that is not there: {path[:20]!r}', nothing, ('check', path), words=('✗',)) for path in ('nowhere', '~nosuchuser/x', 'x' * 300, '[red]x[/red]', '/dev/null')),
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
    *(Case(f'proxy {name}', nothing, ('download',), words=('could not be downloaded',), env={**ONLINE, 'http_proxy': proxy, 'https_proxy': proxy})
      for name, proxy in {  # names that are the same in each process, which a port is not
          'where nobody listens': DEAD, 'port 99999': 'http://127.0.0.1:99999', 'nonsense': 'nonsense', 'http://[::1': 'http://[::1',
          '127.0.0.1:x': '127.0.0.1:x'}.items()),
    Case('an odd MPLBACKEND', classes, TRAIN, 0, env={'MPLBACKEND': 'nonsense'}, quick=False),
]


def environment(folder: Path, env: dict | None = None) -> dict[str, str]:
    return {**os.environ, 'FASTAI_HOME': str(folder / 'home'), 'TORCH_HOME': str(folder / 'torch'), 'OMP_NUM_THREADS': '1',
            'EASING_FASTAI_OFFLINE': '1', 'COLUMNS': '300', **(env or {})}


def failure(case: Case, start: Callable) -> str | None:
    "What is wrong after a case; None if it went as it should."
    folder = Path(tempfile.mkdtemp(prefix='easing-fastai-faults-'))
    try:
        case.prepare(folder)
        kept = case.keeps and (folder / case.keeps).read_bytes()
        args = ('-c', case.args) if isinstance(case.args, str) else ('-m', 'easing_fastai', *case.args)
        try:
            code, text = start(args, folder, environment(folder, case.env))
        except subprocess.TimeoutExpired:
            return 'it took too long'
        if isinstance(case.args, tuple) and ('Traceback' in text or '❱' in text):
            return f'a traceback: {text[-300:]}'
        if case.code is not None and code != case.code:
            return f'exit code {code}: {text[-300:]}'
        if missing := [word for word in case.words if word not in text]:
            return f'not said: {missing}: {text[-300:]}'
        if wrong := [word for word in case.never if word in text]:
            return f'said: {wrong}'
        if case.keeps and (folder / case.keeps).read_bytes() != kept:
            return f'{case.keeps} is lost'
        return f'{case.absent} is there' if case.absent and (folder / case.absent).exists() else None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start_process(args: tuple, cwd: Path, env: dict) -> tuple[int, str]:
    "Exit code and all that was said."
    done = subprocess.run([sys.executable, *args], cwd=cwd, env=env, capture_output=True, timeout=180)
    return done.returncode, ' '.join((done.stdout + done.stderr).decode('utf-8', 'replace').split())


def sample(n: int) -> list[Case]:
    "So many of the quick cases, always the same, of all kinds."
    quick = [case for case in CASES if case.quick]
    return sorted(quick, key=lambda case: zlib.crc32(case.name.encode()))[:n]


def main():
    cases = sample(60) if '--sample' in sys.argv else CASES
    wanted = [arg for arg in sys.argv[1:] if not arg.startswith('--')]
    failed = 0
    cases = [case for case in cases if not wanted or any(word in case.name for word in wanted)]
    for case in cases:
        if wrong := failure(case, start_process):
            failed += 1
            print(f'BAD  {case.name}: {wrong}', flush=True)
        else:
            print(f'ok   {case.name}', flush=True)
    print(f'{len(cases) - failed} passed, {failed} failed')
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
