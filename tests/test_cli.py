"The command line, as a process of its own."
import ast
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from conftest import REPO, cold_start, command, easing_fastai, start

HANGS = 600  # seconds, after which a process will never end


def test_every_command_has_a_summary_that_fits(monkeypatch):
    monkeypatch.setenv('COLUMNS', '80')
    code, output = command('--help')
    commands = output.partition('Commands: ')[2]
    assert code == 0 and '...' not in commands
    for name in ('doctor', 'download', 'run', 'lab', 'check', 'train', 'predict', 'serve', 'bench'):
        assert name in commands.split()


@pytest.mark.long
def test_version_and_completion():
    from easing_fastai import __version__

    assert command('--version') == (0, f'easing-fastai {__version__}')
    done = start('-c', "import sys; sys.argv = ['easing-fastai']; from easing_fastai.cli import main; main()",
                 _EASING_FASTAI_COMPLETE='complete_bash', COMP_WORDS='easing-fastai do', COMP_CWORD='1')
    assert done.stdout.split() == ['doctor', 'download'], done.stdout + done.stderr


@pytest.mark.skipif(os.name == 'nt' or os.geteuid() != 0, reason='for root')
def test_lab_as_root(tmp_path, monkeypatch):
    monkeypatch.setenv('JUPYTER_CONFIG_DIR', str(tmp_path / 'none'))
    code, output = command('lab', tmp_path / 'mine')
    assert code == 1 and '--allow-root' in output and list(tmp_path.iterdir()) == []


def test_lab_again_after_a_start_that_failed(tmp_path, monkeypatch):
    from easing_fastai import cli
    from easing_fastai.dev.lab import lab_notebooks

    monkeypatch.setenv('JUPYTER_DATA_DIR', str(tmp_path / 'data'))
    monkeypatch.setattr(cli.subprocess, 'call', lambda *args: 1)
    mine = tmp_path / 'mine'
    for _ in range(2):
        code, output = command('lab', '--allow-root', mine)
        assert code == 1 and 'Your notebooks' in output, output
    assert {file.name: file.read_text(encoding='utf-8') for file in mine.iterdir()} == lab_notebooks()
    code, output = command('lab', '--allow-root', mine, '--outputs')
    assert code == 1 and 'nothing of yours is overwritten' in output, 'other outputs are not what was asked for'


def test_doctor(digits):
    done = easing_fastai('doctor')
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Ready.' in done.stdout and 'torchvision' in done.stdout


@pytest.mark.long
@pytest.mark.parametrize('package, error, advice', [
    ('torchvision', "RuntimeError('operator torchvision::nms does not exist')", '--force-reinstall torch torchvision'),
    ('fastai', "ImportError('cannot import name x')", '--force-reinstall fastai'),
])
def test_doctor_on_a_broken_installation(tmp_path, package, error, advice):
    (tmp_path / f'{package}.py').write_text(f'raise {error}\n')
    done = cold_start('-m', 'easing_fastai', 'doctor', PYTHONPATH=f'{tmp_path}{os.pathsep}{REPO}', COLUMNS='200')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert advice in done.stdout and 'Training cannot work yet' in done.stderr


def test_download_says_what_it_could_not_get():
    done = easing_fastai('download', HTTP_PROXY='http://127.0.0.1:9', HTTPS_PROXY='http://127.0.0.1:9',
                         http_proxy='http://127.0.0.1:9', https_proxy='http://127.0.0.1:9', COLUMNS='300')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'MNIST_SAMPLE could not be downloaded' in done.stderr and 'The weights of resnet18, resnet18-f37072fd.pth, could not be downloaded' in done.stderr


def test_download_with_everything_there(tmp_path):
    code = """
from easing_fastai.assets import datasets as assets
from easing_fastai.assets import backbone as pretrained
from easing_fastai.assets import photographs
import sys
photographs.download_photographs = lambda: assets.data_folder()/'hymenoptera_data'
assets.download_mnist_sample = lambda: assets.data_folder()/'mnist_sample'
pretrained.download_resnet18 = pretrained.resnet18_file
sys.argv = ['easing-fastai', 'download']
from easing_fastai.cli import main
main()
"""
    done = start('-c', code)
    assert done.returncode == 0 and done.stdout.count('✓') == 3


@pytest.mark.parametrize('asked, wrong', [(['77'], '77'), (['05_fine_tun'], '05_fine_tun'), (['05_wrong', '05'], '05_wrong'), ([''], "''")])
def test_run_an_unknown_chapter(asked, wrong):
    code, output = command('run', '--', *asked)
    assert code == 2 and f'There is no chapter {wrong}. There are: 00_environment, 01_mnist' in output


def test_run_where_no_folder_can_be_made(tmp_path):
    (tmp_path / 'a_file').write_text('in the way')
    done = easing_fastai('run', '00', '--out', str(tmp_path / 'a_file'))
    assert done.returncode == 1 and 'Choose another place with --out' in ' '.join(done.stderr.split())
    assert (tmp_path / 'a_file').read_text() == 'in the way'


def test_run_without_the_extra():
    code = """
import easing_fastai.cli as cli, sys
cli.find_spec = lambda name: None
sys.argv = ['easing-fastai', 'run']
cli.main()
"""
    done = start('-c', code)
    assert done.returncode == 1 and 'pip install "easing_fastai[lab]"' in ' '.join(done.stderr.split())


@pytest.mark.parametrize('args, words', [
    (['lab', '--allow-root', 'x' * 300], 'The notebooks could not be copied to'),
    (['predict', 'x' * 300, 'a.png'], 'cannot be read: File name too long'),
    (['train', '.', '--seed', '9' * 23], '--seed'),
    (['train', '.', '--seed', '-1'], '--seed'),
])
def test_what_cannot_be(tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    code, output = command(*args)
    assert code in (1, 2) and words in output
    assert list(tmp_path.iterdir()) == []


def test_a_sentence_ends_before_the_next(tmp_path, monkeypatch):
    (tmp_path / 'a.png').touch()
    for args in (['train', tmp_path / 'a.png', '--out', tmp_path / 'm'], ['check', tmp_path / 'a.png']):
        code, output = command(*args)
        assert code == 1 and re.search(rf'lies in: {tmp_path}\. Nothing was \w+\.$', output), output
    monkeypatch.setenv('EASING_FASTAI_OFFLINE', '1')
    code, output = command('download')
    assert code == 1 and 'so there is no network. Nothing of' not in output and '..' not in output.replace('...', '')


def test_each_part_of_what_commands_complain_of_is_a_sentence():
    "One that begins small would follow a full stop."
    calls = [node for node in ast.walk(ast.parse((REPO / 'easing_fastai' / 'cli.py').read_text(encoding='utf-8')))
             if isinstance(node, ast.Call) and getattr(node.func, 'id', '') in ('fail', 'complain')]
    begins = [ast.unparse(argument)[:30] for call in calls for argument in call.args[1:]
              if isinstance(argument, ast.Constant) and not argument.value[0].isupper()]
    assert len(calls) > 15 and not begins


@pytest.mark.parametrize('args, words', [
    (['serve', 'MODEL', '--html', 'a.html', '--examples', '.'], '--examples would change nothing'),
    (['serve', 'MODEL', '--html', 'a.html', '--export', 'a', '--host', '0.0.0.0', '--port', '80'], '--host and --port would change nothing'),
    (['bench', '--photos', '--out', 'a.png', '--no-large'], '--large and --out would change nothing'),
])
def test_options_that_would_change_nothing(tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    code, output = command(*args)
    assert code == 2 and words in output and list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_kernel_that_does_not_start(tmp_path):
    (tmp_path / 'ipykernel').mkdir()
    (tmp_path / 'ipykernel' / '__init__.py').write_text("raise ImportError('half of it is missing')\n")
    done = cold_start('-m', 'easing_fastai', 'run', '00', '01', '--out', str(tmp_path / 'runs'), PYTHONPATH=f'{tmp_path}{os.pathsep}{REPO}', COLUMNS='400')
    assert done.returncode == 1 and 'Traceback' not in done.stderr and 'atexit' not in done.stderr
    assert done.stderr.count('did not start: ImportError: half of it is missing.') == 1
    assert 'pip install --force-reinstall ipykernel' in done.stderr


@pytest.fixture
def two_chapters(tmp_path):
    "A folder of two small chapters, the second of which fails, and the code that makes `run` take them."
    import nbformat

    cell = nbformat.v4.new_code_cell
    for name, cells in {'00_good': ["#| label: key-result\nprint('all is well')"], '01_bad': ['x = 1', 'x/0']}.items():
        nbformat.write(nbformat.v4.new_notebook(cells=[cell(source) for source in cells]), tmp_path / f'{name}.ipynb')
    code = f"""
from pathlib import Path
from easing_fastai.dev import run as pages
import sys
pages.notebooks_folder = lambda: Path({str(tmp_path)!r})
from easing_fastai.cli import main
sys.argv = ['easing-fastai', 'run', '--out', {str(tmp_path / 'runs')!r}]
main()
"""
    return tmp_path, code


def test_run_makes_pages_and_tells_which_cell_failed(two_chapters):
    folder, code = two_chapters
    before = (folder / '01_bad.ipynb').read_bytes()
    done = start('-c', code, COLUMNS='100')
    assert done.returncode == 1, done.stdout + done.stderr
    assert 'all is well' in done.stdout and 'ZeroDivisionError: division by zero' in done.stdout and 'x/0' in done.stdout
    for line in ('00_good: all is well', '01_bad: ZeroDivisionError: division by zero'):  # in a pipe there are no bars
        assert len(re.findall(rf'^{line}, \d+ s$', done.stdout, flags=re.M)) == 1
    made = next((folder / 'runs').iterdir())
    assert {p.name for p in made.iterdir()} == {'index.html', '00_good.html', '00_good.ipynb', '01_bad.html', '01_bad.ipynb'}
    assert str(made / 'index.html') in done.stdout
    assert (folder / '01_bad.ipynb').read_bytes() == before


@pytest.mark.long
def test_ctrl_c_in_a_chapter(two_chapters):
    folder, code = two_chapters
    import nbformat

    waits = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(300)"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(waits)]), folder / '00_good.ipynb')
    code = 'import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n' + code  # make in the background ignores it
    process = subprocess.Popen([sys.executable, '-c', code], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (pid := next(folder.glob('runs/*/pid'), None)) or not pid.read_text():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=HANGS)
    assert process.returncode != 0 and 'Traceback' not in err and 'Stopped' in err
    while psutil.pid_exists(int(pid.read_text())):  # the kernel ends, too
        time.sleep(0.1)


@pytest.mark.long
@pytest.mark.skipif(os.name == 'nt', reason='signals')
@pytest.mark.parametrize('step', ['start_new_kernel', 'start_new_kernel_client'])
def test_ctrl_c_while_the_kernel_starts(two_chapters, step):
    folder, code = two_chapters
    early = f"""
import signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from nbclient import NotebookClient
usual = NotebookClient.{step}
def interrupted(*args, **kwargs):
    time.sleep(0.2)  # until the command waits
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    time.sleep(0.2)
    return usual(*args, **kwargs)
NotebookClient.{step} = interrupted
"""
    done = start('-c', early + code)
    assert done.returncode == 130 and 'Stopped' in done.stderr
    assert 'Traceback' not in done.stderr and 'atexit' not in done.stderr, done.stderr
    assert [p.name for p in folder.glob('runs/*/*')] == ['index.html']


@pytest.mark.long
def test_ctrl_c_in_a_download(tmp_path):
    with socket.create_server(('127.0.0.1', 0)) as silent:
        code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from easing_fastai.assets import datasets as assets
assets.URLs.MNIST_SAMPLE = 'http://127.0.0.1:{silent.getsockname()[1]}/mnist_sample.tgz'
sys.argv = ['easing-fastai', 'download']
from easing_fastai.cli import main
main()
"""
        process = subprocess.Popen([sys.executable, '-c', code], env={**os.environ, 'FASTAI_HOME': str(tmp_path), 'EASING_FASTAI_OFFLINE': '0'},
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        silent.settimeout(HANGS)
        connection, _ = silent.accept()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=HANGS)
        connection.close()
    assert process.returncode == 130 and 'Nothing of MNIST_SAMPLE was kept' in err and 'Traceback' not in err
    assert list((tmp_path / 'data').glob('*')) == []


@pytest.mark.long
@pytest.mark.skipif(not shutil.which('mount') or os.name != 'posix' or os.geteuid() != 0, reason='a full disk takes root to make')
@pytest.mark.parametrize('what', ['run', 'lab', 'data'])
def test_a_full_disk(two_chapters, what):
    folder, run = two_chapters
    full = folder / 'full'
    full.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', str(full)]).returncode:
        pytest.skip('no tmpfs may be mounted here')
    try:
        (full / 'filler').write_bytes(b'x' * 40_000)
        if what == 'run':
            done = start('-c', run.replace(str(folder / 'runs'), str(full)))
        elif what == 'lab':
            done = easing_fastai('lab', '--allow-root', str(full / 'notebooks'))
        else:
            done = start('-c', 'from easing_fastai.core import *; mnist_sample()', FASTAI_HOME=str(full))
            assert 'could be written' in done.stderr and 'FASTAI_HOME' in done.stderr
        assert 'No space left' in ' '.join(done.stderr.split())
        assert 'Traceback' not in done.stderr or what == 'data'
        assert done.returncode == 1
        assert not [p for p in full.rglob('*') if 'digits_sample' in p.name or p.name == 'notebooks']
        if what == 'run':
            assert not list(full.rglob('.*')), 'an unfinished page stays'
            assert all(page.read_text().rstrip().endswith('</html>') for page in full.rglob('*.html'))
    finally:
        subprocess.run(['umount', str(full)], check=True)


@pytest.mark.long
@pytest.mark.parametrize('env', [{'NO_COLOR': '1', 'TERM': 'dumb'}, {'COLUMNS': '40'}])
def test_poor_terminals(two_chapters, env):
    folder, code = two_chapters
    done = start('-c', code, **env)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'ZeroDivisionError' in done.stdout and '\x1b' not in done.stdout


def test_python_dash_m_is_the_command():
    assert 'easing-fastai' in (REPO / 'settings.ini').read_text()
    assert easing_fastai('run', '--help').returncode == 0


@pytest.mark.long
def test_bench_offline(tmp_path, digits):
    out = tmp_path / 'bench.png'
    done = easing_fastai('bench', '--repeats', '1', '--out', str(out), COLUMNS='80', OMP_NUM_THREADS='1')
    assert done.returncode == 0, done.stderr
    assert 'digits_sample; ' in done.stdout and 'cores' in done.stdout and 'digits_resnet18, fine_tune(1)' in done.stdout
    assert all(re.search(f'^ *{way} ', done.stdout, flags=re.M) for way in ('fastai', 'in memory', 'fast', 'bare loop')), done.stdout
    assert out.read_bytes().startswith(b'\x89PNG') and [p.name for p in tmp_path.iterdir()] == ['bench.png']


@pytest.mark.long
def test_bench_on_photographs(tmp_path, monkeypatch):
    "Small squares, one epoch."
    from functools import partial

    from easing_fastai import cli
    from easing_fastai.assets import backbone, photographs
    from easing_fastai.speed import bench

    patches = photographs.make_photo_patches(tmp_path / 'photo_patches')
    monkeypatch.setattr(photographs, 'photo_sample', lambda: patches)
    monkeypatch.setattr(backbone, 'choose_backbone', lambda images: (backbone.digits_resnet18, ''))
    monkeypatch.setattr(bench, 'compare_photos', partial(bench.compare_photos, epochs=1, size=32))
    monkeypatch.setattr(cli, 'silence_workers', lambda: None)  # it is for the rest of a process
    code, output = command('bench', '--photos', '--repeats', 1)
    assert code == 0 and 'photo_patches; ' in output and 'Resize(128), fine_tune(3)' in output
    assert all(way in output for way in bench.PHOTO_WAYS) and output.count('1.00') >= 1


@pytest.mark.long
@pytest.mark.skipif(os.name == 'nt', reason='signals')
def test_bench_interrupted(tmp_path, digits):
    out = tmp_path / 'bench.png'
    running = subprocess.Popen([sys.executable, '-m', 'easing_fastai', 'bench', '--out', str(out)], cwd=tmp_path,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    line = running.stdout.readline()
    while line and 'cores' not in line:  # the machine is named, the training begins
        line = running.stdout.readline()
    time.sleep(1)
    for _ in range(5):  # Python drops a signal that comes in the very moment of starting a helper process
        running.send_signal(signal.SIGINT)
        try:
            _, errors = running.communicate(timeout=15)
            break
        except subprocess.TimeoutExpired:
            continue
    assert running.returncode == 130 and 'Stopped. Nothing was written.' in errors and 'Traceback' not in errors
    assert list(tmp_path.iterdir()) == []


def test_bench_where_nothing_can_be_written(tmp_path):
    for out, expected in ((tmp_path, 1), (tmp_path / 'bench.jpg', 2), (tmp_path / 'no' / 'bench.png', 1), (tmp_path / f"{'x' * 300}.png", 1)):
        code, output = command('bench', '--out', out)
        assert code == expected and '--out' in output, output
    assert list(tmp_path.iterdir()) == []
    (tmp_path / 'photo.png').write_bytes(b'mine')
    code, output = command('bench', '--out', tmp_path / 'photo.png')
    assert code == 1 and 'overwritten' in output and (tmp_path / 'photo.png').read_bytes() == b'mine'


def test_bench_with_an_image_that_cannot_be_read(tmp_path, digits, monkeypatch):
    from easing_fastai import cli
    from easing_fastai.speed import bench

    def compare(*args, **kwargs):
        raise FileNotFoundError(2, 'No such file or directory', 'train/3/7.png')

    monkeypatch.setattr(bench, 'compare_ways', compare)
    monkeypatch.setattr(cli, 'silence_workers', lambda: None)  # it is for the rest of a process
    code, output = command('bench', '--out', tmp_path / 'bench.png')
    assert code == 1 and 'could not be written' not in output and list(tmp_path.iterdir()) == []
    assert 'The training stopped' in output and 'train/3/7.png' in output


def test_predict_takes_the_images_that_check_takes(tmp_path):
    from fastai.data.transforms import image_extensions

    from easing_fastai.cli import images_of
    from easing_fastai.images.contents import OTHER_IMAGES

    (tmp_path / 'b').mkdir()
    for i, ending in enumerate(sorted({*image_extensions, *OTHER_IMAGES, '.JPG', '.txt', ''})):
        (tmp_path / 'b' if i % 2 else tmp_path).joinpath(f'{i}{ending}').touch()
    (tmp_path / '.hidden.png').touch()
    found = images_of(tmp_path)
    assert {file.suffix for file in found} == {*image_extensions, *OTHER_IMAGES, '.JPG'} and len(found) == len(set(found))
    assert images_of(tmp_path / 'notes.txt') == [tmp_path / 'notes.txt'], 'a file that was named is tried'
