"Tracing changes nothing: the same numbers, hooks and errors; every kind of call is in the tree or in a note below it."
import asyncio
import logging
import os
import random
import re
import sys
from pathlib import Path
import threading
import traceback
import warnings
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from easing_fastai.experiments.few_images import few_learner
from easing_fastai.unpack import trace as unpack_trace
from easing_fastai.unpack.changes import Watch
from easing_fastai.unpack.trace import ACTIVE, DEEPEST, MOST
from easing_fastai.unpack.unpack import Unpacked, unpack
from easing_fastai.unpack.view import source_address
from fastai.optimizer import Adam

WAYS = [True, False] if hasattr(sys, 'monitoring') else [False]


@pytest.fixture(params=WAYS, ids=lambda monitoring: 'monitoring' if monitoring else 'profiling')
def way(request, monkeypatch):
    "Each way of tracing that this Python has."
    monkeypatch.setattr(unpack_trace, 'MONITORING', request.param)
    before = hooks()
    yield request.param
    assert hooks() == before and not ACTIVE


def hooks() -> tuple:
    "Whoever traces, and what is done with warnings and logs."
    tools = [sys.monitoring.get_tool(number) for number in range(6)] if hasattr(sys, 'monitoring') else []
    events = [sys.monitoring.get_events(number) for number, tool in enumerate(tools) if tool]
    logs = logging.root.level, list(logging.root.handlers)
    return sys.getprofile(), sys.gettrace(), threading.getprofile(), tools, events, list(warnings.filters), logs


def random_state() -> tuple:
    return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()


@pytest.fixture(scope='module')
def few():
    "Images of noise and their classes."
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (20, 28, 28), dtype=torch.uint8, generator=generator), torch.arange(20) % 2


def seeded_learner(few, **kwargs):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    learn = few_learner(*few, pretrained=True, **kwargs)
    learn.opt_func, learn.opt = Adam, None  # fastai's own, with all five steps
    learn.freeze()
    return learn


# What is traced: functions of this file are the reader's own.
def leaf(n=1, flag=False): return n
def halves(n):
    while n := n // 2: yield leaf(n)
def nested(depth): return leaf() if depth == 0 else nested(depth - 1)
def fails(n):
    leaf(n)
    raise ValueError(f'no {n}')


class Machine:
    def __init__(self, size): self.size = size
    def run(self, times=1): return [leaf(i) for i in range(times)]
    def __call__(self, n): return self.run(n)
    @classmethod
    def large(cls): return cls(100)
    def __repr__(self): raise RuntimeError('nobody may ask')


def test_a_training_is_the_same_to_the_last_bit(few, way):
    def train(f):
        learn = seeded_learner(few)
        f(learn)
        weights = [p.detach().numpy().tobytes() for p in learn.model.state_dict().values()]
        return weights, list(map(float, learn.recorder.losses)), random_state()
    unpacked = []
    alone = train(lambda learn: learn.fine_tune(1))
    traced = train(lambda learn: unpacked.append(unpack(learn.fine_tune, 1)))
    assert alone == traced
    for step in ('Sequential.forward', 'CrossEntropyLoss.forward', 'TensorBase.backward',
                 'Optimizer.step', 'Optimizer.zero_grad'):
        assert str(unpacked[0]).count(step) == 1, step


def test_both_ways_note_the_same(few, monkeypatch):
    noted = []
    for monitoring in WAYS:
        monkeypatch.setattr(unpack_trace, 'MONITORING', monitoring)
        learn = seeded_learner(few)
        u = unpack(learn.fit_one_cycle, 1)
        noted.append((u.calls, [(call.name, call.calls) for call in u.root.walk()]))
    assert all(other == noted[0] for other in noted)


def test_every_python_counts_the_same(way):
    "In Python 3.11 the list comprehension in `run` is a function of its own."
    u = unpack(Machine(3).run, 2)
    lines = [(call.name, call.calls) for call in u.root.walk() if call.code]
    assert u.calls == 3 and lines == [('Machine.run', 1), ('leaf', 1), ('leaf', 1)]
    with unpack(plumbing=True) as u: Machine(3).run(2)
    assert u.calls == 4 and len(u.find('leaf')) == 2  # and `__init__`


def test_an_error_comes_through_and_is_marked(few, way, capsys):
    with pytest.raises(ValueError, match='no 3') as caught, unpack() as u:
        leaf()
        fails(3)
    assert traceback.extract_tb(caught.tb)[-1].name == 'fails'
    marked = [call for call in u.root.walk() if call.error]
    assert [call.name for call in marked] == ['fails'] and 'ValueError: no 3' in marked[0].error
    line = traceback.extract_tb(caught.tb)[-1].lineno
    assert f'(line {line} of test_unpack.py)' in str(u) and '✗' in capsys.readouterr().err


def test_an_error_deep_inside_is_shown(few, way, capsys):
    learn = seeded_learner(few)
    with pytest.raises(TypeError) as caught: unpack(learn.fit, 1, lr='fast')
    inner = traceback.extract_tb(caught.tb)[-1].name
    rows = capsys.readouterr().err.splitlines()
    failed = next(i for i, row in enumerate(rows) if '✗ TypeError' in row)
    assert f'{inner}(' in rows[failed - 1]


class Photos(torch.utils.data.Dataset):
    def __len__(self): return 2
    def __getitem__(self, i): raise ValueError


def test_an_error_below_small_steps_is_shown(way, capsys):
    def epoch(): return takes_long(), list(torch.utils.data.DataLoader(Photos()))
    def takes_long(): return sum(range(3_000_000))
    with pytest.raises(ValueError): unpack(epoch)
    assert re.search(r'Photos.__getitem__.*\n\W*✗ ValueError', capsys.readouterr().err)


class Settings(dict):
    __getattr__ = dict.__getitem__
    def __call__(self): return leaf()


def test_what_can_be_called(way):
    assert unpack(Settings()).result == 1
    machine = Machine(3)
    for f, args, name in ((machine.run, (2,), 'Machine.run'), (Machine, (5,), 'Machine'), (machine, (2,), 'Machine'),
                          (Machine.large, (), 'Machine.large'), (partial(leaf, 2), (), 'leaf'), (lambda: leaf(), (), '<lambda>')):
        u = unpack(f, *args)
        assert u.root.name.startswith(name + '(') and u.root.children, name
        assert str(u) and u.to_html() and u.__rich__()
    assert unpack(machine.run, 2).result == [0, 1] and unpack(Machine, 5).result.size == 5
    assert unpack(leaf, 7, flag=True).find('leaf')[0].args == {'n': ['7'], 'flag': ['True']}


def test_c_is_not_traced(way):
    u = unpack(sorted, [3, 1, 2])
    assert u.result == [1, 2, 3] and 'written in C' in str(u)
    assert 'with unpack(plumbing=True)' in str(unpack(torch.nn.Linear, 3, 2))
    with unpack(plumbing=True) as u: torch.nn.Linear(3, 2)
    assert u.find('Linear.__init__')


def test_generators(way):
    with unpack() as u: assert list(halves(100)) == [50, 25, 12, 6, 3, 1]
    call, = u.root.children
    assert (call.name, call.calls) == ('halves', 1) and sum(c.calls for c in u.find('leaf')) == 6
    with unpack() as u:
        one = halves(8)
        next(one), one.close()
        assert list(halves(8)) == [4, 2, 1]
    assert sum(c.calls for c in u.find('halves')) == 2
    assert 'generator' in str(unpack(halves, 100))


def takes(n): return n
def counted(n):
    for i in range(n): yield takes(i)
async def waits(n):
    for _ in range(n): await asyncio.sleep(0), takes(n)
async def together(): await asyncio.gather(waits(1), waits(2), waits(3))


def test_generators_that_take_turns(way):
    with unpack() as u: list(zip(counted(n=3), counted(n=9)))
    with unpack() as other: asyncio.run(together())
    assert [sum(c.calls for c in line.children) for line in u.find('counted')] == [3, 3]
    assert [(line.args['n'], sum(c.calls for c in line.children)) for line in other.find('waits')] == [([str(n)], n) for n in (1, 2, 3)]


def test_recursion_and_many_calls_need_little_memory(way):
    def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
    u = unpack(fibonacci, 15)
    assert u.result == 610 and sum(1 for _ in u.root.walk()) <= MOST + 1
    with unpack() as u:
        for i in range(3000): Machine(i).run()
    assert sum(1 for _ in u.root.walk()) < 60
    assert {sum(c.calls for c in u.find(name)) for name in ('leaf', 'run', 'Machine.__init__')} == {3000}
    assert sum(c.calls for c in unpack(nested, 300).find('nested')) == 301


def test_calls_of_itself_need_little_room(way, capsys):
    def endless(n): return endless(n + 1)
    def there(n): return back(n + 1)
    def back(n): return there(n + 1)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(2000)
    try: u = unpack(nested, 990)
    finally: sys.setrecursionlimit(limit)
    lines = u.find('nested')
    assert sum(c.calls for c in lines) == 991 and 'nested(depth=990)' in str(u)
    assert len(lines) == DEEPEST and lines[-1].deeper == 991 - DEEPEST
    assert f'{991 - DEEPEST} deeper' in str(u.show(depth=999)) and 'deeper' in u.to_html()
    assert max(c.seconds for c in u.root.walk()) <= 1.01 * u.seconds, 'time inside itself counts once'
    for f in (endless, there):
        with pytest.raises(RecursionError) as caught: unpack(f, 0)
        shown = capsys.readouterr().err
        assert {entry.name for entry in traceback.extract_tb(caught.tb)[-20:-2]} <= {'endless', 'there', 'back'}
        assert '✗ RecursionError' in shown


def test_calls_up_to_the_limit(way):
    def last(): return 7
    def down(n): return last() if n == 0 else down(n - 1)
    ends = set()
    for n in range(sys.getrecursionlimit() - 120, sys.getrecursionlimit()):
        try: ends.add(unpack(down, n).result)
        except RecursionError: ends.add('RecursionError')
    assert ends == {7, 'RecursionError'}


def test_an_error_of_the_display_does_not_replace_yours(way, monkeypatch, capsys):
    def broken(self): raise ZeroDivisionError('of the display')
    monkeypatch.setattr(Unpacked, '__str__', broken)
    with pytest.raises(ValueError, match='no 3'): unpack(fails, 3)
    assert 'ZeroDivisionError' in capsys.readouterr().err


def test_threads(way):
    def work():
        for _ in range(3): leaf()
    with unpack() as u:
        thread = threading.Thread(target=work)
        thread.start()
        leaf()
        thread.join()
    assert sum(c.calls for c in u.find('leaf')) == 1 and '1 thread started' in str(u)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='processes are no copies here')
def test_a_copy_of_the_process_does_not_trace(way):
    queue = get_context('fork').SimpleQueue()
    before = hooks()
    with unpack() as u:
        process = get_context('fork').Process(target=lambda: queue.put(not ACTIVE and hooks() == before))
        process.start()
        process.join()
    assert queue.get()
    assert '1 process' in str(u)


def test_one_inside_another(way):
    with unpack() as outer:
        leaf(1)
        inner = unpack(Machine.large)
        with unpack() as empty: pass
        leaf(2)
    assert sum(c.calls for c in outer.find('leaf')) == 2 and not inner.find('leaf')
    with unpack() as first, unpack() as second, unpack() as third: leaf()
    assert [sum(c.calls for c in u.find('leaf')) for u in (first, second, third)] == [1, 1, 1]
    assert outer.find('Machine.large') and inner.find('Machine.large') and not empty.root.children


def test_two_threads_at_the_same_time(way):
    "The second is refused, and the first goes on; then it is the other way round."
    begun, over, said = threading.Event(), threading.Event(), []
    def work():
        with unpack() as u:
            begun.set()
            over.wait(60)
            leaf()
        said.append((u, sys.getprofile()))
    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(60)
    for refused in (lambda: unpack(leaf), lambda: unpack().__enter__()):
        with pytest.raises(RuntimeError, match='another thread'): refused()
        assert sys.getprofile() is None
    over.set()
    thread.join()
    (u, profiler), = said
    assert u.find('leaf') and profiler is None
    assert unpack(leaf).find('leaf')


def test_two_tasks_that_take_turns(way, capsys):
    async def traced(seconds):
        with unpack():
            await asyncio.sleep(seconds[0])
            leaf()
            if seconds[1:]: raise ValueError('of the task')
    async def both(): return await asyncio.gather(traced([0.02]), traced([0.04]), return_exceptions=True)
    assert [type(e) for e in asyncio.run(both())] == [RuntimeError]*2 and sys.getprofile() is None and not ACTIVE
    async def one_fails(): return await asyncio.gather(traced([0.02]), traced([0.04, 'fails']), return_exceptions=True)
    errors = asyncio.run(one_fails())
    assert 'unpack overlap' in str(errors[0]) and str(errors[1]) == 'of the task' and 'unpack overlap' in capsys.readouterr().err
    assert unpack(leaf).find('leaf')


def test_what_cannot_begin_keeps_no_place(way, monkeypatch):
    def fails(*args): raise ZeroDivisionError
    with monkeypatch.context() as change:
        change.setattr('easing_fastai.unpack.unpack.Watch', fails)
        with pytest.raises(ZeroDivisionError): unpack(leaf)
    found = []
    thread = threading.Thread(target=lambda: found.append(unpack(leaf).find('leaf')))
    thread.start()
    thread.join()
    assert found[0]


def test_other_profilers():
    import cProfile
    seen = []
    def other(frame, event, arg): seen.append((event, frame.f_code.co_name))
    def profiled(): inside.append(sys.getprofile())
    inside = []
    sys.setprofile(other)
    try: assert unpack(profiled).find('profiled') and sys.getprofile() is other
    finally: sys.setprofile(None)
    assert ('call', 'profiled') in seen
    if hasattr(sys, 'monitoring'): assert inside == [other], 'only Python 3.11 needs `sys.setprofile`, which is slow'
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        if hasattr(sys, 'monitoring'): assert unpack(leaf).find('leaf')
        else:
            with pytest.raises(RuntimeError, match='another profiler is at work'): unpack(leaf)
    finally: profiler.disable()
    if hasattr(sys, 'monitoring'):  # and one that begins inside
        with unpack() as u, profiler: leaf()
        assert u.find('leaf')
    assert unpack(leaf).find('leaf') and not ACTIVE


@pytest.mark.skipif(not hasattr(sys, 'monitoring'), reason='came with Python 3.12')
def test_no_place_left():
    free = [number for number in range(6) if sys.monitoring.get_tool(number) is None]
    for number in free: sys.monitoring.use_tool_id(number, f'tool {number}')
    try:
        with pytest.raises(RuntimeError, match='all six places'): unpack(leaf)
        assert not ACTIVE
    finally:
        for number in free: sys.monitoring.free_tool_id(number)
    assert unpack(leaf).find('leaf')


def test_bad_input():
    for wrong, advice in (('learn.fine_tune(1)', 'Write unpack(learn.fine_tune, 1), without'),
                          ('learn.freeze()', 'Write unpack(learn.freeze), without'),
                          ('learn.fine_tune(1, base_lr=(1,2))', 'Write unpack(learn.fine_tune, 1, base_lr=(1,2)), without'),
                          ('x'*10_000, 'not its text'), (None, 'Python runs fine_tune first'),
                          (3, 'cannot be called'), ([], 'cannot be called')):
        with pytest.raises(TypeError, match=re.escape(advice)) as caught: unpack(wrong)
        assert len(str(caught.value)) < 400
    with pytest.raises(ValueError, match='depth is an integer'): unpack(depth=0)
    u = unpack()
    assert 'Nothing is unpacked yet' in str(u)
    with u: leaf()
    with pytest.raises(RuntimeError, match='anew'), u: leaf()
    with pytest.raises(TypeError, match='as text'): u.find(leaf)
    for wrong in ('all', 0, -3, 1.5, True):
        with pytest.raises(ValueError, match='depth is an integer'): u.show(depth=wrong)
    with pytest.raises(TypeError, match='depth and plumbing, not foo'): unpack(foo=3)
    with pytest.raises(ValueError, match='.html and .txt'): u.save('tree.pdf')


def test_strange_values_are_not_asked():
    def takes(*things, **named): return len(things)
    u = unpack(takes, Machine(1), [Machine(2)], '<b>bold</b>', 'x'*10_000, named={'a': Machine(3)})
    assert u.result == 4 and 'Machine' in str(u)
    assert '<b>bold' not in u.to_html() and '&lt;b&gt;bold' in u.to_html() and max(map(len, str(u).splitlines())) < 140


def test_links_lead_to_the_function(few, way):
    learn = seeded_learner(few)
    u = unpack(learn.fit, 1)
    linked = [call for call in u.root.walk() if source_address(call.file, call.line)]
    assert {'fastai', 'pytorch'} <= {source_address(call.file, call.line).split('/')[4] for call in linked}
    for call in linked:
        first = Path(call.file).read_text(encoding='utf-8').splitlines()[call.line - 1].strip()
        assert first.startswith(('def ', '@', 'class ', 'async ')), f'{call.name}: {first}'


def test_trees_of_calls_that_nobody_prepared(digits, tmp_path):
    from fastai.vision.all import (CategoryBlock, DataBlock, GrandparentSplitter, ImageBlock, Learner, get_image_files, nn,
                                   parent_label)
    block = DataBlock((ImageBlock, CategoryBlock), get_items=get_image_files, get_y=parent_label,
                      splitter=GrandparentSplitter())
    files = get_image_files(digits)[:40]
    dls = block.dataloaders(digits, num_workers=0, bs=32)
    learn = Learner(dls, nn.Sequential(nn.Flatten(), nn.Linear(3 * 28 * 28, 2)), path=tmp_path)
    learn.remove_cb(learn.progress)
    trees = [unpack(block.summary, digits), unpack(dls.one_batch), unpack(learn.predict, files[0]),
             unpack(learn.save, 'x'), unpack(learn.load, 'x'), unpack(learn.export),
             unpack(learn.get_preds, dl=dls.test_dl(files)), unpack(learn.summary),
             unpack(nn.Linear(3, 2), torch.ones(1, 3))]
    for u in trees:
        rows = [row for row in str(u).splitlines() if row.endswith(('%', 'as above'))]
        assert 1 <= len(rows) <= 34, str(u)
    assert 'PILImage.create' in str(trees[1].show(depth=9)) and 'load_image' in str(trees[1].show(depth=9))


def test_in_a_notebook(monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from traitlets.config import Config
    shell = InteractiveShell.instance(config=Config({'HistoryManager': {'hist_file': ':memory:'}}))
    monkeypatch.setattr(shell, 'kernel', 'a notebook', raising=False)
    shell.run_cell('from easing_fastai.unpack.unpack import unpack\ndef f(n): return g(n)\ndef g(n): return 1/n')
    page = shell.run_cell('with unpack() as u: f(1)\nu').result._repr_html_()
    assert '<details' in page and 'f(n=1)' in page and 'g(n=1)' in page
    with capture_output() as captured: failed = shell.run_cell('with unpack() as u: f(0)')
    assert isinstance(failed.error_in_exec, ZeroDivisionError)
    assert 'ZeroDivisionError' in captured.outputs[0].data['text/html'], 'the tree first, then the error'
    InteractiveShell.clear_instance()


@pytest.mark.parametrize('leave', [lambda learn: setattr(learn, 'model', None), lambda learn: delattr(learn, 'model'),
                                   lambda learn: learn.model.to('meta')], ids=['None', 'deleted', 'meta'])
def test_what_a_call_leaves_behind_costs_no_result(few, way, leave):
    def work(learn):
        learn.fit(1)
        leave(learn)
        return 'an hour of work'
    seen = unpack(work, seeded_learner(few))
    assert seen.result == 'an hour of work' and seen.find('Learner.fit') and 'Learner' in str(seen)


def test_changes_that_cannot_be_told(few, way, monkeypatch):
    def broken(self): raise ZeroDivisionError('of the display')
    monkeypatch.setattr(Watch, 'changes', broken)
    seen = unpack(leaf)
    assert seen.find('leaf') and 'What changed cannot be told (ZeroDivisionError' in str(seen)


def test_a_learner_whose_model_is_a_function(few, way):
    learn = seeded_learner(few)
    learn.model = leaf # a function
    errors = []
    for go in (lambda: learn.fit(1), lambda: unpack(learn.fit, 1)):
        with pytest.raises(AttributeError) as caught: go()
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize('still', [False, True], ids=['ended', 'still at work'])
def test_a_profiler_that_begins_inside(still, monkeypatch):
    monkeypatch.setattr(unpack_trace, 'MONITORING', False)
    def other(*_): pass
    def work():
        leaf()
        sys.setprofile(other)
        if not still: sys.setprofile(None)
        leaf()
    try:
        seen = unpack(work)
        assert sys.getprofile() is (other if still else None), 'it goes on'
    finally: sys.setprofile(None)
    assert [call.calls for call in seen.find('leaf')] == [1] and 'Another profiler' in str(seen)
    assert 'Another profiler' not in str(unpack(leaf))


def test_a_tree_holds_no_password_and_no_key():
    key, long = 'hunter2-Zx9Q77aa', 'Ab1' * 20

    def request(address, text, headers):
        raise OSError(f'{address} refused {text}')

    def search(key, term, token):
        return request('postgresql://me:a-rather-long-password-of-mine@host.org/db', text=key, headers={'X-Api-Key': key, 'of': [token]})

    def first(text, other):  # before anybody says what it is
        return search(text, 'bear', token=other)

    trees = []
    for call in (partial(unpack, search, key, 'bear', long), partial(unpack, search, key=key, term='bear', token=long)):
        with pytest.raises(OSError), pytest.MonkeyPatch.context() as patch:
            patch.setattr('easing_fastai.unpack.unpack.show_now', trees.append)
            call()
    with pytest.raises(OSError), unpack() as u:
        first(key, long)
    for tree in (*trees, u):
        shown = f'{tree} {tree._repr_html_()} {tree.title}' + ' '.join(f'{c.name} {c.args} {c.error}' for c in tree.root.walk())
        assert 'hunter2' not in shown and 'rather' not in shown and 'Ab1' not in shown, shown
        assert 'bear' in shown and 'USER:PASSWORD@host.org' in shown and "key='…'" in str(tree), shown


def test_what_only_looks_like_a_secret_is_shown():
    def sort(by, key=None, name=''):
        return by

    assert "sort(by='train_loss_2', key=len, name='A1B2C3D4E5')" in str(unpack(sort, 'train_loss_2', key=len, name='A1B2C3D4E5'))
