"""FlexAttention: one mask a length, made outside of every graph; imported when it is chosen."""

import gc
import os
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.backends.registry import lookup_backend
from torch._subclasses.fake_tensor import FakeTensorMode

import kasmina.flex
from kasmina.attention import attend
from kasmina.blueprints.attention import Attention
from kasmina.flex import MASKS_KEPT, causal_mask
from kasmina.site import Site

CPU = torch.device("cpu")
EXACT_ENOUGH = 1e-6

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")


class Graphs(list[torch.fx.GraphModule]):
    """A compiler backend that keeps the graphs it is given."""

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        self.append(graph)
        return lookup_backend("aot_eager")(graph, inputs)


@pytest.fixture(autouse=True)
def _no_graph_of_another_test() -> None:
    torch.compiler.reset()


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Lengths of the masks that were built, in order."""
    lengths: list[tuple[int, int]] = []
    build = kasmina.flex.create_block_mask

    def counted(mod: Any, batch: None, heads: None, *sizes: int, **where: Any) -> Any:
        lengths.append(sizes)
        return build(mod, batch, heads, *sizes, **where)

    monkeypatch.setattr(kasmina.flex, "create_block_mask", counted)
    return lengths


def flex(x: Tensor) -> Tensor:
    return attend(x, x, x, backend="flex", causal=True)


def is_right(call: Callable[[Tensor], Tensor], *, tokens: int) -> bool:
    x = torch.randn(2, 4, tokens, 16)
    with torch.no_grad():
        difference = call(x) - attend(x, x, x, backend="math", causal=True)
    return bool(difference.abs().max() <= EXACT_ENOUGH)


def test_eager_calls_share_one_mask_a_length(built: list[tuple[int, int]]) -> None:
    assert all(is_right(flex, tokens=tokens) for tokens in (11, 201, 11, 201, 11))
    assert built == [(11, 11), (201, 201)]


@pytest.mark.parametrize(  # masks are kept, so that every test has lengths of its own
    ("dynamic", "lengths"), [(False, (12, 202)), (None, (13, 203, 303)), (True, (14, 204, 304))]
)
def test_compiled_calls_share_one_mask_and_one_graph_a_length(
    built: list[tuple[int, int]], dynamic: bool | None, lengths: tuple[int, ...]
) -> None:
    graphs = Graphs()
    compiled = torch.compile(flex, fullgraph=True, dynamic=dynamic, backend=graphs)
    assert all(is_right(compiled, tokens=tokens) for tokens in lengths)
    num_graphs = len(graphs)
    assert all(is_right(compiled, tokens=tokens) for tokens in lengths * 2)
    assert len(graphs) == num_graphs
    assert built == [(tokens, tokens) for tokens in lengths]


def test_a_graph_holds_the_attention_and_nothing_of_the_mask() -> None:
    graphs = Graphs()
    assert is_right(torch.compile(flex, fullgraph=True, backend=graphs), tokens=9)
    calls = [node.name for node in graphs[0].graph.nodes if node.op.startswith("call")]
    assert calls == ["flex_attention", "out"]  # it returns a tuple, and one is taken from it


def test_eager_and_compiled_calls_share_their_masks(built: list[tuple[int, int]]) -> None:
    assert is_right(flex, tokens=15)
    assert is_right(torch.compile(flex, fullgraph=True, backend="aot_eager"), tokens=15)
    assert built == [(15, 15)]


def test_a_mask_sees_the_past_alone_also_of_more_or_fewer_keys() -> None:
    for queries, keys in [(300, 300), (300, 170), (170, 300)]:
        seen = causal_mask(queries, keys, CPU).to_dense()[0, 0].bool()
        blocks = [[128 * row + 127 >= 128 * column for column in range(3)] for row in range(3)]
        rows, columns = -(-queries // 128), -(-keys // 128)
        assert torch.equal(seen, torch.tensor(blocks)[:rows, :columns])


def test_masks_are_kept_up_to_a_bound_and_a_graph_outlives_its_mask() -> None:
    compiled = torch.compile(flex, fullgraph=True, dynamic=False, backend="aot_eager")
    assert is_right(compiled, tokens=16)
    first = weakref.ref(causal_mask(16, 16, CPU))
    for keys in range(17, 17 + MASKS_KEPT):
        mask = causal_mask(16, keys, CPU)
        assert mask is causal_mask(16, keys, CPU)
    gc.collect()
    assert first() is None
    assert is_right(compiled, tokens=16)


def test_a_mask_made_in_inference_mode_serves_a_backward_later() -> None:
    with torch.inference_mode():
        assert not causal_mask(18, 18, CPU).kv_indices.is_inference()


def test_a_call_on_fake_tensors_leaves_no_mask_behind() -> None:
    with FakeTensorMode(), torch.no_grad():
        assert flex(torch.randn(2, 4, 19, 16)).shape == (2, 4, 19, 16)
    assert is_right(flex, tokens=19)


@pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="inductor needs a C++ compiler"
)
@pytest.mark.filterwarnings("ignore:.*jit:DeprecationWarning")
def test_inductor_computes_what_math_computes() -> None:
    assert is_right(torch.compile(flex, fullgraph=True, dynamic=False), tokens=9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="FlexAttention trains on a GPU only")
@pytest.mark.parametrize("tokens", [64, 200])
def test_on_a_gpu_compiled_gradients_agree_with_math(tokens: int) -> None:
    attention = {name: seed(name).cuda() for name in ("math", "flex")}
    x = torch.randn(2, tokens, 64, device="cuda")
    outs = {name: torch.compile(each, fullgraph=True)(x) for name, each in attention.items()}
    one, other = (
        torch.autograd.grad(outs[name].square().sum(), list(each.parameters()))
        for name, each in attention.items()
    )
    torch.testing.assert_close(other, one, rtol=2e-2, atol=2e-2)  # TF32 within the kernels


def seed(backend: str) -> Attention:
    """A seed that has learned: at birth its projection is 0, and any attention would do."""
    torch.manual_seed(1)
    module = Attention(Site.of("blocks.0", (2, 9, 64)), backend=backend)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module


@pytest.mark.parametrize(("saved", "loaded"), [("flex", "auto"), ("auto", "flex")])
def test_the_flex_seed_and_the_plain_seed_share_computation_and_checkpoint(
    saved: str, loaded: str
) -> None:
    one, other = seed(saved), Attention(Site.of("blocks.0", (2, 9, 64)), backend=loaded)
    other.load_state_dict(one.state_dict(), strict=True)
    x = torch.randn(2, 9, 64)
    with torch.no_grad():
        torch.testing.assert_close(other(x), one(x), rtol=0, atol=1e-5)
        assert not torch.equal(one(x), x)


def in_a_fresh_process(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_flex_is_imported_by_those_who_choose_it() -> None:
    says = in_a_fresh_process("""
import sys, torch
from kasmina.attention import SelfAttention
there = lambda: {"kasmina.flex", "torch.nn.attention.flex_attention"} & set(sys.modules)
SelfAttention(32, 4, backend="auto")(torch.randn(2, 9, 32)).sum().backward()
assert not there(), there()
with torch.no_grad():
    SelfAttention(32, 4, backend="flex")(torch.randn(2, 9, 32))
print(len(there()))
""")
    assert says == "2\n"


def test_without_flex_its_checkpoint_loads_elsewhere_and_the_error_names_where(
    tmp_path: Path,
) -> None:
    with torch.no_grad():
        expected = seed("flex")(torch.ones(2, 9, 64))
    torch.save({"seed": seed("flex").state_dict(), "out": expected}, tmp_path / "seed.pt")
    says = in_a_fresh_process(f"""
import sys
sys.modules["torch.nn.attention.flex_attention"] = None
import torch
from kasmina.blueprints.attention import Attention
from kasmina.site import Site
saved = torch.load({str(tmp_path / "seed.pt")!r}, weights_only=True)
for backend in ("auto", "flex"):
    seed = Attention(Site.of("blocks.0", (2, 9, 64)), backend=backend)
    seed.load_state_dict(saved["seed"], strict=True)
    with torch.no_grad():
        try:
            torch.testing.assert_close(seed(torch.ones(2, 9, 64)), saved["out"])
            print(backend, "runs")
        except ValueError as error:
            print(error)
""")
    runs, refused = says.splitlines()
    assert runs == "auto runs"
    assert "'flex' cannot run on cpu" in refused
    assert "these can: auto, math, flash" in refused
