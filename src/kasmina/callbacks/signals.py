"""Signals that ask a run to stop or to save, noted until it is at a place it can go on from."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from lightning import Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

STOPS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Stands between the process and Lightning's handlers while a network trains.

    Lightning stops where it is: inside a window of gradient accumulation, in the middle of a
    validation, on one rank alone; and SLURM's requeue signal makes it save inside an optimizer
    step. A second Ctrl-C is not kept waiting.

    Attributes:
        stop: the signal that asks this run to stop, once all ranks know of it.
        requeue: SLURM asks for a save and another place in its queue, once all ranks know of it.
    """

    def __init__(self) -> None:
        self.stop: int | None = None
        self.requeue = False
        self._heard: set[int] = set()
        self._queue_again: tuple[int, Callable[..., Any]] | None = None

    def install(self, trainer: Trainer) -> None:
        """Hear the signals from now on; Lightning puts its handlers back when training ends."""
        self.stop, self.requeue = None, False
        self._heard.clear()
        if threading.current_thread() is not threading.main_thread():
            return  # signals are the main thread's
        for number in STOPS:
            signal.signal(number, self._note)
        environment = trainer._accelerator_connector.cluster_environment
        if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
            number = environment.requeue_signal or signal.SIGUSR1
            handler = signal.getsignal(number)
            if callable(handler):
                self._queue_again = number, handler
                signal.signal(number, self._note)

    def look(self, trainer: Trainer) -> bool:
        """Whether any rank has heard anything; every rank has to look at the same place."""
        heard = self._any(trainer, bool(self._heard))
        if heard:
            others = self._any(trainer, bool(self._heard & set(STOPS)))
            mine = next((number for number in STOPS if number in self._heard), signal.SIGTERM)
            self.stop = mine if others else None
            self.requeue = self._any(trainer, bool(self._heard - set(STOPS)))
            self._heard.clear()
        return heard

    def obey(self) -> None:
        """Do what was asked for, once all is saved.

        Raises:
            KeyboardInterrupt: Ctrl-C.
            SIGTERMException: SIGTERM, or a signal to another rank.
        """
        if self.requeue and self._queue_again is not None:
            number, handler = self._queue_again
            self.requeue = False
            handler(number, None)  # Lightning's: saves once more, and queues the job
        if self.stop == signal.SIGINT:
            raise KeyboardInterrupt
        if self.stop is not None:
            raise SIGTERMException

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in self._heard:
            raise KeyboardInterrupt
        self._heard.add(number)

    def _any(self, trainer: Trainer, mine: bool) -> bool:
        if trainer.world_size == 1:
            return mine
        return trainer.strategy.reduce_boolean_decision(mine, all=False)
