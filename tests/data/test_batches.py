"""Training batches: order, crop and flip as functions of (seed, step, domain)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lossbench.data import Batches, to_tensor, to_uint8


def numbered(count: int, size: int = 4) -> Tensor:
    """Images of one value each, the image's number."""
    return torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 3, size, size).contiguous()


def places(count: int, size: int) -> Tensor:
    """Images whose channels hold each pixel's row, its column, and the image's number."""
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    each = [torch.stack((row, column, torch.full_like(row, number))) for number in range(count)]
    return torch.stack(each).to(torch.uint8)


def batches(images: dict[str, Tensor], **changed) -> Batches:
    plain = {"batch": 1, "size": 4, "flip": False, "paired": False, "seed": 0}
    return Batches(images, **(plain | changed))


def numbers(batch: Tensor) -> list[int]:
    return to_uint8(batch)[:, 2, 0, 0].tolist()


def seen(source: Batches, domain: str, steps: range) -> list[int]:
    return [number for step in steps for number in numbers(source[step][domain])]


# Order ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_each_pass_visits_every_image_once(batch):
    source = batches({"A": numbered(15)}, batch=batch)
    steps = 15 // batch
    for turn in range(3):
        assert sorted(seen(source, "A", range(turn * steps, (turn + 1) * steps))) == list(range(15))


def test_a_batch_may_reach_over_the_end_of_a_pass():
    order = seen(batches({"A": numbered(5)}, batch=3), "A", range(5))  # 15 images: three passes
    assert [sorted(order[start : start + 5]) for start in (0, 5, 10)] == [list(range(5))] * 3


def test_a_batch_larger_than_the_domain_goes_round_it():
    order = numbers(batches({"A": numbered(2)}, batch=5)[0]["A"])
    assert sorted(order[:2]) == sorted(order[2:4]) == [0, 1]


def test_every_pass_has_an_order_of_its_own():
    source = batches({"A": numbered(20)}, batch=20)
    orders = {tuple(numbers(source[turn]["A"])) for turn in range(5)}
    assert len(orders) == 5


def test_each_domain_and_each_seed_has_an_order_of_its_own():
    images = {"A": numbered(20), "B": numbered(20)}
    one, other = batches(images, batch=20)[0], batches(images, batch=20, seed=1)[0]
    assert len({tuple(numbers(batch)) for batch in (one["A"], one["B"], other["A"], other["B"])}) == 4


def test_domains_of_different_length_are_passed_each_at_its_own_pace():
    source = batches({"A": numbered(4), "B": numbered(6)})
    assert [sorted(seen(source, "A", range(start, start + 4))) for start in (0, 4, 8)] == [list(range(4))] * 3
    assert [sorted(seen(source, "B", range(start, start + 6))) for start in (0, 6)] == [list(range(6))] * 2


# Replay ---------------------------------------------------------------------------------------------------------------


def test_a_step_is_the_same_whatever_was_asked_before():
    images = {"A": places(7, 9), "B": places(5, 9)}
    wanted = {step: batches(images, batch=2, flip=True)[step] for step in (0, 1, 13, 29)}
    source = batches(images, batch=2, flip=True)
    torch.manual_seed(1)
    for step in (29, 0, 13, 0, 1, 29, 13):
        torch.rand(3)
        for domain in "AB":
            assert torch.equal(source[step][domain], wanted[step][domain])


def test_a_domain_does_not_depend_on_the_other():
    alone = batches({"A": places(7, 9)}, batch=2, flip=True)
    beside = batches({"B": places(3, 9), "A": places(7, 9)}, batch=2, flip=True)
    assert all(torch.equal(alone[step]["A"], beside[step]["A"]) for step in range(8))


def test_a_batch_leaves_the_images_and_the_global_random_state_alone():
    images = places(7, 9)
    source, state = batches({"A": images}, flip=True), torch.get_rng_state()
    source[0]["A"].zero_()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, places(7, 9))


# Crop and flip --------------------------------------------------------------------------------------------------------


def corner(image: Tensor) -> tuple[int, int, bool]:
    """Return top, left and whether it is mirrored, of a crop of ``places``; check that it is a crop of it."""
    rows, columns = to_uint8(image[None])[0, :2].long()
    top, left = int(rows.min()), int(columns.min())
    size = len(rows)
    mirrored = bool(columns[0, 0] > columns[0, 1])
    expected = torch.arange(left, left + size)
    assert torch.equal(columns, (expected.flip(0) if mirrored else expected).expand(size, size))
    assert torch.equal(rows, torch.arange(top, top + size)[:, None].expand(size, size))
    return top, left, mirrored


def test_a_crop_is_a_square_of_the_image_and_every_place_is_taken_equally_often():
    source = batches({"A": places(1, 6)}, batch=900)
    corners = [corner(image)[:2] for image in source[0]["A"]]
    counts = {place: corners.count(place) for place in set(corners)}
    assert set(counts) == {(top, left) for top in range(3) for left in range(3)}
    assert all(60 < count < 140 for count in counts.values())  # 100 +- 4 standard deviations


def test_half_of_the_images_are_mirrored_where_that_is_wanted():
    mirrored = [corner(image)[2] for image in batches({"A": places(1, 6)}, batch=900, flip=True)[0]["A"]]
    assert 390 < sum(mirrored) < 510  # 450 +- 4 standard deviations


def test_flip_changes_nothing_but_the_mirroring():
    plain, flipped = (batches({"A": places(5, 6)}, batch=20, flip=flip)[3]["A"] for flip in (False, True))
    for one, other in zip(plain, flipped, strict=True):
        assert torch.equal(one, other) or torch.equal(one, other.flip(-1))
    assert not torch.equal(plain, flipped)


def test_without_room_the_whole_image_is_taken():
    found = batches({"A": places(3, 4)}, batch=3)[0]["A"]
    assert {corner(image) for image in found} == {(0, 0, False)}


def test_every_domain_and_step_has_crops_of_its_own():
    source = batches({"A": places(1, 40), "B": places(1, 40)}, batch=4)
    crops = [tuple(corner(image) for image in source[step][domain]) for step in range(3) for domain in "AB"]
    assert len(set(crops)) == 6


# Pairs ----------------------------------------------------------------------------------------------------------------


def test_paired_domains_share_order_crop_and_flip():
    images = places(7, 9)
    source = batches({"A": images, "B": 255 - images}, batch=3, flip=True, paired=True)
    for step in range(6):
        assert torch.equal(to_uint8(source[step]["A"]), 255 - to_uint8(source[step]["B"]))


def test_unpaired_domains_do_not():
    images = places(7, 9)
    source = batches({"A": images, "B": images}, batch=3, flip=True)
    assert not any(torch.equal(source[step]["A"], source[step]["B"]) for step in range(6))


# Values ---------------------------------------------------------------------------------------------------------------


def test_a_batch_has_values_from_minus_1_to_1():
    found = batches({"A": torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4)})[0]["A"]
    assert found.dtype == torch.float32
    assert found.shape == (1, 3, 4, 4)
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([-1.0, -0.6, 1.0]))


def test_every_level_comes_back():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_tensor(levels)), levels)


def test_to_uint8_rounds_and_clamps():
    level = 1 / 127.5
    images = torch.tensor([-7.0, -1.0, -1 + 0.4 * level, -1 + 0.6 * level, 0.3 * level, 1.0, 1.2, float("inf")])
    assert to_uint8(images).tolist() == [0, 0, 0, 1, 128, 255, 255, 255]  # 0.3 levels above 127.5 is 127.8


def test_to_uint8_takes_any_precision_and_leaves_the_graph():
    images = torch.tensor([-1.0, 1.0], requires_grad=True)
    found = to_uint8(images.bfloat16())
    assert found.tolist() == [0, 255]
    assert found.dtype == torch.uint8
