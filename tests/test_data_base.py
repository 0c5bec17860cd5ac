"""What all data modules share, seen through small ones and through a trainer."""

from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from kasmina.data.base import DataModule, Split, check, image_facts
from kasmina.data.digits import Digits
from kasmina.data.order import EpochBatches
from kasmina.data.samples import Batch, Samples
from kasmina.data.stdlib_text import StdlibText
from kasmina.data.synthetic import Synthetic, SyntheticTokens

MODULES = {
    "digits": lambda: Digits(),
    "stdlib_text": lambda: StdlibText(batches_per_epoch=3),
    "synthetic": lambda: Synthetic(in_features=6, train_size=40, val_size=20, test_size=20),
    "synthetic_tokens": lambda: SyntheticTokens(train_size=40, val_size=20, test_size=20),
}
every_module = pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
quiet = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",  # the data lies in memory
    "ignore:.*LeafSpec.*is deprecated:FutureWarning",  # lightning's own call of torch
)


class Bytes(DataModule):
    """Ten bytes, normalised to fractions of 255."""

    def load(self, split: Split) -> Samples:
        inputs = torch.arange(10, dtype=torch.uint8)[:, None] + (100 if split == "test" else 0)
        return Samples(inputs, torch.arange(10))

    def normalise(self, batch: Batch) -> Batch:
        return batch[0] / 255, batch[1]


class Listener(L.LightningModule):
    """Writes down what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.heard: dict[str, list[tuple[int, list[int]]]] = {"fit": [], "validate": [], "test": []}
        self.dtypes: set[torch.dtype] = set()

    def _hear(self, stage: str, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, targets = batch
        self.dtypes.add(inputs.dtype)
        self.heard[stage].append((self.current_epoch, targets.tolist()))
        return self.layer(inputs).sum()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._hear("fit", batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._hear("validate", batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._hear("test", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def trainer(**options: object) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        **options,
    )


@every_module
@pytest.mark.parametrize("stage", ["fit", "validate", "predict", None])
def test_the_test_split_is_not_there_before_setup_test(make: Any, stage: str | None) -> None:
    data = make()
    data.setup(stage)
    with pytest.raises(LookupError, match=r"test split is not loaded; setup\('test'\) loads it"):
        data.test_dataloader()
    data.setup("test")
    assert len(data.test_dataloader()) > 0


@every_module
def test_setup_test_loads_the_test_split_alone(make: Any) -> None:
    data = make()
    data.setup("test")
    with pytest.raises(LookupError, match=r"setup\('fit'\)"):
        data.train_dataloader()
    with pytest.raises(LookupError, match=r"setup\('fit'\)"):
        data.val_dataloader()


@every_module
def test_the_splits_are_the_same_whatever_the_order_seed(make: Any) -> None:
    one, two = make(), make()
    two.seed = 5
    torch.manual_seed(5)
    for stage in ("fit", "test"):
        one.setup(stage)
        two.setup(stage)
    for split in ("train", "val", "test"):
        rows = torch.arange(len(one.dataset(split)))[:50]
        for mine, its in zip(one.dataset(split)[rows], two.dataset(split)[rows], strict=True):
            assert torch.equal(mine, its)


@every_module
def test_evaluation_sees_every_sample_once_in_the_dataset_s_order(make: Any) -> None:
    data = make()
    data.setup("fit")
    seen = torch.cat([targets for _, targets in data.val_dataloader()])
    assert torch.equal(seen, data.dataset("val")[torch.arange(len(data.dataset("val")))][1])


@every_module
def test_walking_a_loader_leaves_the_global_generator_alone(make: Any) -> None:
    data = make()
    data.setup("fit")
    before = torch.get_rng_state()
    for loader in (data.train_dataloader(), data.val_dataloader()):
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)


@every_module
def test_an_example_is_a_small_training_batch(make: Any) -> None:
    data = make()
    inputs, targets = data.example()
    first, _ = data.normalise(data.dataset("train")[torch.arange(2)])
    assert torch.equal(inputs, first)
    assert len(targets) == 2


def test_a_missing_file_stops_setup() -> None:
    class Gone(Bytes):
        def missing(self) -> str:
            return "no file here"

    with pytest.raises(OSError, match="no file here"):
        Gone(batch_size=2, seed=0).setup("fit")


@quiet
def test_a_trainer_walks_the_order_of_each_epoch() -> None:
    data, model = Bytes(batch_size=4, seed=3), Listener()
    trainer(max_epochs=3).fit(model, data)
    order = EpochBatches(10, 4, seed=3)
    expected = []
    for epoch in range(3):
        order.set_epoch(epoch)
        expected += [(epoch, batch.tolist()) for batch in order]
    assert model.heard["fit"] == expected
    assert model.heard["validate"][:3] == [(0, [0, 1, 2, 3]), (0, [4, 5, 6, 7]), (0, [8, 9])]
    assert model.heard["test"] == []
    with pytest.raises(LookupError):
        data.dataset("test")


@quiet
def test_a_trainer_that_overfits_sees_the_same_batches_every_epoch() -> None:
    data, model = Bytes(batch_size=4, seed=3), Listener()
    trainer(max_epochs=3, overfit_batches=2).fit(model, data)
    batches = [batch for _, batch in model.heard["fit"]]
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7]] * 3


@quiet
@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("32-true", torch.float32), ("bf16-true", torch.bfloat16), ("64-true", torch.float64)],
)
def test_a_trainer_gets_normalised_batches_in_its_precision(
    precision: Any, dtype: torch.dtype
) -> None:
    model = Listener()
    runner = trainer(max_epochs=1, precision=precision)
    runner.fit(model, Bytes(batch_size=5, seed=0))
    assert model.dtypes == {dtype}


@quiet
def test_a_trainer_reads_the_test_split_when_it_tests() -> None:
    data, model = Bytes(batch_size=5, seed=0), Listener()
    trainer().test(model, data, verbose=False)
    assert [batch for _, batch in model.heard["test"]] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_what_is_declared_must_be_what_is_found() -> None:
    check("digits", {"a": 1}, {"a": 1, "b": 2})
    with pytest.raises(ValueError, match=r"^data.b came as 3, but digits has b 2$"):
        check("digits", {"a": 1, "b": 3}, {"a": 1, "b": 2})


def test_images_tell_their_facts() -> None:
    targets = torch.tensor([0, 4, 4])
    square = image_facts(torch.zeros(3, 2, 5, 5), targets)
    assert square == {"in_channels": 2, "image_size": 5, "in_features": 50, "num_classes": 2}
    assert image_facts(torch.zeros(3, 2, 5, 4), targets)["image_size"] == [5, 4]
