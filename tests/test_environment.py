"Machines that this one is not: an old macOS, a device that is announced and fails, one that works."
import pytest
import torch
from easing_fastai.chapters import environment
from easing_fastai.chapters.environment import best_device, check_environment, device_findings
from fastai.torch_core import default_device, defaults


@pytest.fixture
def machine(monkeypatch):
    "Pretends to be a machine: which devices are built, available, and working."
    def pretend(built=(), available=(), working=('cpu',)):
        monkeypatch.setattr(torch.backends.mps, 'is_built', lambda: 'mps' in built)
        monkeypatch.setattr(torch.backends.mps, 'is_available', lambda: 'mps' in available)
        monkeypatch.setattr(torch.backends.cuda, 'is_built', lambda: 'cuda' in built)
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: 'cuda' in available)
        monkeypatch.setattr(torch.cuda, 'current_device', lambda: torch.device('cuda', 0))
        monkeypatch.setattr(environment, 'why_broken', lambda device: None if device in working else 'not enough of everything')
        monkeypatch.setattr(defaults, 'use_cuda', None)
    return pretend


def test_a_device_that_works_is_taken(machine):
    machine(built=['mps'], available=['mps'], working=['mps', 'cpu'])
    assert best_device().type == default_device().type == 'mps'
    machine(built=['cuda'], available=['cuda'], working=['cuda', 'cpu'])
    assert best_device().type == default_device().type == 'cuda'
    machine()
    assert best_device().type == default_device().type == 'cpu' and defaults.use_cuda is None


@pytest.mark.parametrize('device, there', [
    ('mps', dict(built=['mps'])),                          # macOS too old: fastai would choose it all the same
    ('mps', dict(built=['mps'], available=['mps'])),       # as on GitHub's Apple machines: every allocation fails
    ('cuda', dict(built=['cuda'], available=['cuda'])),    # a driver that doesn't match
])
def test_a_device_that_does_not_work_is_noticed(machine, capsys, device, there):
    machine(**there)
    assert default_device().type == device, 'fastai would choose it'
    assert best_device().type == 'cpu' and default_device().type == 'cpu'
    assert f'{device.upper()} is announced but does not work (not enough of everything)' in capsys.readouterr().out
    assert best_device().type == 'cpu' and capsys.readouterr().out == '', 'said once'

    machine(**there)
    row = next(row for row in device_findings() if row.what == device)
    assert row.verdict == 'note' and 'best_device()' in row.to_do
    assert device_findings()[-1].found == 'cpu'


def test_somebody_who_asks_for_the_cpu_gets_it(machine):
    machine(built=['mps'], available=['mps'], working=['mps', 'cpu'])
    default_device(use=False)
    assert best_device().type == 'cpu'


def test_the_report_is_right_about_this_machine():
    report = check_environment()
    assert report.ok and report[0].what == 'Python'
    assert {'torch', 'torchvision', 'fastai', 'computes on', 'data', 'backbone'} <= {row.what for row in report}


def test_a_real_device_that_is_not_here():
    # On a machine with CUDA or MPS the other one is missing.
    missing = 'mps' if not torch.backends.mps.is_available() else 'cuda'
    assert environment.why_broken(missing) and environment.why_broken('cpu') is None
