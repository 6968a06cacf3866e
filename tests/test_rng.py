"""Random streams: functions of their key and of nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from lossbench import rng

PARTS = some.one_of(some.integers(-(2**40), 2**40), some.text("abcAB2:/. é", min_size=1))
KEYS = some.lists(PARTS, min_size=1, max_size=4).map(tuple)


def draws(*key: object, count: int = 4) -> list[float]:
    return torch.rand(count, generator=rng.stream(*key)).tolist()


def words(key: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(map(str, key))


# Keys -----------------------------------------------------------------------------------------------------------------


def test_a_seed_is_the_first_63_bits_of_the_keys_sha256():
    # printf '0\0001\000crop' | sha256sum | cut -c1-16, halved
    assert rng.derive(0, 1, "crop") == 0x4E351E496EB8DD61 // 2


@given(KEYS)
@settings(derandomize=True, deadline=None)
def test_a_seed_fits_into_63_bits(key):
    assert 0 <= rng.derive(*key) < 2**63


@given(KEYS, KEYS)
@settings(derandomize=True, deadline=None)
def test_two_keys_have_two_seeds(one, other):
    assert (rng.derive(*one) == rng.derive(*other)) == (words(one) == words(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, 23), (12, 3)),
        (("a", "b"), ("ab",)),
        ((0, 1), (1, 0)),
        ((0,), (0, 0)),
        ((0, "A2B"), (0, "B2A")),
        ((1,), (-1,)),
    ],
)
def test_keys_that_look_alike_have_seeds_of_their_own(one, other):
    assert rng.derive(*one) != rng.derive(*other)


# Streams --------------------------------------------------------------------------------------------------------------


def test_a_stream_is_a_function_of_its_key():
    wanted = draws(0, 7, "pool", "A2B")
    torch.manual_seed(5)
    draws(0, 7, "pool", "B2A")
    torch.rand(3)
    assert draws(0, 7, "pool", "A2B") == wanted


def test_streams_of_a_key_do_not_share_their_state():
    one, other = rng.stream(0, "x"), rng.stream(0, "x")
    first = torch.rand(3, generator=one)
    assert torch.equal(torch.rand(3, generator=other), first)
    assert not torch.equal(torch.rand(3, generator=one), first)


def test_neighbouring_streams_do_not_depend_on_each_other():
    table = torch.tensor([draws(0, step, "x", count=400) for step in range(30)])
    between = torch.corrcoef(table) - torch.eye(30)
    assert between.abs().max() < 5 / 400**0.5
    assert abs(float(table.mean()) - 0.5) < 5 * (1 / 12) ** 0.5 / table.numel() ** 0.5


def test_a_stream_leaves_the_global_state_alone():
    state = torch.get_rng_state()
    draws(0, "x")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_stream_lives_on_the_device_asked_for():
    assert rng.stream(0, "x").device.type == "cpu"
    assert rng.stream(0, "x", device=torch.device("cpu")).initial_seed() == rng.derive(0, "x")


# Isolation ------------------------------------------------------------------------------------------------------------


def isolated_draws(*key: object) -> list[float]:
    with rng.isolated(*key):
        return torch.rand(4).tolist()


def test_isolated_code_draws_from_a_stream_of_its_own():
    torch.manual_seed(1)
    wanted = isolated_draws(0, "dropout")
    torch.manual_seed(2)
    assert isolated_draws(0, "dropout") == wanted
    assert isolated_draws(1, "dropout") != wanted


def test_the_global_state_goes_on_as_if_nothing_had_been_drawn():
    torch.manual_seed(3)
    wanted = torch.rand(6)
    torch.manual_seed(3)
    before = torch.rand(2)
    isolated_draws(0, "dropout")
    assert torch.equal(torch.cat((before, torch.rand(4))), wanted)


def fail_within(*key: object) -> None:
    with rng.isolated(*key):
        torch.rand(3)
        raise RuntimeError("a term failed")


def test_the_global_state_is_restored_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="a term failed"):
        fail_within(0, "x")
    assert torch.equal(torch.get_rng_state(), state)


def test_isolation_within_isolation_does_not_disturb_the_outer_one():
    with rng.isolated(0, "outer"):
        before = torch.rand(2).tolist()
        isolated_draws(0, "inner")
        after = torch.rand(2).tolist()
    assert before + after == isolated_draws(0, "outer")


def test_initialisers_and_dropout_draw_from_the_isolated_stream():
    def drawn() -> tuple[torch.Tensor, torch.Tensor]:
        with rng.isolated(0, "build"):
            return torch.nn.Linear(5, 5).weight.detach(), torch.nn.functional.dropout(torch.ones(64), 0.5)

    one, other = drawn(), drawn()
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
