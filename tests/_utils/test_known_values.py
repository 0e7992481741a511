import copy
import gc

import pytest
import torch

from skosfusion._utils import tensor_content
from skosfusion._utils.content import Content
from skosfusion._utils.known_values import KnownValues


@pytest.fixture
def known():
    return KnownValues(max_bytes=1000)


def test_a_digest_is_given_again_while_each_bit_is_the_same(known):
    tensor = torch.arange(6.0)
    assert known.find(tensor) is None
    known.add(tensor, lambda bits: b"digest")
    assert known.find(tensor) == b"digest"
    assert known.find(tensor.clone()) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.mul_(2),
        lambda t: t.data.neg_(),
        lambda t: t.data.copy_(t.flip(0)),
        lambda t: t.detach().numpy().__setitem__(0, -0.0),
        lambda t: setattr(t, "data", t.data * 3),
        lambda t: setattr(t, "data", t.data.view(3, 2)),
    ],
)
def test_a_change_is_noticed_however_it_is_made(known, change):
    tensor = torch.arange(6.0)
    known.add(tensor, lambda bits: b"digest")
    change(tensor)
    assert known.find(tensor) is None


@pytest.mark.parametrize("dtype", [torch.bool, torch.int16, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize("n_values", [1, 5, 8])
@pytest.mark.parametrize("start", [0, 1])
def test_values_of_any_size_and_place_are_compared_to_the_end(known, dtype, n_values, start):
    tensor = torch.ones(n_values + start, dtype=dtype)[start:]
    known.add(tensor, lambda bits: b"digest")
    assert known.find(tensor) == b"digest"
    tensor.data[-1] = 0
    assert known.find(tensor) is None


def test_what_changes_while_it_is_digested_is_not_taken_for_what_it_was(known):
    tensor = torch.arange(6.0)

    def digest(bits):
        tensor.data[2] = 9.0
        return bytes(bits.view(torch.uint8).tolist())

    before = tensor.clone()
    first = known.add(tensor, digest)
    assert known.find(tensor) is None
    tensor.data.copy_(before)
    assert known.find(tensor) == first == before.numpy().tobytes()


def test_memory_is_bounded_and_given_back(known):
    first, second = torch.ones(200), torch.ones(200)
    known.add(first, lambda bits: b"first")
    known.add(second, lambda bits: b"second")
    assert known.find(first) == b"first"
    assert known.find(second) is None
    del first
    gc.collect()
    known.add(second, lambda bits: b"second")
    assert known.find(second) == b"second"


@pytest.mark.parametrize("n_threads", [1, 2])
def test_hashing_ahead_changes_no_digest(n_threads):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(600, 600), torch.nn.Conv2d(600, 600, 1))
    layers.to(memory_format=torch.channels_last)
    small = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 4, 3), torch.nn.PReLU())
    small[1].to(memory_format=torch.channels_last)
    small.register_buffer("flags", torch.tensor([True, False, True]))
    small.register_buffer("empty", torch.empty(0, 3))
    small.register_buffer("part", torch.arange(20.0).view(4, 5)[:, 1:3])
    small.register_buffer("conjugate", torch.tensor([1 + 2j, 3j]).conj())
    layers.append(small)
    expected = Content().digest(layers)
    for _ in range(2):
        content = Content()
        content.hash_ahead(layers, n_threads)
        assert content.digest(layers) == expected
    other = copy.deepcopy(layers)
    layers[0].weight.data.view(-1)[7] += 1
    content = Content()
    content.hash_ahead(layers, n_threads)
    assert content.digest(layers) == Content().digest(layers) != expected
    assert Content().digest(other) == expected
    other[2].flags.data[1] = True
    content = Content()
    content.hash_ahead(other, n_threads)
    assert content.digest(other) == Content().digest(other) != expected


def test_small_tensors_are_hashed_together(monkeypatch):
    layers = torch.nn.BatchNorm2d(3)
    monkeypatch.setattr(tensor_content, "hash_of_values", None)  # would be called
    content = Content()
    content.hash_ahead(layers, 1)
    assert content.digest(layers)
