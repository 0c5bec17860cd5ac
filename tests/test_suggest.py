"""Errors that say what was possible."""

from kasmina.suggest import nearest, unknown


def test_the_nearest_name_is_the_one_with_a_slip() -> None:
    assert nearest("conv_lihgt", ["conv_light", "conv_heavy", "se"]) == "conv_light"


def test_nothing_is_near_a_name_of_another_kind() -> None:
    assert nearest("xyzzy", ["conv_light", "conv_heavy", "se"]) is None


def test_the_sentence_has_what_came_the_nearest_and_all_in_order() -> None:
    said = unknown("blueprint", "mpl", iter(["norm", "mlp"]))
    assert said == "unknown blueprint 'mpl'; did you mean 'mlp'? possible: mlp, norm"


def test_the_sentence_does_without_a_guess_and_without_choices() -> None:
    assert unknown("slot", "xyzzy", ["a", "b"]) == "unknown slot 'xyzzy'; possible: a, b"
    assert unknown("slot", "xyzzy", []) == "unknown slot 'xyzzy'; possible: none"
