"""The table of names: what needs what, computed on demand and once."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from lossbench.views import (
    CONDITIONAL,
    CRITIC,
    CRITIC_NAMES,
    FUSED,
    MEANING,
    PAIRED,
    PLAIN,
    Once,
    Views,
    closure,
    needs,
)


def views(table=PLAIN, **given):
    return Views(table, given, Once(), lambda name: nullcontext())


def test_a_view_needs_what_its_parameters_are_called():
    assert needs(PLAIN["rec"]) == ("G_inverse", "fake")


@pytest.mark.parametrize(
    ("names", "all_of_them"),
    [
        (("real",), {"real"}),
        (("rec",), {"rec", "G_inverse", "fake", "G", "real"}),
        (("pred_fake",), {"pred_fake", "D", "seen_fake", "fake", "G", "real"}),
        (("other_rec",), {"other_rec", "other_G_inverse", "other_fake", "other_G", "other_real"}),
    ],
)
def test_the_closure_is_all_that_a_name_is_computed_from(names, all_of_them):
    assert closure(names, PLAIN) == all_of_them


def test_views_are_computed_on_demand_and_once():
    calls = []

    def G(image):
        calls.append(image)
        return image + 1

    seen = views(real=torch.zeros(1), G=G, G_inverse=lambda image: image * 2)
    assert not calls
    assert seen["rec"].item() == 2
    assert seen["fake"].item() == 1
    assert len(calls) == 1


def test_fused_views_run_a_generator_once_for_both_images():
    calls = []

    def G(image):
        calls.append(len(image))
        return image + 1

    seen = views(PLAIN | FUSED, real=torch.zeros(2, 1), target=torch.ones(3, 1), G=G)
    assert seen["fake"].tolist() == [[1], [1]]
    assert seen["idt"].tolist() == [[2], [2], [2]]
    assert calls == [5]


def test_a_conditional_discriminator_is_shown_pairs():
    real, target = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    seen = views(PLAIN | CONDITIONAL, real=real, target=target, G=lambda image: image + 5)
    assert seen["seen_fake"][0, :, 0, 0].tolist() == [0, 0, 0, 5, 5, 5]
    assert seen["seen_real"][0, :, 0, 0].tolist() == [0, 0, 0, 1, 1, 1]


def test_other_names_are_the_opposite_directions():
    one, other = views(real=torch.tensor(1.0)), views(real=torch.tensor(2.0))
    one.other, other.other = other, one
    assert (one["other_real"].item(), other["other_real"].item()) == (2, 1)


def test_forgetting_keeps_values_and_drops_graphs():
    weight = torch.ones(1, requires_grad=True)
    seen = views(real=torch.ones(1), G=lambda image: image * weight)
    assert seen["fake"].requires_grad
    seen.forget()
    assert not seen["fake"].requires_grad
    assert seen["fake"].item() == 1


def test_once_remembers_by_function_image_and_arguments():
    calls = []

    def f(image, power):
        calls.append(power)
        return image**power

    once, image = Once(), torch.full((1,), 3.0)
    assert [once(f, image, 2).item(), once(f, image, 2).item(), once(f, image, 3).item()] == [9, 9, 27]
    assert once(f, image.clone(), 2).item() == 9
    assert calls == [2, 3, 2]


def test_once_runs_an_image_without_gradient_with_gradients_off():
    weight = torch.ones(1, requires_grad=True)
    once = Once()
    assert not once(lambda image: image * weight, torch.ones(1)).requires_grad
    assert once(lambda image: image * weight, torch.ones(1, requires_grad=True)).requires_grad


def test_forgetting_drops_what_once_remembers_with_a_graph():
    weight = torch.ones(1, requires_grad=True)
    seen = views(real=torch.ones(1), G=lambda image: image * weight)
    calls = []

    def f(image):
        calls.append(1)
        return image * 2

    fake, real = seen["fake"], seen["real"]
    for _ in range(2):
        seen["once"](f, fake)
        seen["once"](f, real)
    seen.forget()
    seen["once"](f, fake)
    seen["once"](f, real)
    assert len(calls) == 3


def test_once_keys_on_autocast():
    calls = []
    once, image = Once(), torch.ones(1)
    f = lambda image: calls.append(torch.is_autocast_enabled("cpu"))  # noqa: E731 - one function, two states
    once(f, image)
    with torch.autocast("cpu", torch.bfloat16):
        once(f, image)
    assert calls == [False, True]


def test_every_name_has_a_meaning():
    assert set(PLAIN) | set(PAIRED) | set(CRITIC_NAMES) | {"real", "target", "G", "G_inverse"} == set(MEANING)
    assert set(CRITIC) <= set(CRITIC_NAMES)
