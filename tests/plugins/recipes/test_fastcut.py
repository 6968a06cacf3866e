"""FastCUT: CUT's networks, ten times the weight, no identity, mirrored sources."""

from __future__ import annotations

from lossbench.prepare import prepare
from lossbench.registry import load
from tests.conftest import write_images

CUT, FASTCUT = (load("recipes", name).spec for name in ("cut", "fastcut"))
SMALL = {"data.dir": "shapes", "data.size": 32, "data.load_size": 32, "model.ngf": 4, "model.ndf": 4}


def test_it_is_cut_but_for_the_options_of_patchnce():
    for name in ("networks", "directions", "paired", "conditional", "losses", "adversary"):
        assert getattr(FASTCUT, name) == getattr(CUT, name)
    assert {**CUT.defaults(64), **FASTCUT.defaults(64)} == FASTCUT.defaults(64)
    added = FASTCUT.defaults(64).keys() - CUT.defaults(64).keys()
    assert added == {"patchnce.weight", "patchnce.identity", "patchnce.flip"}
    assert {**CUT.quick, **FASTCUT.quick} == FASTCUT.quick


def test_weights_and_options_are_the_papers(tmp_path):
    made = prepare(recipe="fastcut", settings=SMALL | {"data.dir": str(write_images(tmp_path / "images"))})
    found = made.config.everything()
    expected = {
        "gan.weight": 1.0, "patchnce.weight": 10.0, "patchnce.identity": False, "patchnce.flip": True,
        "pool.size": 0, "model.init": "xavier", "model.antialias": True,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    assert {bound.label: bound.needs for bound in made.objective.terms}["A2B/patchnce"] == ("real", "fake", "G", "rng")


def test_on_the_built_in_shapes_less_weight_leaves_the_adversary_a_say():
    found = prepare(recipe="fastcut", settings=SMALL).config.everything()
    assert (found["patchnce.weight"], found["patchnce.identity"], found["patchnce.flip"]) == (2.0, False, True)


def test_the_user_is_stronger_than_the_recipe():
    made = prepare(recipe="fastcut", settings=SMALL | {"patchnce.identity": True, "patchnce.weight": 3.0})
    found = made.config.everything()
    assert (found["patchnce.identity"], found["patchnce.weight"], found["patchnce.flip"]) == (True, 3.0, True)


def test_other_losses_may_stand_in_its_place():
    made = prepare("tv", recipe="fastcut", settings=SMALL)
    assert {bound.label for bound in made.objective.terms} == {"A2B/gan", "A2B/gan:D", "A2B/tv"}
