"What prove_equal can't compare, and what it must not call equal."
import pickle

import numpy as np
import pytest
import torch
from easing_fastai.plain.prove import NotEqual, largest_distance, prove_equal
from fastcore.foundation import L
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.testing._internal.two_tensor import TwoTensor

NAN = float('nan')


@pytest.mark.parametrize('failed', [torch.tensor([1 + 2j, complex(NAN, 0)]), torch.tensor([1 + 2j, complex(0, NAN)]),
                                    torch.tensor([1., NAN]), np.array([1, complex(NAN, 0)])], ids=['real', 'imaginary', 'float', 'numpy'])
def test_nan_on_both_sides_proves_nothing(failed):
    with pytest.raises(NotEqual, match=r'index \(1\): both are NaN'):
        prove_equal(failed, failed)


def test_complex_numbers():
    x = torch.tensor([1 + 2j, 3 - 1j])
    assert str(prove_equal(x, x.clone())) == 'every one of 2 numbers is equal to the last bit'
    prove_equal(x.conj(), torch.tensor([1 - 2j, 3 + 1j])) # a conjugate that is not computed yet
    with pytest.raises(NotEqual, match=r'index \(1\): \(3-1j\) against \(3\+1j\)'):
        prove_equal(x, torch.tensor([1 + 2j, 3 + 1j]))


NOT_ORDINARY = {
    'meta': lambda: torch.ones(2, device='meta'),
    'a single number on meta': lambda: torch.ones((), device='meta'),
    'sparse_coo': lambda: torch.eye(3).to_sparse(),
    'sparse_csr': lambda: torch.eye(3).to_sparse_csr(),
    'quint8': lambda: torch.quantize_per_tensor(torch.ones(3), .1, 0, torch.quint8),
    'nested': lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    'a wrapper: TwoTensor': lambda: TwoTensor(torch.ones(2), torch.ones(2)),
    'a wrapper: FakeTensor': lambda: FakeTensorMode().from_tensor(torch.ones(2)),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', NOT_ORDINARY)
def test_what_can_not_be_compared(name):
    one, other = NOT_ORDINARY[name](), NOT_ORDINARY[name]()
    for compare in (prove_equal, largest_distance):
        with pytest.raises(TypeError, match=f'only ordinary tensors can be compared.*{name.split()[-1]}'):
            compare(one, other)
        with pytest.raises(TypeError, match='only ordinary tensors'):
            compare(torch.eye(3), one)


def test_the_error_names_the_place():
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
    with pytest.raises(TypeError, match=r'^1\.weight: only ordinary tensors'):
        prove_equal(model, nn.Sequential(nn.ReLU(), nn.Linear(2, 2, device='meta')))


class OneIterator:
    "Gives the same iterator to everybody."
    def __init__(self, batches): self.batches = iter(batches)
    def __iter__(self): return self.batches


def test_an_iterator_is_not_compared_with_itself():
    batches = [(torch.ones(2), torch.ones(2))] * 2
    for same in (iter(batches), (batch for batch in batches), OneIterator(batches)):
        for compare in (prove_equal, largest_distance):
            with pytest.raises(ValueError, match='the same iterator.*Make two loaders'):
                compare(same, same)
        with pytest.raises(ValueError, match='the same iterator'):
            prove_equal({'valid': same}, {'valid': same})
    assert str(prove_equal(batches, batches)).startswith('every one of 2 batches') # a list can be read twice
    assert str(prove_equal(iter(batches), iter(batches))).startswith('every one of 2 batches')


@pytest.mark.parametrize('pair', [(None, 1), [1, None], {'a': None}, {'a': torch.ones(2), 'b': None}, [[1.0], [None]],
                                  [(torch.ones(2), None)]])
def test_nothing_is_no_proof_wherever_it_stands(pair):
    with pytest.raises(TypeError, match='nothing to compare in None'): prove_equal(pair, pair)


@pytest.mark.parametrize('x, says', [
    ('text', '1 text'), (['a', 'b'], '2 texts'), ([1, 'a'], '1 number and 1 text'), ({'w': torch.ones(2), 'of': 'a'}, '1 tensor (2 numbers) and 1 text')])
def test_texts_are_no_numbers(x, says):
    assert str(prove_equal(x, x)) == f'every one of {says} is equal to the last bit'
    with pytest.raises(NotEqual): prove_equal(x, 'other' if isinstance(x, str) else {**x, 'of': 'b'} if isinstance(x, dict) else [*x[:-1], 'c'])


def test_texts_under_a_name_of_their_own():
    assert str(prove_equal(['a', 'b'], ['a', 'b'], 'classes')) == 'every one of 2 classes is equal to the last bit'
    assert str(prove_equal([['a', 1.0]], [['a', 1.0]], 'results')) == 'every one of 2 results is equal to the last bit'


def test_masks_count_and_what_they_hide_does_not():
    one, other = (np.ma.array([1., 2., number], mask=[False, False, True]) for number in (3., NAN))
    assert str(prove_equal(one, other)) == 'every one of 2 tensors (6 numbers) is equal to the last bit'
    with pytest.raises(NotEqual, match=r'mask, index \(0\)'): prove_equal(one, np.ma.array([1., 2., 3.], mask=[True, False, True]))
    with pytest.raises(NotEqual, match=r'not masked, index \(1\)'): prove_equal([one], [np.ma.array([1., 5., 3.], mask=one.mask)])
    with pytest.raises(NotEqual): prove_equal(one, one.data)


class WithBuffer(nn.Module):
    def __init__(self, value: float, persistent: bool):
        super().__init__()
        self.register_buffer('mask', torch.full((2,), value), persistent=persistent)
        self.weight = nn.Parameter(torch.ones(2))


@pytest.mark.parametrize('persistent', [True, False])
def test_buffers_that_are_not_saved(persistent):
    one, other = WithBuffer(1, persistent), WithBuffer(2, persistent)
    with pytest.raises(NotEqual, match=r'mask, index \(0\)'): prove_equal(one, other)
    with pytest.raises(NotEqual): prove_equal([one], [other])
    assert str(prove_equal(one, WithBuffer(1, persistent))) == 'every one of 2 tensors (4 numbers) is equal to the last bit'
    prove_equal(one, one.state_dict())  # which knows of no other buffers


@pytest.mark.parametrize('kind', [int, torch.tensor, lambda n: torch.tensor([1, n]), lambda n: np.array([n], dtype=np.uint64), np.int64], ids=['int', 'tensor', 'tensors', 'uint64', 'int64'])
def test_integers_that_floats_have_no_room_for(kind):
    one, other = kind(2**60), kind(2**60 + 1)
    with pytest.raises(NotEqual) as caught: prove_equal(one, other)
    assert 'sign of a zero' not in str(caught.value) and (kind is int or kind is np.int64 or 'a distance of 1' in str(caught.value))
    assert largest_distance(one, other) == 1 and largest_distance(one, one) == 0


def test_the_distance_of_the_outermost_integers():
    assert largest_distance(torch.tensor([2**63 - 1]), torch.tensor([-2**63])) == 2.**64
    assert largest_distance(torch.tensor([2**64 - 1], dtype=torch.uint64), torch.tensor([1], dtype=torch.uint64)) == 2.**64
    assert largest_distance(torch.tensor([-3]), torch.tensor([4])) == 7


@pytest.mark.filterwarnings('error')
def test_complex_numbers_one_by_one_and_their_distance():
    assert str(prove_equal([1 + 2j], [1 + 2j])) == 'every one of 1 number is equal to the last bit'
    for one, other in ((1 + 2j, 1 + 3j), ([1 + 2j], [1 + 3j]), (np.complex64(1 + 2j), np.complex64(1 + 3j)), (torch.tensor(1 + 2j), torch.tensor(1 + 3j))):
        with pytest.raises(NotEqual, match='a distance of 1'): prove_equal(one, other)
        assert largest_distance(one, other) == 1 and prove_equal(one, other, tolerance=1).largest == 1
    imaginary = torch.tensor([1 + 2j]).conj().imag  # negated, but not computed yet
    prove_equal(imaginary, torch.tensor([-2.]))
    with pytest.raises(NotEqual): prove_equal(torch.tensor([complex(0, -0.0)]), torch.tensor([0j]))


def test_bytes_in_another_order():
    for kind in ('f4', 'i8', 'c8', 'u2'):
        prove_equal(np.array([1, 2], dtype=f'>{kind}'), np.array([1, 2], dtype=f'<{kind}'))
        with pytest.raises(NotEqual): prove_equal(np.array([1, 2], dtype=f'>{kind}'), np.array([1, 3], dtype=f'<{kind}'))


def lists_in_lists(n: int) -> list:
    inner = [1.]
    for _ in range(n): inner = [inner]
    return inner


def in_itself() -> list:
    inner = [1.]
    inner.append(inner)
    return inner


@pytest.mark.parametrize('thing, words', [
    (lambda: nn.LazyLinear(2), 'Call the model once'), (lambda: [nn.LazyLinear(2).weight], 'Call the model once'), (lambda: nn.LazyBatchNorm2d(), 'Call the model once'),
    (in_itself, 'contains itself'), (lambda: {'a': in_itself()}, 'contains itself'), (lambda: lists_in_lists(3000), 'too many others')])
@pytest.mark.parametrize('compare', [prove_equal, largest_distance])
@pytest.mark.filterwarnings('ignore:Lazy')
def test_one_sentence_about_what_can_not_be_compared(thing, words, compare):
    with pytest.raises(TypeError, match=words) as caught: compare(thing(), thing())
    assert len(str(caught.value)) < 150


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize <= 8, reason='no longer than a double here')
def test_numbers_longer_than_those_of_torch():
    with pytest.raises(TypeError, match='ndarray of .*float'): prove_equal(np.ones(2, dtype=np.longdouble), np.ones(2, dtype=np.longdouble))


def test_one_form_for_lists_loaders_and_generators():
    data = torch.utils.data.TensorDataset(torch.arange(8.).view(8, 1), torch.arange(8))
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    for kind in (tuple, list):
        for one, other in ((list(loader), [kind(batch) for batch in loader]), (list(loader), loader), (L(loader), list(loader))):
            for pair in ((one, other), (other, one)): assert '16 numbers' in str(prove_equal(*pair))
    images = [x for x, _ in loader]
    assert str(prove_equal(images, (x for x in images))) == 'every one of 2 tensors (8 numbers) is equal to the last bit'
    with pytest.raises(NotEqual, match='batch 1, x, index'): prove_equal(loader, [[x.clamp(max=5), y] for x, y in loader])
    with pytest.raises(NotEqual, match='the second has ended after 1 batch'): prove_equal(list(loader), iter([next(iter(loader))]))
    with pytest.raises(TypeError, match='float comes one by one'): prove_equal([.5, .25], L(.5, .25))
    with pytest.raises(TypeError, match='what is no list .* is taken for a loader'): prove_equal(L(.5, .25), L(.5, .25))
    with pytest.raises(NotEqual, match='list against dict'): prove_equal([1], {'a': 1})


def test_a_tolerance_has_a_name():
    with pytest.raises(TypeError, match='a distance has a name: tolerance=1.0'): prove_equal(.5, .25, 1.)


def test_names_of_a_stranger_are_shown_and_not_obeyed():
    for one, other in (({'a\x1b[2J': 1.}, {'a\x1b[2J': 2.}), ({'a\x1b[2J': 1.}, {'b\x1b[2J': 1.})):
        with pytest.raises(NotEqual) as caught: prove_equal(one, other)
        assert str(caught.value).isprintable() and r'\x1b[2J' in str(caught.value)


def test_the_error_comes_back_from_another_process():
    with pytest.raises(NotEqual) as caught: prove_equal([torch.ones(2)], [torch.tensor([1., 2.])])
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and vars(again) == vars(caught.value) and again.where == 'part 0, index (1)'


def test_the_sum_of_proofs():
    assert str(sum([prove_equal(1, 1), prove_equal([2, 3], [2, 3])])) == 'every one of 3 numbers is equal to the last bit'
