"A sample of the cases in fault_cases.py; `make faults` runs all of them."
import sys

import pytest
from fault_cases import python
from faults import failure, sample

pytestmark = [pytest.mark.long,
              pytest.mark.skipif(sys.platform != 'linux', reason='pipes, links and forked processes')]


@pytest.fixture(scope='module', autouse=True)
def one_python():
    "The process that the cases are forked from."
    yield
    python.end()


@pytest.mark.parametrize('case', sample(60), ids=lambda case: case.name)
def test_a_fault(case):
    assert failure(case) is None
