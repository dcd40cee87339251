"""Measures a built site as its readers get it: `make look DOCS=_docs` prints each figure beside what is wanted, and
fails if one of them is worse. It needs Chromium, and looks at 1,400 px and at the 390 px of a phone, light and dark."""
import functools
import http.server
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from conftest import CHROMIUM
from playwright.sync_api import Browser, Page, sync_playwright

DESKTOP, PHONE = 1400, 390
LOOKED_AT = ['index.html', 'environment.html', 'fine_tune.html', 'plain_fine_tune.html', 'show_results.html', 'when_it_breaks.html']
HEAVIEST, SLOWEST = 1_200_000, 800 # bytes of a page with all it loads; milliseconds to its first paint

CUT_OFF = """() => [...document.querySelectorAll('.cell-output pre')].filter(pre =>
    Math.max(pre.scrollWidth - pre.clientWidth, pre.closest('.cell-output').scrollWidth - pre.closest('.cell-output').clientWidth) > 4).length"""
WITHOUT_ALT = "() => [...document.querySelectorAll('main img')].filter(image => !image.alt).length"
# a line of code is a span; one that is higher than a line of its text wraps
WRAPPED = """() => [...document.querySelectorAll('main pre.sourceCode code > span')].filter(line => line.offsetParent && line.innerText.trim())
    .map(line => [line.innerText, line.getBoundingClientRect().height > 1.6*parseFloat(getComputedStyle(line).lineHeight)])"""
IS_TEXT = "() => document.activeElement.closest('main') !== null || /skip/i.test(document.activeElement.className)"
WEIGHT = """() => [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]
    .reduce((sum, entry) => sum + entry.encodedBodySize, 0)"""
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


def widths(browser: Browser, address: str, names: list[str]) -> dict:
    "What is cut off, too wide or wrapped, and what a page asks of other hosts."
    found = {'printed results cut off': [], 'printed results cut off on a phone': [], 'pages wider than a phone': [],
             'images without a description': [], 'hosts asked': set(), 'lines': [], 'bytes': {}, 'first paint': {}}
    for width in (DESKTOP, PHONE):
        page, foreign = open_page(browser, address, width)
        for name in names:
            page.goto(address + name)
            page.wait_for_timeout(150)
            key = 'printed results cut off' if width == DESKTOP else 'printed results cut off on a phone'
            found[key] += [name]*page.evaluate(CUT_OFF)
            if width == PHONE:
                if page.evaluate('document.documentElement.scrollWidth') > PHONE + 1: found['pages wider than a phone'].append(name)
                continue
            found['images without a description'] += [name]*page.evaluate(WITHOUT_ALT)
            found['lines'] += page.evaluate(WRAPPED)
            found['bytes'][name], found['first paint'][name] = page.evaluate(WEIGHT), page.evaluate(FIRST_PAINT) or 0
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


def written(docs: Path, names: list[str]) -> dict[str, list[str]]:
    "What can be read off the files: addresses in memory, folders of a machine, warnings."
    patterns = {'memory addresses': r'object at 0x[0-9a-f]{6,}', 'folders of a machine': r'/tmp/\w|/root/|/home/\w+/',
                'warnings': r'(Future|Deprecation)Warning: '}
    texts = {name: (docs/name).read_text(encoding='utf-8') for name in names}
    return {what: [name for name, text in texts.items() for _ in re.findall(pattern, text)] for what, pattern in patterns.items()}


def figures(docs: Path) -> Iterator[tuple[str, list, Callable[[list], bool], str]]:
    "Each figure: its name, what was found, whether it is as wanted, and what is wanted."
    def none(found): return not found
    names = sorted(path.relative_to(docs).as_posix() for path in docs.rglob('*.html'))
    looked_at = [name for name in LOOKED_AT if name in names]
    with sync_playwright() as driver, served(docs) as address:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        found = widths(browser, address, names)
        lines, kilobytes, paint = found.pop('lines'), found.pop('bytes'), found.pop('first paint')
        for what, where in {**found, **written(docs, names)}.items(): yield what, sorted(where), none, 'none'
        yield 'what axe finds', barriers(browser, address, looked_at), none, 'none'
        yield 'Tab presses to the text', tabs_to_text(browser, address, looked_at[-1]), lambda n: n[0] <= 2, 'at most 2'
        browser.close()
    wrapped = [text for text, wraps in lines if wraps]
    yield f'of {len(lines):,} lines of code, that wrap', wrapped, lambda w: len(w) <= 0.05*len(lines), 'at most 5 %'
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
    if not docs.is_dir(): sys.exit(f'There is no folder {docs}. Build the site first: make docs')
    if not CHROMIUM: sys.exit('Chromium or Chrome is needed to look at the pages, and was not found.')
    sys.exit(look(docs))
