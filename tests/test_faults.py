"A sample of the faults in faults.py; `make faults` runs all of them."
import subprocess
import sys

import pytest
from conftest import start
from faults import failure, sample


def warm(args: tuple, cwd, env: dict) -> tuple[int, str]:
    done: subprocess.CompletedProcess = start(*args, cwd=cwd, **env)
    return done.returncode, ' '.join((done.stdout + done.stderr).split())


@pytest.mark.skipif(sys.platform == 'win32', reason='pipes and links')
@pytest.mark.parametrize('case', sample(15), ids=lambda case: case.name)
def test_a_fault(case):
    assert failure(case, warm) is None
