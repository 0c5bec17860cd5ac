from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from kasmina.conform import MISSING, faults
from kasmina.schema import Given, Target


@dataclass
class Inner:
    number: int


@dataclass
class Outer:
    name: str
    inner: Inner
    choices: list[Literal["a", "b"]]


class Part:
    def __init__(self, size: int, *, names: Sequence[str] = (), part: "Part | None" = None) -> None:
        pass


def part(**options: Any) -> dict[str, Any]:
    return {"_target_": f"{__name__}.Part", **options}


def found(value: Any, hint: Any) -> list[str]:
    return list(faults(value, hint, "key"))


FITS = [
    (1, int),
    (1, float),
    (1.5, float),
    (True, bool),
    ("x", str),
    (None, None | int),
    (1, int | None),
    ("a", Literal["a", "b"]),
    (2, Literal["a", 2]),
    ([1, 2], list[int]),
    ([1, 2], Sequence[float]),
    ([], tuple[int, ...]),
    ([1, "x"], tuple[int, str]),
    ({"x": 1}, dict[str, int]),
    ({"x": 1}, Mapping[str, Any]),
    ({"anything": [1, {"deep": None}]}, Any),
    ("torch.relu", Callable[[int], int]),
    ({"number": 1}, Inner),
    (part(size=1), Target),
    (part(size=1, names=["a"], part=part(size=2)), Part),
    (part(size=1), Part | None),
    (part(size=1), Part | float),
    (None, Part | None),
]


@pytest.mark.parametrize(("value", "hint"), FITS)
def test_what_fits_has_no_fault(value, hint):
    assert found(value, hint) == []


WRONG = [
    ("x", int, "key: 'x' came; possible: a whole number"),
    (True, int, "key: True came; possible: a whole number"),
    (1.5, int, "key: 1.5 came; possible: a whole number"),
    (1, bool, "key: 1 came; possible: true, false"),
    (None, int, "key: null came; possible: a whole number"),
    (1, str, "key: 1 came; possible: text"),
    ("x", float | Part, "key: 'x' came; possible: a number"),
    ("x", int | None, "key: 'x' came; possible: a whole number, null"),
    ("alhpa", Literal["alpha", "beta"], "key: 'alhpa' came; did you mean 'alpha'? possible: alpha"),
    (True, Literal["on", 1], "key: True came; possible: on, 1"),
    ("x", list[int], "key: 'x' came; possible: a list"),
    ([1, "x"], list[int], "key[1]: 'x' came; possible: a whole number"),
    ([1], tuple[int, int], "key: 1 values came; possible: 2 values"),
    ([1], dict[str, int], "key: a list came; possible: a mapping"),
    ([1], int, "key: a list came; possible: a whole number"),
    ({"x": 1}, int, "key: a mapping came; possible: a whole number"),
    ({"x": "y"}, dict[str, int], "key.x: 'y' came; possible: a whole number"),
    ({"x": 1}, Target, "key: needs a _target_"),
    ("x", Target, "key: 'x' came; possible: a mapping with _target_"),
    (MISSING, int, "key: needs a value"),
    ({"numbr": 1, "number": 1}, Inner, "key.numbr: unknown key 'numbr'; did you mean 'number'?"),
    ({}, Inner, "key.number: needs a value, and nothing came"),
    (part(), Target, f"key.size: {__name__}.Part needs it, and nothing came"),
    (part(size="x"), Target, "key.size: 'x' came; possible: a whole number"),
    (part(size=1, sise=1), Target, "key.sise: unknown key 'sise'; did you mean 'size'?"),
    (part(size=1, part=part(size="x")), Target, "key.part.size: 'x' came"),
    (part(size=1, _partial_=True), Target, "key._partial_: Hydra's instantiate is not used here"),
    ({"_target_": "no.such"}, Target, "key._target_: cannot import 'no.such'"),
    ([part(size="x")], Any, "key[0].size: 'x' came"),
    ({"deep": {"er": part()}}, Any, "key.deep.er.size:"),
]


@pytest.mark.parametrize(("value", "hint", "said"), WRONG)
def test_what_does_not_fit_is_one_sentence_at_its_key(value, hint, said):
    (fault,) = found(value, hint)
    assert fault.startswith(said)


def test_all_faults_are_found_not_only_the_first():
    value = {"name": 1, "inner": {"number": "x"}, "choices": ["a", "c"], "more": 1}
    paths = [fault.partition(":")[0] for fault in faults(value, Outer, "")]
    assert paths == ["name", "inner.number", "choices[1]", "more"]


def test_an_argument_that_the_program_passes_is_neither_needed_nor_taken():
    hint = Annotated[Target, Given("size")]
    assert found(part(), hint) == []
    (fault,) = found(part(size=1), hint)
    assert fault == "key.size: is passed by the program and stands in no config"


def test_given_holds_where_null_is_possible_too():
    assert found(part(), Annotated[Target, Given("size")] | None) == []


def test_a_signature_that_takes_anything_still_has_its_parts_checked():
    value = {"_target_": "builtins.dict", "part": part(size="x")}
    (fault,) = found(value, Target)
    assert fault.startswith("key.part.size: 'x' came")
