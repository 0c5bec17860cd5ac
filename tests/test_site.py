"""What passes at a site."""

import pytest

from kasmina.site import KINDS, Kind, Site


@pytest.mark.parametrize(
    ("features", "kind", "width"),
    [((2, 3, 5, 7), "map", 3), ((2, 11, 3), "sequence", 3), ((2, 3), "vector", 3)],
)
def test_kind_and_width_follow_from_the_shape(
    features: tuple[int, ...], kind: Kind, width: int
) -> None:
    assert Site.of("here", features) == Site("here", kind, width, features[1:])
    assert kind in KINDS


@pytest.mark.parametrize("features", [(), (4,), (1, 2, 3, 4, 5)])
def test_other_shapes_are_refused_with_those_that_fit(features: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="site 'here' puts out") as raised:
        Site.of("here", features)
    assert "(N, C, H, W), (N, T, C) or (N, C)" in str(raised.value)
