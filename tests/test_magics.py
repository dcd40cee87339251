"`%load_ext easing_fastai` in IPython, without a notebook."
import re

import pytest
from conftest import cold_start, start

SESSION = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(history_load_length=0, colors='NoColor')
shell.history_manager.enabled = False  # a file that all processes would share
for cell in CELLS:
    print('>>>', cell.splitlines()[0])
    shell.run_cell(cell, store_history=True)
"""


def test_the_package_itself_is_light():
    done = cold_start('-c', "import easing_fastai, sys; print(*{'fastai', 'torch', 'IPython', 'easing_fastai.magics'} & set(sys.modules))")
    assert (done.returncode, done.stdout.strip()) == (0, ''), done.stdout + done.stderr


def test_the_functions_do_not_bring_the_magics():
    done = cold_start('-c', "from easing_fastai.core import *; import sys; print('easing_fastai.magics' in sys.modules)")
    assert done.stdout.strip() == 'False', done.stdout + done.stderr


def test_a_session():
    cells = ['%load_ext easing_fastai', '%%unpack --depth 1\ndef half(n): return n/2\nhalf(4)', '%decode item_tfms', 'x = nowhere',
             '%diagnose --hints', 'x = nowhere2', '%diagnose', '%anatomy learn', '%%unpack --deep 3\n1', '%%unpack\n1/0', '%reload_ext easing_fastai',
             '%%unpack --plumbing\nhalf(8)', '%%unpack --depth 2\nimport asyncio\nawait asyncio.sleep(0)', 'from fastprogress.fastprogress import html_styles; print(html_styles)']
    done = start('-c', SESSION.replace('CELLS', repr(cells)), NO_COLOR='1')
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(part.split('\n', 1) for part in done.stdout.split('>>> ')[1:])
    assert '2.0' in said['%%unpack --depth 1'] and 'half(n=4)' in said['%%unpack --depth 1']
    assert 'item + transforms' in said['%decode item_tfms']
    assert 'diagnose() knows' not in said['x = nowhere'] and 'diagnose() knows this error: a name' in said['x = nowhere2']
    assert 'nowhere2' in said['%diagnose'] and 'likely cause' in said['%diagnose']
    assert "%anatomy learn: name 'learn' is not defined. Run the cell that makes it first." in done.stderr
    assert 'unrecognized arguments: --deep' in done.stderr and 'Traceback' not in done.stderr
    assert '%%unpack cannot wait, and this cell has an await outside a function.' in done.stderr
    assert 'ZeroDivisionError' in said['%%unpack'] and 'half(n=8)' in said['%%unpack --plumbing']
    assert '#f8f9fa' not in said['from fastprogress.fastprogress import html_styles; print(html_styles)']


@pytest.mark.parametrize('magic', ['%%time\n', '%time ', '%%unpack\n'])
def test_the_line_behind_a_magic(magic):
    "The magic stands before the line that failed, and is none of it."
    done = start('-c', SESSION.replace('CELLS', repr(['%load_ext easing_fastai', "folder = 'a'", f"{magic}folder/'b'", '%diagnose'])), NO_COLOR='1')
    said = done.stdout.split('>>> %diagnose')[1]
    assert "your line       folder/'b'" in said and 'folder = Path(folder)' in said and 'run_cell' not in said and 'and in' not in said, said


NONSENSE = {
    '%anatomy 1': 'anatomy needs a Learner', '%anatomy --plot print': 'anatomy needs a Learner', '%anatomy': 'required: learner',
    '%anatomy )': "not ')'", '%anatomy 1/0': 'ZeroDivisionError: division by zero.', '%anatomy "a': 'A quotation mark without its other one: "a',
    '%diagnose 1': 'diagnose needs an error', '%diagnose ValueError': 'diagnose needs an error', '%diagnose "x': 'A quotation mark without',
    '%diagnose 1/0': 'ZeroDivisionError', '%decode 1': "'1' has no letters", '%decode "': 'A quotation mark without', '%decode -p 1': 'not 1 (int)',
    '%decode -p 1/0': 'ZeroDivisionError', '%%unpack "\n1': 'A quotation mark without', '%%unpack 5\n1': 'unrecognized arguments: 5',
    '%%unpack --depth 0\n1': 'an integer from 1 on, not 0', '%%unpack --depth x\n1': 'invalid int value',
}


def test_nonsense_is_answered_in_a_sentence():
    done = start('-c', SESSION.replace('CELLS', repr(['%load_ext easing_fastai', *NONSENSE, 'def f(): 1/0', '%anatomy f()'])), NO_COLOR='1')
    *said, last = done.stdout.split('>>> ')[1:]
    said = [line for line in done.stderr.splitlines() if line.startswith('UsageError: ')]
    assert len(said) == len(NONSENSE) and all(words in line for words, line in zip(NONSENSE.values(), said)), said
    assert 'Traceback' not in done.stderr and done.stdout.count('Traceback') == 1 and 'Traceback' in last, 'an error in what is called is its own'


def test_a_cell_runs_as_the_notebook_would_run_it():
    "What was set in an earlier cell holds, and what ends in ; is silent."
    times_ten = 'import ast\nclass Ten(ast.NodeTransformer):\n    def visit_Constant(self, node): return ast.Constant(node.value*10) if type(node.value) is int else node\n'
    cells = ['%load_ext easing_fastai', 'from __future__ import annotations', '%%unpack\ndef f(x: NoSuchType): return x\nf(7);', '%%unpack\nf(8)', '%%unpack\nf(7); # 7',
             '%%unpack\nf(8)  # no; semicolon;', '%%unpack\nx = %env HOME\nf(7)  ;\n\n# 7', 'get_ipython().ast_node_interactivity = "all"', '%%unpack\nf(9)\nf(11)', times_ten + 'get_ipython().ast_transformers.append(Ten())', '%%unpack\nf(4)']
    done = start('-c', SESSION.replace('CELLS', repr(cells)), NO_COLOR='1')
    said = [part for part in done.stdout.split('>>> ') if part.startswith('%%unpack')]
    values = [[int(n) for n in re.findall(r'(?m)^(?:Out\[\d+\]: )?(\d+)$', part)] for part in said]
    assert values == [[], [8], [], [8], [], [9, 11], [40]] and 'NameError' not in done.stdout, done.stdout


COMPLETIONS = """
from IPython.core.completer import provisionalcompleter
def offered(line):
    with provisionalcompleter(): return [found.text for found in shell.Completer.completions(line, len(line))]
for jedi in (True, False):
    shell.Completer.use_jedi = jedi
    for line in LINES: print('|'.join([line, *offered(line)]))
"""


def test_tab_completes_in_the_lines_of_the_magics_and_nowhere_else():
    lines = {'%diagnose --': '--hints|--no-hints', '%anatomy lear': 'learn_it', '%decode item_tf': 'item_tfms', '%decode -p learn_': 'learn_it',
             '%%unpack --d': '--depth', '%diagnose learn_': 'learn_it', 'learn_': 'learn_it'}
    session = SESSION.replace('CELLS', repr(['%load_ext easing_fastai', '%reload_ext easing_fastai', 'learn_it = 1']))
    done = start('-c', session + COMPLETIONS.replace('LINES', repr(list(lines))), NO_COLOR='1')
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split('>>> learn_it = 1\n')[1].splitlines() == 2*[f'{line}|{names}' for line, names in lines.items()]
