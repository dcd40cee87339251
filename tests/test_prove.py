"What prove_equal can't compare, and what it must not call equal."
import numpy as np
import pytest
import torch
from easing_fastai.plain.prove import NotEqual, largest_distance, prove_equal
from torch import nn

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
