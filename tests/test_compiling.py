"""Compiled networks grow as eager ones do."""

import copy
import pickle
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import Container, Plain, fixed, grafted, grow, operator, recipe

from kasmina.compiling import Compile, RecompileLimit, blocks, compile_in_place
from kasmina.graft import Grafted, graft, ungraft
from kasmina.incubation import Incubation, Shadow, StraightThrough
from kasmina.nursery import germinate
from kasmina.ramp import Ramp
from kasmina.stage import Event, Stage

ABOUT_ITSELF = (".*autograd.function.Function.* should not be inst", "The .grad attribute", ".*jit")
pytestmark = [  # what torch 2.13's compiler says about torch
    pytest.mark.filterwarnings(f"ignore:{said}") for said in ABOUT_ITSELF
]

SCOPES: list[Any] = ["whole", "blocks"]
X = fixed(4, 5)


@pytest.fixture(autouse=True)
def _no_graphs() -> Iterator[None]:
    """A test begins without the graphs of others and leaves none."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def network(scope: Any = None, *, fullgraph: bool = False, **options: bool) -> Grafted:
    """Two blocks with slots, compiled unless the scope is None."""
    torch.manual_seed(0)
    model = grafted(Container("tuple"), **options)
    if scope is not None:
        compile_in_place(model, Compile("default", scope, fullgraph=fullgraph, backend="aot_eager"))
    return model


def step(model: Grafted, incubation: Incubation) -> list[float]:
    """A training step, an evaluation, and a look without each seed; the losses of all."""
    model.train()
    model.zero_grad()
    loss = lossy(model(X))
    extra = incubation.loss(model, X, lossy, 0)
    (loss if extra is None else loss + extra).backward()
    for slot in model.at(Stage.TRAINING, Stage.BLENDING, Stage.HOLDING, Stage.FOSSILIZED):
        assert all(parameter.grad is not None for parameter in slot.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad)
        looks = [model.eval()(X), *(model(X, alphas={s.site.name: 0.0}) for s in model)]
    return [loss.item(), *(lossy(look).item() for look in looks)]


def lossy(outputs: Tensor) -> Tensor:
    return (outputs - 1).square().mean()


def lives(model: Grafted, incubation: Incubation, blend: str) -> list[list[float]]:
    """A seed that is kept, one that is pruned behind it, and one born in its place."""
    losses = [step(model, incubation)]
    for site, fate in (("blocks.0", True), ("blocks.1", False), ("blocks.1", True)):
        slot = germinate(model, site, blueprint=recipe(Plain), operator=operator(blend), run_seed=0)
        losses.append(step(model, incubation))
        slot.move(Event.TRAIN)
        losses.append(step(model, incubation))
        slot.move(Event.BLEND, Ramp("linear", ticks=3))
        losses.append(step(model, incubation))
        while not slot.advance():
            losses.append(step(model, incubation))
        slot.move(Event.HOLD)
        losses.append(step(model, incubation))
        events = [Event.FOSSILIZE] if fate else [Event.PRUNE, Event.EMBARGO, Event.RELEASE]
        for event in events:
            slot.move(event)
        losses.append(step(model, incubation))
    return losses


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    ("incubation", "isolate", "blend"),
    [
        (Shadow(interval=1), False, "Add"),
        (Shadow(interval=1), True, "Gate"),
        (StraightThrough(ridge=0.1), False, "Multiply"),
    ],
)
def test_compiled_equals_eager_through_whole_lives(
    incubation: Incubation, isolate: bool, blend: str, scope: str
) -> None:
    listens, fullgraph = incubation.listens, not incubation.listens
    compiled = network(scope, fullgraph=fullgraph, listens=listens, isolate=isolate)
    eager = network(listens=listens, isolate=isolate)
    seen, expected = lives(compiled, incubation, blend), lives(eager, incubation, blend)
    torch.testing.assert_close(seen, expected, rtol=1e-6, atol=0.0)  # sums in another order
    assert list(compiled.state_dict()) == list(eager.state_dict())
    assert not any("_orig_mod" in key for key in compiled.state_dict())


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    ("blend", "isolate"), [("Add", False), ("Add", True), ("Multiply", False), ("Gate", True)]
)
def test_no_graph_is_recompiled_because_alpha_moved(blend: str, isolate: bool, scope: str) -> None:
    model = network(scope, fullgraph=True, isolate=isolate)
    slot = grow(model, "blocks.0", Stage.TRAINING, blend=blend)
    slot.move(Event.BLEND, Ramp("sigmoid", ticks=8))
    step(model, Shadow(interval=1))
    with torch.compiler.set_stance("fail_on_recompile"):
        seen = [step(model, Shadow(interval=1))[1]]
        while not slot.advance():
            seen.append(step(model, Shadow(interval=1))[1])
        slot.move(Event.HOLD)
        step(model, Shadow(interval=1))
        slot.move(Event.BLEND, Ramp(ticks=3, target=0.0, start=1.0))
        while not slot.advance():
            step(model, Shadow(interval=1))
    assert len(set(seen)) == len(seen) == 7


def test_a_birth_and_a_prune_recompile_nothing_of_the_whole() -> None:
    model = network("whole", fullgraph=True)
    step(model, Shadow(interval=1))
    with torch.compiler.set_stance("fail_on_recompile"):
        slot = grow(model, "blocks.0", Stage.GERMINATED)
        model.train()(X)
        slot.move(Event.TRAIN)
        model(X)
        slot.move(Event.PRUNE)
        step(model, Shadow(interval=1))


@pytest.mark.parametrize("scope", SCOPES)
def test_what_a_seed_computes_is_in_a_graph(scope: Any) -> None:
    graphs, backend = watched()
    model = network()
    compile_in_place(model, Compile("default", scope, backend=backend))
    model(X)
    before = len(graphs)
    grow(model, "blocks.0", Stage.BLENDING, alpha=0.5)
    model(X)
    calls = [str(node.target) for graph in graphs[before:] for node in graph.graph.nodes]
    assert any("lerp" in call for call in calls) == (scope == "whole")
    assert sum("linear" in call for call in calls) >= 1


@pytest.mark.parametrize("scope", SCOPES)
def test_a_compiled_network_is_copied_pickled_and_ungrafted_as_an_eager_one(scope: str) -> None:
    model = network(scope)
    bare = copy.deepcopy(model.host)
    ungraft(graft(bare, [], X))
    grow(model, "blocks.0", Stage.FOSSILIZED)
    out = model(X)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(X), out)
    host = ungraft(model)
    assert not torch.equal(host(X), out)
    assert torch.equal(host(X), ungraft(network())(X))


class Steps(nn.Sequential):
    """A Sequential under another name, as many hosts have it."""


def linear() -> nn.Module:
    return nn.Linear(5, 5)


class Nested(nn.Module):
    """Sites that torch's own ``compile`` passes over, and one inside another: (N, 5) to (N, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = linear()
        self.stages = nn.Sequential(Steps(linear(), nn.Tanh()), Steps(linear(), nn.ReLU()))
        self.head = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(x)))


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        (["stages.0"], ["stages.0", "stages.1"]),  # what stands beside it and is like it
        (["stages.0", "stages.1"], ["stages.0", "stages.1"]),
        (["stages.0", "stages.0.0"], ["stages.1", "stages.0.0"]),  # not what is around another
        (["stem"], ["stem", "head"]),
    ],
)
def test_blocks_are_the_sites_and_their_like(sites: list[str], expected: list[str]) -> None:
    host = Nested()
    assert blocks(graft(host, sites, X)) == [host.get_submodule(name) for name in expected]


@pytest.mark.parametrize("scope", SCOPES)
def test_sites_of_torchs_own_classes_are_compiled_as_well(scope: Any) -> None:
    graphs, backend = watched()
    model = graft(Nested(), ["stages.*"], X)
    expected = model(X)
    compile_in_place(model, Compile("default", scope, fullgraph=True, backend=backend))
    assert torch.equal(model(X), expected)
    assert len(graphs) == {"whole": 1, "blocks": 2}[scope]


def test_a_module_whose_forward_was_replaced_is_refused() -> None:
    model = network()
    model.host.blocks[0].forward = lambda x: x  # type: ignore[union-attr,operator]
    with pytest.raises(ValueError, match="a Wrapped has a forward of its own instance"):
        compile_in_place(model, Compile("default", backend="aot_eager"))


def watched() -> tuple[list[torch.fx.GraphModule], Any]:
    """A backend that keeps what it was given, and where it keeps it."""
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    return graphs, backend


@pytest.mark.parametrize("incubation", [Shadow(interval=1), StraightThrough(ridge=0.1)])
def test_a_structure_seen_before_is_not_compiled_again(incubation: Incubation) -> None:
    model = network("blocks", fullgraph=True, listens=incubation.listens)
    lives(model, incubation, "Add")
    for slot in model.at(Stage.FOSSILIZED):
        slot.seed = None  # the same host once more, with other weights to come
        slot.restore(Stage.DORMANT, age=0, births=slot.births)
    with torch.compiler.set_stance("fail_on_recompile"):
        for _ in range(3):
            lives(model, incubation, "Gate")
            for slot in model.at(Stage.FOSSILIZED):
                slot.seed = None
                slot.restore(Stage.DORMANT, age=0, births=slot.births)


@pytest.mark.parametrize("isolate", [False, True])
def test_a_seed_costs_few_graphs_in_its_whole_life_and_the_host_none(isolate: bool) -> None:
    graphs, backend = watched()
    model = network(isolate=isolate)
    compile_in_place(model, Compile("default", "blocks", fullgraph=True, backend=backend))
    slot = germinate(model, "blocks.0", blueprint=recipe(Plain), operator=operator(), run_seed=0)
    slot.move(Event.TRAIN)
    step(model, Shadow(interval=1))
    # the host: its first block and those above it in training, below and above the seed in the
    # shadow pass, in evaluation; the seed: behind the host, and in evaluation
    assert len(graphs) == 5 + 2
    slot.move(Event.BLEND, Ramp(ticks=1))
    step(model, Shadow(interval=1))
    slot.move(Event.HOLD)
    step(model, Shadow(interval=1))
    assert len(graphs) == 5 + (2 if isolate else 3)  # where its input asks for a gradient
    slot.move(Event.FOSSILIZE)
    step(model, Shadow(interval=1))
    assert len(graphs) == 5 + 3


def test_a_limit_that_is_reached_is_said_aloud() -> None:
    model = network()
    compile_in_place(model, Compile("default", "whole", dynamic=False, backend="aot_eager"))
    with torch._dynamo.config.patch(accumulated_recompile_limit=1):
        model(fixed(2, 5))
        with pytest.raises(RecompileLimit, match="reached its limit of graphs for Container"):
            model(fixed(3, 5))


def test_one_graph_and_straight_through_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="straight-through incubation breaks the graph"):
        network("whole", fullgraph=True, listens=True)


def test_off_compiles_nothing() -> None:
    model = network()
    compile_in_place(model, Compile("off", backend="no such backend"))
    with torch.compiler.set_stance("fail_on_recompile"):
        model(X)


@pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="inductor needs a C++ compiler"
)
def test_inductor_computes_the_same() -> None:
    eager, compiled = network(), network()
    compile_in_place(compiled, Compile("default", "whole", fullgraph=True))
    for model in (eager, compiled):
        grow(model, "blocks.0", Stage.BLENDING, blend="Gate", alpha=0.3)
        lossy(model(X)).backward()
    for name, parameter in eager.named_parameters():
        torch.testing.assert_close(compiled.get_parameter(name).grad, parameter.grad)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@pytest.mark.parametrize("scope", SCOPES)
def test_cuda_graphs_stay_right_while_alpha_moves(scope: Any) -> None:
    losses = []
    for mode in ("off", "reduce-overhead"):
        torch.manual_seed(0)
        model = grafted(Container("tuple")).cuda()
        compile_in_place(model, Compile(mode, scope))  # type: ignore[arg-type]
        slot = grow(model, "blocks.0", Stage.TRAINING)
        slot.move(Event.BLEND, Ramp("linear", ticks=6))
        address, seen = slot.alpha.data_ptr(), []
        while not slot.advance():
            for _ in range(4):  # graphs are recorded in the third pass
                loss = lossy(model(X.cuda()))
                loss.backward()
                seen.append(loss.item())
        assert slot.alpha.data_ptr() == address
        losses.append(seen)
    torch.testing.assert_close(losses[1], losses[0])
