"Two processes, one training: the same weights in both, one of them writes, and no hanging when one dies."
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from conftest import HOME
from photos import class_folders

from easing_fastai.train import train as training
from easing_fastai.train.model import FILES, load_model
from easing_fastai.train.processes import launch, launch_line, why_it_failed

pytestmark = pytest.mark.long

EPOCHS = 10

TRAIN = f"""
import json, sys
from pathlib import Path
from easing_fastai.chapters.more_than_one_machine import fingerprint
from easing_fastai.train import train as training
from easing_fastai.assets.datasets import mnist_sample
from easing_fastai.train.processes import first_once, join

place = Path(sys.argv[1])
rank, n = join()
there = lambda: (place/"home"/"data"/"digits_sample").exists()
found = first_once(lambda: (there(), mnist_sample())[0])
kept, printed, fit = [], [], training.fit
training.fit = lambda learn, *args, **kwargs: (kept.append(learn), fit(learn, *args, **kwargs))[1]
card = training.train(place/"photos", place/"out"/"model", {EPOCHS}, "digits_resnet18", say=printed.append)
learn = kept[0]
(place/f"{{rank}}.json").write_text(json.dumps(dict(n=n, found=found, printed=len(printed), fingerprint=fingerprint(learn.model), accuracy=card and card.accuracy,
    sha256=card and card.weights_sha256, gathered=learn.recorder.values[-1][-1], bs=learn.dls.bs)))
"""


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp('processes')
    class_folders(place / 'photos')
    return place


@pytest.fixture(scope='module')
def ranks(place) -> list[dict]:
    "What both processes noted of a training together, started at the same time without any data."
    (place / 'train.py').write_text(TRAIN)
    os.environ['FASTAI_HOME'], home = str(place / 'home'), os.environ['FASTAI_HOME']
    try:
        launch(place / 'train.py', place, timeout=600)
    finally:
        os.environ['FASTAI_HOME'] = home
    return [json.loads((place / f'{rank}.json').read_text()) for rank in (0, 1)]


def test_the_same_weights_on_both_ranks_to_the_bit(ranks):
    assert [rank['n'] for rank in ranks] == [2, 2] and ranks[0]['fingerprint'] == ranks[1]['fingerprint']
    assert ranks[0]['gathered'] == ranks[1]['gathered']


def test_only_rank_0_writes_and_prints(ranks, place):
    assert ranks[0]['sha256'] and ranks[1]['sha256'] is None and ranks[0]['printed'] > 3 and ranks[1]['printed'] == 0
    assert [p.name for p in (place / 'out').iterdir()] == ['model'] and {p.name for p in (place / 'out' / 'model').iterdir()} == FILES
    assert load_model(place / 'out' / 'model').card.accuracy == ranks[0]['accuracy']


def test_data_are_prepared_once(ranks, place):
    assert [rank['found'] for rank in ranks] == [False, True], 'rank 0 finds nothing and makes it, rank 1 finds it made'
    assert [p.name for p in (place / 'home' / 'data').iterdir() if not p.name.startswith('.')] == ['digits_sample']


def test_as_good_as_one_process_with_the_same_total_batch(ranks, place, monkeypatch):
    whole = training.dataloaders_for
    monkeypatch.setattr(training, 'dataloaders_for', lambda *args, **kwargs: whole(*args, **{**kwargs, 'bs': 2 * ranks[0]['bs']}))
    alone = [training.train(place / 'photos', place / f'alone {seed}', EPOCHS, 'digits_resnet18', seed=seed, say=lambda text: None).accuracy for seed in (42, 1, 2)]
    three_images = 3.01 / 12 # processors round differently, and few images are held out
    assert min(alone) - three_images <= ranks[0]['accuracy'] <= max(alone) + three_images, (alone, ranks[0]['accuracy'])


def test_a_killed_rank_ends_the_command_with_a_message(place):
    command, env = launch_line(2)
    out = place / 'never'
    running = subprocess.Popen([*command, '-m', 'easing_fastai', 'train', str(place / 'photos'), '--out', str(out), '--epochs', '2000', '--arch', 'digits_resnet18'],
                               env={**os.environ, **env, 'PYTHONUNBUFFERED': '1'}, cwd=HOME, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = []
    try:
        for line in running.stdout: # not before the training is under way
            lines.append(line)
            if 'everything: ' in line:
                break
        workers = {child.environ()['RANK']: child for child in psutil.Process(running.pid).children() if 'RANK' in child.environ()}
        assert set(workers) == {'0', '1'}, lines
        workers['1'].kill()
        lines.append(running.communicate(timeout=600)[0])
        assert running.returncode
        assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers.values())
    finally:
        for child in psutil.Process(running.pid).children(recursive=True) if running.poll() is None else []:
            child.kill()
        running.kill()
    text = ''.join(lines)
    # The launcher names the rank and the signal. The process that is left says so, too, if the launcher leaves it the time.
    assert 'Process 1 of 2 was killed by signal 9' in why_it_failed(text, 2), text
    assert not out.exists() and not [p.name for p in place.iterdir() if p.name.startswith('.never')]


@pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere kernels are not forked')
def test_when_a_run_is_killed_its_kernels_end_too(tmp_path):
    code = """
import asyncio, os, sys
from pathlib import Path
from easing_fastai.dev.kernels import FORK_SERVER, kernel_manager
folder = Path(sys.argv[1])
async def start():
    manager = kernel_manager(folder)
    await manager.start_kernel(env=dict(os.environ), cwd=folder, stderr=(folder/'log.txt').open('w'))
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready()
    print(FORK_SERVER.process.pid, manager.provisioner.pid, flush=True)
    sys.stdin.readline()
asyncio.run(start())
"""
    with subprocess.Popen([sys.executable, '-c', code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        started = [psutil.Process(int(pid)) for pid in running.stdout.readline().split()]
        assert len(started) == 2 and all(process.is_running() for process in started)
        running.kill()
    assert psutil.wait_procs(started, timeout=60)[1] == []
