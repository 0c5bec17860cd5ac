"""Objects from plain values."""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from kasmina.ramp import Ramp
from kasmina.recipe import Recipe, build, locate

HALF = {"_target_": "fractions.Fraction", "numerator": 1, "denominator": 2}


class Outer:
    """A class with a class inside, to be found by path."""

    class Inner:
        """Found at ``test_recipe.Outer.Inner``."""


def collect(*args: Any, **options: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What it was called with."""
    return args, options


def calling(**options: Any) -> dict[str, Any]:
    return {"_target_": f"{__name__}.collect", **options}


def test_a_path_leads_to_classes_functions_and_what_lies_inside_them() -> None:
    assert locate("kasmina.ramp.Ramp") is Ramp
    assert locate("json.dumps") is json.dumps
    assert locate(f"{__name__}.Outer.Inner") is Outer.Inner


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("kasmina.ramp.Rmp", "'kasmina.ramp' has no 'Rmp'"),
        ("kasmina.rmp.Ramp", "'kasmina' has no 'rmp.Ramp'"),
        ("nowhere_at_all.Class", "no module of 'nowhere_at_all.Class'"),
        ("Ramp", "no module of 'Ramp'"),
        ("", "no module of ''"),
        (".ramp", "no module of '.ramp'"),
        ("..ramp", "no module of '..ramp'"),
        ("kasmina..ramp", "no module of 'kasmina..ramp'"),
    ],
)
def test_a_path_that_leads_nowhere_says_how_far_it_got(path: str, said: str) -> None:
    with pytest.raises(ImportError) as raised:
        locate(path)
    assert said in str(raised.value)


def test_a_module_that_cannot_import_something_else_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import a_package_that_is_not_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_here"):
        locate("needs_more.Class")


def test_a_mapping_with_a_target_is_called_with_its_options() -> None:
    assert build(HALF) == Fraction(1, 2)


def test_what_lies_inside_is_built_first() -> None:
    _, built = build(calling(one=HALF, many=[HALF, 3], plain={"deep": HALF, "text": "as it is"}))
    half = Fraction(1, 2)
    assert built == {"one": half, "many": [half, 3], "plain": {"deep": half, "text": "as it is"}}


@pytest.mark.parametrize("value", [None, 3, 2.5, "text", True, [], {}])
def test_plain_values_stay_as_they_are(value: Any) -> None:
    assert build(value) == value


def test_the_callers_arguments_win_over_the_options() -> None:
    assert build(calling(a=1, b=2), "first", b=3) == (("first",), {"a": 1, "b": 3})


def test_nothing_is_built_twice_into_the_same_object() -> None:
    recipe = Recipe.of("pair", calling(inner={"_target_": "builtins.list"}))
    assert recipe.build()[1]["inner"] is not recipe.build()[1]["inner"]


def test_a_recipe_becomes_the_config_that_it_came_from() -> None:
    config: Mapping[str, Any] = calling(rank=4, nested=HALF)
    recipe = Recipe.of("mine", config)
    assert recipe.to_config() == config
    assert Recipe.of("mine", json.loads(json.dumps(recipe.to_config()))) == recipe
    assert recipe.locate() is collect
    assert recipe.build(7, more=8) == ((7,), {"rank": 4, "nested": Fraction(1, 2), "more": 8})
