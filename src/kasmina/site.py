"""What a slot transforms: the output of one named submodule of a host."""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["map", "sequence", "vector"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_KIND_OF_RANK: dict[int, Kind] = {4: "map", 3: "sequence", 2: "vector"}


@dataclass(frozen=True)
class Site:
    """A place in a host and the features that pass there.

    Args:
        name: the submodule's dotted name, e.g. ``stages.1``.
        kind: ``map`` (N, C, H, W), ``sequence`` (N, T, C) or ``vector`` (N, C).
        width: C, the number of channels or features.
        shape: one sample's shape, without the batch axis, as the example had it.
    """

    name: str
    kind: Kind
    width: int
    shape: tuple[int, ...]

    @classmethod
    def of(cls, name: str, features: tuple[int, ...]) -> "Site":
        """Infer kind and width from the shape of a batch of features.

        Raises:
            ValueError: the features are of no kind that a slot can transform.
        """
        kind = _KIND_OF_RANK.get(len(features))
        if kind is None:
            raise ValueError(
                f"site {name!r} puts out {tuple(features)}; a slot takes "
                "(N, C, H, W), (N, T, C) or (N, C)"
            )
        width = features[1] if kind == "map" else features[-1]
        return cls(name, kind, width, tuple(features[1:]))
