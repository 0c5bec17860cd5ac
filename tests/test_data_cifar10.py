"""CIFAR-10 on disk in both its forms, made here in miniature."""

import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kasmina.data.cifar10 import MEAN, STD, Cifar10

PER_CLASS = {"train": 6, "test": 2}
Make = Callable[[Path], None]


def pixels(part: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images (N, 32, 32, 3) of one colour each, and shuffled labels."""
    rng = np.random.default_rng(len(part))
    labels = rng.permutation(np.repeat(np.arange(10), PER_CLASS[part]))
    colours = rng.integers(0, 256, (len(labels), 1, 1, 3))
    return np.broadcast_to(colours, (len(labels), 32, 32, 3)).astype(np.uint8), labels


def write_parquet(folder: Path, image_format: str = "PNG", suffix: str = "") -> None:
    pa = pytest.importorskip("pyarrow", reason="parquet needs the extra kasmina[cifar]")
    image = pytest.importorskip("PIL.Image", reason="parquet needs the extra kasmina[cifar]")
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    for part in PER_CLASS:
        images, labels = pixels(part)
        rows = []
        for row in images:
            buffer = BytesIO()
            image.fromarray(row).save(buffer, image_format, quality=95)
            rows.append({"bytes": buffer.getvalue(), "path": None})
        pq.write_table(pa.table({"img": rows, "label": labels}), folder / f"{part}{suffix}.parquet")


def python_2_pickle(data: np.ndarray[Any, Any], labels: list[int]) -> bytes:
    """What Python 2 wrote: byte strings, and an array by numpy's old path."""
    rows, columns = data.shape
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        b"(K\x01(K" + bytes([rows]) + b"J" + columns.to_bytes(4, "little") + b"t"
        b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + data.size.to_bytes(4, "little") + data.tobytes() + b"tb"
    )
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + b"U\x06labels" + listed + b"u."


def write_pickles(folder: Path) -> None:
    batches = folder / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    for part, names in {
        "train": [f"data_batch_{number}" for number in range(1, 6)],
        "test": ["test_batch"],
    }.items():
        images, labels = pixels(part)
        flat = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        shares = np.array_split(np.arange(len(labels)), len(names))
        for name, share in zip(names, shares, strict=True):
            content = python_2_pickle(flat[share], labels[share].tolist())
            (batches / name).write_bytes(content)


FORMS: dict[str, Make] = {
    "png": lambda root: write_parquet(root / "cifar10"),
    "jpeg": lambda root: write_parquet(root, "JPEG"),
    "hub": lambda root: write_parquet(root / "plain_text", suffix="-00000-of-00001"),
    "pickles": lambda root: write_pickles(root / "cifar10"),
}
every_form = pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)


def cifar(root: Path, **options: object) -> Cifar10:
    return Cifar10(root=str(root), **{"val_size": 20, **options})


@every_form
def test_every_form_gives_the_same_images(write: Make, tmp_path: Path) -> None:
    write(tmp_path)
    data = cifar(tmp_path)
    assert data.missing() is None
    data.setup("test")
    images, labels = pixels("test")
    expected = torch.from_numpy(images).permute(0, 3, 1, 2)
    found = data.dataset("test")
    assert found.inputs.dtype == torch.uint8
    assert found.targets.tolist() == labels.tolist()
    torch.testing.assert_close(found.inputs.float(), expected.float(), atol=3, rtol=0)
    data.setup("fit")
    assert [len(data.dataset(split)) for split in ("train", "val")] == [40, 20]


@every_form
def test_validation_is_cut_from_train_by_class_and_disjoint(write: Make, tmp_path: Path) -> None:
    write(tmp_path)
    data = cifar(tmp_path)
    data.setup("fit")
    assert data.dataset("val").targets.bincount().tolist() == [2] * 10
    assert data.dataset("train").targets.bincount().tolist() == [4] * 10
    colours = [tuple(image[:, 0, 0].tolist()) for image in data.dataset("train").inputs]
    held_out = [tuple(image[:, 0, 0].tolist()) for image in data.dataset("val").inputs]
    assert not set(colours) & set(held_out)
    assert len(set(colours) | set(held_out)) == 60


def test_a_subset_is_stratified_nested_and_leaves_validation_as_it_was(tmp_path: Path) -> None:
    write_pickles(tmp_path)
    kept: dict[int, set[Any]] = {}
    for subset in (10, 20, 40):
        data = cifar(tmp_path, subset=subset)
        data.setup("fit")
        assert data.dataset("train").targets.bincount().tolist() == [subset // 10] * 10
        kept[subset] = {tuple(image[:, 0, 0].tolist()) for image in data.dataset("train").inputs}
        whole = cifar(tmp_path)
        whole.setup("fit")
        assert torch.equal(data.dataset("val").inputs, whole.dataset("val").inputs)
    assert kept[10] < kept[20] < kept[40]


@every_form
def test_the_test_file_is_not_read_before_the_test(write: Make, tmp_path: Path) -> None:
    write(tmp_path)
    for path in tmp_path.rglob("test*"):
        whole = path.read_bytes()
        path.write_bytes(whole[:4] + b"\x00" * 8 + whole[-4:])  # would not decode
    data = cifar(tmp_path)
    data.setup("fit")
    assert len(list(data.train_dataloader())) == 1
    with pytest.raises((ValueError, OSError)):
        data.setup("test")


def test_batches_stay_bytes_until_they_are_normalised(tmp_path: Path) -> None:
    write_pickles(tmp_path)
    data = cifar(tmp_path)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch[0].dtype == torch.uint8
    images, labels = data.normalise(batch)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    torch.testing.assert_close(images, (batch[0] / 255 - mean) / std)
    assert labels is batch[1]
    assert data.example()[0].shape == (2, 3, 32, 32)
    assert data.example()[0].dtype == torch.float32


def test_no_copy_is_one_line_with_the_places_and_the_ways_out(tmp_path: Path) -> None:
    line = str(cifar(tmp_path).missing())
    for part in (str(tmp_path / "cifar10"), "train.parquet", "cifar-10-batches-py", "data.root"):
        assert part in line
    assert "\n" not in line
    assert cifar(tmp_path, download=True).missing() is None


@every_form
@pytest.mark.parametrize("harm", ["cut", "replace", "remove"])
def test_a_damaged_copy_is_named_without_decoding(write: Make, harm: str, tmp_path: Path) -> None:
    write(tmp_path)
    path = next(tmp_path.rglob("test*"))
    content = path.read_bytes()
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-5] if harm == "cut" else b"<html>not found</html>")
    line = str(cifar(tmp_path).missing())
    assert {"remove": "no file", "cut": "it ends with", "replace": "it begins with"}[harm] in line
    assert str(path.parent) in line
    with pytest.raises(OSError, match=r"no file|is damaged"):
        cifar(tmp_path).setup("fit")


def test_without_its_readers_parquet_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    line = str(cifar(tmp_path).missing())
    assert line == "parquet needs pyarrow and PIL: pip install 'kasmina[cifar]'"


def test_a_pickle_that_calls_anything_but_numpy_is_refused(tmp_path: Path) -> None:
    write_pickles(tmp_path)
    marker = tmp_path / "marker"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    for path in tmp_path.rglob("data_batch_3"):
        path.write_bytes(pickle.dumps({b"data": Evil()}, protocol=2))
    with pytest.raises(ValueError, match=r"data_batch_3 is refused: it asks for"):
        cifar(tmp_path).setup("fit")
    assert not marker.exists()


def test_an_image_that_is_none_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    labels = np.repeat(np.arange(10), 6)
    rows = [{"bytes": b"no image", "path": None}] * len(labels)
    pq.write_table(pa.table({"img": rows, "label": labels}), tmp_path / "train.parquet")
    with pytest.raises(ValueError, match="holds bytes that are no image"):
        cifar(tmp_path).setup("fit")


@pytest.mark.parametrize("wrong", ["num_classes", "in_channels", "image_size", "in_features"])
def test_a_wrong_declaration_is_named(wrong: str, tmp_path: Path) -> None:
    write_pickles(tmp_path)
    with pytest.raises(ValueError, match=rf"^data.{wrong} came as 7, but .* has {wrong} \d+$"):
        cifar(tmp_path, **{wrong: 7}).setup("fit")


@pytest.mark.parametrize("options", [{"subset": 41}, {"subset": 0}, {"val_size": 0}], ids=str)
def test_more_images_than_there_are_is_refused(options: dict[str, int], tmp_path: Path) -> None:
    write_pickles(tmp_path)
    with pytest.raises(ValueError, match="no more than the 60 training images"):
        cifar(tmp_path, **options).setup("fit")


def test_download_unpacks_the_archive_it_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib
    import tarfile

    write_pickles(tmp_path / "there")
    archive = tmp_path / "cifar.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "there" / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr("kasmina.data.cifar10.URL", archive.as_uri())
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr("kasmina.data.cifar10.SHA256", digest)
    data = cifar(tmp_path / "here", download=True)
    data.example()
    assert len(data.dataset("train")) == 40
    assert [path.name for path in (tmp_path / "here" / "cifar10").iterdir()] == [
        "cifar-10-batches-py"
    ]
