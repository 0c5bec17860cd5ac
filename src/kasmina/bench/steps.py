"""Training steps of one network in every stage of a seed, and of the same network without slots."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from kasmina.bench.networks import Network
from kasmina.compiling import Compile, compile_in_place
from kasmina.graft import Grafted, graft, ungraft
from kasmina.incubation import Incubation, Shadow, StraightThrough
from kasmina.nursery import germinate
from kasmina.ramp import Ramp
from kasmina.recipe import Recipe
from kasmina.stage import Event, Stage

INTERVAL: int = inspect.signature(Shadow).parameters["interval"].default
OPERATOR = Recipe("blend", "kasmina.blend.Add")
_LR = 1e-5  # small enough that thousands of steps on one batch stay what they are

_WAY = (Event.TRAIN, Event.BLEND, Event.HOLD, Event.FOSSILIZE)
_BLENDED = {Stage.TRAINING: 1, Stage.BLENDING: 2, Stage.HOLDING: 3, Stage.FOSSILIZED: 4}


@dataclass(frozen=True)
class Step:
    """Something to time.

    Args:
        case: what it is, a stage or a way of incubation.
        base: the case of the same network to which its time is the ratio.
        run: takes ``steps`` training steps.
        target: what the ratio should not pass, None where nothing is promised.
    """

    case: str
    base: str
    run: Callable[[], None]
    steps: int = 1
    target: float | None = None


def steps_of(network: Network, options: Compile) -> Iterator[Step]:
    """Every case of a network; a seed stands in the middle slot."""
    yield Step("plain", "plain", _train(network, plain(network, options)))
    by_hand = network.make()
    _insert(by_hand, network)
    yield Step("by hand", "plain", _train(network, _compiled(by_hand, network, options)))
    yield Step("dormant", "plain", _grown(network, options, None), target=1.01)
    yield Step("training, shadow", "plain", _shadowed(network, options, 1), target=1.9)
    if INTERVAL > 1:
        every = f"training, shadow every {INTERVAL}"
        run = _shadowed(network, options, INTERVAL)
        yield Step(every, "plain", run, steps=INTERVAL, target=1.35)
    for name, mode in (("ste", StraightThrough()), ("ste_ridge", StraightThrough(ridge=0.1))):
        run = _grown(network, options, Stage.TRAINING, incubation=mode)
        yield Step(f"training, {name}", "plain", run)
    for stage in (Stage.BLENDING, Stage.HOLDING):
        yield Step(str(stage), "plain", _grown(network, options, stage))
    run = _grown(network, options, Stage.FOSSILIZED)
    yield Step("fossilized", "by hand", run, target=1.02)


def plain(network: Network, options: Compile) -> nn.Module:
    """The host alone, compiled in the regions in which a grafted host is."""
    return _compiled(network.make(), network, options)


def _compiled(host: nn.Module, network: Network, options: Compile) -> nn.Module:
    model = graft(host, network.sites, network.inputs)
    compile_in_place(model, options)
    return ungraft(model)


def _shadowed(network: Network, options: Compile, interval: int) -> Callable[[], None]:
    run = _grown(network, options, Stage.TRAINING, incubation=Shadow(interval=interval))

    def cycle() -> None:
        for _ in range(interval):
            run()

    return cycle


def _grown(
    network: Network,
    options: Compile,
    stage: Stage | None,
    *,
    incubation: Incubation | None = None,
) -> Callable[[], None]:
    incubation = incubation or Shadow()
    model = graft(network.make(), network.sites, network.inputs, listens=incubation.listens)
    compile_in_place(model, options)
    if stage is not None:
        lead(model, network, stage)
    return _train(network, model, incubation)


def lead(model: Grafted, network: Network, stage: Stage) -> None:
    """Germinate in the middle slot and go on to ``stage``; a seed blends at alpha 1/2."""
    slot = germinate(
        model, _middle(network), blueprint=network.blueprint, operator=OPERATOR, run_seed=0
    )
    for event in _WAY[: _BLENDED[stage]]:
        slot.move(event, Ramp(curve="linear", ticks=2) if event is Event.BLEND else None)
        if slot.stage is Stage.BLENDING and stage is not Stage.BLENDING:
            slot.advance()


def _middle(network: Network) -> str:
    return network.sites[len(network.sites) // 2]


class Behind(nn.Sequential):
    """A site with a seed's body behind it, as one would write it by hand."""


def _insert(host: nn.Module, network: Network) -> None:
    model = graft(host, network.sites, network.inputs)
    lead(model, network, Stage.FOSSILIZED)
    seed = model.slot(_middle(network)).seed
    assert seed is not None
    ungraft(model)
    above, _, name = _middle(network).rpartition(".")
    site = host.get_submodule(_middle(network))
    setattr(host.get_submodule(above), name, Behind(site, seed.body))


def _train(
    network: Network, model: nn.Module, incubation: Incubation | None = None
) -> Callable[[], None]:
    optimizer = AdamW(model.parameters(), lr=_LR)
    taken = 0

    def run() -> None:
        nonlocal taken
        optimizer.zero_grad()
        loss: Tensor = network.loss_of(model(network.inputs))
        if isinstance(model, Grafted) and incubation is not None:
            extra = incubation.loss(model, network.inputs, network.loss_of, taken)
            loss = loss if extra is None else loss + extra
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        taken += 1

    model.train()
    torch.manual_seed(0)
    return run
