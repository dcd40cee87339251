"The page of a model: real uploads to a real server, what visitors do wrong, and the folder that runs elsewhere."
import html
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import REPO, cold_start, command
from PIL import Image
from sklearn.datasets import load_sample_image

pytest.importorskip('gradio', reason='the extra serve is not installed')

pytestmark = pytest.mark.long
HANGS = 120  # seconds, after which a process will never end


@pytest.fixture(scope='session')
def model(tmp_path_factory) -> Path:
    "The folder of a model with random weights: what a page says need not be true, only what `predict` says."
    from hashlib import sha256

    import torch
    from fastai.vision.learner import create_vision_model

    from easing_fastai.train.fit import architecture
    from easing_fastai.train.model import ModelCard, packed_weights, write_model

    labels = ['cat', '<b>dog</b>', 'other "things"']
    torch.manual_seed(42)
    weights = packed_weights(create_vision_model(architecture('digits_resnet18'), 3, pretrained=False), labels)
    card = ModelCard('digits_resnet18', labels, 28, 0.875, 100, 40, 5, 42, 'folders', sha256(weights).hexdigest())
    folder = tmp_path_factory.mktemp('serve') / 'model'
    write_model(folder, card, weights, {})
    return folder


@pytest.fixture(scope='session')
def uploads(tmp_path_factory) -> Path:
    "What visitors may bring."
    folder = tmp_path_factory.mktemp('uploads')
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    lying = Image.Exif()
    lying[0x0112] = 6
    noise.save(folder / 'photo.jpg', exif=lying)
    noise.resize((7300, 5500)).save(folder / 'forty_megapixels.jpg')
    noise.convert('RGBA').save(folder / 'ünï cödé #1.png')
    noise.save(folder / 'iphone.heic')
    Image.fromarray(load_sample_image('china.jpg')).save(folder / 'china.jpg', quality=95)
    (folder / 'text.jpg').write_text('Dear model,\n' * 100)
    (folder / 'empty.jpg').touch()
    (folder / 'cut.jpg').write_bytes((folder / 'photo.jpg').read_bytes()[:20_000])
    (folder / 'page.svg').write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    Image.new('1', (10_000, 10_000)).save(folder / 'bomb.png')
    Image.fromarray(np.arange(65_536, dtype=np.uint16).reshape(256, 256)).save(folder / 'deep.png')
    return folder


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


@contextmanager
def served(*args, cwd: Path, env: dict | None = None):
    "A process that serves a page, and its address; in the end it gets Ctrl-C."
    process = subprocess.Popen([sys.executable, *map(str, args)], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, 'PYTHONUNBUFFERED': '1', **(env or {})})
    try:
        line = process.stdout.readline()
        assert (address := re.search(r'http://(127\.0\.0\.1|localhost|\[::1\]):\d+', line)), line + process.communicate(timeout=HANGS)[1]
        yield process, address[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.said = process.communicate(timeout=HANGS)


@pytest.fixture(scope='session')
def server(model, uploads, tmp_path_factory):
    "The command, with a page that is open as long as these tests run."
    folder = tmp_path_factory.mktemp('server')
    (folder / 'examples').mkdir()
    Image.open(uploads / 'photo.jpg').save(folder / 'examples' / 'one.png')
    shutil.copy(uploads / 'iphone.heic', folder / 'examples' / 'first.heic')  # no browser shows it
    command = ['-m', 'easing_fastai', 'serve', model, '--port', free_port(), '--examples', folder / 'examples', '--threshold', '0']
    env = {'PYTHONPATH': f"{REPO}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", 'TMPDIR': str(folder)}
    with served(*command, cwd=folder, env=env) as (process, address):
        yield process, address
    said, errors = process.said
    assert process.returncode == 0 and said.endswith('The page is closed.\n'), errors
    assert 'Traceback' not in errors and 'Error: ' not in errors, errors
    assert [path.name for path in folder.iterdir()] == ['examples'], 'uploads stay behind'


def ask(address: str, file: Path) -> tuple[str, dict | None]:
    "What the page says, and the probabilities by label."
    from gradio_client import Client, handle_file

    said, bars = Client(address, verbose=False).predict(handle_file(file), api_name='/predict')
    return said, bars and {bar['label']: bar['confidence'] for bar in bars['confidences']}


@pytest.mark.parametrize('name', ['photo.jpg', 'forty_megapixels.jpg', 'ünï cödé #1.png', 'iphone.heic', 'china.jpg'])
def test_the_page_says_what_predict_says(server, model, uploads, name):
    said, probabilities = ask(server[1], uploads / name)
    code, output = command('predict', '--json', model, uploads / name)
    expected, = json.loads(output)
    assert code == 0 and probabilities == expected['probabilities'] and list(probabilities) == list(expected['probabilities'])
    label = expected['class'].replace('<', '&lt;').replace('>', '&gt;').replace('"', '&quot;')
    assert said.startswith(f'<p class="verdict">{label}: ')


@pytest.mark.parametrize('name, words', [
    ('text.jpg', 'text.jpg is not an image'), ('empty.jpg', 'not an image'), ('deep.png', 'Save it with 8 bits'), ('cut.jpg', 'damaged or cut off'),
    ('page.svg', 'not an image'), ('bomb.png', '100 megapixels'),
])
def test_what_gets_no_prediction(server, uploads, name, words):
    said, probabilities = ask(server[1], uploads / name)
    assert words in said and not probabilities and 'Traceback' not in said and '/tmp' not in said


def test_one_image_at_a_time(uploads, monkeypatch):
    "Also where requests pass by the queue of the page: a large image may take a gigabyte."
    from easing_fastai.serve import app

    monkeypatch.setattr(app, 'uploaded', lambda path: path)
    under_way, seen = [], []

    def predict(file):
        under_way.append(file)
        time.sleep(0.05)
        seen.append(len(under_way))
        under_way.pop()
        return {'3': 1.0}

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: app.answer({'path': uploads / 'photo.jpg', 'orig_name': 'x'}, predict, 0), range(8)))
    assert all(found for _, found in answers) and seen == [1]*8


def test_a_heavy_file_is_not_taken(server, uploads, tmp_path):
    (tmp_path / 'heavy.jpg').write_bytes((uploads / 'photo.jpg').read_bytes() + bytes(33_000_000))
    with pytest.raises(Exception, match='413|size'):
        ask(server[1], tmp_path / 'heavy.jpg')


def test_files_of_the_server_stay_there(server, model, uploads, tmp_path):
    import httpx

    for path in (model / 'model.safetensors', '/etc/passwd'):
        assert httpx.get(f'{server[1]}/gradio_api/file={path}').status_code in (403, 404)
    body = {'data': [{'path': '/etc/passwd', 'meta': {'_type': 'gradio.FileData'}}]}
    event = httpx.post(f'{server[1]}/gradio_api/call/predict', json=body).json()['event_id']
    assert 'event: error' in httpx.get(f'{server[1]}/gradio_api/call/predict/{event}').text
    os.mkfifo(tmp_path / 'pipe')
    said = set()
    for path in (uploads / 'photo.jpg', '/etc/passwd', '/etc/no-such-file', tmp_path / 'pipe', '/'):
        event = httpx.post(f'{server[1]}/gradio_api/call/predict', json={'data': [{'path': str(path), 'orig_name': 'x'}]}).json()['event_id']
        said.add(httpx.get(f'{server[1]}/gradio_api/call/predict/{event}', timeout=20).text)
    assert len(said) == 1 and 'was not uploaded' in said.pop()
    body = {'data': [{'path': 'http://192.0.2.1/x.png', 'meta': {'_type': 'gradio.FileData'}}]}
    event = httpx.post(f'{server[1]}/gradio_api/call/predict', json=body).json()['event_id']
    assert 'no addresses' in httpx.get(f'{server[1]}/gradio_api/call/predict/{event}', timeout=20).text


@pytest.mark.parametrize('data', [['x'], [], [{'path': 5}], [[1]], ['x', 'y'], [{'path': '\0', 'meta': {'_type': 'gradio.FileData'}}]])
def test_what_the_page_never_sends(server, data):
    "The fixture looks at what the owner reads in the terminal."
    import httpx

    event = httpx.post(f'{server[1]}/gradio_api/call/predict', json={'data': data}).json()['event_id']
    assert 'This page sends no such request.' in httpx.get(f'{server[1]}/gradio_api/call/predict/{event}', timeout=20).text
    for name in ('run/predict', 'queue/join'):
        asked = httpx.post(f'{server[1]}/gradio_api/{name}', json={'data': data, 'fn_index': 77, 'session_hash': 'x'}, timeout=20)
        assert asked.status_code == 500 and 'This page sends no such request.' in asked.text


def test_a_name_that_is_not_of_this_computer(server):
    "A site can let a name of its own lead to 127.0.0.1, and the browser then takes this page for a part of it."
    import httpx

    port = server[1].rpartition(':')[2]
    for host, code in (('evil.example', 403), (f'evil.example:{port}', 403), ('127.0.0.1.evil.example', 403), ('192.0.2.1', 403), ('[', 403),
                       (f'localhost:{port}', 200), ('127.0.0.1', 200), ('[::1]', 200)):
        for path in ('/', '/config', '/gradio_api/info'):
            assert httpx.get(server[1] + path, headers={'host': host}).status_code == code, (host, path)


@pytest.mark.parametrize('settings, strange', [({}, 403), ({'SPACE_ID': 'me/mine'}, 200), ({'GRADIO_SERVER_NAME': '0.0.0.0'}, 200)],
                         ids=['this computer', 'Spaces', 'all'])
def test_names_of_the_exported_page(space, tmp_path, settings, strange):
    import httpx

    port = free_port()
    with served('app.py', cwd=space, env={'GRADIO_SERVER_PORT': str(port), 'HOME': str(tmp_path), **settings}):
        for host, code in ((f'evil.example:{port}', strange), (f'localhost:{port}', 200)):
            assert httpx.get(f'http://127.0.0.1:{port}/config', headers={'host': host}).status_code == code


def test_who_listens_for_others_is_called_as_they_like(model, tmp_path):
    code = f"""
from easing_fastai.serve.serve import serve
from easing_fastai.train.model import load_model
import httpx
def visit(address): print(httpx.get(address, headers={{'host': 'my.computer'}}).status_code)
serve(load_model({str(model)!r}), host='0.0.0.0', port={free_port()}, say=lambda text: None, wait=visit)
"""
    done = cold_start('-c', code, cwd=tmp_path, PYTHONPATH=str(REPO))
    assert done.stdout == '200\n', done.stderr


@pytest.mark.parametrize('says_its_length', [True, False])
def test_many_files_that_are_too_much_together(server, says_its_length):
    import httpx

    one = b'--a\r\ncontent-disposition: form-data; name="files"; filename="x"\r\n\r\n' + bytes(1_000_000) + b'\r\n'
    for n, code in ((40, 413), (2, 200)):
        parts = [one]*n + [b'--a--\r\n']
        asked = httpx.post(f'{server[1]}/gradio_api/upload', content=b''.join(parts) if says_its_length else iter(parts), timeout=60,
                           headers={'content-type': 'multipart/form-data; boundary=a'})
        assert asked.status_code == code and ('30 MB' in asked.text) == (code == 413)


def test_nothing_is_fetched_and_nothing_kept(server, space, tmp_path):
    "By the command's page and by the exported one: an address that a visitor sends, and what Gradio offers besides."
    import httpx

    env = {'GRADIO_SERVER_PORT': str(free_port()), 'HOME': str(tmp_path)}
    with served('app.py', cwd=space, env=env) as (_, other):
        for address in (server[1], other):
            for path in ('file=http://8.8.8.8/x.png', 'file=HTTPS:%2F%2F8.8.8.8/x.png'):
                assert httpx.get(f'{address}/gradio_api/{path}', timeout=60).status_code == 403
            assert httpx.get(f'{address}/monitoring').status_code == httpx.get(f'{address}/monitoring/summary').status_code == 403
            assert httpx.get(f'{address}/config').json()['run_history'] is False
            assert httpx.get(f'{address}/gradio_api/runs').status_code == 404


@pytest.mark.parametrize('args', [(), pytest.param(('--host', '::1'), marks=pytest.mark.skipif(
    not socket.has_dualstack_ipv6(), reason='no IPv6 here'))])
def test_behind_a_proxy(model, tmp_path, args):
    "One that cannot reach this computer, and one of a kind that httpx does not know."
    env = {'PYTHONPATH': str(REPO), 'http_proxy': 'http://127.0.0.1:9', 'ALL_PROXY': 'socks://127.0.0.1:9/'}
    get = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    command = ('-m', 'easing_fastai', 'serve', model, '--port', free_port(), *args)
    with served(*command, cwd=tmp_path, env=env) as (_, address), get(address) as page:
        assert page.status == 200


def test_settings_that_lead_nowhere(model, tmp_path):
    env = {'PYTHONPATH': str(REPO), 'SSL_CERT_FILE': str(tmp_path / 'gone.pem'), 'SSL_CERT_DIR': str(tmp_path / 'gone'),
           'GRADIO_SERVER_PORT': 'abc', 'GRADIO_NUM_PORTS': ''}
    command = ('-m', 'easing_fastai', 'serve', model, '--port', free_port())
    with served(*command, cwd=tmp_path, env=env) as (_, address), urllib.request.urlopen(address) as page:
        assert page.status == 200


def test_nothing_is_loaded_from_elsewhere(server):
    import httpx

    answer = httpx.get(server[1])
    assert "default-src 'self'" in answer.headers['content-security-policy'] and 'fonts.googleapis.com' not in answer.text
    assert '100 images' in answer.text and '87.5%' in answer.text and '<b>dog</b>' not in answer.text


def test_visitors_at_once_and_many_in_a_row(server, model, uploads):
    "20 uploads by two visitors; from the 6th on memory stays where it is."
    expected = ask(server[1], uploads / 'photo.jpg')
    other = ask(server[1], uploads / 'ünï cödé #1.png')
    assert other != expected
    files = [uploads / 'photo.jpg', uploads / 'ünï cödé #1.png']

    def visit(file, n):
        from gradio_client import Client, handle_file

        client = Client(server[1], verbose=False)
        return [client.predict(handle_file(file), api_name='/predict')[0] for _ in range(n)]

    def both(n):
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(visit, files, (n, n)))

    both(3)
    process = psutil.Process(server[0].pid)
    before = process.memory_info().rss
    said = both(7)
    assert said == [[expected[0]] * 7, [other[0]] * 7], 'each visitor gets the answer for the own image'
    assert process.memory_info().rss - before < 30e6


def test_two_hundred_in_a_row(server, uploads):
    "A photograph again and again: from the 101st on memory stays where it is."
    from gradio_client import Client, handle_file

    client, process, used = Client(server[1], verbose=False), psutil.Process(server[0].pid), []
    for _ in range(2):
        said = {client.predict(handle_file(uploads / 'china.jpg'), api_name='/predict')[0] for _ in range(100)}
        used.append(process.memory_info().rss)
    assert len(said) == 1 and '%' in said.pop()
    assert used[1] - used[0] < 10e6, used


def test_port_in_use(model):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        code, output = command('serve', model, '--port', port)
        assert code == 1 and f'port {port}' in output and '--port' in output


@pytest.mark.parametrize('args, words', [
    (['nothing_here'], 'There is no folder'), ([__file__], 'is a file. Give the folder'), ([REPO], 'no folder of a model'),
    (['MODEL', '--examples', 'nothing_here'], 'There is no folder'), (['MODEL', '--host', 'no.such.host.invalid'], 'no address'),
    (['MODEL', '--threshold', '90'], 'threshold'), (['MODEL', '--port', '0'], 'port'), (['MODEL', '--host', '192.0.2.1'], 'Nothing can listen'),
])
def test_what_cannot_be_served(model, args, words):
    code, output = command('serve', *(model if arg == 'MODEL' else arg for arg in args))
    assert code in (1, 2) and words in output, output


def test_without_the_extra(model, monkeypatch):
    from easing_fastai import cli

    monkeypatch.setattr(cli, 'find_spec', lambda name: None)
    code, output = command('serve', model)
    assert code == 1 and 'pip install "easing_fastai[serve]"' in output


# ---- the folder that runs elsewhere ----


@pytest.fixture(scope='session')
def space(model, uploads, tmp_path_factory) -> Path:
    pytest.importorskip('onnxscript', reason='the extra serve is not installed')
    folder = tmp_path_factory.mktemp('space') / 'my space'
    examples = tmp_path_factory.mktemp('examples')
    Image.open(uploads / 'photo.jpg').save(examples / 'one.JPG')
    shutil.copy(uploads / 'iphone.heic', examples / 'two.heic')
    code, output = command('serve', model, '--export', folder, '--examples', examples, '--threshold', '0.5')
    assert code == 0 and 'my space is written' in output, output
    return folder


def test_the_space_runs_without_us(space, model, uploads, tmp_path):
    "In a process that cannot import easing_fastai, fastai or torch."
    first = "import sys, runpy\nsys.modules.update(easing_fastai=None, fastai=None, torch=None)\nsys.path.insert(0, '.')\n" \
            "runpy.run_path('app.py', run_name='__main__')"
    env = {'PYTHONPATH': '', 'GRADIO_SERVER_PORT': str(free_port()), 'HOME': str(tmp_path)}
    with served('-c', first, cwd=space, env=env) as (_, address):
        _, found = ask(address, uploads / 'photo.jpg')
        said, _ = ask(address, uploads / 'text.jpg')
    expected, = json.loads(command('predict', '--json', model, uploads / 'photo.jpg')[1])
    assert all(abs(found[label] - p) < 1e-4 for label, p in expected['probabilities'].items())
    assert 'text.jpg is not an image' in said
    assert not list(tmp_path.rglob('*onnxruntime*')), 'it keeps a record to send'


def test_what_is_in_the_space(space):
    import yaml

    head = yaml.safe_load((space / 'README.md').read_text(encoding='utf-8').split('---')[1])
    assert head['sdk'] == 'gradio' and (space / head['app_file']).is_file() and '<b>' in head['title']
    needs = (space / 'requirements.txt').read_text()
    assert f"gradio=={head['sdk_version']}" in needs and not re.search('torch|fastai', needs)
    assert 'pillow-heif' in needs and sorted(file.name for file in (space / 'examples').iterdir()) == ['1.jpg', '2.jpg']
    assert Image.open(space / 'examples' / '2.jpg').format == 'JPEG' and 'THRESHOLD = 0.5' in (space / 'app.py').read_text()


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), ModuleNotFoundError("No module named 'onnxscript'")], ids=['full disk', 'no module'])
def test_what_is_no_fault_of_the_network(monkeypatch, error):
    from easing_fastai.serve import onnx_file

    def failing(model): raise error
    monkeypatch.setattr(onnx_file, 'onnx_of', failing)
    with pytest.raises((OSError, onnx_file.ExportError), match='No space left|No module named.*pip install'):
        onnx_file.checked_onnx(None)


def test_nothing_is_overwritten(space, model):
    before = (space / 'app.py').read_bytes()
    code, output = command('serve', model, '--export', space)
    assert code == 1 and 'nothing of yours is overwritten' in output and (space / 'app.py').read_bytes() == before


# ---- in a browser ----


def test_an_upload_in_the_browser(server, browser, uploads):
    page, asked, errors = browser.new_page(), [], []
    page.on('request', lambda request: asked.append(request.url))
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.goto(server[1])
    for name, words in (('photo.jpg', '%'), ('text.jpg', 'is not an image'), ('china.jpg', '%'), ('forty_megapixels.jpg', '%')):
        page.wait_for_selector('input[type=file]', state='attached')
        page.set_input_files('input[type=file]', uploads / name)
        page.wait_for_selector(f'.verdict:has-text("{words}")')
        page.locator('button[aria-label*=Clear], button[aria-label*=Remove]').first.click()
        page.wait_for_selector('.verdict', state='detached')
    page.locator('.gallery button, .gallery-item').first.click()
    page.wait_for_selector('.verdict:has-text("%")')
    assert page.locator('.verdict b').count() == 0, 'a label is text'
    assert [url for url in asked if not url.startswith((server[1], 'data:', 'blob:'))] == [] and errors == []
    page.close()


def test_two_visitors_in_the_browser(server, browser, uploads):
    "Each of two browsers shows the answer for its own photograph."
    files = [uploads / 'china.jpg', uploads / 'photo.jpg']
    expected = [ask(server[1], file)[0] for file in files]
    contexts = [browser.new_context() for _ in files]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.goto(server[1])
        page.wait_for_selector('input[type=file]', state='attached')
    for page, file in zip(pages, files):
        page.set_input_files('input[type=file]', file)
    shown = [page.wait_for_selector('.verdict').inner_text() for page in pages]
    for context in contexts:
        context.close()
    assert expected[0] != expected[1] and shown == [html.unescape(re.sub('<[^>]+>', '', said)) for said in expected]


def test_photographs_of_a_phone(tmp_path):
    "3 × 15 of 12 megapixels, lying, of mixed kinds: checked, trained with, predicted, shown as examples of the page."
    from easing_fastai.serve.app import check_upload
    from easing_fastai.serve.serve import examples_from, shown_examples

    folder, lying = tmp_path / 'my images', Image.Exif()
    lying[0x0112] = 6
    for label, (name, box) in {'temple': ('china.jpg', (90, 120, 390, 345)), 'flower': ('flower.jpg', (190, 100, 490, 325)),
                               'sky': ('china.jpg', (320, 0, 640, 160))}.items():
        (folder / label).mkdir(parents=True)
        large = Image.fromarray(load_sample_image(name)).crop(box).resize((4000, 3000))
        for n, suffix in enumerate(['.jpg'] * 6 + ['.JPG'] * 3 + ['.jpeg'] * 3 + ['.png', '.webp', '.heic']):
            large.paste((n, n, n), (0, 0, 300, 300))  # no two alike
            photo = large.resize((800, 600)) if suffix == '.heic' else large  # HEIC takes a minute to write
            photo.save(folder / label / f'IMG_{n:04}{suffix}', **({'exif': lying} if suffix != '.png' and n % 3 == 0 else {}),
                       **{'.png': {'compress_level': 1}, '.webp': {'method': 0}}.get(suffix, {}))
    code, output = command('check', folder)
    assert code == 0, output
    code, output = command('train', folder, '--out', tmp_path / 'my model', '--epochs', '1')
    assert code == 0 and '36 images to train with, 9 held out' in output and '224×224' in output, output
    examples = examples_from(folder)
    code, output = command('predict', '--csv', tmp_path / 'my model', *examples)
    assert code == 0 and output.count('IMG_') == len(examples) == 8
    (tmp_path / 'anew').mkdir()
    shown = shown_examples([*examples, *map(str, folder.glob('*/*.heic'))], tmp_path / 'anew')
    assert len(shown) == 11 and {Path(file).suffix for file in shown} <= {'.jpg'}
    for file in shown:
        check_upload(file, file)
