"""Self-attention: one computation, one parameter layout, the backend a parameter of the call.

Letters: B or N batch, H heads, T tokens, D features per head, C = H * D width.

``math`` is the specification; the other backends compute the same in another order. A backend that
cannot run raises and names those that can: none is swapped in silently. Only ``auto`` leaves the
choice to torch.
"""

import functools
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from kasmina.rng import undisturbed
from kasmina.suggest import unknown

BACKENDS = ("auto", "math", "flash", "efficient", "cudnn", "flex")

_KERNELS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, backend: str, causal: bool, dropout_p: float = 0.0
) -> Tensor:
    """softmax(q k^T / sqrt(D)) v (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762).

    Args:
        q, k, v: queries, keys and values, strided in any way.
        backend: one of ``BACKENDS``.
        causal: token t sees tokens 0..t only.
        dropout_p: probability with which a weight of the softmax is dropped.

    Shape:
        (B, H, T, D) in and out.

    Raises:
        ValueError: no such backend, or it cannot run on these tensors.
    """
    if backend not in BACKENDS:
        raise ValueError(unknown("attention backend", backend, BACKENDS))
    try:
        return _compute(q, k, v, backend=backend, causal=causal, dropout_p=dropout_p)
    except (ImportError, RuntimeError):
        training = torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v))
        require(backend, q.device, training=training, dtype=q.dtype, dropout_p=dropout_p)
        raise  # it does run here: something else went wrong


def _compute(
    q: Tensor, k: Tensor, v: Tensor, *, backend: str, causal: bool, dropout_p: float
) -> Tensor:
    if backend == "flex":
        from kasmina.flex import attend_flex

        return attend_flex(q, k, v, causal=causal, dropout_p=dropout_p)
    if backend == "auto":
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=dropout_p)
    with sdpa_kernel(_KERNELS[backend]):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=dropout_p)


class SelfAttention(nn.Module):
    """Multi-head self-attention: x -> proj(merge(attend(split(qkv(x))))).

    All backends share the parameters ``qkv`` and ``proj``, so that checkpoints move between them.

    Args:
        width: C, the features of a token.
        num_heads: H, a divisor of the width.
        causal: token t sees tokens 0..t only.
        backend: one of ``BACKENDS``.
        dropout: probability with which a weight of the softmax is dropped in training.

    Shape:
        (N, T, C) in and out.

    Raises:
        ValueError: heads that do not divide the width, no such backend, a dropout outside [0, 1),
            or dropout with ``flex``, which has none.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        causal: bool = True,
        backend: str = "auto",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_heads < 1 or width % num_heads:
            raise ValueError(f"{num_heads} heads do not divide a width of {width}")
        if backend not in BACKENDS:
            raise ValueError(unknown("attention backend", backend, BACKENDS))
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"attention dropout is a probability in [0, 1), not {dropout}")
        if backend == "flex" and dropout > 0.0:
            raise ValueError(f"the flex backend has no dropout; it came with {dropout}")
        self.num_heads = num_heads
        self.causal = causal
        self.backend = backend
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        # views of one projection: made contiguous they would be copied, and nobody needs that
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).transpose(1, 3).unbind(2)
        dropout_p = self.dropout if self.training else 0.0
        heads = attend(q, k, v, backend=self.backend, causal=self.causal, dropout_p=dropout_p)
        out: Tensor = self.proj(heads.transpose(1, 2).flatten(2))
        return out

    def extra_repr(self) -> str:
        return f"num_heads={self.num_heads}, causal={self.causal}, backend={self.backend!r}"


def runnable(
    device: torch.device | str,
    *,
    training: bool,
    dtype: torch.dtype = torch.float32,
    dropout_p: float = 0.0,
) -> dict[str, str | None]:
    """For each backend None if it runs on ``device``, or one line that says why it does not.

    Each is tried once per process, on a small input.

    Args:
        device: where to try.
        training: backward as well as forward.
        dtype: of the input; some kernels take half precision only.
        dropout_p: some kernels take no dropout.
    """
    where = str(torch.device(device))
    return {name: _reason(name, where, training, dtype, dropout_p > 0.0) for name in BACKENDS}


def require(
    backend: str,
    device: torch.device | str,
    *,
    training: bool,
    dtype: torch.dtype = torch.float32,
    dropout_p: float = 0.0,
) -> None:
    """Return if ``backend`` runs there; for the arguments see ``runnable``.

    Raises:
        ValueError: no such backend, or it does not run there; the message names those that do.
    """
    if backend not in BACKENDS:
        raise ValueError(unknown("attention backend", backend, BACKENDS))
    reasons = runnable(device, training=training, dtype=dtype, dropout_p=dropout_p)
    if reasons[backend] is not None:
        doing = "train" if training else "run"
        able = ", ".join(name for name, reason in reasons.items() if reason is None) or "none"
        raise ValueError(
            f"attention backend {backend!r} cannot {doing} on {device}: {reasons[backend]}; "
            f"these can: {able}"
        )


@functools.cache
def _reason(
    backend: str, device: str, training: bool, dtype: torch.dtype, dropout: bool
) -> str | None:
    try:
        x = torch.zeros(1, 2, 16, 32, device=device, dtype=dtype)
    except (AssertionError, RuntimeError) as error:  # assertion: torch was built without it
        return _first_line(error)
    try:
        _probe(x, backend=backend, training=training, dropout_p=0.5 if dropout else 0.0)
    except (ImportError, NotImplementedError) as error:
        return _first_line(error)
    except RuntimeError:
        name = str(dtype).removeprefix("torch.")
        return f"torch has no such kernel for {name}{' with dropout' if dropout else ''} there"
    return None


def _probe(x: Tensor, *, backend: str, training: bool, dropout_p: float) -> None:
    # The answer is kept, so nothing of the mode in which the first caller stands may be in it.
    # set_grad_enabled acts when it is built: outside this line it would leak through the others.
    mode, quiet = torch.inference_mode(False), warnings.catch_warnings(action="ignore")
    plain = torch.autocast(x.device.type, enabled=False)
    with undisturbed(x.device), quiet, plain, mode, torch.set_grad_enabled(training):
        x = x.clone().requires_grad_(training)
        out = _compute(x, x, x, backend=backend, causal=True, dropout_p=dropout_p)
        if training:
            torch.autograd.grad(out.sum(), x)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
