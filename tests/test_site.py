"The website as far as it can be tried without Quarto: nbdev's processing, Pandoc's parser, the filter for hover texts, every link."
import json
import re
import subprocess
from pathlib import Path

import nbformat
import pypandoc
import pytest
import yaml
from conftest import REPO, copy_repo, start
from test_notebooks import ADDRESS, NOTEBOOKS, ids, words

SITE = ADDRESS.replace("https://github.com/easing-fastai", "https://easing-fastai.github.io") + "/"


def pandoc(text: str, *args: str, cwd: Path = REPO) -> str:
    done = subprocess.run([pypandoc.get_pandoc_path(), *args], input=text, cwd=cwd, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def parts(block: object) -> list[dict]:
    "All elements of what Pandoc has parsed."
    if isinstance(block, list):
        return [part for one in block for part in parts(one)]
    return [block, *parts(list(block.values()))] if isinstance(block, dict) else []


@pytest.fixture(scope="module")
def processed(tmp_path_factory) -> Path:
    "The notebooks as nbdev hands them to Quarto."
    folder = copy_repo(tmp_path_factory.mktemp("site") / "easing_fastai")
    done = start("-c", "from nbdev.serve import proc_nbs; proc_nbs(n_workers=2)", cwd=folder, PYTHONPATH=str(folder))
    assert done.returncode == 0 and "Error" not in done.stderr, done.stderr
    return folder / "_proc"


@pytest.fixture(scope="module")
def pages(processed) -> dict[str, nbformat.NotebookNode]:
    "The processed notebooks by the file that Quarto makes of them, as tools/names.html."
    found = {}
    for path in processed.rglob("*.ipynb"):
        nb = nbformat.read(path, as_version=4)
        named = re.search(r"^output-file: (.+)$", nb.cells[0].source, flags=re.M) if nb.cells[0].cell_type == "raw" else None
        found[(path.relative_to(processed).parent / (named[1] if named else f"{path.stem}.html")).as_posix()] = nb
    return found


def test_every_notebook_becomes_a_page(processed, pages):
    assert {p.relative_to(processed) for p in processed.rglob("*.ipynb")} == {p.relative_to(REPO / "nbs") for p in NOTEBOOKS}
    assert len(pages) == len(NOTEBOOKS) and {"index.html", "mnist.html", "plain_dataloaders.html", "core.html"} <= pages.keys()
    for name, nb in pages.items():
        assert nb.cells[0].cell_type == "raw" and yaml.safe_load(nb.cells[0].source.strip("-\n"))["title"], name
        assert not any("google.colab" in cell.source for cell in nb.cells), f"{name}: the installation in Colab is not for readers"


def test_the_configuration(processed):
    config = yaml.safe_load((REPO / "_quarto.yml").read_text())
    assert (REPO / "nbs" / "_quarto.yml").is_symlink() and config["lang"].startswith("en")
    website, html = config["website"], config["format"]["html"]
    named = [website["favicon"], website["image"], html["css"], *config["filters"], *config["project"]["resources"]]
    listed = []
    for entry in website["sidebar"]["contents"]:
        for item in entry.get("contents", [entry]) if not isinstance(entry.get("contents"), str) else [entry["contents"]]:
            listed.append(item["href"] if isinstance(item, dict) else item)
    assert all((processed / file).is_file() for file in named), named
    assert all(list(processed.glob(pattern)) for pattern in listed), listed
    shown = {path for pattern in listed for path in processed.glob(pattern)}
    assert shown == set(processed.rglob("*.ipynb")), "every page is in the sidebar"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_pandoc_understands_the_words(path):
    document = json.loads(pandoc(words(path), "-f", "markdown", "-t", "json"))
    found = parts(document["blocks"])
    boxes = [part["c"][0][1] for part in found if part.get("t") == "Div"]
    assert all(len(names) <= 1 for names in boxes)
    text = [part["c"] for part in found if part.get("t") == "Str"]
    assert not [word for word in text if ":::" in word], "a fence that is not closed, or not opened"
    targets = [part["c"][2][0] for part in found if part.get("t") == "Link"]
    assert all(re.match(r"https://|#|[\w./-]+\.ipynb(#[\w.-]+)?$", target) for target in targets), targets


def test_links_lead_to_headings():
    headings = {path.name: {part["c"][1][0] for part in parts(json.loads(pandoc(words(path), "-f", "markdown", "-t", "json"))["blocks"]) if part.get("t") == "Header"}
                for path in NOTEBOOKS}
    for path in NOTEBOOKS:
        for file, part in re.findall(r"\]\(([\w./-]*)#([\w.-]+)\)", words(path)):
            assert part in headings[Path(file).name or path.name], f"{path.name}: {file}#{part}"


@pytest.mark.parametrize("file", ["nbs/llms.txt", "README.md", "nbs/404.qmd"])
def test_links_of_other_files(file, pages):
    text = (REPO / file).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(targets) >= 3
    for target in targets:
        if target.startswith(SITE):
            assert target.removeprefix(SITE).partition("#")[0] in {*pages, ""}, target
        elif target.startswith(ADDRESS):
            inside = re.sub(r"^/?((blob|raw|tree)/main/)?", "", target.removeprefix(ADDRESS))
            assert re.match(r"(actions|issues|discussions)\b", inside) or (REPO / inside).exists(), target
        elif target.startswith("/"):
            assert (REPO / "nbs" / target[1:]).is_file(), target
        elif target.startswith("#"):
            assert f'id="{target[1:]}"' in pandoc(text, "-f", "markdown", "-t", "html"), target
        else:
            assert target.startswith("https://"), target


def test_docs_links_of_the_modules(pages):
    for path in (REPO / "easing_fastai").rglob("*.py"):
        for target in re.findall(r"^Docs: ([^\s\"]+)", path.read_text(encoding="utf-8"), flags=re.M):
            assert target.removeprefix(SITE).removesuffix(".md") in pages, f"{path.name}: {target}"


# ---- what inline code means, on hover and on focus ----


def hovered(text: str) -> str:
    return pandoc(text, "-f", "markdown", "-t", "html", "--lua-filter=hover.lua", cwd=REPO / "nbs")


def test_hover_texts():
    meaning = json.loads((REPO / "nbs" / "names.json").read_text(encoding="utf-8"))["item_tfms"]
    html = hovered("First `item_tfms`, then `item_tfms=Resize(28)`, and `learn.item_tfms(1)`.")
    assert html.count(meaning) == 3 and html.count('role="tooltip"') == 3
    assert html.count('tabindex="0"') == 1, "one stop of the keyboard for each name"
    described = re.findall(r'aria-describedby="([^"]+)"', html)
    assert len(set(described)) == 3 and all(f'id="{name}"' in html for name in described)


@pytest.mark.parametrize("text", ["`no_name_of_fastai`", "[`item_tfms`](02_dataloaders.ipynb)", "# `item_tfms`", "```\nitem_tfms\n```", "item_tfms"])
def test_nothing_else_gets_a_hover_text(text):
    assert "tooltip" not in hovered(text)


def test_a_book_needs_no_hover_texts():
    assert pandoc("`item_tfms`", "-f", "markdown", "-t", "commonmark", "--lua-filter=hover.lua", cwd=REPO / "nbs").strip() == "`item_tfms`"
