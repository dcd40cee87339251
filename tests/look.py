"""Measures a built site as its readers get it: `make look DOCS=_docs` prints each figure beside what is wanted, and
fails if one of them is worse. It needs Chromium, and looks at 1,400 px and at the 390 px of a phone, light and dark."""
import functools
import gzip
import html
import http.server
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from conftest import CHROMIUM, REPO
from playwright.sync_api import Browser, Error, Page, TimeoutError, sync_playwright

DESKTOP, PHONE = 1400, 390
LOOKED_AT = ['index.html', 'environment.html', 'fine_tune.html', 'plain_fine_tune.html', 'show_results.html', 'when_it_breaks.html']
HEAVIEST, SLOWEST = 1_200_000, 800 # bytes sent for a page with all it loads; milliseconds to its first paint
FARTHEST = 1e-4 # between the probabilities of the canvas and PyTorch's

CUT_OFF = """() => [...document.querySelectorAll('.cell-output pre')].filter(pre =>
    Math.max(pre.scrollWidth - pre.clientWidth, pre.closest('.cell-output').scrollWidth - pre.closest('.cell-output').clientWidth) > 4).length"""
WITHOUT_ALT = "() => [...document.querySelectorAll('main img')].filter(image => !image.alt).length"
REVEAL = "() => document.querySelectorAll('.covered').forEach(output => output.classList.remove('covered'))" # results that wait for a guess
# a line of code is a span; one that is higher than a line of its text wraps
WRAPPED = """() => [...document.querySelectorAll('main pre.sourceCode code > span')].filter(line => line.offsetParent && line.innerText.trim())
    .map(line => [line.innerText, line.getBoundingClientRect().height > 1.6*parseFloat(getComputedStyle(line).lineHeight)])"""
IS_TEXT = "() => document.activeElement.closest('main') !== null || /skip/i.test(document.activeElement.className)"
LOADED = "() => [location.href, ...performance.getEntriesByType('resource').map(entry => entry.name)]"
FIRST_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
FONTS = "() => document.fonts.ready.then(fonts => [...fonts].filter(font => font.status === 'loaded').map(font => font.family.replaceAll('\"', '')))"
BRIGHTNESS = """selector => getComputedStyle(document.querySelector(selector))[selector === 'body' ? 'backgroundColor' : 'color']
    .match(/[0-9.]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0)/3""" # of the page, or of the letters in an element


@contextmanager
def served(docs: Path) -> Iterator[str]:
    "A local server of the folder; yields its address."
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args): "Nothing is said."

        def translate_path(self, path): # the page for what is not found has addresses from the root of the published site
            return super().translate_path(path.removeprefix('/easing_fastai'))

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=str(docs)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_address[1]}/'
    server.shutdown()


def open_page(browser: Browser, address: str, width: int, scheme: str = 'light') -> Page:
    "A new page for which the network ends at `address`; it notes the hosts it asks for all the same, and the site's files that are missing."
    context = browser.new_context(viewport={'width': width, 'height': 900}, color_scheme=scheme, is_mobile=width == PHONE, has_touch=width == PHONE)
    page = context.new_page()
    page.foreign, page.missing = set(), []

    def answer(route):
        if route.request.url.startswith(address): return route.continue_()
        page.foreign.add(route.request.url.split('/')[2])
        return route.abort()

    context.route(lambda url: url.startswith('http'), answer)
    page.on('response', lambda response: page.missing.append(response.url.removeprefix(address)) if response.status >= 400 else None)
    return page


@cache
def sent(file: Path) -> int:
    "Bytes of a file as a web server sends it: texts compressed."
    content = file.read_bytes() if file.is_file() else b''
    return len(content if file.suffix in ('.png', '.woff', '.woff2') else gzip.compress(content))


def widths(browser: Browser, address: str, docs: Path, names: list[str]) -> dict:
    "What is cut off, too wide or wrapped, and what a page asks of other hosts."
    found = {'printed results cut off': [], 'printed results cut off on a phone': [], 'pages wider than a phone': [],
             'images without a description': [], 'hosts asked': set(), 'files that are missing': [], 'pages without their fonts': [],
             'lines': [], 'bytes': {}, 'first paint': {}}
    for width in (DESKTOP, PHONE):
        page = open_page(browser, address, width)
        for name in names:
            page.goto(address + name)
            page.wait_for_timeout(150)
            page.evaluate(REVEAL)
            key = 'printed results cut off' if width == DESKTOP else 'printed results cut off on a phone'
            found[key] += [name]*page.evaluate(CUT_OFF)
            if width == PHONE:
                if page.evaluate('document.documentElement.scrollWidth') > PHONE + 1: found['pages wider than a phone'].append(name)
                continue
            found['images without a description'] += [name]*page.evaluate(WITHOUT_ALT)
            found['lines'] += page.evaluate(WRAPPED)
            loaded = {url.removeprefix(address).split('?')[0] for url in page.evaluate(LOADED) if url.startswith(address)}
            found['bytes'][name] = sum(sent(docs/file) for file in loaded)
            found['first paint'][name] = page.evaluate(FIRST_PAINT)
            if not {'Source Sans 3', 'Source Code Pro'} <= {*page.evaluate(FONTS)} and '<pre' in page.content():
                found['pages without their fonts'].append(name)
        found['hosts asked'] |= page.foreign
        found['files that are missing'] += page.missing
        page.context.close()
    return found


def barriers(browser: Browser, address: str, names: list[str]) -> list[str]:
    "What axe finds, light and dark: contrast, names, order."
    found = []
    for scheme in ('light', 'dark'):
        page = open_page(browser, address, DESKTOP, scheme)
        for name in names:
            page.goto(address + name)
            page.wait_for_timeout(300)
            page.evaluate(REVEAL)
            for violation in Axe().run(page).response['violations']:
                found += [f"{name} ({scheme}): {violation['id']} at {node['target'][0]}" for node in violation['nodes']]
        page.context.close()
    return found


def tabs_to_text(browser: Browser, address: str, name: str) -> list[int]:
    "How often Tab is pressed until the text, or a link that skips to it, has the focus."
    page = open_page(browser, address, DESKTOP)
    page.goto(address + name)
    presses = 0
    while presses < 100:
        page.keyboard.press('Tab')
        presses += 1
        if page.evaluate(IS_TEXT): break
    page.context.close()
    return [presses]


def skip_link(browser: Browser, address: str, name: str) -> list[str]:
    "What is wrong with the link that comes first and leads to the text."
    page = open_page(browser, address, DESKTOP)
    page.goto(address + name)
    page.wait_for_timeout(300)
    page.keyboard.press('Tab')
    first = page.evaluate("document.activeElement.matches('.skip') && document.activeElement.getBoundingClientRect().left >= 0")
    page.keyboard.press('Enter')
    page.keyboard.press('Tab')
    inside = page.evaluate("document.activeElement.closest('main') !== null")
    page.context.close()
    return ['it does not come first, or is not seen']*(not first) + ['it does not lead to the text']*(not inside)


def wide_menu(browser: Browser, address: str, name: str) -> list[str]:
    "How wide the menu is on a phone, if it is wider than that."
    page = open_page(browser, address, PHONE)
    page.goto(address + name)
    width = page.evaluate("() => {const menu = document.querySelector('#quarto-sidebar'); menu.classList.add('show'); return Math.max(menu.offsetWidth, menu.scrollWidth)}")
    page.context.close()
    return [f'{width} px']*(width > PHONE)


def lines_without_keys(browser: Browser, address: str, name: str) -> list[str]:
    "What the arrow keys do not reach in the first tree of a page."
    page = open_page(browser, address, DESKTOP)
    page.goto(address + name)
    page.evaluate(REVEAL)
    seen = page.evaluate("[...document.querySelectorAll('.unpack')[0].querySelectorAll('summary')].filter(line => line.checkVisibility()).map(line => line.innerText)")
    page.locator('.unpack summary').first.focus()
    met = []
    for _ in seen:
        met.append(page.evaluate('document.activeElement.innerText'))
        page.keyboard.press('ArrowDown')
    page.context.close()
    return [line for line in seen if line not in met] if seen else ['there is no tree']


def slow_pages(browser: Browser, address: str, paint: dict[str, float|None]) -> list[str]:
    "Pages that paint late, or never. One slow load may be the machine's fault: the median of three counts."
    slow = []
    for name, first in paint.items():
        if first is not None and first <= SLOWEST: continue
        times = [first]
        for _ in range(2):
            page = open_page(browser, address, DESKTOP)
            page.goto(address + name)
            page.wait_for_timeout(300)
            times.append(page.evaluate(FIRST_PAINT))
            page.context.close()
        if sorted(time or 1e9 for time in times)[1] > SLOWEST: slow.append(name)
    return slow


def schemes(browser: Browser, address: str, names: list[str]) -> dict[str, list[str]]:
    "Pages that do not follow the system's wish for light or dark; and what is printed of them in light letters, or in vain."
    found = {'pages that are light in the dark, or dark in the light': [], 'pages that do not print in black': [], 'buttons and boxes on paper': []}
    for scheme in ('light', 'dark'):
        page = open_page(browser, address, DESKTOP, scheme)
        for name in names:
            page.goto(address + name)
            page.wait_for_timeout(300)
            if (page.evaluate(BRIGHTNESS, 'body') > 127) != (scheme == 'light'): found['pages that are light in the dark, or dark in the light'].append(name)
            page.emulate_media(media='print')
            if page.evaluate(BRIGHTNESS, 'main p') > 80: found['pages that do not print in black'].append(f'{name} ({scheme})')
            if page.locator('main :is(button, input, canvas):visible').count(): found['buttons and boxes on paper'].append(name)
            page.emulate_media(media='screen')
        page.context.close()
    return found


def silent_names(browser: Browser, address: str, names: list[str]) -> list[str]:
    "Ways to ask for the meaning of a name in a cell of code that do not show it, or do not take it away."
    wrong = []
    for name in names:
        for width, ask in ((DESKTOP, 'hover'), (DESKTOP, 'focus'), (PHONE, 'tap')):
            page = open_page(browser, address, width)
            page.goto(address + name)
            page.wait_for_timeout(500)
            known, box = page.locator('main pre .known[tabindex]:visible'), page.locator('#meaning')
            if not known.count(): wrong.append(f'{name}: no name is known')
            else:
                getattr(known.first, ask)()
                if not box.is_visible() or known.first.inner_text() not in box.inner_text(): wrong.append(f'{name}: {ask}')
                page.keyboard.press('Escape')
                if box.is_visible(): wrong.append(f'{name}: Escape after {ask}')
            page.context.close()
    return wrong


def first_hits(browser: Browser, address: str, words: dict[str, str]) -> list[str]:
    "Words for which the search does not find the wanted page first."
    wrong = []
    for word, wanted in words.items():
        page = open_page(browser, address, DESKTOP)
        page.goto(address + 'index.html')
        page.locator('#quarto-search input').fill(word)
        try: hit = page.locator('.search-result-link').first.get_attribute('href', timeout=10_000)
        except TimeoutError: hit = 'nothing'
        if not re.match(r'(\./)?' + wanted, hit): wrong.append(f'{word}: {hit}')
        page.context.close()
    return wrong


SEVEN = [(20, 20), (50, 18), (80, 20), (65, 45), (50, 70), (42, 90)] # where a stroke leads, in percent of the canvas


def silent_canvases(browser: Browser, address: str, names: list[str]) -> list[str]:
    "Pages whose canvas says nothing within half a minute to a 7 that is drawn on it."
    silent = []
    for name in names:
        page = open_page(browser, address, DESKTOP)
        page.goto(address + name)
        canvas = page.locator('.digit-canvas canvas').first
        try:
            canvas.scroll_into_view_if_needed()
            page.wait_for_timeout(300)
            box = canvas.bounding_box()
            for n, (x, y) in enumerate(SEVEN):
                page.mouse.move(box['x'] + box['width']*x/100, box['y'] + box['height']*y/100, steps=5)
                if n == 0: page.mouse.down()
            page.mouse.up()
            page.wait_for_selector('.digit-answer figure', timeout=30_000)
        except TimeoutError: silent.append(name)
        page.context.close()
    return silent


def distances(browser: Browser, address: str) -> list[float]:
    "How far the probabilities of the model in the browser are from PyTorch's, for images that PyTorch judged when the site was made."
    page = open_page(browser, address, DESKTOP)
    page.goto(address + 'index.html')
    try: return page.evaluate("async () => (await import('./draw.mjs')).distances()")
    except Error: return []
    finally: page.context.close()


def written(docs: Path, names: list[str]) -> dict[str, list[str]]:
    "What can be read off the files: addresses in memory, folders of a machine, warnings."
    patterns = {'memory addresses': r'object at 0x[0-9a-f]{6,}', 'warnings': r'(Future|Deprecation)Warning: ',
                'folders of a machine': r'/(?:tmp/\w|root/|home/\w+/|Users/\w+/)|site-packages/\w+/\S+\.py:\d'}
    texts = {name: (docs/name).read_text(encoding='utf-8') for name in names}
    return {what: [name for name, text in texts.items() for _ in re.findall(pattern, text)] for what, pattern in patterns.items()}


def linked(docs: Path, names: list[str]) -> dict[str, list[str]]:
    "What is missing or wrong on the pages that readers read first: links, meanings, lists of sections, versions."
    texts = {name: (docs/name).read_text(encoding='utf-8') for name in names if '/' not in name and name != '404.html'}
    mains = {name: re.search(r'<main.*</main>', text, flags=re.S)[0] for name, text in texts.items()}
    public = set(json.loads((REPO / 'nbs' / 'public.json').read_text(encoding='utf-8')))
    meanings = json.loads((REPO / 'nbs' / 'names.json').read_text(encoding='utf-8')).values()
    index = [(entry['href'], html.escape(entry['text'])) for entry in json.loads((docs / 'search.json').read_text(encoding='utf-8'))]
    previews = [(name, text) for name, page in texts.items() for text in re.findall(r'<meta [^>]*description"[^>]*>', page)]
    long = [html.escape(about['means']) for about in meanings if len(about['means']) > 60]
    code_links = [(name, target, code) for name, text in mains.items()
                  for target, code in re.findall(r'<a href="([^"]+#[^"]+)"[^>]*><code[^>]*>([^<]+)</code></a>', text)]
    return {
        'automatic links to names that are not public':
            [f'{name}: {code}' for name, target, code in code_links if 'easing-fastai.github.io' in target or not target.startswith('http')
             if re.sub(r'\(.*', '', code).split('.')[-1] not in public],
        'links to a notebook in place of its page': [name for name, text in mains.items() for _ in re.findall(r'href="(?!https?:|[./]*notebooks/)[^"]+\.ipynb["#]', text)],
        'meanings in the text of pages': [name for name, text in mains.items() if name != 'glossary.html' and any(m in text for m in long)],
        'meanings in previews, and in what the search finds':
            [name for name, text in previews + index if not name.startswith(('glossary.html', 'api/', 'dev/')) and any(m in text for m in long)],
        'exported functions that are folded away, or stand there twice':
            [name for name, text in mains.items() for _ in re.findall('Exported source', text)]
            + [f'{name}: {function}' for name, text in mains.items()
               for function in re.findall(r'class="cell reference".*?<h\d[^>]*>([^<]+)</h', text, flags=re.S)
               if len(re.findall(rf'(?:def|class)</span> {re.escape(function)}\b', text)) > 1],
        'long pages without a list of sections for phones':
            [name for name, text in mains.items() if len(ids := re.findall(r'<section id="([^"]+)" class="level2', text)) >= 4
             and not all(f'href="#{one}"' in text for one in ids)],
        'pages without a version': [name for name, text in mains.items() if not re.search('easing_fastai [0-9.]+, page made on', text)]}


def as_text(words: str) -> str:
    "Words without marks, blanks and quotes: of HTML, or of Markdown."
    return re.sub(r'[\W_]', '', html.unescape(re.sub(r'<[^>]+>', '', words)))


def numbered(docs: Path) -> dict[str, list[str]]:
    "Chapters without their number, mentions of them without a link, and captions that are not below an image."
    notebooks = {page_of(path): path for path in sorted((REPO / 'nbs').glob('*.ipynb'))}
    numbers = {page: path.name.partition('_')[0] for page, path in notebooks.items() if path.name[0].isdigit()}
    places = {'pagetitle': '<title>{} ', 'title': '<h1 class="title"><span class="number">{}</span>'}
    found = {'chapters without their number': [], 'chapters that are mentioned without a link': [], 'captions that stand below no image': [],
             'proofs under a title of Quarto': []}
    for page, path in notebooks.items():
        text = (docs / page).read_text(encoding='utf-8')
        found['chapters without their number'] += [f'{page}: {place}' for place, how in places.items() if page in numbers and how.format(numbers[page]) not in text]
        for place, target, words in re.findall(r'<a href="\./([^"#]+)" class="(sidebar-item-text|pagination-link).*?>\s*(?:<i.*?</i>)?\s*<span[^>]*>(.*?)</span>', text, flags=re.S):
            if place in numbers and not words.startswith(numbers[place] + ' '): found['chapters without their number'].append(f'{page}: {target} {words}')
        main = re.search(r'<main.*</main>', text, flags=re.S)[0]
        prose = re.sub(r'<(a|pre|code|h\d|script|style|summary)\b.*?</\1>', ' ', main, flags=re.S)
        found['chapters that are mentioned without a link'] += [f'{page}: {mention}' for mention in re.findall(r'\b[Cc]hapters? \d\d[a-z]?', re.sub(r'<[^>]+>', '', prose))
                                                               if not mention.endswith(' ' + numbers.get(page, '-'))]
        found['proofs under a title of Quarto'] += [page]*text.count('class="proof-title')
        below = [as_text(caption) for caption in re.findall(r'<figcaption.*?>(.*?)</figcaption>', main, flags=re.S)]
        for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
            caption = re.search(r'^#\| fig-cap: (.+)$', ''.join(cell['source']), flags=re.M)
            has_image = any(kind.startswith('image/') for output in cell.get('outputs', []) for kind in output.get('data', {}))
            if caption and has_image and as_text(caption[1]) not in below: found['captions that stand below no image'].append(f'{page}: {caption[1]}')
    return found


def page_of(notebook: Path) -> str:
    "The page that nbdev makes of a notebook."
    return re.sub(r'^\d+[a-z]?_', '', notebook.stem) + '.html'


def figures(docs: Path) -> Iterator[tuple[str, list, Callable[[list], bool], str]]:
    "Each figure: its name, what was found, whether it is as wanted, and what is wanted."
    def none(found): return not found
    names = sorted(path.relative_to(docs).as_posix() for path in docs.rglob('*.html'))
    missing = [name for name in LOOKED_AT if name not in names]
    yield 'pages that are not there', missing, none, 'none'
    looked_at = [name for name in LOOKED_AT if name not in missing]
    with sync_playwright() as driver, served(docs) as address:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        found = widths(browser, address, docs, names)
        lines, kilobytes, paint = found.pop('lines'), found.pop('bytes'), found.pop('first paint')
        seen = schemes(browser, address, looked_at)
        for what, where in {**found, **written(docs, names), **linked(docs, names), **numbered(docs), **seen}.items(): yield what, sorted(where), none, 'none'
        yield 'meanings that do not show', silent_names(browser, address, ['fine_tune.html', 'dataloaders.html']), none, 'none'
        yield 'words that the search does not lead to their page', first_hits(browser, address, {'freeze': 'fine_tune.html', 'fine tune': 'fine_tune.html', 'item tfms': r'\w+\.html'}), none, 'none'
        yield 'what axe finds', barriers(browser, address, looked_at), none, 'none'
        yield 'canvases that give no answer', silent_canvases(browser, address, ['index.html', 'show_results.html']), none, 'none'
        far = distances(browser, address)
        yield f"probabilities that are more than {FARTHEST} from PyTorch's", [d for d in far if not d <= FARTHEST] if far else ['none can be compared'], none, 'none'
        yield 'what is wrong with the skip link', skip_link(browser, address, looked_at[-1]), none, 'none'
        yield 'menus that are wider than a phone', wide_menu(browser, address, looked_at[-1]), none, 'none'
        yield 'lines of a tree that the arrow keys pass over', lines_without_keys(browser, address, 'fine_tune.html'), none, 'none'
        yield f'pages that paint after {SLOWEST} ms', slow_pages(browser, address, paint), none, 'none'
        yield 'Tab presses to the text', tabs_to_text(browser, address, looked_at[-1]), lambda n: n[0] <= 2, 'at most 2'
        browser.close()
    wrapped = [text for text, wraps in lines if wraps]
    yield f'of {len(lines):,} lines of code, that wrap', wrapped, lambda w: len(w) <= 0.05*len(lines), 'at most 5 %'
    six = [text for text in wrapped if re.match(r'(path|dls|learn)\s*=|learn\.(fine_tune|show_results|predict)\(', text) and re.search(r' # (◀ )?\d\d', text)]
    yield 'of the six lines of the walk, that wrap', six, none, 'none'
    yield f'pages of more than {HEAVIEST:,} bytes', [n for n, size in kilobytes.items() if size > HEAVIEST], none, 'none'


def look(docs: Path) -> int:
    "Prints all figures; 0 if all are as wanted, else 1."
    worse = 0
    for what, found, is_wanted, wanted in figures(docs):
        good = is_wanted(found)
        worse += not good
        number = found[0] if found and isinstance(found[0], int) else len(found)
        print(f"{'ok   ' if good else 'WORSE'} {what}: {number} (wanted: {wanted})")
        if not good: print(*(f'        {one}' for one in list(dict.fromkeys(map(str, found)))[:8]), sep='\n')
    return int(worse > 0)


if __name__ == '__main__':
    docs = Path(sys.argv[1] if len(sys.argv) > 1 else '_docs')
    if not (docs/'index.html').is_file(): sys.exit(f'There is no site in {docs}. Build the site first: make docs')
    if not CHROMIUM: sys.exit('Chromium or Chrome is needed to look at the pages, and was not found.')
    sys.exit(look(docs))
