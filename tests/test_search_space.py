"""What Hydra's sweep grammar becomes, and what is drawn from it."""

import math
from random import Random

import pytest

from kasmina.faults import ConfigFaults
from kasmina.hydra_api import parse
from kasmina.search.space import Choices, Real, Space, Whole, parameter

GRAMMAR = {
    "interval(0.5,2)": Real(0.5, 2.0),
    "tag(log,interval(1e-4,1e-1))": Real(1e-4, 1e-1, log=True),
    "int(interval(1,8))": Whole(1, 8),
    "int(tag(log,interval(1,64)))": Whole(1, 64, log=True),
    "tag(log,int(interval(1,64)))": Whole(1, 64, log=True),
    "range(1,8)": Whole(1, 7),
    "range(8,1,-3)": Whole(2, 8, 3),
    "shuffle(range(0,10,5))": Whole(0, 5, 5),
    "tag(log,range(1,8))": Whole(1, 7, log=True),
    "range(0,1,0.25)": Real(0.0, 0.75, 0.25),
    "float(range(1,4))": Real(1.0, 3.0, 1.0),
    "choice(add,gate)": Choices(("add", "gate")),
    "batch,group,batch": Choices(("batch", "group")),
    "sort(3,1)": Choices(("1", "3")),
    "[8,8],[16]": Choices(("[8,8]", "[16]")),
    "{a:1},null,'x y',1e-3": Choices(("{a:1}", "null", "'x y'", "0.001")),
    "true,false": Choices(("True", "False")),
}


@pytest.mark.parametrize(("grammar", "means"), GRAMMAR.items(), ids=GRAMMAR)
def test_every_form_of_the_grammar_is_a_parameter(grammar, means):
    assert parameter(parse(f"key={grammar}")) == means


@pytest.mark.parametrize("grammar", GRAMMAR)
def test_every_draw_is_a_value_of_its_parameter_and_hydra_can_read_it(grammar):
    found, random = parameter(parse(f"key={grammar}")), Random(0)
    for value in [found.draw(random) for _ in range(200)]:
        override = parse(f"key={found.text(value)}")
        assert not override.is_sweep_override()
        if isinstance(found, Choices):
            assert value in found.texts
        else:
            assert found.low <= override.value() <= found.high
            assert type(override.value()) is type(found.low)
            assert override.value() == value


@pytest.mark.parametrize("grammar", [text for text in GRAMMAR if "interval" not in text])
def test_every_value_that_is_listed_is_drawn_and_no_other(grammar):
    override, random = parse(f"key={grammar}"), Random(0)
    found = parameter(override)
    drawn = {found.text(found.draw(random)) for _ in range(300)}
    assert drawn == set(override.sweep_string_iterator())


def test_a_logarithm_draws_each_decade_as_often():
    found, random = Real(1e-4, 1.0, log=True), Random(0)
    decades = [math.floor(math.log10(found.draw(random))) for _ in range(4000)]
    assert all(900 < decades.count(decade) < 1100 for decade in (-4, -3, -2, -1))


def test_a_number_is_rounded_unless_that_leaves_the_interval():
    assert Real(0.0, 1.0).text(0.12345678) == "0.123457"
    assert Real(0.0, 0.12345678).text(0.12345678) == "0.12345678"
    assert Real(0.0, 9.0).text(5.0) == "5.0"


@pytest.mark.parametrize(
    ("grammar", "fault"),
    [
        ("range(3,3)", "has no value"),
        ("interval(2,1)", "from a number up to another one"),
        ("interval(0,inf)", "from a number up to another one"),
        ("tag(log,interval(0,1))", "log needs an interval above 0, not from 0.0"),
        ("tag(log,range(1,9,2))", "a range of step 1"),
        ("tag(log,range(0,9))", "whole numbers above 0"),
        ("tag(log,range(0.5,9))", "whole numbers"),
        ("tag(log,choice(1,2))", "log is for an interval"),
        ("tag(lgo,interval(1,2))", "unknown tag 'lgo'; did you mean 'log'?"),
    ],
)
def test_what_cannot_be_searched_is_said_with_what_was_typed(grammar, fault):
    with pytest.raises(ConfigFaults, match=fault) as error:
        Space.of([parse("seed=3"), parse(f"key={grammar}")])
    assert str(error.value).startswith(f"'key={grammar}': ")


def test_a_search_of_nothing_says_how_one_is_written():
    with pytest.raises(ConfigFaults, match="nothing to search; give a key several values"):
        Space.of([parse("seed=3"), parse("~logger")])


def test_the_last_override_of_a_key_counts_and_the_rest_is_left_alone():
    texts = ("host=mlp", "a=1,2", "b=1,2", "~logger", "+c@d=x,y", "a=interval(0,1)", "b=7")
    space = Space.of(map(parse, texts))
    assert space.fixed == ("host=mlp", "b=7", "~logger")
    assert space.parameters == {"a": Real(0.0, 1.0), "+c@d": Choices(("x", "y"))}
    assert space.overrides({"a": 0.5, "+c@d": "y"}) == [*space.fixed, "a=0.5", "+c@d=y"]


def test_a_trial_is_made_of_the_seed_and_its_number_alone():
    space = Space.of([parse("a=tag(log,interval(1e-4,1e-1))"), parse("b=choice(x,y)")])
    assert space.draw(1, 0) == {"a": 0.0524101, "b": "y"}  # as drawn by the first version
    drawn = [space.draw(seed, number)["a"] for seed in range(5) for number in range(5)]
    assert len(set(drawn)) == 25
    assert space.draw(1, 0) == space.draw(1, 0)
