"""The pool of earlier translations."""

from __future__ import annotations

from math import isqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

from lossbench import rng
from lossbench.pool import Pool


def numbered(*numbers: int) -> Tensor:
    """Images of one value each."""
    return torch.tensor(numbers, dtype=torch.float32)[:, None, None, None].expand(-1, 3, 2, 2).contiguous()


def numbers(images: Tensor) -> list[int]:
    return images[:, 0, 0, 0].int().tolist()


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def exchange(pool: Pool, images: Tensor, draw: torch.Generator) -> Tensor:
    """One step: an exchange that counts."""
    out = pool.exchange(images, draw)
    pool.commit()
    return out


def filled(size: int, seed: int = 0) -> tuple[Pool, torch.Generator]:
    pool, draw = Pool(size), stream(seed)
    exchange(pool, numbered(*range(size)), draw)
    return pool, draw


# Without and before it is full ----------------------------------------------------------------------------------------


def test_a_pool_of_size_0_gives_back_what_comes_in():
    pool, draw = Pool(0), stream()
    for step in range(20):
        assert numbers(exchange(pool, numbered(step, -step), draw)) == [step, -step]
    assert not pool.kept


@pytest.mark.parametrize("size", [0, 3])
def test_what_comes_out_has_no_graph(size):
    images = numbered(1, 2).requires_grad_()
    assert not Pool(size).exchange(images * 2, stream()).requires_grad


def test_while_it_fills_every_image_comes_back_and_is_kept():
    pool, draw = Pool(5), stream()
    assert numbers(exchange(pool, numbered(1, 2), draw)) == [1, 2]
    assert numbers(exchange(pool, numbered(3, 4), draw)) == [3, 4]
    assert numbers(torch.stack(pool.kept)) == [1, 2, 3, 4]


def test_filling_draws_nothing():
    _, draw = filled(5)
    assert torch.equal(draw.get_state(), stream().get_state())


def test_a_batch_that_fills_it_halfway_is_exchanged_from_there_on():
    pool = Pool(3)
    out = numbers(exchange(pool, numbered(*range(1, 41)), stream()))
    assert out[:3] == [1, 2, 3]
    assert out != list(range(1, 41))
    assert len(pool.kept) == 3


def test_shape_and_type_stay():
    images = torch.rand(4, 6, 3, 5, dtype=torch.float64)
    out = Pool(2).exchange(images, stream())
    assert out.shape == images.shape
    assert out.dtype == images.dtype


# Once it is full ------------------------------------------------------------------------------------------------------


@given(some.integers(1, 6), some.lists(some.integers(1, 4), min_size=1, max_size=12), some.integers(0, 2**32))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_images_are_neither_lost_nor_doubled(size, lengths, seed):
    pool, draw, out, count = Pool(size), stream(seed), [], 0
    for length in lengths:
        out += numbers(exchange(pool, numbered(*range(count, count + length)), draw))
        count += length
        assert len(pool.kept) == min(size, count)
    kept = numbers(torch.stack(pool.kept))
    swapped = [number for place, number in enumerate(out) if place != number]
    shown_and_not_kept = set(out) - set(kept)
    assert set(out) | set(kept) == set(range(count))
    assert len(set(kept)) == len(kept)
    assert all(number < place for place, number in enumerate(out) if place != number)
    assert set(swapped) <= shown_and_not_kept
    assert len(shown_and_not_kept) == count - len(kept)


def test_half_of_the_images_are_exchanged_for_an_earlier_one():
    pool, draw = filled(50)
    count = 4000
    out = numbers(exchange(pool, numbered(*range(50, 50 + count)), draw))
    swapped = sum(number != place for place, number in enumerate(out, start=50))
    assert abs(swapped - count / 2) < 4 * isqrt(count // 4)  # four standard deviations of a fair coin


def test_every_place_is_exchanged_equally_often():
    pool, draw = filled(8)
    taken = [0] * 8
    for number in range(8, 4008):
        before = numbers(torch.stack(pool.kept))
        (out,) = numbers(exchange(pool, numbered(number), draw))
        if out != number:
            taken[before.index(out)] += 1
    expected = sum(taken) / 8
    assert all(abs(count - expected) < 4.5 * expected**0.5 for count in taken)


def test_an_image_that_is_exchanged_takes_the_place_of_the_one_given_back():
    pool, draw = filled(4)
    for number in range(4, 60):
        before = numbers(torch.stack(pool.kept))
        (out,) = numbers(exchange(pool, numbered(number), draw))
        expected = before if out == number else [number if each == out else each for each in before]
        assert numbers(torch.stack(pool.kept)) == expected


# Copies ---------------------------------------------------------------------------------------------------------------


def test_what_it_keeps_is_a_copy_of_what_came_in():
    pool, images = Pool(2), numbered(1, 2)
    exchange(pool, images, stream())
    images.zero_()
    assert numbers(torch.stack(pool.kept)) == [1, 2]


def test_what_it_keeps_once_full_is_a_copy_too():
    pool, draw = filled(2)
    for number in range(2, 30):
        images = numbered(number)
        exchange(pool, images, draw)
        images.fill_(-1)
    assert min(numbers(torch.stack(pool.kept))) >= 2


def test_what_it_gives_back_can_be_changed_without_harm():
    pool = Pool(2)
    for number in range(0, 30, 2):
        exchange(pool, numbered(number, number + 1), stream(number)).fill_(-1)
    assert min(numbers(torch.stack(pool.kept))) >= 0


def test_it_keeps_no_more_memory_than_its_images():
    pool = Pool(1)
    exchange(pool, numbered(*range(64)), stream())
    assert pool.kept[0].untyped_storage().nbytes() == 3 * 2 * 2 * 4


# Streams --------------------------------------------------------------------------------------------------------------


def shown(seed: int) -> list[int]:
    pool = Pool(3)
    return [
        number
        for step in range(10)
        for number in numbers(exchange(pool, numbered(2 * step, 2 * step + 1), rng.stream(seed, step, "pool", "A2B")))
    ]


def test_the_same_streams_give_the_same_images_and_others_others():
    wanted = shown(0)
    torch.manual_seed(1)
    assert shown(0) == wanted
    assert shown(1) != wanted


def test_it_draws_from_the_given_stream_only():
    state = torch.get_rng_state()
    shown(0)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_exchange_that_is_not_committed_never_happened():
    pool, _ = filled(3)
    one, other = (numbers(pool.exchange(numbered(*range(10, 20)), stream(5))) for _ in range(2))
    assert one == other
    assert numbers(torch.stack(pool.kept)) == [0, 1, 2]


def test_a_pool_goes_on_from_the_images_of_another():
    pool, draw = filled(3)
    other, again = Pool(3), stream()
    other.fill(pool.kept)
    again.set_state(draw.get_state())
    for number in range(20):
        assert numbers(exchange(pool, numbered(number), draw)) == numbers(exchange(other, numbered(number), again))
