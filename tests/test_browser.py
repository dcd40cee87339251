"The pages of a run in a real browser: nothing asked of the network, readable on a phone and at night, usable by keyboard."
import io
import re
import shutil
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import nbformat
import pytest
from conftest import made_once
from PIL import Image
from test_rendering import NUMBERED, Elements, site_of_kept_outputs

PAGES = ['index', *(path.stem for path in NUMBERED), '90_tiny']
SAMPLE = '91_sample'
pytestmark = pytest.mark.long

TINY = {
    'all colours of code': '@property\ndef f(x: int = 0x1F, y=None) -> str:\n    "Says it."  # a comment\n    import os\n'
                           "    return f'{x:.2f} \\n' if x not in [1.5] and y is None else print(len(os.sep))",
    'a tree': 'from IPython.display import HTML\nHTML("<details><summary>fit</summary><ul><li><details><summary>one_epoch</summary>'
              '<p id=leaf>the leaf</p></details></li></ul></details>")',
    'a wide table': 'HTML("<table><tr>" + "<td>1000</td>"*60 + "</tr></table>")',
    'a long line': 'print("x"*300); print("a    b" + " "*300 + "c")',
    'a picture': "#| fig-cap: A *wide* line\n#| fig-alt: a line that goes up from left to right\nfrom PIL import Image, ImageDraw\n"
                 "picture = Image.new('RGB', (1400, 300), 'white')\nImageDraw.Draw(picture).line((0, 300, 1400, 0), 'black', 3)\npicture",
    'an error': 'def f(x): return 1/x\nf(0)',
}


@pytest.fixture(scope='module')
def site(tmp_path_factory, browser) -> Path:
    "The pages of all chapters, made of kept outputs; and a tiny notebook that is executed, and fails at its end."
    from easing_fastai.dev.page import page
    from easing_fastai.dev.run import run_chapter

    kept = made_once('kept', site_of_kept_outputs, tmp_path_factory)
    folder = shutil.copytree(kept, tmp_path_factory.mktemp('site'), dirs_exist_ok=True)
    new = nbformat.v4
    cells = [new.new_markdown_cell('# A *tiny* notebook\n\n> For the tests')]
    for title, code in TINY.items():
        cells += [new.new_markdown_cell(f'## {title}'), new.new_code_cell(code)]
    cells.append(new.new_markdown_cell('A formula: $a^{2} + b_1$, and [a chapter](05_fine_tune.ipynb)'))
    source = tmp_path_factory.mktemp('source') / '90_tiny.ipynb'
    nbformat.write(new.new_notebook(cells=cells), source)
    assert run_chapter(source, folder).error == 'ZeroDivisionError: division by zero'
    (folder / f'{SAMPLE}.html').write_text(page(sample_of_all_chapters(), SAMPLE), encoding='utf-8')
    return folder


def sample_of_all_chapters() -> nbformat.NotebookNode:
    "A short notebook that has every kind of element that any chapter has: one page can be looked at for all."
    from easing_fastai.base.show import page_of
    from easing_fastai.dev.page import Words, as_cell, for_readers

    cells, words = [], Words()
    for path in NUMBERED:
        for cell in for_readers(nbformat.read(path, as_version=4)).cells:
            if cell.cell_type == 'code':
                cell.source = ''  # the tiny notebook has all colours of code
            html = page_of('cells.html', cells=[as_cell(cell, words)])
            cells.append((html, cell))
    seen, sample = set(), nbformat.v4.new_notebook()
    for html, cell in sorted(cells, key=lambda pair: len(pair[0])):
        kinds = {(tag, attributes.get('class'), *sorted(attributes)) for tag, attributes in Elements(html).elements}
        if kinds - seen:
            seen |= kinds
            sample.cells.append(cell)
    return sample


@contextmanager
def opened(browser, site: Path, name: str, width: int = 1280):
    "A page of the run, open in a browser of its own; in the end it may have asked for nothing and complained of nothing."
    context = browser.new_context(viewport={'width': width, 'height': 800}, offline=True)
    page, asked, complaints = context.new_page(), [], []
    page.on('request', lambda request: asked.append(request.url))
    page.on('console', lambda message: complaints.append(message.text) if message.type in ('error', 'warning') else None)
    page.on('pageerror', lambda error: complaints.append(str(error)))
    page.goto((site / f'{name}.html').as_uri())
    yield page
    assert [url for url in asked if not re.match(r'file:|data:|blob:', url)] == []
    assert complaints == []
    context.close()


# ---- every page ----

# What reaches beyond the right edge, unless it is in a frame that scrolls.
WIDER = """() => [...document.querySelectorAll('body *')].filter(e => {
    for (let p = e; p; p = p.parentElement) if (/auto|scroll/.test(getComputedStyle(p).overflowX) || p.matches('.skip, .head')) return false;
    return e.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
}).map(e => e.outerHTML.slice(0, 200))"""


def middle_brightness(png: bytes) -> int:
    "The brightness of the middle pixel if all were sorted; 255 is white."
    pixels = sorted(Image.open(io.BytesIO(png)).convert('L').tobytes())
    return pixels[len(pixels) // 2]


@pytest.mark.parametrize('name', PAGES)
def test_nothing_is_wider_than_a_phone(browser, site, name):
    with opened(browser, site, name, width=360) as page:
        page.evaluate("document.querySelectorAll('main details').forEach(tree => tree.open = true)")
        assert page.evaluate(WIDER) == []
        assert page.evaluate('document.documentElement.scrollWidth') == 360


@pytest.mark.parametrize('name', ['index', SAMPLE, '90_tiny'])
def test_for_everybody_by_day_and_by_night(browser, site, name):
    with opened(browser, site, name) as page:
        page.evaluate("document.querySelectorAll('main details').forEach(tree => tree.open = true)")
        page.add_script_tag(content=(files('axe_playwright_python') / 'axe.min.js').read_text(encoding='utf-8'))
        # Coloured code is the same everywhere and has hundreds of elements: only the tiny notebook's is looked at.
        what = 'document' if name == '90_tiny' else "{exclude: ['.highlight pre']}"
        rules = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']"
        found = page.evaluate(f"axe.run({what}, {{runOnly: {rules}, resultTypes: ['violations']}})")['violations']
        assert middle_brightness(page.screenshot()) > 235

        page.emulate_media(color_scheme='dark')
        found += page.evaluate(f"axe.run({what}, {{runOnly: ['color-contrast'], resultTypes: ['violations']}})")['violations']
        assert middle_brightness(page.screenshot()) < 50, 'dark is not dark'
        nodes = {(v['id'], v['help']): [node['html'][:200] for node in v['nodes'][:3]]
                 for v in found if v['impact'] in ('serious', 'critical')}
        assert nodes == {}


# ---- what a reader does ----

# Is what a link led to on the screen?
IN_SIGHT = """() => {
    const at = location.hash && document.querySelector(location.hash).getBoundingClientRect().top;
    return location.hash && 0 <= at && at < innerHeight;
}"""


@pytest.fixture
def tiny(browser, site):
    with opened(browser, site, '90_tiny') as page:
        yield page


def test_figures_are_readable_at_night(tiny):
    tiny.emulate_media(color_scheme='dark')
    assert middle_brightness(tiny.locator('figure img').screenshot()) > 200  # black axes on white
    assert tiny.locator('figcaption em').inner_text() == 'wide'


def test_trees_open_by_mouse_and_keyboard(tiny):
    leaf = tiny.locator('#leaf')
    outer, inner = tiny.locator('summary', has_text='fit'), tiny.locator('summary', has_text='one_epoch')
    assert not leaf.is_visible() and not inner.is_visible()
    outer.click()
    assert inner.is_visible()
    inner.click()
    assert leaf.is_visible()
    outer.click()
    assert not leaf.is_visible()
    outer.focus()
    tiny.keyboard.press('Enter')
    tiny.keyboard.press('Tab')
    assert tiny.evaluate('document.activeElement.textContent') == 'one_epoch'
    assert leaf.is_visible()
    tiny.keyboard.press('Space')
    assert inner.is_visible() and not leaf.is_visible()


def test_solutions_open(browser, site):
    with opened(browser, site, '05_fine_tune') as page:
        tree = page.locator('main details', has=page.locator("summary:text-is('Solution')")).first
        tree.locator('summary').focus()
        page.keyboard.press('Enter')
        assert tree.locator('.highlight').first.is_visible()


def test_the_keyboard_finds_its_way(tiny):
    tiny.keyboard.press('Tab')
    focus = 'document.activeElement.textContent.trim()'
    assert tiny.evaluate(focus) == 'Skip to the text'
    assert tiny.locator('.skip').bounding_box()['x'] >= 0, 'it is seen when it has the focus'
    tiny.keyboard.press('Enter')
    assert tiny.evaluate('document.activeElement.id') == 'text'
    tiny.keyboard.press('Tab')
    assert tiny.evaluate(focus) in ('ZeroDivisionError', 'Copy')
    outline = tiny.evaluate('getComputedStyle(document.activeElement).outline')
    assert 'solid' in outline and '3px' in outline
    wide = tiny.locator('.scroll', has=tiny.locator('table'))
    assert wide.get_attribute('tabindex') == '0'
    wide.focus()
    tiny.keyboard.press('ArrowRight')
    tiny.wait_for_function('box => box.scrollLeft > 0', arg=wide.element_handle())


def test_code_copies(tiny):
    tiny.context.grant_permissions(['clipboard-read', 'clipboard-write'])
    tiny.locator('.copy').last.focus()
    tiny.keyboard.press('Enter')
    tiny.wait_for_function("document.querySelectorAll('.copy.done').length")
    assert tiny.evaluate('navigator.clipboard.readText()') == 'def f(x): return 1/x\nf(0)\n'


def test_an_error_is_shown_and_pointed_at(tiny):
    tiny.locator('.notice a').click()
    tiny.wait_for_function(IN_SIGHT)
    assert tiny.url.endswith('#stopped') and 'ZeroDivisionError' in tiny.locator('#stopped').inner_text()
    assert '$a^{2} + b_1$' in tiny.locator('main').inner_text()


def test_from_the_first_page_through_the_chapters(browser, site):
    with opened(browser, site, 'index', width=390) as page:
        page.locator('.runs a').first.click()
        seen = [page.url]
        for _ in NUMBERED[1:3]:
            page.locator('footer a[rel=next]').click()
            seen.append(page.url)
        assert [Path(url).stem for url in seen] == [path.stem for path in NUMBERED[:3]]
        page.locator('header a.up').click()
        assert page.url.endswith('index.html')


def test_contents_stand_beside_the_text_or_closed_above_it(tiny):
    contents = tiny.locator('.contents ol')
    assert contents.is_visible()
    tiny.locator('.contents a').last.click()
    tiny.wait_for_function(IN_SIGHT)
    tiny.set_viewport_size({'width': 390, 'height': 800})
    contents.wait_for(state='hidden')
    tiny.locator('.contents summary').click()
    assert contents.is_visible()


# ---- what shows itself, in other people's pages ----

# JupyterLab's own rules for HTML in the output of a cell
JUPYTERLAB = """
.jp-RenderedHTMLCommon ul:not(.list-inline) { padding-left: 2em }
.jp-RenderedHTMLCommon ul { list-style: disc; margin-bottom: 1em }
.jp-RenderedHTMLCommon ul ul { list-style: square }
.jp-RenderedHTMLCommon ul ul ul { list-style: circle }
.jp-ThemedContainer .jp-RenderedHTMLCommon code { background-color: white; color: black; padding: 0; line-height: 1.3 }
.jp-ThemedContainer .jp-RenderedHTMLCommon :not(pre) > code { background-color: lightgrey; padding: 1px 5px }
"""
# What is left where a notebook is not trusted
UNTRUSTED = """() => {
    document.querySelectorAll('.jp-RenderedHTMLCommon :is(style, script)').forEach(e => e.remove());
    for (const e of document.querySelectorAll('.jp-RenderedHTMLCommon *'))
        for (const {name} of [...e.attributes]) if (/^(on|aria|role)/.test(name)) e.removeAttribute(name);
}"""


def in_jupyterlab(browser, html: str):
    "A page with the output of a cell."
    page = browser.new_context(viewport={'width': 1000, 'height': 800}, offline=True).new_page()
    page.set_content(f'<style>{JUPYTERLAB}</style><body class="jp-ThemedContainer"><div class="jp-RenderedHTMLCommon">{html}</div>')
    return page


@pytest.fixture(scope='module')
def tree() -> str:
    "A tree of three levels, with sources."
    from fastai.learner import Learner

    from easing_fastai.unpack.trace import Call
    from easing_fastai.unpack.view import Summary, expand, summarise

    call = Call('step', Learner.one_batch.__code__, calls=1, seconds=1.0)
    for method in (Learner._do_epoch, Learner.fit, Learner.fit):
        call = Call(method.__qualname__.replace('_do', 'do'), method.__code__, {'n': ['1']}, 'What it does', calls=1, seconds=1.0, children=[call])
    line = summarise(call, 1.0, plumbing=True)
    expand(line, 9)
    return Summary(line, 'fit: 1 s')._repr_html_()


def test_the_tree_in_jupyterlab(browser, tree):
    page = in_jupyterlab(browser, tree)
    page.add_script_tag(content=(files('axe_playwright_python') / 'axe.min.js').read_text(encoding='utf-8'))
    style = 'all => all.map(e => [getComputedStyle(e).listStyleType, getComputedStyle(e).marginBottom])'
    assert page.locator('.unpack ul').evaluate_all(style) == 4 * [['none', '0px']]
    style = 'all => all.map(e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).paddingLeft])'
    assert page.locator('.unpack code').evaluate_all(style) == 4 * [['rgba(0, 0, 0, 0)', '0px']]
    assert page.locator('.unpack button:visible').count() == 2
    tops = "all => all.map(a => a.getBoundingClientRect().top - a.closest('li').getBoundingClientRect().top)"
    assert page.locator('.unpack a').evaluate_all(tops) == 4 * [0]
    found = page.evaluate("axe.run('.unpack', {resultTypes: ['violations']})")['violations']
    assert [(v['id'], v['nodes'][0]['html'][:200]) for v in found] == []
    page.context.close()


def test_the_tree_without_style_and_script(browser, tree):
    page = in_jupyterlab(browser, tree)
    page.evaluate(UNTRUSTED)
    at = "all => all.map(a => a.getBoundingClientRect().top - a.closest('li').getBoundingClientRect().top)"
    assert max(page.locator('.unpack a').evaluate_all(at)) < 8 and page.locator('.unpack button:visible').count() == 0
    lines = [line.strip() for line in page.locator('.unpack').inner_text().splitlines() if line.strip() not in ('', '</>')]
    assert lines[:2] == ['fit: 1 s', 'Learner.fit(n=1) · 1 s · 100 % · What it does'] and len(lines) == 5
    page.context.close()


@pytest.mark.parametrize('template', ['slider.html', 'canvas.html'])
def test_a_box_that_a_script_fills_has_words_without_it(browser, template):
    from easing_fastai.base.show import page_of

    row = {'rates': [0.1], 'momentum': 0.9, 'loss': 1.0, 'frozen': 0}
    html = page_of(template, groups=['all'], rows=[row, row])
    page = in_jupyterlab(browser, html)
    page.locator('input').first.wait_for()
    assert 'scripts' not in page.locator('.jp-RenderedHTMLCommon').inner_text()
    page.context.close()
    page = in_jupyterlab(browser, html.replace('<script>', '<script type="text/plain">'))
    assert 'trust the notebook' in page.locator('.jp-RenderedHTMLCommon').inner_text()
    page.context.close()


@pytest.fixture(scope='module')
def report(tmp_path_factory) -> Path:
    "What `easing-fastai train` writes about a model that is often wrong, images with long names among them."
    import numpy as np
    import pandas as pd

    from easing_fastai.images.check import check_images
    from easing_fastai.train import report
    from easing_fastai.train.model import ModelCard

    out, labels, rng, rows = tmp_path_factory.mktemp('report'), ['ants', 'b' * 60], np.random.default_rng(0), []
    for label in labels:
        (out / 'photos' / label).mkdir(parents=True)
        for i in range(8):
            name = f'{label}/{"IMG_20261130_1405"*(1 + i)}.jpg'
            Image.fromarray(rng.integers(0, 255, (60, 90, 3), dtype='uint8')).save(out / 'photos' / name)
            rows.append((name, label, i >= 4))
    files = pd.DataFrame(rows, columns=['file', 'label', 'is_valid'])
    valid, probabilities = files[files.is_valid], rng.dirichlet([1, 1], 8)
    truth, predicted = np.array([labels.index(label) for label in valid.label]), probabilities.argmax(axis=1)
    ranked = report.ranked_predictions(valid.file.tolist(), probabilities, truth, labels)
    assert ranked.wrong.sum() > 2
    card = ModelCard('resnet18', labels, 128, float((truth == predicted).mean()), 8, 8, 5, 42, 'folders', '0' * 64)
    table = pd.DataFrame([{'trained': 'head', 'train_loss': 0.5, 'valid_loss': 0.4, 'accuracy': 0.9}] * 3)
    figures = map(report.as_png, (report.plot_confusion(truth, predicted, labels), report.plot_results(out / 'photos', ranked)))
    html = report.report_page(card, Path('/home/me') / ('model' * 20), table, check_images(out / 'photos'), ['a note'],
                              *figures, ranked, report.rivals(out / 'photos', files))
    (out / 'index.html').write_text(html, encoding='utf-8')
    return out


def test_the_report_on_a_phone_by_day_and_by_night(browser, report):
    with opened(browser, report, 'index', width=360) as page:
        assert page.evaluate(WIDER) == [] and page.evaluate('document.documentElement.scrollWidth') == 360
        assert min(page.locator('td').evaluate_all('all => all.map(cell => cell.clientWidth)')) >= 70, 'no letter per line'
        page.add_script_tag(content=(files('axe_playwright_python') / 'axe.min.js').read_text(encoding='utf-8'))
        found = page.evaluate("axe.run({resultTypes: ['violations']})")['violations']
        page.emulate_media(color_scheme='dark')
        assert middle_brightness(page.screenshot()) < 50, 'dark is not dark'
        found += page.evaluate("axe.run({resultTypes: ['violations']})")['violations']
        assert [(v['id'], node['html'][:150], node['failureSummary'][:200]) for v in found for node in v['nodes']][:1] == []
