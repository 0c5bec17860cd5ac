from typing import Any

import pytest

from kasmina.signatures import Signature, find


class Closed:
    def __init__(self, first: int, /, second: str, *, third: float = 1.0) -> None:
        pass


class Open:
    def __init__(self, width: int, **rest: Any) -> None:
        pass


def unresolvable(value: "NotImportedHere") -> None:  # noqa: F821
    pass


def test_a_signature_has_the_arguments_that_can_be_named():
    signature = Signature.of(Closed)
    assert signature.hints == {"second": str, "third": float}
    assert signature.required == {"second"}
    assert not signature.open


def test_a_signature_with_keywords_is_open():
    signature = Signature.of(Open)
    assert signature.open
    assert signature.hints == {"width": int}


def test_a_hint_that_cannot_be_resolved_lets_anything_pass():
    assert Signature.of(unresolvable).hints == {"value": Any}


def test_what_has_no_signature_is_open():
    assert Signature.of(dict).open


def test_a_target_is_found():
    assert find("collections.OrderedDict").__name__ == "OrderedDict"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("kasmina.blend.Ad", "did you mean 'kasmina.blend.Add'?"),
        ("kasmina.nothing.Here", "cannot import 'kasmina.nothing.Here'"),
        ("no_such_package.Thing", "cannot import 'no_such_package.Thing'"),
        ("kasmina.blend._OPEN", "a target is called"),
        ("single", "cannot import 'single'"),
        ("", "cannot import ''"),
    ],
)
def test_a_target_that_is_not_there_says_so(path, said):
    with pytest.raises(ImportError) as error:
        find(path)
    assert said in str(error.value)
