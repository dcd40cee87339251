"No chapter uses a name or a concept before the chapter that explains it. explained.csv says which that is."
import csv
import re
from pathlib import Path

import pytest
from test_notebooks import CHAPTERS, WALK, code_cells, source, words

ROWS = list(csv.DictReader(open(Path(__file__).parent / "explained.csv", encoding="utf-8")))


def sentences(path: Path) -> list[str]:
    "The prose of a chapter without blocks of code, and without sentences that point to another chapter."
    text = re.sub(r"```.*?```", "", words(path), flags=re.S)
    found = re.split(r"(?<=[.?!:;|])\s+|\n\n|\n- ", text)
    return [s for s in found if not re.search(r"[Cc]hapters? \d\d|\]\(\d\d\w*\.ipynb", s)]


def uses(path: Path, row: dict) -> list[str]:
    "Where a chapter uses a name (in prose as code, or in its cells) or a concept (in prose)."
    name = re.escape(row["name"])
    if row["kind"] == "concept":
        return [s for s in sentences(path) if re.search(rf"\b{name}", re.sub(r"`[^`]*`", "", s), flags=re.I)]
    prose = [s for s in sentences(path) if re.search(rf"`[^`]*\b{name}\b[^`]*`", s)]
    lines = [line for cell in code_cells(path) for line in source(cell).splitlines()
             if re.search(rf"(?<![\w'\"-]){name}(?![\w'\"-])", line.split("#")[0])]
    return prose + lines


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_explained_before_use(row):
    for path in CHAPTERS:
        number = path.name[:2]
        if number < row["chapter"]:
            early = uses(path, row)
            assert not early, f"{path.stem} uses {row['name']}, which chapter {row['chapter']} explains: {early[0]}"
        if number == row["chapter"]:
            said = re.sub(r"```.*?```", "", words(path), flags=re.S)
            found = re.search(rf"\b{re.escape(row['name'])}", said, flags=re.I)
            assert found or row["name"] in WALK, f"{path.stem} says nothing about {row['name']}"


def test_the_table_is_in_order():
    assert len({row["name"] for row in ROWS}) == len(ROWS) and {row["kind"] for row in ROWS} == {"name", "concept", "walk"}
