"A model in the browser: the image is prepared there as in Python, the page in one file, and the canvas that answers."
import hashlib
import json
import os
import shutil
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from conftest import REAL_HOME, REPO
from PIL import Image

from easing_fastai.images.own_digit import drawing_canvas, drawing_widget

PROGRAM = files('easing_fastai') / 'data' / 'in_browser.mjs'
STAND_IN = """// instead of onnxruntime-web: a network that knows how light an image is
export const env = {wasm: {}};
export class Tensor { constructor(type, data) { this.data = data; } }
export const InferenceSession = {create: async () => ({run: async ({image}) => {
  const light = image.data.reduce((a, b) => a + b)/image.data.length > 0.5 ? 0.75 : 0.25;
  return {probabilities: {data: [light, 1 - light]}};
}})};
"""


@pytest.fixture
def served(tmp_path):
    "A folder whose files a browser may ask for, its address, and what was asked for."
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        extensions_map = {**SimpleHTTPRequestHandler.extensions_map, '.mjs': 'text/javascript'}

        def log_message(self, *args):
            asked.append(self.path)

    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, directory=str(tmp_path)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path, f'http://127.0.0.1:{server.server_port}', asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def tab(browser):
    page = browser.new_page(viewport={'width': 390, 'height': 900})
    page.errors = []
    page.on('pageerror', lambda error: page.errors.append(str(error)))
    yield page
    page.close()


@pytest.mark.parametrize('side, resize', [(28, 'squish'), (100, 'middle')])  # of 28 pixels any share to cut off would be 8
@pytest.mark.parametrize('size', [(28, 28), (90, 40), (301, 403), (20, 9)])
def test_an_image_becomes_the_same_numbers_as_in_python(tab, served, size, side, resize):
    from easing_fastai.serve.app import as_batch

    folder, address, _ = served
    shutil.copy(PROGRAM, folder / 'program.mjs')
    (folder / 'page.html').write_text('<!doctype html>')
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / 'image.png')
    card = {'size': side, 'resize': resize, 'mean': [0.485, 0.456, 0.406], 'std': [0.229, 0.224, 0.225]}
    tab.goto(f'{address}/page.html')
    found = tab.evaluate("""async card => {
        const {pixelsOf, prepared} = await import('./program.mjs');
        return [...prepared(await pixelsOf(await (await fetch('image.png')).blob()), card)];
    }""", card)
    assert np.abs(np.array(found) - as_batch(folder / 'image.png', card).ravel()).max() < 1e-5


def draw(page, points):
    "One stroke on the first canvas."
    canvas = page.locator('.digit-canvas canvas').first
    canvas.scroll_into_view_if_needed()
    at = canvas.bounding_box()
    for n, (x, y) in enumerate(points):
        page.mouse.move(at['x'] + at['width'] * x / 100, at['y'] + at['height'] * y / 100)
        if n == 0:
            page.mouse.down()
    page.mouse.up()


@pytest.fixture
def canvas_page(served):
    "A page with the canvas and the scripts of the site, and the folder of the model, with a stand-in for the runtime."
    folder, address, asked = served
    for name in ('site.js', 'draw.mjs', 'names.json', 'style.css'):
        shutil.copy(REPO / 'nbs' / name, folder)
    canvas = drawing_canvas()._repr_html_()
    (folder / 'page.html').write_text('<!doctype html><html lang=en><link rel=stylesheet href=style.css><script src=site.js defer></script>'
                                      f'<main><div class="cell draws"><div class="cell-output">{canvas}</div></div></main>')
    model = folder / 'in_browser'
    model.mkdir()
    shutil.copy(PROGRAM, model / 'program.mjs')
    (model / 'runtime.mjs').write_text(STAND_IN)
    (model / 'card.json').write_text('{"size": 28, "resize": "squish", "mean": [0, 0, 0], "std": [1, 1, 1], "labels": ["dark", "light"]}')
    (model / 'network.onnx').write_bytes(b'')
    import gzip
    (model / 'wasm.gz').write_bytes(gzip.compress(b''))
    return model, f'{address}/page.html', asked


def test_the_canvas_answers_and_loads_nothing_before_the_first_stroke(tab, canvas_page):
    _, address, asked = canvas_page
    tab.goto(address)
    tab.locator('.digit-canvas canvas').wait_for()
    assert not [path for path in asked if 'in_browser' in path or 'draw.mjs' in path]
    draw(tab, [(20, 20), (80, 20), (40, 90)])
    tab.locator('.digit-answer figure').nth(1).wait_for()
    first, second = tab.locator('.digit-answer figcaption').all_inner_texts()
    assert 'light: 75.0%' in first and 'light: 25.0%' in second, 'both forms are asked, and they differ'
    drawn = tab.evaluate("[...document.querySelector('.digit-answer canvas').getContext('2d').getImageData(0, 0, 28, 28).data]")
    grey = np.array(drawn).reshape(28, 28, 4)[:, :, 0].astype(float)
    down, across = np.nonzero(grey)
    assert max(np.ptp(down), np.ptp(across)) + 1 == 20 and grey.max() == 255
    centre = [np.average(np.arange(28), weights=grey.sum(axis)) for axis in (0, 1)]
    assert np.abs(np.array(centre) - 13.5).max() < 1.1, 'the centre of mass is in the middle'
    assert tab.evaluate('document.documentElement.scrollWidth') == 390 and not tab.errors
    tab.get_by_text('clear', exact=True).click()
    tab.locator('.digit-answer figure').first.wait_for(state='detached')


def test_a_widget_hands_the_drawing_to_python(tab, served):
    pytest.importorskip('anywidget')
    folder, address, _ = served
    widget = drawing_widget()()
    (folder / 'canvas.mjs').write_text(str(widget._esm), encoding='utf-8')
    (folder / 'index.html').write_text('<main></main>', encoding='utf-8')
    tab.goto(address)
    tab.evaluate("""async () => {
        const {default: {render}} = await import('./canvas.mjs');
        window.saved = [];
        const model = {set: (name, value) => { model[name] = value; }, save_changes: () => window.saved.push(model.strokes)};
        render({model, el: document.querySelector('main')});
    }""")
    draw(tab, [(20, 20), (80, 20), (45, 85)])
    strokes = tab.evaluate('saved.at(-1)')
    assert strokes == tab.locator('.digit-canvas input').input_value() and len(strokes.split()) > 1
    tab.get_by_role('button', name='clear').click()
    assert tab.evaluate('saved.at(-1)') == ''
    assert set(widget._repr_mimebundle_()[0]) == {'text/plain', 'text/html', 'application/vnd.jupyter.widget-view+json'}


def test_a_site_without_the_model_says_so_and_tries_again(tab, canvas_page):
    model, address, _ = canvas_page
    model.rename(model.with_name('elsewhere'))
    tab.goto(address)
    draw(tab, [(20, 20), (80, 20)])
    tab.get_by_text('could not be loaded').wait_for()
    model.with_name('elsewhere').rename(model)
    draw(tab, [(20, 40), (80, 40)])
    tab.locator('.digit-answer figure').nth(1).wait_for()
    assert not tab.errors


@pytest.fixture(scope='module')
def runtime() -> Path:
    "The real runtime, if it is among the user's data sets."
    from easing_fastai.serve.in_browser import RUNTIME, VERSION, is_expected

    folder = Path(REAL_HOME or '~/.fastai').expanduser() / 'data' / f'onnxruntime-web-{VERSION}'
    if not all((folder / name).exists() for name in RUNTIME):
        pytest.skip(f'{folder.name} is not on this disk: `easing-fastai serve MODEL --html FILE` downloads it')
    assert all(is_expected(name, folder / name) for name in RUNTIME)
    return folder


def test_one_file_says_what_pytorch_says(tab, runtime, tmp_path, monkeypatch):
    import torch
    from fastai.vision.learner import create_vision_model

    from easing_fastai.serve import in_browser
    from easing_fastai.train.fit import architecture
    from easing_fastai.train.model import ModelCard, TrainedModel

    monkeypatch.setattr(in_browser, 'web_runtime', lambda: runtime)
    torch.manual_seed(1)
    card = ModelCard('digits_resnet18', ['cat', '</script><b>dog</b>', 'other'], 64, 0.9, 100, 20, 5, 42, 'folders', '0' * 64, resize='middle')
    model = TrainedModel(create_vision_model(architecture(card.arch), 3, pretrained=False).eval(), card)
    in_browser.write_html(tmp_path / 'page.html', model, threshold=0)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 301, 3), dtype=np.uint8)).save(tmp_path / 'noise.png')
    (tmp_path / 'text.jpg').write_text('Dear model')
    asked = []
    tab.on('request', lambda request: asked.append(request.url))
    tab.goto((tmp_path / 'page.html').as_uri())
    tab.set_input_files('input', str(tmp_path / 'noise.png'))
    tab.locator('meter').nth(2).wait_for()
    found = dict(tab.eval_on_selector_all('meter', 'bars => bars.map(bar => [bar.ariaLabel, bar.value])'))
    expected = model.predict(tmp_path / 'noise.png')
    assert found.keys() == expected.keys() and all(abs(found[label] - expected[label]) < 1e-4 for label in found)
    tab.set_input_files('input', str(tmp_path / 'text.jpg'))
    tab.get_by_text('text.jpg is not an image').wait_for()
    assert not [url for url in asked if url.startswith('http')] and not tab.errors


def test_the_runtime_is_known_by_its_bytes(tmp_path, monkeypatch):
    from easing_fastai.assets.network import AssetError
    from easing_fastai.serve import in_browser

    monkeypatch.setattr(in_browser, 'data_folder', lambda: tmp_path)
    folder = tmp_path / f'onnxruntime-web-{in_browser.VERSION}'
    with pytest.raises(AssetError, match='EASING_FASTAI_OFFLINE'):
        in_browser.web_runtime()
    assert not folder.exists()
    source = tmp_path / 'source'
    source.mkdir()
    for name in in_browser.RUNTIME:
        (source / name).write_text('another program')
    monkeypatch.setattr(in_browser, 'ADDRESS', source.as_uri() + '/')
    monkeypatch.setattr(in_browser, 'PACKAGE', (source / 'package.tgz').as_uri())
    monkeypatch.setitem(os.environ, 'EASING_FASTAI_OFFLINE', '')
    with pytest.raises(AssetError, match='not the file that is expected'):
        in_browser.web_runtime()
    assert not list(folder.iterdir()), 'nothing of it stays'
    name = next(iter(in_browser.RUNTIME))
    shutil.copy(source / name, folder)
    with pytest.raises(AssetError, match='damaged'):
        in_browser.web_runtime()


def test_the_runtime_comes_from_npm_where_the_mirror_is_blocked(tmp_path, monkeypatch):
    from easing_fastai.assets.network import AssetError
    from easing_fastai.serve import in_browser

    contents = {name: name.encode() for name in in_browser.RUNTIME}
    with tarfile.open(tmp_path / 'package.tgz', 'w:gz') as package:
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
            package.add(tmp_path / name, f'package/dist/{name}')
    monkeypatch.setattr(in_browser, 'data_folder', lambda: tmp_path / 'data')
    monkeypatch.setattr(in_browser, 'RUNTIME', {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()})
    monkeypatch.setattr(in_browser, 'ADDRESS', (tmp_path / 'nowhere').as_uri() + '/')
    monkeypatch.setattr(in_browser, 'PACKAGE', (tmp_path / 'package.tgz').as_uri())
    monkeypatch.setitem(os.environ, 'EASING_FASTAI_OFFLINE', '')
    folder = in_browser.web_runtime()
    assert {name: (folder / name).read_bytes() for name in contents} == contents
    shutil.rmtree(folder)
    (tmp_path / 'package.tgz').unlink()
    with pytest.raises(AssetError, match='nowhere'):
        in_browser.web_runtime()


CHECKS = [{'pixels': [light]*784, 'probabilities': {'dark': 0.25, 'light': 0.75}} for light in (255, 0)]


def test_the_page_compares_itself_with_pytorch(tab, canvas_page):
    model, address, _ = canvas_page
    (model / 'checks.json').write_text(json.dumps(CHECKS))
    (model / 'card.json').write_text('{"size": 28, "resize": "squish", "mean": [0, 0, 0], "std": [1, 1, 1], "labels": ["light", "dark"]}')
    tab.goto(address)
    assert tab.evaluate("(async () => (await import('./draw.mjs')).distances())()") == [0, 0.5]


def test_what_readers_by_ear_are_told(tab, served):
    "Each landmark has a name, and a head of a table without a word is a cell."
    folder, address, _ = served
    shutil.copy(REPO / 'nbs' / 'site.js', folder)
    (folder / 'names.json').write_text('{}')
    (folder / 'page.html').write_text('<!doctype html><script src=site.js defer></script><nav id=quarto-sidebar></nav><nav id=TOC></nav>'
                                      '<nav class=page-navigation></nav><main><table><tr><th> </th><th>loss</th></tr></table></main>')
    tab.goto(f'{address}/page.html')
    labels = tab.evaluate("[...document.querySelectorAll('nav')].map(nav => nav.ariaLabel)")
    assert len(set(labels)) == 3 and all(labels)
    assert tab.locator('th').all_inner_texts() == ['loss'] and tab.locator('td').count() == 1
