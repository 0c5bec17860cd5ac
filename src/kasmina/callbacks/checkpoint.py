"""Checkpoints that stay with their run's folder."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint

_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class RunCheckpoint(ModelCheckpoint):
    """Lightning's, for a folder that may have been moved before its run is resumed.

    Lightning keeps whole paths, and forgets the best score where they have changed: the next
    checkpoint would count as the best one, and overwrite it.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the scores, and look for the files in the folder of now."""
        moved = {key: self._here(state_dict[key]) for key in _PATHS}
        models = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        here = {"dirpath": self.dirpath, "best_k_models": models}
        super().load_state_dict({**state_dict, **moved, **here})

    def _here(self, path: str) -> str:
        return str(Path(self.dirpath or "") / Path(path).name) if path else ""
