"The notebooks as readers meet them: as they lie on GitHub, and as the pages that a run makes of them."
import base64
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from conftest import REPO, made_once
from test_notebooks import ADDRESS, code_cells, every_notebook, ids, read, source, words

NUMBERED = sorted((REPO / 'nbs').glob('[0-9]*_*.ipynb'))  # what `easing-fastai run` runs


def site_of_kept_outputs(folder: Path) -> Path:
    "The pages of a run, made of the outputs that the repository keeps: nothing is executed."
    from easing_fastai.dev.page import thumbnail, title_of
    from easing_fastai.dev.run import ChapterRun, key_result, setup_line, write_pages

    runs = []
    for path in NUMBERED:
        nb = nbformat.read(path, as_version=4)
        nbformat.write(nb, folder / path.name)
        runs.append(ChapterRun(path.stem, 12.3, key_result(nb), title=title_of(nb), setup=setup_line(nb), thumbnail=thumbnail(nb)))
    write_pages(runs, folder, 'Made of the outputs that are kept')
    return folder


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> Path:
    return made_once('kept', site_of_kept_outputs, tmp_path_factory)


class Elements(HTMLParser):
    "Every element of a page with its attributes; the levels of its headings; its text without scripts and styles."

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.text, self.skipped = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.skipped += tag in ('script', 'style')

    def handle_endtag(self, tag):
        self.skipped -= tag in ('script', 'style')

    def handle_data(self, data):
        if not self.skipped:
            self.text.append(data)

    def all(self, name: str) -> list[str]:
        return [attributes[name] or '' for _, attributes in self.elements if name in attributes]


def prose(path: Path) -> str:
    "The words of a notebook without the code among them."
    return re.sub(r'`[^`\n]+`', '', re.sub(r'^```.*?^```', '', words(path), flags=re.S | re.M))


def steps_down_one_by_one(levels: list[int]) -> bool:
    return levels[:1] == [1] and levels.count(1) == 1 and all(after <= before + 1 for before, after in zip(levels, levels[1:]))


# ---- on GitHub ----


@every_notebook
def test_headings_are_in_order(path):
    levels = [len(marks) for marks in re.findall(r'^(#{1,6}) \S', prose(path), flags=re.M)]
    assert steps_down_one_by_one(levels), levels


@every_notebook
def test_pictures_in_words_are_described(path):
    text = prose(path)
    assert not re.findall(r'!\[\s*\]\(', text), 'a picture without a description'
    for tag in re.findall(r'<img[^>]*>', text):
        assert re.search(r'alt="[^"]+"', tag), tag
    for target in re.findall(r'!\[[^\]]*\]\((?!https?:|data:|attachment:)([^)\s]+)', text):
        assert (path.parent / target).is_file() and (path.parent / target).stat().st_size < 150_000, target
    assert not any(cell.get('attachments') for cell in read(path)['cells']), 'GitHub shows no attachments'


@every_notebook
def test_outputs_read_well(path):
    for cell in code_cells(path):
        for output in cell['outputs']:
            text = json.dumps(output)
            assert not re.search(r'\w+Warning\b.*warn', text) and 'Warning:' not in text, source(cell)
            assert '\\r' not in re.sub(r'\\\\r', '', text) and '<progress' not in text, f'residue of a progress bar: {source(cell)}'
            assert not re.search(r'\b[A-Z]:\\\\+Users\\\\', text), "a path of somebody's machine"
            data = output.get('data', {})
            assert not any('widget' in kind or 'javascript' in kind for kind in data), 'GitHub shows no widgets'
            assert data.keys() - {'text/html'} or not data, 'GitHub leaves out styles and scripts: text has to be there, too'
            for kind in data.keys() & {'image/jpeg', 'image/svg+xml'}:
                assert len(''.join(data[kind])) < 150_000 * 4 / 3, source(cell)


@every_notebook
def test_few_directives(path):
    # GitHub shows them as comments above the code
    for cell in code_cells(path):
        lines = [line for line in source(cell).splitlines() if line.startswith('#|')]
        assert len(lines) <= 3, source(cell)
        names = Counter(re.split(r'[:\s]', line[2:].strip())[0] for line in lines)
        assert max(names.values(), default=1) == 1 and source(cell).startswith('#|') == bool(lines), source(cell)


# ---- the pages of a run ----


@pytest.fixture(scope='module')
def pages(site) -> dict[str, Elements]:
    return {path.name: Elements(path.read_text(encoding='utf-8')) for path in sorted(site.glob('*.html'))}


def test_a_page_for_each_chapter(pages):
    assert set(pages) == {'index.html', *(f'{path.stem}.html' for path in NUMBERED)}


def test_weight(site):
    sizes = {path.name: path.stat().st_size for path in site.iterdir()}
    assert max(size for name, size in sizes.items() if name.endswith('.html')) < 1_500_000, sizes
    assert sum(sizes.values()) < 15_000_000


def test_pages_need_no_other_file(site, pages):
    for name, page in pages.items():
        assert [src for src in page.all('src') if not src.startswith('data:image/')] == [], name
        assert [a['href'] for tag, a in page.elements if tag == 'link' and a['href'] != 'data:,'] == [], name
        style = ''.join(re.findall(r'<style.*?</style>', (site / name).read_text(encoding='utf-8'), flags=re.S))
        assert '@import' not in style and not re.search(r'url\((?!.?data:)', style), name


def test_links_lead_somewhere(site, pages):
    names = {name: set(page.all('id')) for name, page in pages.items()}
    for name, page in pages.items():
        for target in page.all('href'):
            if re.match(r'https://|data:', target):
                own = target.startswith(ADDRESS + '/blob/main/')
                assert not own or (REPO / re.split(r'/blob/main/|#', target)[1]).exists(), f'{name}: {target}'
                continue
            file, _, part = target.partition('#')
            assert (site / (file or name)).is_file(), f'{name}: {target}'
            assert not part or part in names[file or name], f'{name}: {target}'


def test_chapters_are_joined(pages):
    order = [path.stem for path in NUMBERED]
    assert len(order) >= 8
    for i, stem in enumerate(order):
        links = {attributes['rel']: attributes['href'] for tag, attributes in pages[f'{stem}.html'].elements if 'rel' in attributes and tag == 'a'}
        assert links.get('prev') == (f'{order[i - 1]}.html' if i else None)
        assert links.get('next') == (f'{order[i + 1]}.html' if i + 1 < len(order) else None)
        assert 'index.html' in pages[f'{stem}.html'].all('href') and f'{stem}.html' in pages['index.html'].all('href')


def test_form_of_a_page(pages):
    for name, page in pages.items():
        assert ('html', {'lang': 'en'}) in page.elements, name
        found = page.all('id')
        assert len(found) == len(set(found)), f'{name}: {[i for i, n in Counter(found).items() if n > 1]}'
        assert steps_down_one_by_one([int(tag[1]) for tag, _ in page.elements if re.fullmatch(r'h[1-6]', tag)]), name
        assert not re.search(r'^#\|', ''.join(page.text), flags=re.M), f'{name} shows a directive'
        assert '¶' not in ''.join(page.text) and ':::' not in ''.join(page.text), name


def test_thumbnails(pages):
    small = pages['index.html'].all('src')
    assert 7 <= len(small) <= len(NUMBERED) and all(len(src) < 40_000 for src in small)


@pytest.mark.parametrize('path', NUMBERED, ids=ids)
def test_figures_of_a_page(path, site, pages):
    cells = code_cells(site / path.name)
    drawn = [output['data']['image/png'] for cell in cells for output in cell['outputs'] if 'image/png' in output.get('data', {})]
    shown = [attributes for tag, attributes in pages[f'{path.stem}.html'].elements if tag == 'img']
    content = lambda text: base64.b64decode(''.join(text))
    assert [content(png) for png in drawn] == [content(a['src'].removeprefix('data:image/png;base64,')) for a in shown], 'all, in order'
    for attributes in shown:
        assert len(attributes['alt']) >= 20 and int(attributes['width']) > 0, attributes['alt']
