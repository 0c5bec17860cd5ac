"""Random data of any shape, for benchmarks: nothing to read, as many samples as asked for."""

import torch

from kasmina.data.base import DataModule, Split, at_least, check
from kasmina.data.samples import Samples
from kasmina.rng import derive


class Synthetic(DataModule):
    """Normal noise as images or vectors, labelled by a random linear teacher.

    The label is the largest of K random projections: y = argmax_k <w_k, x>.

    Args:
        num_classes: K.
        in_features: values of one sample; checked where the sample is an image.
        in_channels: C of an image; None makes vectors.
        image_size: S, or [H, W], of an image; None makes vectors.
        train_size: samples for training.
        val_size: samples for validation.
        test_size: samples for the test.
        split_seed: of the teacher and of the samples.
        batch_size: samples of one batch on one rank.
        seed: of the order of training batches.
        drop_last: leave out training batches that are not full.
        gate_size: samples of the training split that are held out for gates.
        race_size: the same for races.

    Shape:
        inputs (B, C, H, W) or (B, ``in_features``) float32, targets (B,) int64.

    Raises:
        ValueError: an image that has not ``in_features`` values, half an image's shape, or a split
            without a sample or a batch.
    """

    def __init__(
        self,
        *,
        num_classes: int = 10,
        in_features: int = 3072,
        in_channels: int | None = None,
        image_size: int | list[int] | None = None,
        train_size: int = 2048,
        val_size: int = 512,
        test_size: int = 512,
        split_seed: int = 0,
        batch_size: int = 64,
        seed: int = 0,
        drop_last: bool = False,
        gate_size: int = 0,
        race_size: int = 0,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            seed=seed,
            drop_last=drop_last,
            gate_size=gate_size,
            race_size=race_size,
        )
        at_least(1, num_classes=num_classes, in_features=in_features)
        self.num_classes, self.in_features = num_classes, in_features
        self.shape = _shape(in_features, in_channels, image_size)
        self.sizes = _sizes(train_size, val_size, test_size, batch_size if drop_last else 1)
        self.split_seed = split_seed

    def load(self, split: Split) -> Samples:
        teacher_stream = _stream(self.split_seed, "teacher")
        teacher = torch.randn(self.in_features, self.num_classes, generator=teacher_stream)
        stream = _stream(self.split_seed, split)
        flat = torch.randn(self.sizes[split], self.in_features, generator=stream)
        return Samples(flat.view(-1, *self.shape), (flat @ teacher).argmax(1))


class SyntheticTokens(DataModule):
    """Sequences in which one random token mostly follows another: a task with a known optimum.

    Token t + 1 is p(token t) with a fixed random permutation p, and with probability ``noise``
    any token. The best loss in nats is the entropy of that choice.

    Args:
        vocab_size: V.
        context: T, tokens of one sample.
        noise: share of tokens that follow no rule, in [0, 1].
        train_size: sequences for training.
        val_size: sequences for validation.
        test_size: sequences for the test.
        split_seed: of the rule and of the sequences.
        batch_size: sequences of one batch on one rank.
        seed: of the order of training batches.
        drop_last: leave out training batches that are not full.
        gate_size: sequences of the training split that are held out for gates.
        race_size: the same for races.

    Shape:
        inputs and targets (B, T) int64, the targets shifted by one token.

    Raises:
        ValueError: a noise outside [0, 1], or a split without a sample or a batch.
    """

    def __init__(
        self,
        *,
        vocab_size: int = 256,
        context: int = 64,
        noise: float = 0.1,
        train_size: int = 2048,
        val_size: int = 512,
        test_size: int = 512,
        split_seed: int = 0,
        batch_size: int = 32,
        seed: int = 0,
        drop_last: bool = False,
        gate_size: int = 0,
        race_size: int = 0,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            seed=seed,
            drop_last=drop_last,
            gate_size=gate_size,
            race_size=race_size,
        )
        if not 0 <= noise <= 1:
            raise ValueError(f"noise is a share in [0, 1], not {noise}")
        at_least(1, vocab_size=vocab_size, context=context)
        self.vocab_size, self.context, self.noise = vocab_size, context, noise
        self.sizes = _sizes(train_size, val_size, test_size, batch_size if drop_last else 1)
        self.split_seed = split_seed

    def load(self, split: Split) -> Samples:
        rule = torch.randperm(self.vocab_size, generator=_stream(self.split_seed, "rule"))
        stream = _stream(self.split_seed, split)
        shape = (self.sizes[split], self.context + 1)
        tokens = torch.randint(self.vocab_size, shape, generator=stream)
        follows = torch.rand(shape, generator=stream) >= self.noise
        for t in range(self.context):
            tokens[:, t + 1] = torch.where(follows[:, t], rule[tokens[:, t]], tokens[:, t + 1])
        return Samples(tokens[:, :-1], tokens[:, 1:])


def _sizes(train: int, val: int, test: int, least: int) -> dict[str, int]:
    """Samples by split, of which training has at least ``least``, and each at least 2."""
    at_least(2, train_size=train, val_size=val, test_size=test)  # two are the example of a shape
    if train < least:
        raise ValueError(f"{train} samples make no batch of {least} with drop_last")
    return {"train": train, "val": val, "test": test}


def _shape(features: int, channels: int | None, size: int | list[int] | None) -> tuple[int, ...]:
    """One sample's shape, checked against its number of values."""
    if channels is None and size is None:
        return (features,)
    if channels is None or size is None:
        raise ValueError(
            "an image needs data.in_channels and data.image_size, and a vector neither; they "
            f"came as {channels} and {size}"
        )
    height, width = (size, size) if isinstance(size, int) else size
    at_least(1, in_channels=channels, image_size=min(height, width))
    where = f"an image of {channels} x {height} x {width}"
    check(where, {"in_features": features}, {"in_features": channels * height * width})
    return (channels, height, width)


def _stream(seed: int, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive("synthetic", seed, name))
