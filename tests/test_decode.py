"The dictionary behind `decode`: how much of fastai it covers, and whether what it says fits the fastai that is installed."
import ast
import csv
import inspect
import json
import re
import sys
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import pytest
from conftest import REPO, cold_start

from easing_fastai.decode import ROOMS, callables, decode, dictionary, hover_texts, pieces_of, signature_of, uses

NAMES = dictionary().names
ENTRIES = [*NAMES.items(), *dictionary().concepts.items()]


def code_of_the_series():
    "Everything in the notebooks that Python can read: code cells, and blocks of code in the text."
    for path in sorted((REPO / 'nbs').rglob('*.ipynb')):
        if {'_proc', '.ipynb_checkpoints'} & set(path.parts):
            continue
        for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
            text = ''.join(cell['source'])
            blocks = [text] if cell['cell_type'] == 'code' else re.findall(r'```python\n(.*?)```', text, flags=re.S)
            for block in blocks:
                try:
                    yield ast.parse(re.sub(r'^\s*[%!].*', '', block, flags=re.M))
                except SyntaxError:
                    assert cell['cell_type'] != 'code', block


def names_in_the_series() -> set[str]:
    "The names and the attributes that the code of the series uses."
    nodes = [node for tree in code_of_the_series() for node in ast.walk(tree)]
    imported = {alias.name for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names}
    return imported | {getattr(node, 'id', None) or getattr(node, 'attr', None) for node in nodes} - {None}


def parameters_of(found) -> dict[str, set[str]]:
    "The parameters of callables, and who takes them."
    takers = {}
    for label, function in found:
        signature = signature_of(function)
        for name in signature.parameters if signature else ():
            takers.setdefault(name, set()).add(label)
    return takers


def test_coverage(capsys):
    used = names_in_the_series()
    own = list(callables('fastai'))
    series = [(label, found) for label, found in own if label.split('.')[-1] in used and label.split('.')[0][0].isalpha()]
    assert {'vision_learner', 'Learner.fine_tune', 'ImageDataLoaders.from_folder'} <= {label for label, _ in series}
    shares = {}
    for what, found in {'the series uses of fastai': series, 'fastai itself': own, 'fastai.vision.all': callables()}.items():
        takers = parameters_of(found)
        missing = sorted(takers.keys() - NAMES.keys())
        shares[what] = 1 - len(missing) / len(takers)
        with capsys.disabled():
            print(f'\nnames of parameters in what {what}: {len(takers) - len(missing)} of {len(takers)} = {shares[what]:.1%}', end='')
            print(f"; not yet: {', '.join(missing[:8])}" if missing else '', end='')
        if what == 'the series uses of fastai':
            assert missing == []
    assert shares['fastai itself'] > 0.99 and shares['fastai.vision.all'] > 0.95


def test_names_and_terms_of_the_chapters_are_there():
    rows = csv.DictReader((REPO / 'tests' / 'explained.csv').read_text(encoding='utf-8').splitlines())
    known = NAMES.keys() | dictionary().concepts.keys()
    assert [row['name'] for row in rows if row['name'] not in known] == [], 'add them to easing_fastai/data/names.ini'


SMALL = set(['a', 'an', 'the', 'of', 'to', 'in', 'it', 'is', 'are', 'be', 'and', 'or', 'for', 'with', 'as', 'by', 'on', 'at', 'from', 'that', 'this', 'which', 'what', 'how', 'its', 'one', 'not', 'no', 'if', 'each', 'true', 'false', 'none', 'i', 'e', 'there', 'so', 'can', 'than', 'where', 'when', 'who', 'only', 'all', 'any', 'your', 'you', 'used', 'use', 'number'])


def words(text: str) -> set[str]:
    "The words that carry meaning, without endings such as a plural s."
    return {re.sub(r'(ies|es|s|ed|ing)$', '', word) for word in re.findall(r'[a-zé0-9]+', text.lower())} - SMALL - {''}


def test_a_meaning_says_more_than_the_name():
    for name, entry in ENTRIES:
        again = words(name.replace('_', ' ')) | words(' '.join(piece.means or piece.text for piece in pieces_of(name)))
        for meaning in [entry.meaning, *entry.senses.values()]:
            assert len(words(meaning) - again) >= 2, f'{name}: {meaning}'
            assert re.fullmatch(r'["`]?[A-Za-z].*[.]', meaning), f'a sentence: {meaning}'
            assert len(meaning) <= 240 and meaning.count('`') % 2 == 0, f'short enough to read at a glance: {meaning}'
        assert not entry.reads or words(entry.reads) != words(name), f'{name}: {entry.reads}'


def test_other_meanings_belong_to_callables_that_take_the_name():
    silent = [label for label, found in callables() if signature_of(found) is None]  # what is written in C may not tell
    for name, entry in NAMES.items():
        labels = [label for room in ROOMS for label in uses(room)[0].get(name, ())] + silent
        patterns = [pattern for sense in entry.senses for pattern in re.split(r',\s*', sense)]
        for pattern in patterns:
            assert any(fnmatchcase(label, pattern) for label in labels), f'{name}: in {pattern}'


@pytest.mark.parametrize('room, label, name, says', [
    ('tabular', 'tabular_learner', 'config', 'tabular_config'), ('tabular', 'tabular_learner', 'layers', '[200, 100]'),
    ('text', 'text_classifier_learner', 'arch', 'AWD_LSTM'), ('text', 'get_text_classifier', 'pad_idx', 'token'),
    ('text', 'TextDataLoaders.from_folder', 'valid', 'folder'), ('text', 'TextBlock', 'vocab', 'tokens'),
    ('text', 'SpacyTokenizer', 'lang', "'en'")])
def test_what_stands_for_images_is_not_told_of_tables_and_texts(room, label, name, says):
    assert says in NAMES[name].meaning_in(label) and says not in NAMES[name].meaning
    assert name in uses(f'fastai.{room}.all')[0] and label in uses(f'fastai.{room}.all')[0][name]


def calls_in(example: str):
    "The calls in an example whose function is fastai's, with that function."
    import fastai.vision.all as fastai

    methods = uses()[1]
    for node in ast.walk(ast.parse(example)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and hasattr(fastai, node.func.id):
            yield node, [getattr(fastai, node.func.id)]
        elif isinstance(node.func, ast.Attribute) and node.func.attr in methods:
            yield node, [found for _, found in methods[node.func.attr]]


def fits(call: ast.Call, function) -> bool:
    "True if the function takes these arguments."
    signature = signature_of(function)
    if signature is None:
        return True
    given = [None] * len([arg for arg in call.args if not isinstance(arg, ast.Starred)])
    own = [None] if next(iter(signature.parameters), '') in ('self', 'cls') else []
    try:
        signature.bind_partial(*own, *given, **{keyword.arg: None for keyword in call.keywords if keyword.arg})
    except TypeError:  # `delegates` shows only a part of what **kwargs may be
        code = getattr(getattr(function, '__func__', function), '__code__', None)
        return bool(code and code.co_flags & inspect.CO_VARKEYWORDS) and all(k.arg in uses()[0] for k in call.keywords)
    return True


def test_examples_fit_the_installed_fastai():
    n_calls = 0
    for name, entry in ENTRIES:
        if entry.example:
            assert name in entry.example or ' ' in name, f'{name} does not occur in {entry.example}'
            for call, functions in calls_in(entry.example):
                n_calls += 1
                assert any(fits(call, function) for function in functions), entry.example
    assert n_calls > 100


def test_the_texts_of_the_site_are_in_step():
    written = json.loads((REPO / 'nbs' / 'names.json').read_text(encoding='utf-8'))
    texts = hover_texts()
    assert len(written) > 1000 and all(about['means'] == texts[name] for name, about in written.items()), 'run `make export`'


def test_every_parameter_can_be_shown():
    known = dictionary().names
    for name in uses()[0]:
        shown = decode(name)
        assert shown.name == name or name not in known and shown.name.lower() == name.lower() # `category`: see `Category`
        assert shown.name in str(shown) and f'>{shown.name}</caption>' in shown._repr_html_()


def test_fastai_is_imported_only_when_it_is_asked_about():
    code = "import sys; from easing_fastai.decode import decode; print(decode('bs').meaning, 'fastai' in sys.modules)"
    assert cold_start('-c', code).stdout.strip() == f"{NAMES['bs'].meaning} False"


@pytest.mark.parametrize('wrong, error, says', [
    ('', ValueError, 'empty'), (' ', ValueError, 'empty'), ('*', ValueError, 'empty'), (3, TypeError, 'not 3'), (None, TypeError, 'not None'),
    (['bs'], TypeError, 'list'), ('bs, wd', ValueError, 'decode("bs"), decode("wd")'), ('a' * 10_000, ValueError, '10,000'),
    ('learn.fine_tune(1)', ValueError, 'decode("fine_tune")'), ('_' * 100, ValueError, 'no letters'), ('3', ValueError, 'no letters'), ('a b ' * 25, None, ''), ('µ', None, ''), ('变量', None, ''),
])
def test_what_is_no_name_gets_an_error(wrong, error, says):
    if error is None:
        assert decode(wrong).meaning is None and str(decode(wrong))
    else:
        with pytest.raises(error, match=re.escape(says)):
            decode(wrong)


@pytest.mark.parametrize('name, reads', [
    ('conv2', 'convolution + 2'), ('x2', 'input + 2'), ('conv2_bn', 'convolution + 2 + batch normalisation'),
    ('x2y', 'input + to + target'), ('img2tensor', 'image + to + tensor'), ('attn_topk', 'attention + the k largest'),
    ('pd_ema', 'pandas + exponential moving average'), ('conts', 'continuous variables'), ('NGrams', 'n-grams'),
    ('flip_lr', 'flip from left to right'), ('x_flip_lr', 'input + flip from left to right'), ('optim_metric', 'optimise + metric'),
    ('SequentialEx', 'sequential, extended'), ('XResNet50', "residual network with fastai's improvements + 50"),
])
def test_how_names_read(name, reads):
    assert decode(name).reads == reads


def test_what_is_spelled_like_an_unknown_piece():
    found = decode('foo_bar_vocb')
    assert found.reads == 'foo (unknown) + bar + vocb (unknown)' and 'vocab' in found.nearest
    assert 'no name of the dictionary' in str(decode('foo_bar_baz')) and 'no name' not in str(decode('conv2'))
    assert len(decode('a b ' * 25).nearest) <= 6


@pytest.mark.parametrize('name, says, where', [
    ('ls', 'contents of a folder', 'In concat: '), ('cv', 'computer vision', 'In set_ctx: '),
    ('drop', 'dropout', 'In take_lines: '), ('pad', 'border', 'In chunked: '),
])
def test_a_name_that_fastcore_uses_for_something_else(name, says, where):
    rows = decode(name).rows()
    assert says in decode(name).meaning and any(text.startswith(where) for _, text in rows)


def test_other_letters_find_the_name():
    assert [decode(name).name for name in ('mixup', 'learner', 'Item-tfms', 'ITEM_TFMS', 'Path.ls')] == ['MixUp', 'Learner', 'item_tfms', 'item_tfms', 'ls']


def test_a_class_does_not_get_the_words_of_its_base_class():
    from fastai.vision.all import SimpleCNN, XResNet

    assert XResNet.__doc__ is None and 'its authors say' not in dict(decode('XResNet').rows())
    assert dict(decode('SimpleCNN').rows())['its authors say'] == SimpleCNN.__doc__.strip().split('\n')[0]


def test_callables_of_all_kinds():
    from fastai.vision.all import CrossEntropyLossFlat, ImageDataLoaders, Learner, vision_learner

    assert decode(partial(vision_learner, pretrained=False)).label == 'vision_learner'
    assert decode(ImageDataLoaders.from_folder).label == 'ImageDataLoaders.from_folder'
    assert decode(Learner.fine_tune).label == 'Learner.fine_tune'
    assert 'ignore_index' in [row[0] for row in decode(CrossEntropyLossFlat).rows()]
    assert [row[0] for row in decode(lambda bs, quux: None).rows()] == ['bs', 'quux']
    assert [row[0] for row in decode(dict).rows()] == ['none']  # Python does not know its parameters
    assert [row[0] for row in decode(Path.with_name).rows()] == ['name']
    assert [row[0] for row in decode(inspect.signature).rows()] == list(inspect.signature(inspect.signature).parameters)


# ---- tables, texts, recommendations, metrics ----

@pytest.mark.parametrize('room', ['fastai.tabular.core', 'fastai.tabular.data', 'fastai.tabular.learner', 'fastai.tabular.model', 'fastai.text.core',
                                  'fastai.text.data', 'fastai.text.learner', 'fastai.text.models.core', 'fastai.text.models.awdlstm',
                                  'fastai.collab', 'fastai.metrics'])
def test_names_of_other_rooms(room):
    "Each has an entry and shows how it is called; its pieces are known."
    module = pytest.importorskip(room)
    found = [name for name in module.__all__ if callable(getattr(module, name)) and not name.startswith('_')]
    assert [name for name in found if name not in NAMES] == []
    assert [name for name in found if any(not piece.means for piece in pieces_of(name)) and not NAMES[name].reads] == []
    silent = [name for name in found if isinstance(getattr(module, name), type | type(lambda: 0)) and 'fastai has' not in str(decode(name))]
    assert silent == []


def test_a_room_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, 'fastai.text.all', None)
    uses.cache_clear()
    try: assert 'Declares' in str(decode('TextBlock')) and 'not in the dictionary' in str(decode('tok_texxt'))
    finally: uses.cache_clear()


def test_other_rooms_are_not_looked_into_for_what_is_known(monkeypatch):
    def refused(name): raise AssertionError(f'{name} was imported')
    uses(ROOMS[0])
    monkeypatch.setattr('easing_fastai.decode.importlib.import_module', refused)
    for name in ('item_tfms', 'Learner', 'fine_tune', 'validation set'): str(decode(name))


def test_a_lambda_within_several_lines():
    called = dict(
        get_x=lambda o, n=3: (o,
            n))
    assert [row[0] for row in decode(called['get_x']).rows()] == ['o', 'n']


def test_names_of_other_libraries_keep_their_own_meaning():
    import pandas as pd
    meanings = {row[0]: row[2] for row in decode(pd.read_csv).rows()}
    assert 'engine' in NAMES and meanings['engine'].startswith('Its author says: Parser engine')
    def copied(engine, # of the copier
               bs): pass
    for function in (copied, partial(copied)):
        assert [row[2] for row in decode(function).rows()] == ['Its author says: of the copier', 'Its author says nothing beside it.']


def test_what_fastai_calls_so_is_not_told_of_pytorch():
    import torch
    from torch import nn
    nothing = 'Its author says nothing beside it.'
    for function, name in ((torch.norm, 'p'), (torch.optim.lr_scheduler.StepLR, 'gamma'), (nn.Embedding, 'max_norm'), (nn.LSTMCell, 'input_size'),
                           (torch.utils.data.DataLoader, 'drop_last'), (torch.load, 'f'), (nn.InstanceNorm2d, 'momentum')):
        assert name in NAMES and {row[0]: row[2] for row in decode(function).rows()}[name] == nothing
    of_torch = {row[0]: row[2] for row in decode(nn.BatchNorm2d).rows()}
    assert of_torch['momentum'].startswith('How fast the layer') and of_torch['device'] == NAMES['device'].meaning
