"""Runs what people reported, each program as a cell of a shell and `diagnose()` in the next, and judges the answer.

    python tests/read_reports.py [--every 4] [--keep] [--show WORD]

Each report gets a process of its own, so that none changes what the next one meets. A verdict is one of
    solved   the cause is named, and what to do; a change that is shown runs, and does what `then` asserts
    partly   the cause is named, but not what to do
    silent   the kind is not known, and nothing is proposed
    wrong    another cause is named, or a change is shown that does not help, or the tool fails
`--keep` writes the verdicts into the table."""
import argparse
import contextlib
import csv
import io
import json
import os
import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell

REPORTS = Path(__file__).parents[1] / 'easing_fastai' / 'data' / 'reports.csv'
START = """import warnings; warnings.simplefilter('ignore')
import sys, os, shutil
from fastai.vision.all import *
from easing_fastai.core import *
from easing_fastai.dev.breaking import failing, images_to_break
path, arch = images_to_break(), digits_resnet18
files = get_image_files(path).sorted()
dls = ImageDataLoaders.from_folder(path, valid='valid', bs=4)
learn = vision_learner(dls, arch, metrics=accuracy)
x, y = dls.one_batch()"""


def read(table: Path = REPORTS) -> list[dict]:
    return list(csv.DictReader(table.read_text(encoding='utf-8').splitlines(keepends=True)))


def open_shell() -> InteractiveShell:
    "A shell with what the programs begin with, quiet about errors."
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False  # a file that all processes would share
    with contextlib.redirect_stdout(io.StringIO()):
        shell.run_line_magic('xmode', 'Minimal')
    shell._showtraceback = shell._format_exception_for_storage = lambda *args, **kwargs: None
    for line in START.splitlines():
        assert (error := run(shell, line)) is None, error
    return shell


def run(shell: InteractiveShell, source: str) -> Exception | None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result = shell.run_cell(source, store_history=True)
    return result.error_before_exec or result.error_in_exec


def judge(shell: InteractiveShell, row: dict) -> tuple[str, str]:
    "The verdict on one report, and the answer."
    if row['before'] and (error := run(shell, row['before'])) is not None:
        return 'broken', f'before: {error!r}'
    if (error := run(shell, row['program'])) is None:
        return 'no error', ''
    if (failed := run(shell, 'answer = diagnose()')) is not None:
        return 'wrong', f'diagnose failed: {failed!r}'
    answer = shell.user_ns['answer']
    text = f'{answer}\n{error!r}'
    if answer.kind is None:
        return 'silent', text
    if len(answer.kinds) > 1 or not re.search(row['cause'], f'{answer.kind.name}\n{answer.cause}', flags=re.I | re.M):
        return 'wrong', text
    if answer.fix and not re.search(r'^(pip|git) |restart', answer.fix, flags=re.M):
        for source in filter(None, (answer.fix, row['then'])):
            if (failed := run(shell, source)) is not None:
                return 'wrong', f'{text}\n{source}\n{failed!r}'
    done = re.search(row['says'], f'{answer.fix}\n{answer.advice}', flags=re.I | re.S)
    return 'solved' if done else 'partly', text


def judge_apart(shell: InteractiveShell, row: dict) -> tuple[str, str]:
    "The same in a process of its own."
    reader, writer = os.pipe()
    if (process := os.fork()) == 0:
        os.close(reader)
        try:
            found = judge(shell, row)
        except BaseException as error:  # a verdict, whatever comes
            found = 'wrong', f'judge: {error!r}'
        with os.fdopen(writer, 'w') as out:
            json.dump(found, out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as came:
        text = came.read()
    os.waitpid(process, 0)
    return tuple(json.loads(text)) if text else ('wrong', 'the process died')


def main():
    options = argparse.ArgumentParser()
    options.add_argument('--table', type=Path, default=REPORTS)
    options.add_argument('--every', type=int, default=1)
    options.add_argument('--keep', action='store_true')
    options.add_argument('--show', default='nothing')
    options = options.parse_args()
    tempfile.tempdir = tempfile.mkdtemp()
    warnings.simplefilter('ignore')
    table, counts = read(options.table), {}
    shell = open_shell()
    for row in table[::options.every]:
        verdict, answer = judge_apart(shell, row)
        counts[verdict] = counts.get(verdict, 0) + 1
        if verdict != row['verdict'] or re.search(options.show, f"{verdict} {row['reference']} {row['symptom']}"):
            print(f"== {row['reference']}: {row['symptom']}: {verdict}, not {row['verdict']}\n{row['program']}\n{answer}")
        row['verdict'] = verdict
    if options.keep:
        with options.table.open('w', encoding='utf-8', newline='') as out:
            writer = csv.DictWriter(out, table[0], lineterminator='\n')
            writer.writeheader()
            writer.writerows(table)
    os.chdir('/')
    shutil.rmtree(tempfile.tempdir, ignore_errors=True)
    print(json.dumps(counts))
    sys.stdout.flush()
    os._exit(0)  # what was registered to run at the end was for the children


if __name__ == '__main__':
    main()
