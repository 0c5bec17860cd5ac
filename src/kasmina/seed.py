"""A seed: the body that a blueprint built, and the operator that blends it with the host."""

from torch import Tensor, nn

from kasmina.recipe import Recipe


class Seed(nn.Module):
    """What lives in a slot.

    Args:
        body: the blueprint's module; features in, features of the same shape out.
        blend: operator of (host features, seed features, alpha).
        blueprint: the recipe of ``body``.
        operator: the recipe of ``blend``.
    """

    def __init__(
        self, body: nn.Module, blend: nn.Module, *, blueprint: Recipe, operator: Recipe
    ) -> None:
        super().__init__()
        self.body = body
        self.blend = blend
        self.blueprint = blueprint
        self.operator = operator
        self._trainable = {name for name, p in self.named_parameters() if p.requires_grad}

    def grown(self, h: Tensor) -> Tensor:
        """The body's own output, nothing of the host mixed in."""
        out: Tensor = self.body(h)
        return out

    def forward(self, h: Tensor, alpha: Tensor) -> Tensor:
        """The blend of h and the body's output. Shape: as h; alpha 0-d."""
        out: Tensor = self.blend(h, self.grown(h), alpha)
        return out

    def wake(self, awake: bool) -> None:
        """Ask for gradients or not; what the blueprint froze stays frozen."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(awake and name in self._trainable)

    @property
    def num_parameters(self) -> int:
        """Counted over body and operator."""
        return sum(parameter.numel() for parameter in self.parameters())
