"""A run in which two seeds have grown, trained once a process, for the tests of attribution."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from runs import VECTORS, run, timeline

from kasmina.attribution import Subject, read_subject
from kasmina.ramp import Ramp
from kasmina.stage import Stage

SITES = ("layers.0", "layers.1")
LIVES = timeline(
    *(
        f"{at} {site} {event}"
        for site in SITES
        for at, event in ((1, "germinate mlp"), (1, "train"))
    ),
    *(f"{at} {site} {event}" for site in SITES for at, event in ((2, "blend"), (5, "fossilize"))),
)
GROWS = (*VECTORS, *LIVES, "controller.pace=null", "ramp.ticks=2", "optimizer.lr=0.03", "threads=1")


@cache
def grown_run() -> Path:
    """Its folder; not to be written into."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return run(folder / "run", *GROWS, "trainer.max_epochs=6", "test=false")


def subject(split: str = "validation") -> Subject:
    """Its network, read anew."""
    return read_subject(grown_run(), split)


def silenced(network: Subject, site: str) -> Subject:
    """The same with a fossilized seed whose alpha is 0."""
    slot = network.module.model.slot(site)
    slot.set_ramp(Ramp(ticks=1, target=0.0).next())
    slot.restore(Stage.FOSSILIZED, age=0, births=1)
    return network


def quiet(done: int, total: int) -> None:
    """Hears of progress."""
