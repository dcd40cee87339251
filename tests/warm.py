"""Python processes without the seconds that importing fastai takes.

This file, run, is a Python that has imported fastai already. Each line of its input names a program, which it forks to run.
A forked process is a process of its own in all that tests look at: its output, its exit code, its variables, what it imports
of easing_fastai. It is no use for a test of importing itself, nor where Python's own start is changed. `Warm` is the other
end: it starts such a Python, and gives it programs.
"""
import atexit
import gc
import importlib
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import types
from contextlib import suppress
from pathlib import Path

LIMIT = 600  # seconds that a program may take


def without_privileges(command: list[str]) -> list[str]:
    "For root, read-only means nothing; so root gives up the privilege that makes it so, where that can be done."
    if hasattr(os, 'geteuid') and os.geteuid() == 0 and shutil.which('setpriv'):
        return ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--inh-caps=-dac_override,-dac_read_search', *command]
    return command


class Warm:
    "Starts programs as `subprocess.run` does, their output as text."

    def __init__(self, home: Path, *modules: str):
        self.home, self.modules, self.python, self.made = home, modules, None, 0  # modules: imported beforehand, too

    def __call__(self, *args: str, cwd: Path | None = None, limit: int = LIMIT, **env: str) -> subprocess.CompletedProcess:
        "The exit code is -14 if it took longer than `limit`."
        if sys.platform != 'linux' or args[0] not in ('-c', '-m'):
            return subprocess.run([sys.executable, *args], cwd=cwd or self.home, env={**os.environ, **env}, text=True,
                                  capture_output=True, timeout=limit)
        if not self.python:
            command = without_privileges([sys.executable, __file__, *self.modules])
            self.python = subprocess.Popen(command, cwd=self.home, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.made += 1
        out, err = self.home / f'{self.made}.out', self.home / f'{self.made}.err'
        program = {'args': args, 'cwd': str(cwd or self.home), 'env': {**os.environ, **env}, 'out': str(out), 'err': str(err),
                   'limit': limit}
        self.python.stdin.write(json.dumps(program) + '\n')
        self.python.stdin.flush()
        code = int(self.python.stdout.readline())
        return subprocess.CompletedProcess(args, code, *(file.read_text(encoding='utf-8', errors='replace') for file in (out, err)))

    def end(self):
        if self.python:
            self.python.communicate()


# ---- in the process that is started ----

def next_program() -> dict | None:
    "What to run, in a fresh copy of this process; None when there is nothing more to run."
    for line in sys.stdin:
        if not (child := os.fork()):
            os.setpgid(0, 0)
            return json.loads(line)
        _, status = os.waitpid(child, 0)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # what it started and left behind
        print(os.waitstatus_to_exitcode(status), flush=True)


def become(program: dict) -> None:
    "Runs a program as `python` would with these arguments, in its folder, with its variables and its output in files."
    signal.alarm(program['limit'])
    os.chdir(program['cwd'])
    os.environ.clear()
    os.environ.update(program['env'])
    tempfile.tempdir = None
    encoding, _, errors = os.environ.get('PYTHONIOENCODING', '').partition(':')
    for stream, file in enumerate((os.devnull, program['out'], program['err'])):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), stream)
        if stream and encoding:
            (sys.stdout, sys.stderr)[stream - 1].reconfigure(encoding=encoding, errors=errors or ('strict', 'backslashreplace')[stream - 1])
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


def end_as_python(program: dict) -> None:
    "Runs a program to its end. Python's own end, which clears all that was imported, would take seconds."
    code = 0
    try:
        become(program)
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
        if code == 1 and isinstance(e.code, str):
            print(e.code, file=sys.stderr)
    except Exception:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
    for name in ('fastai.vision.all', *sys.argv[1:]):
        importlib.import_module(name)
    gc.freeze()  # what is never looked at again is not copied, either
    if program := next_program():
        end_as_python(program)
