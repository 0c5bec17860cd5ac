"""The natural expansion score: the gradient measured by the curvature of what the model says."""

import torch
from torch import Tensor

from kasmina.probe.evidence import Curvature, Evidence, Layer, Reads


class Natural:
    """g^T (F + damping)^-1 g, twice what the best step along the natural gradient takes off.

    Mitchell et al. 2023, "Self-Expanding Neural Networks", https://arxiv.org/abs/2307.04526. F is
    the empirical Fisher matrix of the output weights, a block a layer, from the same samples as g.

    A linear map or a convolution has the Kronecker factors A = E[sum_t a a^T] of its inputs and
    S = E[mean_t s s^T] of the gradients of its outputs (t pixels or tokens; Martens & Grosse 2015,
    https://arxiv.org/abs/1503.05671, and Grosse & Martens 2016, https://arxiv.org/abs/1602.01407),
    so that the score is tr(S^-1 M A^-1 M^T) with M = E[G phi^T]. Anything else, such as a factor
    for each channel, has the diagonal of F.

    Args:
        damping: above 0, as a share of F's mean eigenvalue; sqrt(damping) of the mean eigenvalue
            of each Kronecker factor.

    Raises:
        ValueError: no damping.
    """

    reads: Reads = "curvature"

    def __init__(self, *, damping: float = 1e-3) -> None:
        if not damping > 0:
            raise ValueError(f"natural's damping is above 0, not {damping}")
        self.damping = damping

    def score(self, seen: Evidence) -> Tensor:
        """The sum over layers of g^T (F + damping)^-1 g."""
        parts = [self._of(layer) for layer in seen.layers]
        return torch.stack(parts).sum(0)

    def _of(self, layer: Layer) -> Tensor:
        curvature = layer.curvature
        assert curvature is not None, "natural reads curvature"
        if curvature.inputs is None or curvature.outputs is None:
            return self._diagonal(layer, curvature)
        map_ = layer.matrix().double()
        roots = [self._root(each) for each in (curvature.outputs, curvature.inputs)]
        # ||Ls^-1 M La^-T||^2 is the trace, with S = Ls Ls^T and A = La La^T
        half = torch.linalg.solve_triangular(roots[0], map_, upper=False)
        whole = torch.linalg.solve_triangular(roots[1].mT, half, upper=True, left=False)
        out: Tensor = whole.square().sum((1, 2))
        return out

    def _root(self, factor: Tensor) -> Tensor:
        """The lower Cholesky factor of a Kronecker factor, damped."""
        factor = factor.double()
        mean = factor.diagonal().mean().clamp_min(torch.finfo(torch.float32).tiny)
        damped = factor + self.damping**0.5 * mean * torch.eye(len(factor)).to(factor)
        out: Tensor = torch.linalg.cholesky(damped)
        return out

    def _diagonal(self, layer: Layer, curvature: Curvature) -> Tensor:
        pairs = [(g, curvature.squares[name]) for name, g in layer.gradients.items()]
        gradient = torch.cat([g.double().flatten(1) for g, _ in pairs], dim=1)
        squares = torch.cat([square.double().flatten() for _, square in pairs])
        mean = squares.mean().clamp_min(torch.finfo(torch.float32).tiny)
        return (gradient.square() / (squares + self.damping * mean)).sum(1)
