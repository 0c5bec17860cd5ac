"""A multilayer perceptron. Shapes: N batch, F features, K classes."""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from kasmina.suggest import unknown

Activation = Literal["relu", "gelu", "silu", "tanh"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class MLP(nn.Module):
    """Classifier of flattened inputs; sites are ``input`` and the hidden layers ``layers.0``, ...

    Args:
        in_features: F, the product of one sample's shape.
        num_classes: K.
        widths: features of each hidden layer; a hidden layer is a linear map and an activation.
        activation: ``relu``, ``gelu``, ``silu`` or ``tanh``.

    Shape:
        (N, ...) with F values a sample, to (N, K).

    Raises:
        ValueError: no hidden layer, or an unknown activation.
    """

    def __init__(
        self,
        *,
        in_features: int,
        num_classes: int,
        widths: Sequence[int] = (32, 32),
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        if activation not in get_args(Activation):
            raise ValueError(unknown("activation", activation, get_args(Activation)))
        if not widths or min(widths) < 1:
            raise ValueError(f"an MLP has at least one hidden layer, not widths {list(widths)}")
        self.input = nn.Flatten()
        ins = [in_features, *widths[:-1]]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(i, o), _ACTIVATIONS[activation]())
            for i, o in zip(ins, widths, strict=True)
        )
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.input(x)
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.head(x)
        return out
