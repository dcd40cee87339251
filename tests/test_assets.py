"Data and weights without a network, from servers that misbehave, from damaged folders, and by two processes at once."
import contextlib
import hashlib
import http.server
import os
import pickle
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
import torchvision
from conftest import REPO, resnet18_in, start
from fastai.data.external import fastai_cfg
from fault_cases import Program
from PIL import Image
from easing_fastai.assets import backbone as backbones
from easing_fastai.assets import datasets, network, photographs
from easing_fastai.assets.machine import backbone_finding, data_finding, photographs_finding
from easing_fastai.assets.network import AssetError
from easing_fastai.base.files import FolderError
from easing_fastai.train.fit import learner_for

FEW = {'train/3': 2, 'train/7': 2, 'valid/3': 1, 'valid/7': 1}


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    "An empty data folder; MNIST_SAMPLE counts as whole with six images; the network is allowed."
    monkeypatch.setattr(datasets, 'data_folder', lambda: tmp_path)
    monkeypatch.setitem(datasets.N_IMAGES, 'mnist_sample', FEW)
    monkeypatch.delitem(datasets.PIXELS_DIGEST, 'mnist_sample')
    monkeypatch.delitem(datasets.FILES_DIGEST, 'mnist_sample')
    monkeypatch.setattr(network, 'TIMEOUT', 1)
    monkeypatch.setenv('EASING_FASTAI_OFFLINE', '0')
    return tmp_path


def archive(folder: Path, counts: dict = FEW) -> bytes:
    "A small stand-in for mnist_sample.tgz."
    for name, n in counts.items():
        (folder / 'mnist_sample' / name).mkdir(parents=True)
        for i in range(n):
            Image.new('L', (28, 28), i).save(folder / 'mnist_sample' / name / f'{i}.png')
    rows = [f'{name}/{i}.png,{int(name[-1] == "7")}\n' for name, n in counts.items() for i in range(n)]
    (folder / 'mnist_sample' / 'labels.csv').write_text('name,label\n' + ''.join(rows))
    with tarfile.open(folder / 'a.tgz', 'w:gz') as tar:
        tar.add(folder / 'mnist_sample', 'mnist_sample')
    return (folder / 'a.tgz').read_bytes()


@pytest.fixture
def server():
    "A local server; what it answers is set by the test: bytes, a number for an error, or a function of the handler."
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if callable(httpd.answer):
                httpd.answer(self)
            elif isinstance(httpd.answer, int):
                self.send_error(httpd.answer)
            else:
                self.send_response(200)
                self.send_header('Content-Length', str(len(httpd.answer)))
                self.end_headers()
                self.wfile.write(httpd.answer)

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    httpd.daemon_threads = True
    httpd.url = f'http://127.0.0.1:{httpd.server_port}/mnist_sample.tgz'
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()


def test_a_download_lands_where_untar_data_looks(data, server, tmp_path_factory):
    server.answer = archive(tmp_path_factory.mktemp('source'))
    path = datasets.download_mnist_sample(server.url)
    assert path == data / 'mnist_sample' and datasets.damage(path) is None
    assert [p.name for p in data.iterdir()] == ['mnist_sample']
    server.answer = 500  # a second time nothing is asked for
    assert datasets.download_mnist_sample(server.url) == path


def hang(handler):
    time.sleep(3)


def hang_in_the_middle(handler):
    handler.send_response(200)
    handler.send_header('Content-Length', '100000')
    handler.end_headers()
    handler.wfile.write(b'a beginning')
    handler.wfile.flush()
    time.sleep(3)


def cut(handler):
    handler.send_response(200)
    handler.send_header('Content-Length', '100000')
    handler.end_headers()
    handler.wfile.write(b'a beginning')


@pytest.mark.parametrize('answer, said', [
    (404, 'error 404'),
    (b'<html>Please log in to the Wi-Fi</html>', 'not a whole archive'),
    (b'', 'not a whole archive'),
    (hang, 'no answer within'),
    (hang_in_the_middle, 'no answer within'),
    (cut, 'not a whole archive'),
])
def test_a_failed_download_is_said_and_leaves_nothing(data, server, monkeypatch, capsys, answer, said):
    server.answer = answer
    with pytest.raises(AssetError, match=said):
        datasets.download_mnist_sample(server.url)
    assert list(data.iterdir()) == []

    monkeypatch.setattr(datasets.URLs, 'MNIST_SAMPLE', server.url)
    path = datasets.mnist_sample()
    assert path.name == 'digits_sample' and said in capsys.readouterr().out


def drop_by_drop(handler):
    "Never silent for long, and never ready."
    handler.send_response(200)
    handler.send_header('Content-Length', '100000')
    handler.end_headers()
    for _ in range(100):
        with contextlib.suppress(OSError):  # nobody listens any more
            handler.wfile.write(b'x')
            handler.wfile.flush()
        time.sleep(0.1)


def test_a_download_that_takes_for_ever(data, server, monkeypatch):
    "Each byte is in time, all of them are not."
    server.answer = drop_by_drop
    monkeypatch.setattr(network, 'LIMIT', 2)
    began = time.monotonic()
    with pytest.raises(AssetError, match='had not arrived after 2 seconds'): datasets.download_mnist_sample(server.url)
    assert time.monotonic() - began < 9 and list(data.iterdir()) == []


def test_a_download_that_leads_to_ftp_or_drips_over_https(monkeypatch):
    "Both go through the one handler that can end them."
    import urllib.request
    monkeypatch.setenv('EASING_FASTAI_OFFLINE', '0')
    watcher = network.Watcher()
    opener = urllib.request.build_opener(watcher)
    for way in ('http', 'https', 'ftp'):
        assert opener.handle_open[way][0] is watcher
    with pytest.raises(AssetError, match='by FTP'), network.downloading('The page could not be downloaded'):
        urllib.request.urlopen('ftp://127.0.0.1:9/a')


def test_the_limit_is_no_hindrance(data, server, monkeypatch, tmp_path_factory):
    monkeypatch.setattr(network, 'LIMIT', 60)
    server.answer = archive(tmp_path_factory.mktemp('source'))
    assert datasets.damage(datasets.download_mnist_sample(server.url)) is None


def test_a_broken_archive_leaves_nothing(data, server, tmp_path_factory):
    whole = archive(tmp_path_factory.mktemp('source'))
    server.answer = whole[:len(whole) // 2]
    with pytest.raises(AssetError, match='not a whole archive'):
        datasets.download_mnist_sample(server.url)
    server.answer = archive(tmp_path_factory.mktemp('source'), {**FEW, 'valid/7': 0})
    with pytest.raises(AssetError, match='valid/7 holds 0 of 1'):
        datasets.download_mnist_sample(server.url)
    assert list(data.iterdir()) == []


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize('target', ['gone', '..', 'mnist_sample/x'])
def test_an_archive_with_links_is_refused(data, server, tmp_path_factory, kind, target):
    "tarfile of some versions lets long ones lead out of the folder."
    import io
    file = tmp_path_factory.mktemp('source') / 'a.tgz'
    with tarfile.open(file, 'w:gz') as packed:
        for name in ('mnist_sample/x', 'mnist_sample/y'):
            member = tarfile.TarInfo(name)
            if name[-1] == 'y': member.type, member.linkname = kind, target
            packed.addfile(member, io.BytesIO())
    server.answer = file.read_bytes()
    with pytest.raises(AssetError, match='it holds a link, mnist_sample/y'): datasets.download_mnist_sample(server.url)
    assert list(data.iterdir()) == []


def test_what_a_killed_download_left_goes_with_the_next(data, server, monkeypatch, tmp_path_factory):
    monkeypatch.setattr('easing_fastai.base.files.is_over', lambda pid: pid == '7')
    left = data / f'.mnist_sample-{platform.node()}-7-x1y2z3_8'
    (left / 'mnist_sample').mkdir(parents=True)
    (left / 'mnist_sample.tgz').write_bytes(b'a part')
    server.answer = archive(tmp_path_factory.mktemp('source'))
    datasets.download_mnist_sample(server.url)
    assert [path.name for path in data.iterdir()] == ['mnist_sample']


def test_a_changed_file_at_the_real_address_is_refused(data, server, monkeypatch, tmp_path_factory):
    server.answer = archive(tmp_path_factory.mktemp('source'))
    monkeypatch.setattr(datasets, 'check', lambda module, url, file: False)  # as fastai's checksum would answer
    with pytest.raises(AssetError, match='not the file that is expected'):
        datasets.download_mnist_sample(server.url)
    assert list(data.iterdir()) == []


def test_a_damaged_folder_is_noticed_and_kept(data):
    path = datasets.make_digits_sample(data / 'digits_sample')
    victim = next((path / 'train' / '7').iterdir())
    whole = victim.read_bytes()
    for harm in (lambda: victim.write_bytes(whole[:50]), lambda: victim.write_bytes(b''),
                 lambda: victim.write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:]), victim.unlink):
        harm()
        with pytest.raises(AssetError, match='train/7 holds'):
            datasets.mnist_sample()
    assert len(list((path / 'train' / '7').iterdir())) == datasets.N_IMAGES['digits_sample']['train/7'] - 1


@pytest.mark.parametrize('n_bytes', [0, 100])
def test_labels_that_are_cut_off(data, n_bytes):
    labels = datasets.make_digits_sample(data / 'digits_sample') / 'labels.csv'
    labels.write_bytes(labels.read_bytes()[:n_bytes])
    with pytest.raises(AssetError, match='labels.csv (names . of 2,385 images|is no table|and the folders)'):
        datasets.mnist_sample()


def test_labels_that_are_swapped(data):
    labels = datasets.make_digits_sample(data / 'digits_sample') / 'labels.csv'
    labels.write_text(labels.read_text().replace(',0', ',2').replace(',1', ',0').replace(',2', ',1'))
    with pytest.raises(AssetError, match='labels.csv and the folders do not agree'):
        datasets.mnist_sample()


def test_another_image_in_a_known_data_set(data, monkeypatch, tmp_path_factory):
    source = tmp_path_factory.mktemp('source')
    archive(source)
    (source / 'mnist_sample').rename(path := data / 'mnist_sample')
    names = list(datasets.images_in(path))
    three = path / names[0]
    monkeypatch.setitem(datasets.PIXELS_DIGEST, 'mnist_sample', datasets.pixels_digest(path, names))
    Image.open(three).save(three, compress_level=0)  # other bytes, the same pixels
    assert datasets.damage(path) is None
    Image.new('L', (28, 28), 99).save(three)
    assert datasets.damage(path) == 'its images are not those of mnist_sample'


def test_images_that_changed_their_folders(data, monkeypatch, tmp_path_factory):
    "A 3 among the sevens and a 7 among the threes: as many images as before, and the same ones."
    path = datasets.make_digits_sample(data / 'digits_sample')
    three, seven = (sorted((path / f'valid/{digit}').iterdir())[0] for digit in '37')
    contents = [file.read_bytes() for file in (three, seven)]
    three.write_bytes(contents[1])
    seven.write_bytes(contents[0])
    with pytest.raises(AssetError, match='its images are not those of digits_sample'): datasets.mnist_sample()


@pytest.mark.parametrize('name, says', [
    ('train/5/x.png', 'train/5/x.png does not belong there'), ('train/3/sub/x.png', 'train/3/sub/x.png does not belong there'),
    ('train/3/zz.bmp', 'train/3 holds 1,169 of 1,168 images'), ('valid/7/ZZ.PNG', 'valid/7 holds 37 of 36 images'),
    ('x.jpg', 'x.jpg does not belong there')])
def test_an_image_more(data, name, says):
    "fastai would train with it."
    path = datasets.make_digits_sample(data / 'digits_sample')
    (path / name).parent.mkdir(exist_ok=True)
    Image.new('L', (28, 28)).save(path / name)
    with pytest.raises(AssetError, match=says): datasets.mnist_sample()


def test_what_does_no_harm_beside_the_images(data):
    path = datasets.make_digits_sample(data / 'digits_sample')
    (path / 'models').mkdir()
    for name in ('models/tmp.pth', 'export.pkl', '.DS_Store', 'train/3/Thumbs.db'):
        (path / name).touch()
    os.symlink(path / 'models', path / 'models' / 'circle')
    assert datasets.mnist_sample() == path


@pytest.mark.parametrize('name, make', [('digits_sample', datasets.make_digits_sample), ('photo_patches', photographs.make_photo_patches)])
def test_what_another_pillow_has_made(data, monkeypatch, name, make):
    "Other bytes, or pixels that are a little different: it is made again, and compared."
    path = make(data / name)
    assert datasets.files_digest([str(path / image) for image in datasets.images_in(path)]) == datasets.FILES_DIGEST[name]
    monkeypatch.setitem(datasets.FILES_DIGEST, name, 'another')
    assert datasets.damage(path) is None
    monkeypatch.setitem(datasets.PIXELS_DIGEST, name, 'another')
    assert datasets.damage(path, make) is None and datasets.damage(path) is None
    first = path / next(datasets.images_in(path))
    Image.open(first).transpose(Image.Transpose.ROTATE_180).save(first)
    assert datasets.damage(path, make) == f'its images are not those of {name}'


@pytest.fixture
def zipped(data, server, monkeypatch, tmp_path_factory) -> str:
    "The address of a small stand-in for PyTorch's archive of ants and bees, which counts as the real one."
    folder, few = tmp_path_factory.mktemp('zip'), {'train/ants': 2, 'train/bees': 1, 'val/ants': 1, 'val/bees': 1}
    for name, n in few.items():
        (folder / 'in' / 'hymenoptera_data' / name).mkdir(parents=True)
        for i in range(n):
            Image.new('RGB', (50, 40), (i, 99, 3)).save(folder / 'in' / 'hymenoptera_data' / name / f'{i}.jpg')
    files = [str(folder / 'in/hymenoptera_data' / name) for name in datasets.images_in(folder / 'in/hymenoptera_data')]
    monkeypatch.setitem(datasets.N_IMAGES, 'hymenoptera_data', few)
    monkeypatch.setitem(datasets.FILES_DIGEST, 'hymenoptera_data', datasets.files_digest(files))
    made = shutil.make_archive(str(folder / 'all'), 'zip', folder / 'in')
    monkeypatch.setattr(photographs, 'ARCHIVE_SHA256', datasets.files_digest([made]))
    server.answer = Path(made).read_bytes()
    return server.url.replace('mnist_sample.tgz', 'hymenoptera_data.zip')


def test_photographs_are_downloaded_then_found_then_checked(data, server, zipped, monkeypatch, capsys):
    monkeypatch.setattr(photographs.download_photographs, '__defaults__', (zipped,))
    path = photographs.photo_sample()
    assert path == data / 'hymenoptera_data' and [p.name for p in data.iterdir()] == ['hymenoptera_data']
    server.answer = 500
    assert photographs.photo_sample() == path and capsys.readouterr().out == ''
    Image.new('RGB', (50, 40), 'red').save(path / 'val' / 'bees' / '0.jpg')
    with pytest.raises(AssetError, match='hymenoptera_data is damaged: its images are not those of'):
        photographs.photo_sample()
    (path / 'train' / 'ants' / '1.jpg').write_bytes((path / 'train' / 'ants' / '1.jpg').read_bytes()[:300])
    with pytest.raises(AssetError, match='train/ants holds an image that is broken, 1.jpg'):
        photographs.photo_sample()


@pytest.mark.parametrize('answer, said', [(404, 'error 404'), (b'PK\3\4 half a zip', 'not the file that is expected')])
def test_without_them_there_are_patches(data, server, zipped, monkeypatch, capsys, answer, said):
    server.answer = answer
    monkeypatch.setattr(photographs.download_photographs, '__defaults__', (zipped,))
    assert photographs.photo_sample() == data / 'photo_patches'
    out = capsys.readouterr().out
    assert said in out and 'easing-fastai download' in out and [p.name for p in data.iterdir()] == ['photo_patches']


def test_the_doctor_on_photographs(monkeypatch):
    monkeypatch.setattr(backbones, 'lite0_file', lambda: None)
    row = photographs_finding()
    assert row.verdict == 'note' and 'no network for them' in str(row) and 'easing_fastai[photos]' in str(row)


def test_a_program_in_place_of_lite0(tmp_path, monkeypatch):
    file = tmp_path / 'efficientnet-lite0-57934424.pth'
    file.write_bytes(pickle.dumps(Program(tmp_path / 'ran')))
    monkeypatch.setattr(backbones, 'lite0_file', lambda: file)
    with pytest.raises(AssetError, match='Nothing in it was run'):
        backbones.efficientnet_lite0('DEFAULT')
    assert not (tmp_path / 'ran').exists()


def test_a_python_that_cannot_unpack_safely(data, server, monkeypatch, tmp_path_factory):
    server.answer = archive(tmp_path_factory.mktemp('source'))
    monkeypatch.delattr(tarfile, 'data_filter')
    with pytest.raises(AssetError, match='3.11.4'):
        datasets.download_mnist_sample(server.url)
    assert list(data.iterdir()) == []


def test_real_data_goes_before_digits(data, tmp_path_factory):
    datasets.make_digits_sample(data / 'digits_sample')
    source = tmp_path_factory.mktemp('source')
    archive(source)
    (source / 'mnist_sample').rename(data / 'mnist_sample')
    assert datasets.mnist_sample() == data / 'mnist_sample'


BLOCKED = """
import socket
def refuse(*args, **kwargs): raise OSError("the network is off")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""


def test_without_a_network(tmp_path):
    code = BLOCKED + 'from easing_fastai.core import *; print(mnist_sample().name, backbone().__name__)'
    done = start('-c', code, EASING_FASTAI_OFFLINE='0', FASTAI_HOME=str(tmp_path / 'f'), TORCH_HOME=str(tmp_path / 't'))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith('digits_sample digits_resnet18\n')
    assert done.stdout.count('the network is off') == 2 and done.stdout.count('easing-fastai download') == 2


MAKE = 'from easing_fastai.assets.datasets import mnist_sample; mnist_sample()'


@pytest.mark.long
def test_two_processes_at_once(tmp_path):
    env = {**os.environ, 'FASTAI_HOME': str(tmp_path)}
    both = [subprocess.Popen([sys.executable, '-c', MAKE], env=env, cwd=REPO, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert [p.name for p in (tmp_path / 'data').iterdir()] == ['digits_sample']
    assert datasets.damage(tmp_path / 'data' / 'digits_sample') is None


@pytest.mark.long
def test_a_killed_process_leaves_no_half_data_set(tmp_path):
    env = {**os.environ, 'FASTAI_HOME': str(tmp_path)}
    process = subprocess.Popen([sys.executable, '-c', MAKE], env=env, cwd=REPO)
    while process.poll() is None and not list(tmp_path.glob('data/.digits_sample-*/digits_sample/train/3/*.png')):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL if os.name == 'posix' else signal.SIGTERM)
    assert process.wait() != 0, 'it ended before it could be killed'
    assert not (tmp_path / 'data' / 'digits_sample').exists()
    again = start('-c', MAKE, FASTAI_HOME=str(tmp_path))
    assert again.returncode == 0, again.stderr
    assert datasets.damage(tmp_path / 'data' / 'digits_sample') is None


def test_a_data_folder_that_can_not_be_used(tmp_path):
    (tmp_path / 'a_file').write_text('in the way')
    done = start('-c', MAKE, FASTAI_HOME=str(tmp_path / 'a_file'))
    assert done.returncode == 1 and 'Set the environment variable FASTAI_HOME' in done.stderr


@pytest.mark.parametrize('text, why', [
    ('data = elsewhere', 'no section headers'),
    ('[DEFAULT]\ndata /bigdisk', 'parsing errors'),
    ('[DEFAULT]\ndata = /big%20disk', "'%' must be followed"),
    ('[DEFAULT]\narchive = archive', "No option 'data'"),
    ('[DEFAULT]\ndata = Gr\xf6\xdfe', "can't decode"),
    (f"[DEFAULT]\ndata = {'x' * 300}", 'File name too long'),
])
def test_a_slip_in_the_settings_of_fastai(tmp_path, monkeypatch, text, why):
    (tmp_path / 'config.ini').write_bytes(text.encode('latin-1'))
    monkeypatch.setenv('FASTAI_HOME', str(tmp_path))
    monkeypatch.setattr(datasets, 'fastai_path', lambda folder: fastai_cfg.__wrapped__().path(folder))  # read anew
    with pytest.raises(AssetError) as raised:
        datasets.mnist_sample()
    assert why in str(raised.value) and str(tmp_path / 'config.ini') in str(raised.value)
    assert data_finding().verdict == 'wrong'


def test_settings_of_fastai_that_are_no_file(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / 'config.ini')  # it would be waited for
    monkeypatch.setenv('FASTAI_HOME', str(tmp_path))
    with pytest.raises(AssetError, match=r'config\.ini cannot be read: it is no file'): datasets.data_folder()


# ---- the backbone ----

@pytest.fixture
def torch_home(tmp_path, monkeypatch) -> Path:
    "An empty folder for torchvision's weights."
    monkeypatch.setattr(backbones.torch.hub, 'get_dir', lambda: str(tmp_path))
    backbones.why_not_resnet18.cache_clear()
    yield tmp_path
    backbones.why_not_resnet18.cache_clear()


def test_resnet18_where_its_weights_are(torch_home, monkeypatch):
    url = resnet18_in(torch_home / 'checkpoints')
    monkeypatch.setattr(backbones.get_model_weights('resnet18').DEFAULT.value, 'url', url)
    assert backbones.backbone() is backbones.resnet18


@pytest.mark.parametrize('digest', ['f37072fd', None])
def test_a_program_in_place_of_weights_is_never_run(torch_home, tmp_path, monkeypatch, digest):
    content = pickle.dumps(Program(tmp_path / 'it_ran'), protocol=2)
    url = f'https://example.org/resnet18-{digest or hashlib.sha256(content).hexdigest()[:8]}.pth'
    monkeypatch.setattr(backbones.get_model_weights('resnet18').DEFAULT.value, 'url', url)
    file = backbones.resnet18_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    uses = [backbones.backbone, backbones.download_resnet18, lambda: learner_for(None, backbones.resnet18)]
    for use in uses:
        with pytest.raises((AssetError, FolderError), match='Nothing in it was run. Remove that file'):
            use()
    row = backbone_finding()
    assert (row.what, row.verdict) == ('backbone', 'wrong') and 'Remove that file' in row.to_do
    assert file.read_bytes() == content and not (tmp_path / 'it_ran').exists()


@pytest.mark.parametrize('answer, said', [(hang, 'no answer within'), (b'other weights', 'did not arrive whole'), (404, 'error 404')])
def test_weights_that_do_not_come(torch_home, server, monkeypatch, answer, said):
    monkeypatch.setenv('EASING_FASTAI_OFFLINE', '0')
    monkeypatch.setattr(network, 'TIMEOUT', 1)
    server.answer, url = answer, server.url.replace('mnist_sample.tgz', 'resnet18-f37072fd.pth')
    monkeypatch.setattr(backbones.get_model_weights('resnet18').DEFAULT.value, 'url', url)
    with pytest.raises(AssetError, match=said):
        backbones.download_resnet18()
    assert not list(torch_home.rglob('*.pth*')) and socket.getdefaulttimeout() is None
    assert backbones.backbone() is backbones.digits_resnet18


def test_offline_is_no_network_for_any_weights(torch_home):
    for arch in (backbones.resnet18, torchvision.models.squeezenet1_0):
        with pytest.raises(AssetError, match='EASING_FASTAI_OFFLINE'):
            backbones.ready_weights(arch)


@pytest.mark.parametrize('name, why', [('misspelt', 'does not exist'), ('file', 'is no folder')])
def test_a_backbone_for_a_folder_that_is_none(tmp_path, name, why):
    (tmp_path / 'file').touch()
    with pytest.raises(FolderError, match=f'{name} {why}'): backbones.backbone(tmp_path / name)


@pytest.mark.skipif(os.name != 'posix', reason='links')
@pytest.mark.parametrize('link', ['home', 'home/data'])
def test_a_data_folder_on_a_disk_that_is_not_mounted(link, tmp_path, monkeypatch):
    from easing_fastai.assets.datasets import data_folder
    (tmp_path / 'home/data').mkdir(parents=True)
    monkeypatch.setattr('fastai.data.external.fastai_cfg', fastai_cfg.__wrapped__)
    monkeypatch.setenv('FASTAI_HOME', str(tmp_path / 'home'))
    assert data_folder() == tmp_path / 'home/data'
    (tmp_path / link).rename(tmp_path / 'away')
    (tmp_path / link).symlink_to(tmp_path / 'nowhere')
    with pytest.raises(AssetError, match='is a link that leads nowhere'): data_folder()
