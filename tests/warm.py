"""A Python that has imported fastai already. Each line of its input names a program, which it forks to run.

Importing fastai costs a process seconds, and many tests start one. A forked process is a process of its own in all that
they look at: its output, its exit code, its variables, what it imports of easing_fastai. It is no use for a test of
importing itself, nor where Python's own start is changed.
"""
import importlib
import json
import os
import runpy
import signal
import sys
import types


def next_program() -> dict | None:
    "What to run, in a fresh copy of this process; None when there is nothing more to run."
    for line in sys.stdin:
        if not (child := os.fork()):
            return json.loads(line)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def become(program: dict) -> None:
    "Runs a program as `python` would with these arguments, in its folder, with its variables and its output in files."
    signal.alarm(600)
    os.chdir(program['cwd'])
    os.environ.clear()
    os.environ.update(program['env'])
    for stream, file in enumerate((os.devnull, program['out'], program['err'])):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), stream)
    sys.path[:] = ['', *filter(None, program['env'].get('PYTHONPATH', '').split(os.pathsep)), *sys.path[1:]]
    importlib.invalidate_caches()
    kind, what, *rest = program['args']
    main = sys.modules['__main__'] = types.ModuleType('__main__')
    if kind == '-m':
        sys.argv = [what, *rest]
        runpy.run_module(what, run_name='__main__', alter_sys=True)
    else:
        sys.argv = ['-c', *rest]
        exec(compile(what, '<string>', 'exec'), main.__dict__)


if __name__ == '__main__':
    import fastai.vision.all  # noqa: F401

    if program := next_program():
        become(program)
