"The website as far as it can be tried without Quarto: nbdev's processing, Pandoc's parser, the filter of our own, every link."
import ast
import builtins
import csv
import json
import keyword
import re
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import nbformat
import pypandoc
import pytest
import yaml
from conftest import REPO, start
from test_notebooks import ADDRESS, NOTEBOOKS, ids, words

SITE = ADDRESS.replace('https://github.com/easing-fastai', 'https://easing-fastai.github.io') + '/'


def pandoc(text: str, *args: str, cwd: Path = REPO) -> str:
    done = subprocess.run([pypandoc.get_pandoc_path(), *args], input=text, cwd=cwd, capture_output=True, text=True, encoding='utf-8')
    assert done.returncode == 0, done.stderr
    return done.stdout


def parts(block: object) -> list[dict]:
    "All elements of what Pandoc has parsed."
    if isinstance(block, list):
        return [part for one in block for part in parts(one)]
    return [block, *parts(list(block.values()))] if isinstance(block, dict) else []


@pytest.fixture(scope='module')
def proc(processed) -> Path:
    return processed / '_proc'


@pytest.fixture(scope='module')
def pages(proc) -> dict[str, nbformat.NotebookNode]:
    "The processed notebooks by the file that Quarto makes of them, as api/decode.html."
    found = {}
    for path in proc.rglob('*.ipynb'):
        nb = nbformat.read(path, as_version=4)
        named = re.search(r'^output-file: (.+)$', nb.cells[0].source, flags=re.M) if nb.cells[0].cell_type == 'raw' else None
        found[(path.relative_to(proc).parent / (named[1] if named else f'{path.stem}.html')).as_posix()] = nb
    return found


def test_every_notebook_becomes_a_page(proc, pages):
    assert {p.relative_to(proc) for p in proc.rglob('*.ipynb')} == {p.relative_to(REPO / 'nbs') for p in NOTEBOOKS}
    assert len(pages) == len(NOTEBOOKS) and {'index.html', 'mnist.html', 'plain_dataloaders.html', 'api/core.html'} <= pages.keys()
    for name, nb in pages.items():
        assert nb.cells[0].cell_type == 'raw' and yaml.safe_load(nb.cells[0].source.strip('-\n'))['title'], name
        assert not any('google.colab' in cell.source for cell in nb.cells), f'{name}: the installation in Colab is not for readers'


def test_captions_stand_below_the_last_image(pages):
    "Quarto gives the captions of a cell to what it displays, one after the other."
    found = 0
    for name, nb in pages.items():
        for cell in nb.cells:
            caption = re.search(r'^#\| fig-cap: (.+)$', cell.source, flags=re.M) if cell.cell_type == 'code' else None
            shown = [output.data for output in cell.outputs if 'data' in output] if caption else []
            if not shown:
                continue
            captions = yaml.safe_load(caption[1])
            captions = captions if isinstance(captions, list) else [captions]
            at = next(i for i, one in enumerate(captions) if one)
            assert any(kind.startswith('image/') for kind in shown[at]), (name, captions)
            assert len(captions) == 1 or all(output.output_type != 'execute_result' for output in cell.outputs), 'Quarto leaves out "<Axes: >"'
            assert not any(kind.startswith('image/') for data in shown[at + 1:] for kind in data), (name, captions)
            found += len(captions) > 1
    assert found >= 4


def test_each_function_is_shown_once(pages):
    "Where a chapter shows the source, nbdev's signature goes; the anchors stay."
    taught = 0
    for name, nb in pages.items():
        sources = [cell.source for cell in nb.cells]
        for source in sources:
            for function in re.findall(r'^(?:def|class) (\w+)', source, flags=re.M) if '#| exports' in source else []:
                anchors = f'#| label: {function.lower()}', f'::: {{#{function.lower()}}}'
                assert any(anchor in other for anchor in anchors for other in sources), (name, function)
                assert not any(f'show_doc({function})' in other for other in sources), (name, function)
                taught += 1
    assert taught > 40


def test_no_link_within_a_link(pages):
    "nbdev links each name of ours between backticks; where that stands in a link already, both are shown as brackets."
    assert not [(name, cell.source[:80]) for name, nb in pages.items() for cell in nb.cells
                if cell.cell_type == 'markdown' and re.search(r'\[\[`[^`]+`\]\(', cell.source)]


def in_sidebar(entries: list | str) -> list[str]:
    "The files and patterns of a sidebar, whatever sections they are in."
    if isinstance(entries, str):
        return [entries]
    found = [in_sidebar(e['contents']) if 'contents' in e else [e['href']] if 'href' in e else [] for e in entries if isinstance(e, dict)]
    return [e for e in entries if isinstance(e, str)] + sum(found, [])


def test_the_configuration(proc):
    config = yaml.safe_load((REPO / '_quarto.yml').read_text())
    assert (REPO / 'nbs' / '_quarto.yml').is_symlink() and config['lang'].startswith('en')
    website, html = config['website'], config['format']['html']
    named = [website['favicon'], website['image'], html['css'], *config['filters'], *config['project']['resources'],
             *html['theme']['light'], *html['theme']['dark']]
    listed = in_sidebar(website['sidebar']['contents'])
    assert all((proc / file).is_file() for file in named if file != 'in_browser/*'), named  # that folder is made by `make docs`
    assert all(list(proc.glob(pattern)) for pattern in listed), listed
    shown = {path for pattern in listed for path in proc.glob(pattern)}
    assert shown == set(proc.rglob('*.ipynb')), 'every page is in the sidebar'


@pytest.mark.parametrize('path', NOTEBOOKS, ids=ids)
def test_pandoc_understands_the_words(path):
    document = json.loads(pandoc(words(path), '-f', 'markdown', '-t', 'json'))
    found = parts(document['blocks'])
    boxes = [part['c'][0][1] for part in found if part.get('t') == 'Div']
    assert all(len(names) <= 1 for names in boxes)
    text = [part['c'] for part in found if part.get('t') == 'Str']
    assert not [word for word in text if ':::' in word], 'a fence that is not closed, or not opened'
    targets = [part['c'][2][0] for part in found if part.get('t') == 'Link']
    assert all(re.match(r'https://|#|[\w./-]+\.ipynb(#[\w.-]+)?$', target) for target in targets), targets


def test_links_lead_to_headings():
    headings = {path: {part['c'][1][0] for part in parts(json.loads(pandoc(words(path), '-f', 'markdown', '-t', 'json'))['blocks']) if part.get('t') == 'Header'}
                for path in NOTEBOOKS}
    for path in NOTEBOOKS:
        for file, part in re.findall(r'\]\(([\w./-]*)#([\w.-]+)\)', words(path)):
            assert part in headings[(path.parent / (file or path.name)).resolve()], f'{path.name}: {file}#{part}'


@pytest.mark.parametrize('file', ['nbs/llms.txt', 'README.md', 'nbs/404.qmd'])
def test_links_of_other_files(file, pages):
    text = (REPO / file).read_text(encoding='utf-8')
    targets = re.findall(r'\]\(([^)\s]+)\)', text)
    assert len(targets) >= 3
    for target in targets:
        if target.startswith(SITE):
            assert target.removeprefix(SITE).partition('#')[0] in {*pages, ''}, target
        elif target.startswith(ADDRESS):
            inside = re.sub(r'^/?((blob|raw|tree)/main/)?', '', target.removeprefix(ADDRESS))
            assert re.match(r'(actions|issues|discussions)\b', inside) or (REPO / inside).exists(), target
        elif target.startswith('/'):
            assert (REPO / 'nbs' / target[1:]).is_file(), target
        elif target.startswith('#'):
            assert f'id="{target[1:]}"' in pandoc(text, '-f', 'markdown', '-t', 'html'), target
        else:
            assert target.startswith('https://'), target


def test_names_in_where_next_exist():
    names = {}
    exec('from fastai.vision.all import *', names)
    code = re.findall(r'`(\w+)\(([\w.]+)\)`|`([\w.]+)\?\?`', words(REPO / 'nbs' / 'where_next.ipynb'))
    assert code
    for name in filter(None, sum(code, ())):
        eval(name, names)


def test_docs_links_of_the_modules(pages):
    for path in (REPO / 'easing_fastai').rglob('*.py'):
        for target in re.findall(r'^Docs: ([^\s\"]+)', path.read_text(encoding='utf-8'), flags=re.M):
            assert target.removeprefix(SITE).removesuffix('.md') in pages, f'{path.name}: {target}'


# ---- what site.lua does to the words of a page ----


def filtered(text: str, to: str = 'html') -> str:
    return pandoc(text, '-f', 'markdown', '-t', to, '--wrap=none', '--lua-filter=site.lua', cwd=REPO / 'nbs')


def test_other_formats_stay_as_they_are():
    assert filtered('`item_tfms` of chapter 05', 'commonmark').strip() == '`item_tfms` of chapter 05'


def test_automatic_links_lead_to_public_names_only():
    kept = filtered(f'[`unpack`]({SITE}api/unpack/unpack.html#unpack) and [`freeze`](https://docs.fast.ai/learner.html#freeze)')
    assert kept.count('<a ') == 2
    assert '<a ' not in filtered(f'[`freeze`]({SITE}api/unpack/trace.html#freeze)')


def test_chapters_are_linked_where_they_are_mentioned():
    html = filtered('In chapter 03, in chapters 04 and 05b (chapter 99) and on page 02b. In 05 epochs.')
    assert re.findall(r'href="\./(\w+)\.ipynb"', html) == ['03_learner', '04_head_and_backbone', '05b_plain_fine_tune', '02b_plain_dataloaders']


def test_a_notebook_can_be_downloaded(pages):
    html = filtered(as_quarto(pages['fine_tune.html']))
    assert 'Open in Colab</a> · <a href="./notebooks/05_fine_tune.ipynb" download>Download</a> · <a' in html
    assert html.count('>Download<') == 1 and 'Download<' not in filtered('[Open in Colab](https://example.org/05.html) · x')


def test_the_list_of_public_names_is_the_one_of_core():
    done = start('-c', 'import easing_fastai.core as core, json; print(json.dumps(core.__all__))')
    assert json.loads((REPO / 'nbs' / 'public.json').read_text()) == json.loads(done.stdout), 'run `make export`'


def test_no_image_is_asked_of_another_host():
    html = filtered('[![The tests](https://example.org/badge.svg)](https://example.org) and ![ours](favicon.svg)')
    assert '<a href="https://example.org">The tests</a>' in html and html.count('<img') == 1


def test_proofs_and_guesses_are_marked():
    cell = '::: {.cell}\n::: {.cell-output .cell-output-stdout}\n```\nTEXT\n```\n:::\n:::\n'
    proof = 'against fastai: every one of 386 losses is equal to the last bit'
    assert 'class="cell-output cell-output-stdout proven"' in filtered(cell.replace('TEXT', proof))
    for other in (proof + '\nlosses: number 4: 0.2 against 0.3', 'no proof', ''):
        assert 'proven"' not in filtered(cell.replace('TEXT', other))
    assert filtered('It ran. **Before you look, guess**: how many?').startswith('<div class="guess">')
    assert 'guess"' not in filtered('**Before you run it**, read on, and guess.')


# ---- the cheat sheet and the glossary ----


def lines_of_cell(notebook: str, start: str) -> str:
    cells = nbformat.read(REPO / 'nbs' / notebook, as_version=4).cells
    return next(cell.source for cell in cells if start in cell.source)


def test_the_cheat_sheet_names_chapters_that_show_the_line():
    code = lines_of_cell('cheat_sheet.ipynb', 'rows = [')
    rows = next(node for node in ast.parse(code).body if isinstance(node, ast.Assign) and node.targets[0].id == 'rows')
    for fastai, _, chapters in ast.literal_eval(rows.value):
        shown = ' '.join(next((REPO / 'nbs').glob(f'{number}_*.ipynb')).read_text(encoding='utf-8') for number in chapters.split(', '))
        names = re.findall(r'(?:learn|dls|ImageDataLoaders|Normalize)\.(\w+)', fastai) + re.findall(r'(\w+)\(', fastai)
        assert not [name for name in names if not re.search(rf'\b{name}\b', shown)], (fastai, chapters)


def test_the_glossary_leads_to_the_chapters_that_explain(pages):
    words = re.search(r"'''\n(.*?)\n'''", lines_of_cell('glossary.ipynb', 'WORDS = '), flags=re.S)[1].split('\n')
    with (REPO / 'tests' / 'explained.csv').open(encoding='utf-8') as file:
        explained = {row['name'].lower(): row['chapter'] for row in csv.DictReader(file)}
    for term, _, chapter in (line.partition(': ') for line in words):
        assert chapter >= explained[term.lower()], f'{term} is met in {explained[term.lower()]} first'
        cells = nbformat.read(next((REPO / 'nbs').glob(f'{chapter}_*.ipynb')), as_version=4).cells
        prose = ' '.join(cell.source for cell in cells if cell.cell_type == 'markdown')
        assert re.search(rf'\b{re.escape(term)}', prose, flags=re.I), f'chapter {chapter} does not speak of {term}'
    html = filtered(as_quarto(pages['glossary.html']))
    anchors = re.findall(r'<span id="([^"]+)" class="term">', html)
    assert anchors == [line.partition(': ')[0].replace(' ', '-') for line in sorted(words, key=lambda line: line.partition(': ')[0].lower())]
    assert len(re.findall(r'<a href="\./\d', html)) >= len(words) and 'href="#f"' in html and 'id="f"' in html


# ---- the style, in a browser: as the site's pages, but with little of what Quarto's themes bring ----

THEME = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width"><style>
:root { --bs-body-bg: #fff; --bs-body-color: #222; font-size: 17px } body { margin: 0 auto; max-width: 800px; padding: 0 12px; font: 1rem/1.5 sans-serif }
td, th { padding: .5rem; border-bottom: 1px solid; text-align: left; vertical-align: top } pre { padding: .5rem; white-space: pre-wrap }
code { font-size: .875em; white-space: pre-wrap; overflow-wrap: anywhere } pre code { font-size: inherit } .img-fluid { max-width: 100%; height: auto }
</style><style>STYLE</style><script src="site.js" defer></script><body><main>"""


def as_quarto(nb: nbformat.NotebookNode) -> str:
    "The Markdown that Quarto makes of a processed notebook: title, words, code unless it is not to be shown, outputs."
    head = yaml.safe_load(nb.cells[0].source.strip('-\n'))
    blocks = [f"# {head['title']}", head['description']]
    for cell in nb.cells[1:]:
        if cell.cell_type == 'markdown':
            blocks.append(cell.source)
            continue
        options = dict(re.findall(r'^#\| (\S+): (.+)$', cell.source, flags=re.M))
        source = re.sub(r'^#\|.*\n', '', cell.source, flags=re.M)
        parts = [] if options.get('echo') == 'false' else [f'```python\n{source}\n```']
        for output in cell.outputs:
            data = output.get('data', {})
            shown = data.get('text/markdown') or f"```\n{output.get('text') or data.get('text/plain')}\n```"
            parts.append(f'::: {{.cell-output}}\n{shown}\n:::')
        blocks.append('\n\n'.join([f"::: {{.cell .{options.get('classes', 'plain')}}}", *parts, ':::']))
    return '\n\n'.join(blocks)


@pytest.fixture
def shown(browser, pages, tmp_path):
    "Opens a page of the site by its name."
    style, tabs = (REPO / 'nbs' / 'style.css').read_text(encoding='utf-8'), []
    for name in ('site.js', 'names.json'):
        shutil.copy(REPO / 'nbs' / name, tmp_path)
    quiet = type('Quiet', (SimpleHTTPRequestHandler,), {'log_message': lambda *args: None})
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(quiet, directory=str(tmp_path)))
    Thread(target=server.serve_forever, daemon=True).start()

    def show(name: str): # of a page, or its HTML
        html = filtered(as_quarto(pages[name])) if name in pages else name
        (tmp_path / 'page.html').write_text(THEME.replace('STYLE', style) + html, encoding='utf-8')
        tabs.append(browser.new_page(viewport={'width': 1400, 'height': 900}))
        tabs[-1].goto(f'http://127.0.0.1:{server.server_port}/page.html')
        tabs[-1].wait_for_selector('main .known[tabindex]', state='attached')
        return tabs[-1]

    yield show
    for tab in tabs:
        tab.close()
    server.shutdown()
    server.server_close()


def test_meanings_by_mouse_and_keyboard(shown):
    page = shown('dataloaders.html')
    box, first = page.locator('#meaning'), page.locator('p .known').first
    assert page.locator('main .known').count() > 50 and not box.is_visible()
    first.hover()
    assert box.is_visible() and first.get_attribute('aria-describedby') == 'meaning'
    page.keyboard.press('Escape')
    assert not box.is_visible()
    page.locator('p .known[tabindex]').first.focus()
    assert box.is_visible()
    for width in (620, 1024, 1400):
        page.set_viewport_size({'width': width, 'height': 900})
        page.wait_for_function('width => innerWidth === width', arg=width)
        first.hover()
        assert page.evaluate('document.documentElement.scrollWidth') == width


def test_meanings_by_touch(browser, shown):
    tab = shown('dataloaders.html')
    context = browser.new_context(viewport={'width': 390, 'height': 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(tab.url)
    page.locator('pre .known', has_text='ImageDataLoaders').first.tap()
    assert 'DataLoaders for images' in page.locator('#meaning').inner_text()
    page.locator('h1').tap()
    assert not page.locator('#meaning').is_visible()
    context.close()


def test_a_meaning_leads_to_the_glossary(shown):
    page = shown('dataloaders.html')
    box, name = page.locator('#meaning'), page.locator('main .known[tabindex]', has_text='item_tfms').first
    name.focus()
    page.keyboard.press('Tab')
    assert box.is_visible() and page.evaluate('document.activeElement.href').endswith('/glossary.html#item_tfms')
    page.keyboard.press('Shift+Tab')
    assert page.evaluate('document.activeElement.textContent') == 'item_tfms'
    page.keyboard.press('Tab')
    page.keyboard.press('Tab')
    assert page.evaluate("!document.querySelector('#meaning').contains(document.activeElement)"), 'and on to the next name'
    name.focus()
    page.keyboard.press('Tab')
    page.keyboard.press('Escape')
    assert not box.is_visible() and page.evaluate('document.activeElement.textContent') == 'item_tfms'


def test_links_from_meanings_lead_to_terms(pages):
    names = json.loads((REPO / 'nbs' / 'names.json').read_text(encoding='utf-8'))
    linked = [name for name, about in names.items() if about.get('glossary')]
    anchors = re.findall(r'<span id="([^"]+)" class="term">', filtered(as_quarto(pages['glossary.html'])))
    assert len(linked) > 60 and set(linked) <= set(anchors), 'run `make export`'


# What shows no meaning, since it is something else than fastai's; and what does, between « and ».
NOT_FASTAI = """`b` and `a` of a tenth, `def f(x)`, `parent`, `.item()`, `torch.load`, `random.shuffle`, `time.sleep`, `accelerate config`,
`easing-fastai train`, `1.2.bias`, `image.show`, `wait`, `'NoneType' object is not iterable`, [`item_tfms`](02_dataloaders.ipynb)

```python
class Few: pass
for group, axes in zip(files, path.parent.values()): dict(width=3, files=files)
x = batch.to(device).detach().flatten(); rows.append(type(x))
text.replace('dls', "learn.fit") # dls
plt.figure(layout='constrained'); time.sleep(seconds=1); copy(children)
def freeze(self): pass
%time dls
```
"""
FASTAI = """`«item_tfms»`, `«item_tfms»=«Resize»(28)`, `«freeze»` and `«learn».«item_tfms»(1)`, `«metrics»=«accuracy»`, `«learn».«recorder».values`

```python
«learn».«fit_one_cycle»(1, f(seed=1), «cbs»=[x]); «learn».«freeze»() # dls
«vision_learner»(«dls», «arch», «metrics»=[«accuracy», metrics], f"{dls}")
```
"""


def test_names_are_fastais_only_in_its_company(shown):
    page = shown(filtered(NOT_FASTAI) + filtered('`dls`'))
    assert page.locator('main .known').all_inner_texts() == ['dls']
    page = shown(filtered(re.sub('[«»]', '', FASTAI)))
    page.evaluate("document.querySelectorAll('.known').forEach(name => name.textContent = `«${name.textContent}»`)")
    assert page.locator('main code').all_inner_texts() == re.findall(r'`([^`\n]+)`', FASTAI) + [re.search('python\n(.*)```', FASTAI, flags=re.S)[1].rstrip()]


# Short names may mean many things. Those of the chapters were looked at, each where it stands.
SHORT = {'Adam', 'AdamW', 'CUDA', 'Flip', 'F', 'L', 'MPS', 'ReLU', 'URLs', 'arch', 'args', 'ax', 'base_lr', 'bs', 'cbs', 'cmap', 'cpu',
         'ctx', 'dim', 'div', 'dl', 'dls', 'ds', 'dtype', 'eps', 'get_x', 'get_y', 'grad', 'kwargs', 'learn', 'lr', 'lrs', 'ls', 'max_n',
         'MixUp', 'mom', 'moms', 'n_in', 'n_out', 'nn', 'nrows', 'opt', 'pct', 'pkl', 'pred', 'SGD', 'sharex', 'sharey', 'tfm', 'tls', 'tta',
         'fns', 'uint8', 'valid', 'vmax', 'vmin', 'vocab', 'wd', 'alpha'}
OWNERS = r'\b(learn|dls|interp|[A-Z]\w*)\.$'
FOUND = """() => [...document.querySelectorAll('main .known')].map(name => {
    const range = document.createRange(), code = name.closest('code');
    range.selectNodeContents(code);
    range.setEndBefore(name);
    return [name.textContent, range.toString(), code.textContent.slice(range.toString().length + name.textContent.length)];
})"""


def test_meanings_in_all_chapters(shown, pages):
    known = json.loads((REPO / 'nbs' / 'names.json').read_text(encoding='utf-8'))
    chapters = [name for name, nb in pages.items() if '/' not in name and name not in ('glossary.html', 'where_next.html')]
    wrong, n_found = [], 0
    for chapter in chapters:
        for name, before, after in shown(chapter).evaluate(FOUND):
            n_found += 1
            short = len(name) <= 5 and known[name]['is'] == 'name' and name not in SHORT
            alone = before == '' and after in ('', '()') or re.match(r'\(.*\)$', after) and before == ''
            company = re.search(OWNERS, before) or re.match(r'\s*=[^=]', after) and ('(' in before or before == '') \
                or known[name]['is'] == 'function' and not before.endswith('.') or known[name]['is'] == 'method' and alone
            if short or keyword.iskeyword(name) or name in dir(builtins) or known[name]['is'] != 'name' and not company:
                wrong.append((chapter, before[-20:] + f'«{name}»' + after[:20]))
    assert len(chapters) >= 22 and n_found > 3000 and not wrong


def test_the_cheat_sheet_is_one_sheet(shown):
    page = shown('cheat_sheet.html')
    for paper in ('A4', 'Letter'):
        printed = page.pdf(format=paper, margin=dict.fromkeys(('top', 'right', 'bottom', 'left'), '12mm'))
        assert len(re.findall(rb'/Type\s*/Page\b', printed)) == 1, paper
    page.emulate_media(media='print')
    page.set_viewport_size({'width': 703, 'height': 1032})  # A4 less its margins
    bottoms = "[...document.querySelectorAll('main p, main td')].map(e => e.getBoundingClientRect().bottom)"
    assert 0.85*1032 < max(page.evaluate(bottoms)) < 1032, 'and fills it'


def test_on_paper_there_is_nothing_to_click(shown):
    page = shown('fine_tune.html')
    for theme in ('light', 'dark'):
        page.evaluate("dark => document.body.classList.toggle('quarto-dark', dark)", theme == 'dark')
        page.add_style_tag(content='.quarto-dark { background: #111; color: #eee }')
        page.emulate_media(media='print')
        assert not page.locator('main :is(button, input):visible').count() and page.locator('.covered').first.is_visible()
        assert page.evaluate("getComputedStyle(document.querySelector('main p')).color") == 'rgb(0, 0, 0)'
        page.emulate_media(media='screen')


def test_the_slider_moves_through_the_batches(shown):
    page = shown('fine_tune.html')
    slider, table = page.locator('.batch-slider input'), page.locator('.batch-slider table')
    page.evaluate("document.querySelectorAll('.covered').forEach(part => part.classList.remove('covered'))")
    first = table.inner_text()
    assert 'frozen' in first and 'momentum' in first
    slider.focus()
    page.keyboard.press('End')
    assert table.inner_text() != first and 'frozen' not in table.inner_text()


EXERCISES = """<nav id="quarto-sidebar"><ul><li class="sidebar-item"><a class="sidebar-link" href="page.html">05 A chapter •</a></li></ul></nav>
<section id="try-it-yourself"><h2>Try it yourself</h2><p><strong>1. One.</strong> Do it.</p><p><strong>Two.</strong> And this.</p>
<p>A <strong>word</strong>.</p><details><p><strong>No.</strong></p></details><p><strong>Next</strong>: 06</p></section>
<section id="try-it-on-something-new"><h2>Try it on something new</h2><p>All of it.</p></section><code>dls</code>"""


def test_exercises_are_ticked_and_counted(shown):
    page = shown(EXERCISES)
    boxes, progress = page.locator('input.done'), page.locator('.progress-made')
    assert boxes.count() == 3 and not progress.count()
    boxes.nth(1).check()
    page.get_by_label('Try it on something new').check()
    assert progress.inner_text().strip() == '2/3'
    page.reload()
    assert progress.inner_text().strip() == '2/3' and boxes.nth(1).is_checked() and not boxes.nth(0).is_checked()
    page.get_by_label('Try it on something new').uncheck()
    boxes.nth(1).uncheck()
    assert not progress.count() and page.locator('.legend').inner_text() == '• the path of 60 minutes'


def test_claims_in_code_are_marked(shown):
    page = shown(filtered('```python\nx = 1\nassert all([\n    x,\n])\nassertion = 2\nfor a in x:\n    assert a\n```\n\n`dls`'))
    assert page.locator('.claim').all_inner_texts() == ['assert all([', '    x,', '])']


def test_the_home_page_begins_with_a_large_line(shown):
    page = shown('index.html')
    size = 'e => parseFloat(getComputedStyle(e).fontSize)'
    large, usual = page.locator('.one-line code'), page.locator('pre code').nth(1)
    assert large.inner_text().strip() == 'learn.fine_tune(1)' and large.evaluate(size) > 1.5 * usual.evaluate(size)


def test_results_wait_for_a_guess(shown):
    page = shown('fine_tune.html')
    box = page.locator('.guess').first
    form = page.locator('.guessing').first
    assert page.locator('.guess').count() == page.locator('.guessing').count() >= 3 and not page.locator('.covered').first.is_visible()
    covered = page.locator('.covered').count()
    form.locator('input').fill('two')
    page.keyboard.press('Enter')
    assert 'Your guess: two' in page.locator('.guessed').first.inner_text() and page.locator('.covered').count() < covered
    page.reload()
    page.wait_for_selector('.guessed')
    assert 'two' in page.locator('.guessed').first.inner_text(), 'the guess is kept'
    page.locator('.guessed button').first.click()
    assert page.locator('.covered').count() == covered and box.is_visible()


def test_without_scripts_everything_is_there(browser, pages, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    page, style = context.new_page(), (REPO / 'nbs' / 'style.css').read_text(encoding='utf-8')
    (tmp_path / 'page.html').write_text(THEME.replace('STYLE', style) + filtered(as_quarto(pages['fine_tune.html'])), encoding='utf-8')
    page.goto((tmp_path / 'page.html').as_uri())
    outputs = page.locator('.cell pre')
    assert page.locator('.guess').count() >= 3 and all(outputs.nth(i).is_visible() for i in range(outputs.count()))
    (tmp_path / 'page.html').write_text(THEME.replace('STYLE', style) + filtered(as_quarto(pages['index.html'])), encoding='utf-8')
    page.goto((tmp_path / 'page.html').as_uri())
    layers = page.locator('.unfolds details')
    assert page.locator('.begin a').is_visible() and all(layers.nth(i).is_visible() and layers.nth(i).get_attribute('open') is not None for i in range(3))
    context.close()


def test_the_line_unfolds(shown):
    page = shown('index.html')
    layers = page.locator('.unfolds details')
    assert layers.count() == 3 and 'fit_one_cycle' in layers.first.inner_text() and 'equal, to the last bit' in layers.last.inner_text()
    page.locator('.unfolds summary').first.click()
    assert not page.locator('.unfolds li').first.is_visible()
    page.locator('.unfold').click()
    assert page.locator('.unfolds li').first.is_visible()
    page.set_viewport_size({'width': 390, 'height': 900})
    page.wait_for_function('innerWidth === 390')
    assert page.evaluate('document.documentElement.scrollWidth') == 390
    assert page.locator('.begin a').inner_text() == 'Begin'
