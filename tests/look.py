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
from playwright.sync_api import Browser, Page, TimeoutError, sync_playwright

DESKTOP, PHONE = 1400, 390
LOOKED_AT = ['index.html', 'environment.html', 'fine_tune.html', 'plain_fine_tune.html', 'show_results.html', 'when_it_breaks.html']
HEAVIEST, SLOWEST = 1_200_000, 800 # bytes sent for a page with all it loads; milliseconds to its first paint

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


@contextmanager
def served(docs: Path) -> Iterator[str]:
    "A local server of the folder; yields its address."
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args): "Nothing is said."

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=str(docs)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_address[1]}/'
    server.shutdown()


def open_page(browser: Browser, address: str, width: int, scheme: str = 'light') -> tuple[Page, set[str]]:
    "A new page for which the network ends at `address`, and the hosts it asks for all the same."
    context = browser.new_context(viewport={'width': width, 'height': 900}, color_scheme=scheme, is_mobile=width == PHONE)
    foreign = set()

    def answer(route):
        if route.request.url.startswith(address): return route.continue_()
        foreign.add(route.request.url.split('/')[2])
        return route.abort()

    context.route(lambda url: url.startswith('http'), answer)
    return context.new_page(), foreign


@cache
def sent(file: Path) -> int:
    "Bytes of a file as a web server sends it: texts compressed."
    content = file.read_bytes() if file.is_file() else b''
    return len(content if file.suffix in ('.png', '.woff', '.woff2') else gzip.compress(content))


def widths(browser: Browser, address: str, docs: Path, names: list[str]) -> dict:
    "What is cut off, too wide or wrapped, and what a page asks of other hosts."
    found = {'printed results cut off': [], 'printed results cut off on a phone': [], 'pages wider than a phone': [],
             'images without a description': [], 'hosts asked': set(), 'lines': [], 'bytes': {}, 'first paint': {}}
    for width in (DESKTOP, PHONE):
        page, foreign = open_page(browser, address, width)
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
            found['first paint'][name] = page.evaluate(FIRST_PAINT) or 0
        found['hosts asked'] |= foreign
        page.context.close()
    return found


def barriers(browser: Browser, address: str, names: list[str]) -> list[str]:
    "What axe finds, light and dark: contrast, names, order."
    found = []
    for scheme in ('light', 'dark'):
        page, _ = open_page(browser, address, DESKTOP, scheme)
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
    page, _ = open_page(browser, address, DESKTOP)
    page.goto(address + name)
    presses = 0
    while presses < 100:
        page.keyboard.press('Tab')
        presses += 1
        if page.evaluate(IS_TEXT): break
    page.context.close()
    return [presses]


SEVEN = [(20, 20), (50, 18), (80, 20), (65, 45), (50, 70), (42, 90)] # where a stroke leads, in percent of the canvas


def silent_canvases(browser: Browser, address: str, names: list[str]) -> list[str]:
    "Pages whose canvas says nothing within half a minute to a 7 that is drawn on it."
    silent = []
    for name in names:
        page, _ = open_page(browser, address, DESKTOP)
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
    long = [html.escape(about['means']) for about in meanings if len(about['means']) > 60]
    code_links = [(name, target, code) for name, text in mains.items()
                  for target, code in re.findall(r'<a href="([^"]+#[^"]+)"[^>]*><code[^>]*>([^<]+)</code></a>', text)]
    return {
        'automatic links to names that are not public':
            [f'{name}: {code}' for name, target, code in code_links if 'easing-fastai.github.io' in target or not target.startswith('http')
             if re.sub(r'\(.*', '', code).split('.')[-1] not in public],
        'links to a notebook in place of its page': [name for name, text in mains.items() for _ in re.findall(r'href="(?!https?:|[./]*notebooks/)[^"]+\.ipynb["#]', text)],
        'meanings in the text of pages': [name for name, text in mains.items() if name != 'glossary.html' and any(m in text for m in long)],
        'long pages without a list of sections for phones':
            [name for name, text in mains.items() if len(ids := re.findall(r'<section id="([^"]+)" class="level2', text)) >= 4
             and not all(f'href="#{one}"' in text for one in ids)],
        'pages without a version': [name for name, text in mains.items() if not re.search('easing_fastai [0-9.]+, page made on', text)]}


def figures(docs: Path) -> Iterator[tuple[str, list, Callable[[list], bool], str]]:
    "Each figure: its name, what was found, whether it is as wanted, and what is wanted."
    def none(found): return not found
    names = sorted(path.relative_to(docs).as_posix() for path in docs.rglob('*.html'))
    looked_at = [name for name in LOOKED_AT if name in names]
    with sync_playwright() as driver, served(docs) as address:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        found = widths(browser, address, docs, names)
        lines, kilobytes, paint = found.pop('lines'), found.pop('bytes'), found.pop('first paint')
        for what, where in {**found, **written(docs, names), **linked(docs, names)}.items(): yield what, sorted(where), none, 'none'
        yield 'what axe finds', barriers(browser, address, looked_at), none, 'none'
        yield 'canvases that give no answer', silent_canvases(browser, address, ['index.html', 'show_results.html']), none, 'none'
        yield 'Tab presses to the text', tabs_to_text(browser, address, looked_at[-1]), lambda n: n[0] <= 2, 'at most 2'
        browser.close()
    wrapped = [text for text, wraps in lines if wraps]
    yield f'of {len(lines):,} lines of code, that wrap', wrapped, lambda w: len(w) <= 0.05*len(lines), 'at most 5 %'
    six = [text for text in wrapped if re.match(r'(path|dls|learn)\s*=|learn\.(fine_tune|show_results|predict)\(', text) and ' # 0' in text]
    yield 'of the six lines of the walk, that wrap', six, none, 'none'
    yield f'pages of more than {HEAVIEST:,} bytes', [n for n, size in kilobytes.items() if size > HEAVIEST], none, 'none'
    yield f'pages that paint after {SLOWEST} ms', [n for n, time in paint.items() if time > SLOWEST], none, 'none'


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
