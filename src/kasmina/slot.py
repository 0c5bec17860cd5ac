"""The slot: holds a seed, its stage and its alpha, and decides what flows through.

``forward`` branches on ``route``, a plain string that changes only with the stage: a traced
comparison of enums runs a stale branch (torch 2.13). It asks for the route first, so that a birth
recompiles nothing. Alpha is a 0-d buffer that is filled in place between steps, so that no graph
depends on its value.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kasmina.blend import Add, host_value, seed_value
from kasmina.ramp import Ramp
from kasmina.rng import undisturbed
from kasmina.seed import Seed
from kasmina.site import Site
from kasmina.stage import Event, Stage, after


class SeedSlot(nn.Module):
    """A place for one seed.

    Args:
        site: where the slot sits and what passes there.
        listens: a seed in training hears the loss in the main pass (straight-through incubation).
        isolate: while a seed blends and holds, its input is detached, and the host's gradient
            through the slot stays that of no seed.
    """

    alpha: Tensor

    def __init__(self, site: Site, *, listens: bool = False, isolate: bool = False) -> None:
        super().__init__()
        self.site = site
        self.listens = listens
        self.isolate = isolate
        self.births = 0
        self.seed: Seed | None = None
        self.ramp: Ramp | None = None
        self.penalty: Tensor | None = None
        self.register_buffer("alpha", torch.zeros(()), persistent=False)
        self._enter(Stage.DORMANT)

    def germinate(self, seed: Seed) -> None:
        """Take a newborn.

        Raises:
            IllegalMove: the slot is not dormant; nothing has changed.
        """
        stage = after(self.stage, Event.GERMINATE)
        self.seed = seed.train(self.training)
        self.births += 1
        self._enter(stage)

    def move(self, event: Event, ramp: Ramp | None = None) -> None:
        """Every move but germination; ``blend`` takes the ramp that alpha follows from here.

        Raises:
            IllegalMove: the present stage does not hear the event; nothing has changed.
        """
        assert event is not Event.GERMINATE, "a newborn comes through germinate()"
        assert (event is Event.BLEND) == (ramp is not None), "blend, and only blend, takes a ramp"
        stage = after(self.stage, event)
        if event is Event.PRUNE:
            self.seed = self.penalty = None
            self.set_ramp(None)
        if ramp is not None:
            self.set_ramp(ramp.next())
        self._enter(stage)

    def advance(self) -> bool:
        """A blending alpha moves by one tick. True when it has arrived."""
        if self.stage is not Stage.BLENDING or self.ramp is None:
            return False
        self.set_ramp(self.ramp.next())
        return self.ramp.arrived

    def set_ramp(self, ramp: Ramp | None) -> None:
        """Follow ``ramp`` from where it stands. Only between steps: backward checks alpha."""
        self.ramp = ramp
        with torch.no_grad():
            self.alpha.fill_(self.exact_alpha)

    @property
    def exact_alpha(self) -> float:
        """Alpha as the ramp has it; the buffer rounds where the host is not float32."""
        return 0.0 if self.ramp is None else self.ramp.alpha

    def restore(self, stage: Stage, *, age: int, births: int) -> None:
        """Stand where a saved slot stood; its seed and its ramp are already here."""
        self._enter(stage)
        self.age, self.births = age, births

    def forward(self, h: Tensor) -> Tensor:
        """Shape: the site's features in, the same out."""
        if self.route == "host" or self.seed is None:
            return h
        if self.route == "blend":
            out: Tensor = self.seed(h, self.alpha)
            return out
        if self.route == "seed":
            return self.seed.grown(h).to(h.dtype)
        if self.route == "isolate":
            return seed_value(h, self.seed(h.detach(), self.alpha))
        if self.route == "listen" and self.training:
            return self._listen(h, self.seed)
        return h

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        return {**state, "penalty": None}  # it hangs on the graph of a pass, which has no copy

    def _listen(self, h: Tensor, seed: Seed) -> Tensor:
        still = h.detach()
        with undisturbed(h.device):
            mixed = seed(still, torch.ones_like(self.alpha))
        power = still.float().square().mean().clamp_min(1e-12)
        self.penalty = F.mse_loss(mixed.float(), still.float()) / power
        return host_value(h, mixed)

    def _enter(self, stage: Stage) -> None:
        self.stage, self.age, self.route = stage, 0, self._route(stage)
        if self.seed is not None:
            # DDP waits for the gradient of every parameter that asks for one
            self.seed.wake(stage is not Stage.GERMINATED)

    def _route(self, stage: Stage) -> str:
        if stage is Stage.TRAINING:
            return "listen" if self.listens else "host"
        if stage in {Stage.BLENDING, Stage.HOLDING}:
            return "isolate" if self.isolate else "blend"
        if stage is Stage.FOSSILIZED:
            # a lerp at alpha 1 is the seed itself, at the cost of a network written by hand
            plain = self.exact_alpha == 1.0 and self.seed and isinstance(self.seed.blend, Add)
            return "seed" if plain else "blend"
        return "host"
