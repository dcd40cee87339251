"""Reads a page of the catalogue of failures as somebody at work would: an error in one cell, `diagnose()` in the next.

A cell of a page lets a program fail under `expect_error`. Here the program is a cell of its own that really fails,
with all that IPython puts around it; what follows it in the page is the next cell. So it stands for the run of the page
in test_chapters.py, too. Started by test_diagnose.py."""
import ast
import json
import sys
from pathlib import Path
import textwrap
import warnings

from IPython.core.interactiveshell import InteractiveShell
import torch

warnings.simplefilter('ignore')
torch.manual_seed(0)  # which images a split without a seed holds out must not decide whether a page fails
shell = InteractiveShell.instance()
shell.history_manager.enabled = False  # a file that all processes would share
shell.run_line_magic('xmode', 'Minimal')  # its long form takes half a second
shell._showtraceback = shell._format_exception_for_storage = lambda *args, **kwargs: None


def run(source: str) -> Exception | None:
    result = shell.run_cell(source, store_history=True)
    return result.error_before_exec or result.error_in_exec


def parts(source: str) -> tuple[str, str, str, str] | None:
    "What stands before the program that is meant to fail, its kind of error, the program, and what follows; None if there is none."
    lines = source.splitlines()
    for node in [] if source.startswith('#|') else ast.parse(source).body:
        if isinstance(node, ast.With) and ast.unparse(node.items[0]).startswith('expect_error'):
            first = node.body[0]
            body = [lines[first.lineno - 1][first.col_offset:] if first.lineno == node.lineno else lines[first.lineno - 1]] + lines[first.lineno:node.end_lineno]
            error = ast.unparse(node.items[0].context_expr.args[0])
            return '\n'.join(lines[:node.lineno - 1]), error, textwrap.dedent('\n'.join(body)), '\n'.join(lines[node.end_lineno:])
    return None


def one_failure(program: str, expected: str):
    "The answer to a program that fails: one kind alone recognises it, and it says all that has to be said."
    assert (error := run(program)) is not None, f'no error came:\n{program}'
    assert isinstance(error, eval(expected, shell.user_ns)), f'{expected} was expected, not {error!r}:\n{program}'
    assert (of_ours := run('answer = diagnose()')) is None, f'diagnose failed: {of_ours!r}\n{program}'
    answer = shell.user_ns['answer']
    names = [kind.name for kind in answer.kinds]
    assert len(names) == 1 and not answer.notes, f'one kind should recognise it, not {names}:\n{program}\n{answer}'
    assert all(answer.facts.values()) and (answer.fix or answer.advice), answer
    place = 'line ' if isinstance(error, SyntaxError) else 'Cell In['  # a line that is no Python never ran
    assert answer.lines and answer.lines[0][0].startswith(place), answer
    for text in (str(answer), answer._repr_html_()):
        assert answer.kind.link in text and answer.error.__class__.__name__ in text
    seen.add(names[0])
    return answer


seen = set()
for cell in json.loads(Path(sys.argv[1]).read_text(encoding='utf-8'))['cells']:
    source = ''.join(cell['source'])
    if cell['cell_type'] != 'code' or source.startswith('#| default_exp'):
        continue
    if (found := parts(source)) is None:
        assert (error := run(source)) is None, f'{source}\n{error!r}'
        continue
    before, expected, program, after = found
    assert (error := run(before)) is None, f'{before}\n{error!r}'
    answer = one_failure(program, expected)
    assert (error := run(after)) is None, f'{after}\n{error!r}\n{answer}'

for row in shell.user_ns.get('MESSAGES', ()):  # kinds that stand in a table, each with its program
    assert (error := run(row.before)) is None, f'{row.before}\n{error!r}'
    answer = one_failure(row.program, 'Exception')
    assert answer.kind.name == row.name, answer
    if row.runs:
        assert (error := run(answer.fix)) is None, f'{error!r}\n{answer}'

kinds = shell.user_ns['diagnose'].__init__.__globals__['KINDS'].values()
of_this_page = {kind.name for kind in kinds if kind.look.__module__ == '__main__'}
assert of_this_page == seen, f'not provoked: {of_this_page - seen}; of another page: {seen - of_this_page}'
print(len(seen), 'kinds')
