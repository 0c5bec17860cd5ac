"""Candidates race behind a host that stays as it is."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from runs import same
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from toys import Broken, Cnn, Container, Noisy, Plain, grafted, grow, images, operator, recipe

from kasmina.control import Candidate, Rules
from kasmina.graft import Grafted
from kasmina.optim import SeedOptions, make_optimizer
from kasmina.race import Outcome, Terms, race
from kasmina.race.arena import Arena
from kasmina.race.contender import Contender
from kasmina.race.prefix import Prefix
from kasmina.race.slowed import slowed
from kasmina.recipe import Recipe
from kasmina.stage import Stage

SITES = ("blocks.0", "blocks.1", "blocks.2")
ADAM = Recipe("optimizer", "torch.optim.Adam", {"lr": 0.01})
RULES = Rules(steps=3, twin=2, price_parameters=0.0, price_flops=0.0)
BLUEPRINTS = {"plain": recipe(Plain), "noisy": recipe(Noisy), "inf": recipe(Broken, value="inf")}
ALL = [Candidate(site, name) for site in SITES for name in BLUEPRINTS]
PLAIN = [Candidate(site, "plain") for site in SITES]


def batches(count: int, *, of: int = 8, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Images whose class is told by the sign of two means."""
    torch.manual_seed(seed)
    inputs = [images(of) for _ in range(count)]
    return [(x, (x.mean((2, 3)) > 0).sum(1)) for x in inputs]


def terms(batch: Any = batches(40), held_out: Any = batches(4, seed=1), **options: Any) -> Terms:  # noqa: B008
    plain = Terms(
        blueprints=BLUEPRINTS,
        operator=operator(),
        run_seed=0,
        tick=1,
        batch=lambda step: batch[step % len(batch)],
        held_out=held_out,
        loss=lambda out, targets: nn.functional.cross_entropy(out, targets),
        optimizer=lambda weights: ADAM.build([{"params": weights}]),
        continued=lambda model: make_optimizer(model, ADAM, SeedOptions()),
    )
    return replace(plain, **options)


def network(dropout: float = 0.2) -> Grafted:
    torch.manual_seed(0)
    return grafted(Cnn(dropout=dropout))


def raced(
    candidates: Sequence[Candidate] = ALL, model: Grafted | None = None, **rules: Any
) -> Outcome:
    return race(model or network(), candidates, rules=replace(RULES, **rules), terms=terms())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_the_network_and_the_random_state_stay_bit_for_bit(training: bool, mode: str) -> None:
    model = network()
    grow(model, "blocks.1", Stage.FOSSILIZED, blueprint=BLUEPRINTS["noisy"])
    model.train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    drawn, modes = torch.get_rng_state(), [m.training for m in model.modules()]
    hooks = [len(m._forward_hooks) for m in model.modules()]
    with getattr(torch, mode)():
        raced([ALL[1], ALL[6]], model, steps=1)
    assert same(dict(model.state_dict()), before)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [m.training for m in model.modules()] == modes
    assert [len(m._forward_hooks) for m in model.modules()] == hooks
    assert all(p.requires_grad and p.grad is None for p in model.host.parameters())
    assert [slot.seed is None for slot in model] == [True, False, True]


def test_a_race_is_a_pure_function_of_what_it_is_given() -> None:
    first = raced(ALL[:4])
    torch.manual_seed(77)
    second = raced(ALL[:4])
    assert first.entries == second.entries
    assert same(first.weights, second.weights)
    assert first.flops == second.flops


def test_who_else_races_changes_nothing_of_a_candidate() -> None:
    alone = {c: raced([c], network(dropout=0.0)).entries[0] for c in PLAIN[:2]}
    together = raced(PLAIN[:2], network(dropout=0.0)).entries
    for entry in together:
        single = alone[Candidate(entry.site, entry.blueprint)]
        if entry.steps == single.steps:
            assert (entry.drop, entry.rent) == (single.drop, single.rent)
    assert any(entry.steps == 3 for entry in together)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("training", [True, False])
def test_what_was_kept_of_the_host_changes_no_bit(site: str, training: bool) -> None:
    model = network(dropout=0.0)
    grow(model, "blocks.0", Stage.FOSSILIZED) if site != "blocks.0" else None
    arena = Arena(model, terms(), set(SITES))
    assert arena.shared == set(SITES)
    contender = Contender(arena, terms(), RULES, Candidate(site, "plain"))
    (batch,) = batches(1)
    found = []
    for sites in ({site}, set(SITES), set()):
        kept = arena.prefix(batch, sites, training)
        buffers = arena.buffers()
        found.append(arena.outputs(batch, kept, site, contender.seed, buffers))
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[2])


class Twice(nn.Module):
    """One block that is called twice, and one of which the output is written into."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(5, 5), nn.Linear(5, 5)])
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.blocks[1](self.act(self.blocks[0](x))))


def test_a_module_that_is_called_twice_is_computed_every_time() -> None:
    model = grafted(Twice())
    inputs = torch.randn(6, 5)
    data = [(inputs, torch.zeros(6, dtype=torch.long))]
    arena = Arena(model, terms(data, data), {"blocks.0", "blocks.1"})
    assert arena.once == {"blocks.0", "blocks.1"}
    assert arena.shared == {"blocks.0", "blocks.1"}
    kept = arena.prefix(data[0], {"blocks.1"}, False)
    plain = model(inputs)
    with kept.below("blocks.1"):
        assert torch.equal(arena.model(inputs), plain)
        assert torch.equal(arena.model(inputs), plain)


def test_what_comes_out_in_a_container_is_computed_again() -> None:
    model = grafted(Container("tuple"))
    inputs = torch.randn(4, 5)
    kept = Prefix(model, {"blocks.1"}, lambda: model(inputs), {"blocks.0", "blocks.1"})
    assert kept.below_site == {"blocks.1": {}}
    with kept.below("blocks.1"):
        assert torch.equal(model(inputs), model.host(inputs))


@pytest.mark.parametrize("count", range(1, 7))
def test_the_better_half_of_each_slot_goes_on_for_twice_as_long(count: int) -> None:
    entries = raced(ALL[:count], steps=1, twin=1).entries
    ends = {1: [1], 2: [1, 1], 3: [1, 3, 3]}
    alone = [[3], [1, 3], [1, 3, 3]]  # a second slot, beside a first one of three candidates
    first, second = ends[min(count, 3)], alone[count - 4] if count > 3 else []
    steps = {site: sorted(e.steps for e in entries if e.site == site) for site in SITES}
    assert steps == {SITES[0]: first, SITES[1]: second, SITES[2]: []}
    assert [(e.site, e.blueprint) for e in entries] == [(c.site, c.blueprint) for c in ALL[:count]]


def one_class(lr: float = 0.0) -> Terms:
    """There is one class, and seeds learn it, at SGD's ``lr`` the host too."""
    data = [(x, torch.zeros_like(y)) for x, y in batches(4)]
    return terms(
        data,
        data,
        continued=lambda model: torch.optim.SGD(model.host.parameters(), lr=lr),
        optimizer=lambda weights: torch.optim.Adam(weights, lr=0.05),
    )


def judged(
    candidates: Sequence[Candidate] = PLAIN[::-1],
    elsewhere: Sequence[Candidate] = (),
    room: int = 1,
    most: float = math.inf,
    **rules: Any,
) -> Outcome:
    return race(
        network(0.0),
        candidates,
        rules=replace(RULES, **{"steps": 10, "twin": 10, **rules}),
        terms=one_class(),
        elsewhere=elsewhere,
        room=room,
        most=most,
    )


@pytest.mark.parametrize("room", [1, 2, 3])
def test_each_slots_best_has_its_turn_until_there_is_no_room(room: int) -> None:
    found = judged(room=room)
    won = {entry.site for entry in found.entries if entry.won}
    assert len(won) == room
    assert set(found.weights) == won
    assert [entry.gain is not None for entry in found.entries].count(True) == room


@pytest.mark.parametrize("order", [(2, 1, 0), (2, 0, 1)])
def test_slots_have_their_turns_as_given_and_what_wins_later_wins_beside_the_first(
    order: tuple[int, ...],
) -> None:
    given = [PLAIN[number] for number in order]
    alone, both = judged(given, room=1), judged(given, room=2)
    first, second = (each.site for each in given[:2])
    assert (set(alone.weights), set(both.weights)) == ({first}, {first, second})
    assert same(both.weights[first], alone.weights[first])
    by_site = {entry.site: entry for entry in both.entries}
    (single,) = judged([Candidate(second, "plain")]).entries
    assert single.drop == by_site[second].drop
    assert single.gain is not None
    assert by_site[second].gain != single.gain  # the first one has taken its part of the loss


def test_who_loses_is_no_part_of_what_the_next_one_is_compared_with() -> None:
    lost = [Candidate(SITES[0], "inf"), *PLAIN[1:]]
    rules, given = replace(RULES, price_parameters=99.0), terms()
    with_lost = race(network(0.0), lost, rules=rules, terms=given, room=3).entries
    without = race(network(0.0), PLAIN[1:], rules=rules, terms=given, room=3).entries
    assert not any(entry.won for entry in with_lost)
    assert [e.gain for e in with_lost[1:]] == [e.gain for e in without]
    assert all(entry.gain is not None for entry in with_lost)


def test_a_turn_that_would_go_beyond_the_share_is_not_had() -> None:
    whole, one = (judged(room=room, twin=60) for room in (3, 1))
    assert whole.flops > 1.8 * one.flops
    spent = judged(room=3, twin=60, most=1.4 * one.flops)
    assert (spent.weights.keys(), spent.flops) == (one.weights.keys(), one.flops)


ELSEWHERE = [Candidate(site, name) for site in SITES[1::-1] for name in BLUEPRINTS]


def spread(slots: int = 3, **options: Any) -> Outcome:
    """One slot is raced for, and its best one has its turn in several."""
    rules = {"spread": slots, "shortlist": 1, "criterion": "any"}
    return judged(PLAIN[2:], elsewhere=ELSEWHERE, **{**rules, **options})


@pytest.mark.parametrize("slots", [1, 2, 3, 9])
def test_the_best_has_its_turn_in_several_slots_at_once(slots: int) -> None:
    (entry,) = spread(slots).entries
    assert entry.won
    assert entry.others == (SITES[1], SITES[0])[: slots - 1]
    assert entry.drop == judged(PLAIN[2:]).entries[0].drop


def test_those_in_several_slots_are_judged_as_one_by_what_they_bring_together() -> None:
    (alone,), (both,) = spread(1).entries, spread(2).entries
    # a turn each, the second beside the first
    in_turn = {entry.site: entry for entry in judged(room=2).entries}
    second = in_turn[SITES[1]]
    assert alone.gain == in_turn[SITES[2]].gain
    assert None not in (alone.gain, both.gain, second.gain)
    assert both.gain != alone.gain
    assert math.isclose(both.gain or 0, (alone.gain or 0) + (second.gain or 0), abs_tol=0.01)


def test_all_of_them_pay_their_rent() -> None:
    prices = {"price_parameters": 0.3, "price_flops": 0.2, "price_seed": 0.01}
    rents = [spread(slots, **prices).entries[0].rent for slots in (1, 2, 3)]
    assert rents[1] - rents[0] == pytest.approx(rents[2] - rents[1])
    (free,) = spread(1, **{**prices, "price_seed": 0.0}).entries
    assert rents[0] == pytest.approx(free.rent + 0.01)
    assert rents[1] == pytest.approx(2 * rents[0])
    assert not any(e.won for e in spread(price_seed=9.0).entries)


def test_only_the_one_that_raced_brings_weights() -> None:
    assert spread().weights.keys() == {SITES[2]}
    assert same(spread().weights, judged(PLAIN[2:]).weights)


def test_a_turn_in_several_slots_has_fewer_of_them_where_all_would_go_beyond_the_share() -> None:
    whole = spread().flops
    found = {share: spread(most=share * whole) for share in (0.9, 1.02, 1.1)}
    others = [len(each.entries[0].others) if each.entries else -1 for each in found.values()]
    assert others == [-1, 1, 2]
    assert all(each.flops < share * whole for share, each in found.items())


def test_a_race_that_spreads_is_one_for_one_slot() -> None:
    with pytest.raises(ValueError, match="a race that spreads is one for 1 slot, not 2"):
        judged(PLAIN[1:], spread=2, shortlist=1, criterion="any")


class Noted(torch.optim.SGD):
    """Notes the learning rate of every step."""

    steps: ClassVar[list[float]] = []

    def step(self, closure: Any = None) -> None:
        self.steps.append(self.param_groups[0]["lr"])
        super().step(closure)


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_the_rate_falls_to_0_in_each_round_and_again_beside_the_twin(rate: float) -> None:
    Noted.steps.clear()
    noted = terms(optimizer=lambda weights: Noted(weights, lr=0.5))
    race(network(), PLAIN[:1], rules=replace(RULES, steps=4, twin=2, rate=rate), terms=noted)
    shares = [1.0, 0.75, 0.5, 0.25, 1.0, 0.5]
    assert Noted.steps == pytest.approx([0.5 * rate * share for share in shares])


def test_what_is_slowed_is_what_it_was_afterwards_also_when_a_step_fails() -> None:
    weights = [nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 0.3}, {"params": weights[1:]}])
    before = [group["lr"] for group in optimizer.param_groups]
    with slowed(optimizer, 0.5):
        assert [group["lr"] for group in optimizer.param_groups] == [0.15, before[1] / 2]
    assert [group["lr"] for group in optimizer.param_groups] == before
    with pytest.raises(ZeroDivisionError), slowed(optimizer, 0.5):
        optimizer.step(lambda: 1 / 0)
    assert [group["lr"] for group in optimizer.param_groups] == before


def test_a_seed_that_puts_out_inf_comes_last_and_takes_nobody_with_it() -> None:
    entries = {(e.site, e.blueprint): e for e in raced(ALL[:3]).entries}
    assert entries["blocks.0", "inf"].utility == -float("inf")
    assert entries["blocks.0", "inf"].steps == 3
    assert entries["blocks.0", "plain"].utility > -1.0
    (alone,) = raced(ALL[2:3]).entries
    assert not alone.won


def test_a_high_rent_lets_nobody_win_and_the_rent_is_what_the_prices_say() -> None:
    free, dear = raced(PLAIN[:1]), raced(PLAIN[:1], price_parameters=9.0, price_flops=2.0)
    (cheap,), (priced,) = free.entries, dear.entries
    model = network()
    num_host = sum(p.numel() for p in model.host.parameters())
    assert (cheap.rent, cheap.parameters) == (0.0, 4 * 4 + 4)
    # a 1x1 convolution over 6x6 pixels beside three of 3x3, of 2, 4 and 4 channels, and a head
    flops = 36 * 16 / (36 * 9 * (8 + 16 + 16) + 12)
    assert priced.rent == pytest.approx(9.0 * 20 / num_host + 2.0 * flops, rel=1e-12)
    assert (priced.drop, priced.gain) == (cheap.drop, cheap.gain)
    assert priced.lower == pytest.approx(cheap.lower - priced.rent)
    assert dear.weights == {}


@pytest.mark.parametrize("gain", [-0.4, 0.0, 0.4])
def test_a_gain_counts_as_far_as_it_is_trusted_and_a_loss_as_it_is(gain: float) -> None:
    (entry,) = raced([replace(PLAIN[0], trust=0.25)]).entries
    assert entry.trust == 0.25
    counts = 0.25 * gain if gain > 0 else gain
    assert replace(entry, gain=gain).utility == counts - entry.rent


def test_the_bound_of_a_doubted_blueprint_lies_lower() -> None:
    (plain,), (doubted,) = (raced([replace(PLAIN[0], trust=t)]).entries for t in (1.0, 0.25))
    assert (doubted.gain, doubted.drop, doubted.rent) == (plain.gain, plain.drop, plain.rent)
    surely = plain.lower + plain.rent
    assert doubted.lower == min(surely, 0.25 * surely) - plain.rent


def helped(lr: float) -> Outcome:
    """A seed at the last site, where it learns that there is one class; the host learns too."""
    last = [Candidate("blocks.2", "plain")]
    rules = replace(RULES, steps=10, twin=10)
    return race(network(dropout=0.0), last, rules=rules, terms=one_class(lr))


def test_a_seed_that_helps_wins_and_brings_the_weights_of_its_race() -> None:
    found = helped(0.0)
    (entry,) = found.entries
    assert entry.won
    assert entry.lower > 0
    fresh = grow(network(), "blocks.2", Stage.TRAINING).seed
    assert fresh is not None
    assert set(found.weights) == {"blocks.2"}
    assert set(found.weights["blocks.2"]) == set(fresh.state_dict())
    assert not same(dict(fresh.state_dict()), found.weights["blocks.2"])


def test_held_out_samples_are_judged_by_a_loss_of_their_own() -> None:
    def judged(factor: float) -> Outcome:
        def scaled(out: Tensor, targets: Tensor) -> Tensor:
            return factor * nn.functional.cross_entropy(out, targets)

        return race(network(), PLAIN[:1], rules=RULES, terms=terms(judged=scaled))

    plain, doubled = judged(1.0), judged(2.0)
    assert plain.entries == raced(PLAIN[:1]).entries
    assert doubled.entries[0].drop == pytest.approx(2 * plain.entries[0].drop, rel=1e-5)
    assert same(doubled.weights, plain.weights)


def test_what_the_host_learns_by_itself_is_no_merit_of_a_seed() -> None:
    (still,), (learning,) = helped(0.0).entries, helped(0.3).entries
    assert still.drop == learning.drop
    assert still.gain is not None
    assert learning.gain is not None
    assert learning.gain < still.gain / 2


def counted(**rules: Any) -> tuple[float, float]:
    """What a race says it has cost, and what torch counts in all of it."""
    with FlopCounterMode(display=False) as counter:
        said = raced(PLAIN[:2], **rules).flops
    return said, counter.get_total_flops()


def test_the_bill_is_what_torch_counts() -> None:
    (short, short_all), (long, long_all) = counted(steps=1), counted(steps=2, twin=3)
    assert long - short == long_all - short_all > 0
    assert 0 < short_all - short < 0.1 * short  # the looks at two samples that make the prices


@pytest.mark.parametrize("candidates", [PLAIN[:1], PLAIN, ALL[:2]], ids=len)
def test_a_race_that_would_cost_too_much_is_not_held_and_says_what_it_would_have_cost(
    candidates: list[Candidate],
) -> None:
    def within(most: float) -> Outcome:
        return race(network(), candidates, rules=RULES, terms=terms(), most=most)

    whole, none = raced(candidates), within(1.0)
    assert (none.entries, none.flops, none.weights) == ((), 0.0, {})
    assert whole.dear is None
    assert none.dear is not None
    assert whole.flops < none.dear.expected < 2 * whole.flops
    assert none.dear.most == 1.0
    assert within(none.dear.expected).entries == whole.entries


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"steps": 0}, r"race\.steps is at least 1, not 0"),
        ({"price_flops": -1.0}, r"race\.price_flops is at least 0, not -1"),
        ({"confidence": 1.0}, r"race\.confidence lies between 0 and 1, not 1"),
        ({"rate": 0.0}, r"race\.rate lies above 0 and is at most 1, not 0"),
        ({"share": 1.5}, r"race\.share lies above 0 and is at most 1, not 1\.5"),
        ({"price_seed": -0.1}, r"race\.price_seed is at least 0, not -0\.1"),
        ({"spread": 0}, r"race\.spread is at least 1, not 0"),
        ({"spread": 2}, r"race\.spread 2 needs race\.shortlist 1, not None"),
        ({"shortlist": 1}, r"race\.shortlist needs a race\.criterion"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(RULES, **rules)


def test_a_race_needs_somebody() -> None:
    with pytest.raises(ValueError, match="at least 1 candidate"):
        raced([])
