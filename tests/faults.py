"""Faults and bad input against the command line and the library, each in a process of its own: `make faults`.

The cases are in fault_cases.py. Bounded in time, nothing but loopback. `python tests/faults.py WORD ...` runs those with such a
word in their names, `--sample` those that `make test` runs, too. It prints `N passed, N failed`; the exit code is 1 if any failed.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

from fault_cases import CASES, LIMIT, Case, environment, python


def failure(case: Case) -> str | None:
    "What is wrong after a case; None if it went as it should."
    folder = Path(tempfile.mkdtemp(prefix='easing-fastai-faults-'))
    try:
        case.prepare(folder)
        kept = {name: (folder / name).read_bytes() for name in case.keeps.split()}
        code, text = started(case, folder)
        return verdict(case, folder, code, text) or next((
            f'{name} is lost' for name, content in kept.items() if (folder / name).read_bytes() != content), None)
    finally:
        for below, _, _ in os.walk(folder):
            os.chmod(below, 0o700)  # what a case has closed
        shutil.rmtree(folder, ignore_errors=True)


def started(case: Case, folder: Path) -> tuple[int, str]:
    "Exit code and all that was said, on one line."
    args = ('-c', case.args) if isinstance(case.args, str) else ('-m', 'easing_fastai', *case.args)
    if case.cold:
        command = [*case.within, sys.executable, *args]
        try:
            done = subprocess.run(command, cwd=folder, env={**os.environ, **environment(folder, case.env)}, capture_output=True, timeout=LIMIT)
        except subprocess.TimeoutExpired as e:
            return -14, str(e.stdout or '')
        said = (done.stdout + done.stderr).decode('utf-8', 'replace')
    else:
        done = python(*args, cwd=folder, limit=case.limit, **environment(folder, case.env))
        said = done.stdout + done.stderr
    return done.returncode, ' '.join(said.split())


def verdict(case: Case, folder: Path, code: int, text: str) -> str | None:
    "What is wrong with an exit code, with what was said, or with what was written."
    if code == -14:
        return f'it took too long: {text[-300:]}'
    if isinstance(case.args, tuple) and ('Traceback' in text or '❱' in text):
        return f'a traceback: {text[-300:]}'
    if case.code is not None and code != case.code:
        return f'exit code {code}: {text[-400:]}'
    if missing := [word for word in case.words if word not in text]:
        return f'not said: {missing}: {text[-400:]}'
    if wrong := [word for word in case.never if word in text]:
        return f'said: {wrong}: {text[-400:]}'
    return next((f'{name} is there' for name in case.absent.split() if (folder / name).exists()), None)


def is_light(case: Case) -> bool:
    "True if a case takes a fraction of a second."
    return case.name.startswith(('archive', 'prove_equal')) or isinstance(case.args, tuple) and case.args[0] in ('check', 'predict')


def sample(n: int, light: bool = True) -> list[Case]:
    "So many of the light cases, or of the other quick ones, always the same."
    some = [case for case in CASES if case.quick and not case.cold and is_light(case) == light]
    return sorted(some, key=lambda case: zlib.crc32(case.name.encode()))[:n]


def main():
    cases, wanted = sample(60) if '--sample' in sys.argv else CASES, [arg for arg in sys.argv[1:] if not arg.startswith('--')]
    cases = [case for case in cases if not wanted or any(word in case.name for word in wanted)]
    failed = 0
    for case in cases:
        began = time.perf_counter()
        wrong = failure(case)
        failed += bool(wrong)
        print(f'{"BAD " if wrong else "ok  "} {case.name} ({time.perf_counter() - began:.1f} s){f": {wrong}" if wrong else ""}', flush=True)
    python.end()
    print(f'{len(cases) - failed} passed, {failed} failed')
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
