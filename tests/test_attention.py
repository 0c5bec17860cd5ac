"""Every backend computes what the formula says, from one layout of parameters."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from kasmina.attention import BACKENDS, SelfAttention, attend, require, runnable

CONF = Path(__file__).parents[1] / "conf" / "attention"
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
# largest error against float64, as a share of the largest value
TOLERANCE = {torch.float32: 5e-6, torch.bfloat16: 2e-2}
# largest difference to math in the same dtype, as a share of the largest value
AGREEMENT = {torch.float32: 1e-6, torch.bfloat16: 1e-2}

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")


def qkv() -> tuple[Tensor, ...]:
    """Three (B, H, T, D) views of one projection, as a network has them."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 24, 3, 4, 16, generator=draw, dtype=torch.float64)
    return x.transpose(1, 3).unbind(2)


def by_the_formula(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
    return scores.softmax(-1) @ v


def error(came: Tensor, expected: Tensor) -> float:
    return ((came.double().cpu() - expected).abs().max() / expected.abs().max()).item()


def skip_unless_runnable(
    backend: str, device: str, *, training: bool, dtype: torch.dtype = torch.float32
) -> None:
    reason = runnable(device, training=training, dtype=dtype)[backend]
    if reason is not None:
        pytest.skip(f"{backend} on {device}: {reason}")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_computes_the_formula(
    backend: str, dtype: torch.dtype, causal: bool, device: str
) -> None:
    skip_unless_runnable(backend, device, training=False, dtype=dtype)
    q, k, v = qkv()
    with torch.no_grad():
        came = attend(*(x.to(device, dtype) for x in (q, k, v)), backend=backend, causal=causal)
    assert came.dtype == dtype
    assert error(came, by_the_formula(q, k, v, causal=causal)) <= TOLERANCE[dtype]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_has_the_formulas_gradients(
    backend: str, dtype: torch.dtype, causal: bool, device: str
) -> None:
    skip_unless_runnable(backend, device, training=True, dtype=dtype)
    exact, rounded = (
        [x.detach().to(device_, dtype_).requires_grad_() for x in qkv()]
        for device_, dtype_ in (("cpu", torch.float64), (device, dtype))
    )
    by_the_formula(*exact, causal=causal).square().sum().backward()
    attend(*rounded, backend=backend, causal=causal).square().sum().backward()
    for one, other in zip(rounded, exact, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert error(one.grad, other.grad) <= TOLERANCE[dtype]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_causal_token_does_not_see_later_ones(backend: str) -> None:
    skip_unless_runnable(backend, "cpu", training=False)
    attention, x = SelfAttention(32, 4, backend=backend), torch.randn(2, 9, 32)
    changed = x.clone()
    changed[:, 5:] += 1
    with torch.no_grad():
        same = attention(x) == attention(changed)
    assert same[:, :5].all()
    assert not same[:, 5:].all(-1).any()


@pytest.mark.parametrize(("saved", "loaded"), list(product(BACKENDS, BACKENDS)))
def test_weights_move_between_all_backends(saved: str, loaded: str) -> None:
    one, other = SelfAttention(32, 4, backend=saved), SelfAttention(32, 4, backend=loaded)
    assert list(one.state_dict()) == list(other.state_dict())
    other.load_state_dict(one.state_dict(), strict=True)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", AGREEMENT)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_agrees_with_math(
    backend: str, dtype: torch.dtype, training: bool, how: str, device: str
) -> None:
    skip_unless_runnable(backend, device, training=training, dtype=dtype)
    other = SelfAttention(32, 4, backend=backend).to(device, dtype)
    math = SelfAttention(32, 4, backend="math").to(device, dtype)
    other.load_state_dict(math.state_dict(), strict=True)
    x = torch.randn(2, 9, 32, device=device, dtype=dtype, requires_grad=training)
    if how == "compiled":
        torch.compiler.reset()  # one function has room for few graphs
        other.compile(fullgraph=True, backend="aot_eager")
    with torch.set_grad_enabled(training):
        expected, came = math(x), other(x)
    assert error(came, expected.double().cpu()) <= AGREEMENT[dtype]
    if training:
        pairs = zip(gradients(other, came, x), gradients(math, expected, x), strict=True)
        assert max(error(one, two.double().cpu()) for one, two in pairs) <= AGREEMENT[dtype]


def gradients(attention: SelfAttention, out: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(out.square().sum(), [x, *attention.parameters()])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_heads_merge_without_a_copy_where_the_backends_layout_allows(
    backend: str, device: str
) -> None:
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    skip_unless_runnable(backend, device, training=False, dtype=dtype)
    attention = SelfAttention(32, 4, backend=backend).to(device, dtype)
    x, met = torch.randn(2, 9, 32, device=device, dtype=dtype), []
    attention.proj.register_forward_pre_hook(lambda _, inputs: met.append(inputs[0]))
    with torch.no_grad():
        q, k, v = attention.qkv(x).unflatten(-1, (3, 4, -1)).transpose(1, 3).unbind(2)
        alone = clones(lambda: attend(q, k, v, backend=backend, causal=True))
        copies = clones(lambda: attention(x)) - alone
    assert met[0].is_contiguous()
    if device == "cpu":
        assert copies == (backend == "math")
    elif backend in {"auto", "flash", "efficient", "cudnn"}:
        assert copies == 0


def clones(call: Callable[[], Tensor]) -> int:
    call()  # what is compiled or probed once is not counted
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as seen:
        call()
    return sum(event.name == "aten::clone" for event in seen.events() or ())


def test_attention_takes_any_number_of_tokens_and_heads() -> None:
    for heads, tokens in product([1, 2, 4, 8], [1, 2, 7]):
        assert SelfAttention(32, heads)(torch.randn(3, tokens, 32)).shape == (3, tokens, 32)


def test_dropout_works_in_training_only() -> None:
    attention, x = SelfAttention(32, 4, dropout=0.5), torch.randn(2, 9, 32)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    assert torch.equal(attention(x), attention(x))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_heads": 5}, "5 heads do not divide a width of 32"),
        ({"num_heads": 0}, "0 heads do not divide a width of 32"),
        ({"backend": "flesh"}, "unknown attention backend 'flesh'; did you mean 'flash'?"),
        ({"dropout": 1.0}, "a probability in [0, 1), not 1.0"),
        ({"backend": "flex", "dropout": 0.1}, "the flex backend has no dropout"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the text is compared below
        SelfAttention(**{"width": 32, "num_heads": 4, **options})  # type: ignore[arg-type]
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("training", [True, False])
def test_a_cpu_runs_what_torch_has_for_it_and_says_why_not_the_rest(training: bool) -> None:
    reasons = runnable("cpu", training=training)
    assert tuple(reasons) == BACKENDS
    assert reasons["auto"] is reasons["math"] is None
    assert "no such kernel" in str(reasons["cudnn"])
    assert (reasons["flex"] is None) != training
    assert all("\n" not in reason for reason in reasons.values() if reason)


def test_a_backend_that_cannot_run_raises_with_those_that_can() -> None:
    able = ", ".join(n for n, reason in runnable("cpu", training=True).items() if reason is None)
    with pytest.raises(ValueError, match=f"'cudnn' cannot train on cpu: .*; these can: {able}"):
        require("cudnn", "cpu", training=True)
    x = torch.randn(2, 9, 32)
    for backend in ("cudnn", "flex"):
        with pytest.raises(ValueError, match=f"{backend!r} cannot train on cpu: .* {able}"):
            SelfAttention(32, 4, backend=backend)(x)


def test_an_unknown_backend_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="'mth'; did you mean 'math'"):
        require("mth", "cpu", training=False)
    q, k, v = qkv()
    with pytest.raises(ValueError, match="'mth'; did you mean 'math'"):
        attend(q, k, v, backend="mth", causal=True)


def test_an_error_that_is_not_the_backends_stays_what_it_is() -> None:
    q, k, v = qkv()
    with pytest.raises(RuntimeError, match=r"size|shape"):
        attend(q, k[..., :-1], v, backend="math", causal=True)


@pytest.mark.skipif("cuda" in DEVICES, reason="there is a GPU")
def test_an_absent_device_runs_nothing_and_says_so() -> None:
    with pytest.raises(ValueError, match=r"cannot run on cuda: .*CUDA.*; these can: none"):
        require("math", "cuda", training=False)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("mode", "dtype"),  # another dtype each time: an answer is kept, and this is about asking
    [
        (torch.no_grad, torch.float32),
        (torch.enable_grad, torch.float64),
        (torch.inference_mode, torch.bfloat16),
    ],
)
def test_asking_leaves_modes_and_random_state_alone(
    mode: type, dtype: torch.dtype, training: bool
) -> None:
    state = torch.get_rng_state()
    with mode():
        grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        reasons = runnable("cpu", training=training, dtype=dtype, dropout_p=0.1)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == (grad, inference)
    assert reasons["math"] is None
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)


def test_each_backend_has_a_config_of_its_name() -> None:
    configs = {path.stem: OmegaConf.load(path) for path in CONF.glob("*.yaml")}
    assert configs == {name: {"backend": name} for name in BACKENDS}
