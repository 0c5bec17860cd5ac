"""A memory format holds: through births and resumes, and through a step without hidden copies."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from runs import FAST, IMAGES, fit, made
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from toys import grow

from kasmina.graft import Grafted, graft
from kasmina.hosts.convnet import ConvNet
from kasmina.incubation import Incubation, Shadow, StraightThrough
from kasmina.layout import groupnorm_crashes
from kasmina.recipe import Recipe
from kasmina.stage import Stage

CONF = Path(__file__).parents[1] / "conf" / "blueprint"
RECIPES = {p.stem: Recipe.of(p.stem, yaml.safe_load(p.read_text())) for p in CONF.glob("*.yaml")}
BLUEPRINTS = sorted(name for name, r in RECIPES.items() if r.locate().kinds == ("map",))
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
BATCH, CLASSES = 5, 4  # no weight has a first axis of 5: what has is a map
SITES = ("stages.0", "stages.1")


class Way:
    """A stage, and how the seeds in it hear the loss."""

    def __init__(
        self, stage: Stage, *, mode: Incubation | None = None, isolate: bool = False, deaf: int = 0
    ) -> None:
        self.stage, self.isolate, self.deaf = stage, isolate, deaf
        self.mode = mode or Shadow(interval=1)


# deaf: of two seeds, those whose input needs no gradient
WAYS = {
    "shadow": Way(Stage.TRAINING, deaf=1),
    "straight through": Way(Stage.TRAINING, mode=StraightThrough(ridge=0.1), deaf=2),
    "blending": Way(Stage.BLENDING),
    "isolated blending": Way(Stage.BLENDING, isolate=True, deaf=2),
    "holding": Way(Stage.HOLDING),
    "isolated holding": Way(Stage.HOLDING, isolate=True, deaf=2),
    "fossilized": Way(Stage.FOSSILIZED),
}


def images(memory_format: str) -> Tensor:
    return torch.randn(BATCH, 3, 16, 16).contiguous(memory_format=FORMATS[memory_format])


def convnet(memory_format: str, **options: Any) -> ConvNet:
    host = ConvNet(in_channels=3, num_classes=CLASSES, widths=(16, 32), blocks=2, **options)
    return host.to(memory_format=FORMATS[memory_format])  # type: ignore[call-overload]


def grown(memory_format: str, way: Way, blueprint: str, blend: str = "Add") -> Grafted:
    host, example = convnet(memory_format), images(memory_format)
    model = graft(host, SITES, example, listens=way.mode.listens, isolate=way.isolate)
    for site in SITES:
        alpha = 0.5 if way.stage is Stage.BLENDING else 1.0
        grow(model, site, way.stage, blueprint=RECIPES[blueprint], blend=blend, alpha=alpha)
    return model


def step(model: nn.Module, inputs: Tensor, mode: Incubation) -> None:
    """Forward, incubation and one backward."""
    targets = torch.arange(BATCH) % CLASSES

    def loss_of(outputs: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets)

    loss = loss_of(model(inputs))
    if isinstance(model, Grafted):
        extra = mode.loss(model, inputs, loss_of, 0)
        loss = loss if extra is None else loss + extra
    loss.backward()


def conversions(
    model: nn.Module, memory_format: str, mode: Incubation | None = None
) -> Counter[str]:
    """Copies of whole maps in a training step, by the operator that asked for them.

    ``contiguous``, ``clone`` and ``to`` all end in ``copy_``.
    """
    inputs, mode = images(memory_format), mode or Shadow(interval=1)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        step(model, inputs, mode)
    copies = [event for event in seen.events() if event.name == "aten::copy_"]
    return Counter(_asker(event) for event in copies if _of_a_map(event.input_shapes))


def _of_a_map(shapes: list[list[int]]) -> bool:
    target, source = shapes[:2]
    return target == source and len(target) == 4 and target[0] == BATCH


def _asker(event: Any) -> str:
    while event.cpu_parent is not None and event.name in {"aten::copy_", "aten::contiguous"}:
        event = event.cpu_parent
    above = event.cpu_parent
    while above is not None and above.name == "aten::contiguous":
        above = above.cpu_parent
    return event.name if above is None else above.name


@cache
def of_the_host(memory_format: str) -> Counter[str]:
    return conversions(convnet(memory_format), memory_format)


def forced(memory_format: str, way: Way, blueprint: str) -> Counter[str]:
    """What torch makes unavoidable: the copy that keeps the backward of a first GroupNorm from
    crashing, and the gradient, which has to meet that copy in its own order."""
    if memory_format == "contiguous" or blueprint != "norm" or not groupnorm_crashes():
        return Counter()
    return Counter({"aten::clone": way.deaf, "NativeGroupNormBackward0": way.deaf})


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("pooling", ["max", "avg", "stride"])
def test_a_channels_last_host_converts_no_map(pooling: str, norm: str) -> None:
    assert not conversions(convnet("channels_last", pooling=pooling, norm=norm), "channels_last")


@pytest.mark.parametrize("memory_format", FORMATS)
def test_empty_slots_convert_no_map(memory_format: str) -> None:
    model = graft(convnet(memory_format), SITES, images(memory_format))
    assert conversions(model, memory_format) == of_the_host(memory_format)


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("memory_format", FORMATS)
def test_a_step_with_seeds_converts_no_map_that_torch_does_not_force(
    memory_format: str, way: str, blueprint: str
) -> None:
    model = grown(memory_format, WAYS[way], blueprint)
    more = conversions(model, memory_format, WAYS[way].mode) - of_the_host(memory_format)
    assert more == +forced(memory_format, WAYS[way], blueprint)


@pytest.mark.parametrize("blend", ["Multiply", "Gate"])
@pytest.mark.parametrize("way", ["shadow", "blending", "isolated blending"])
@pytest.mark.parametrize("memory_format", FORMATS)
def test_no_operator_converts_a_map(memory_format: str, way: str, blend: str) -> None:
    model = grown(memory_format, WAYS[way], "conv_light", blend)
    assert conversions(model, memory_format) == of_the_host(memory_format)


def test_the_count_sees_a_conversion() -> None:
    class Converting(ConvNet):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.stages[0](x.contiguous()).mean((2, 3)))

    host = Converting(in_channels=3, num_classes=CLASSES, widths=(16,))
    host.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    seen = conversions(host, "channels_last")
    assert seen["aten::clone"] == 1
    assert seen["MaxPool2DWithIndicesBackward0"]  # the plain mean's gradient is contiguous


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
@pytest.mark.parametrize("blueprint", [name for name in BLUEPRINTS if name not in {"norm", "se"}])
@pytest.mark.parametrize("way", ["shadow", "isolated blending", "fossilized"])
def test_onednn_reorders_no_channels_last_map(
    way: str, blueprint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs, model = images("channels_last"), grown("channels_last", WAYS[way], blueprint)
    lines = []
    for network in (model.host, model):
        with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
            step(network, inputs, WAYS[way].mode)
        lines.append(capfd.readouterr().out.splitlines())
    alone, seeded = ([line for line in told if ",reorder," in line] for told in lines)
    assert seeded, "weights at least are reordered"
    if any(map(_has_the_batch, alone)):
        pytest.skip("this processor's convolutions have no channels_last kernel")
    assert not any(map(_has_the_batch, seeded))


def _has_the_batch(line: str) -> bool:
    return any(field.startswith(f"{BATCH}x") for field in line.split(","))


@pytest.mark.parametrize("blueprint", BLUEPRINTS)
@pytest.mark.parametrize("way", [name for name in WAYS if WAYS[name].deaf])
@pytest.mark.parametrize("memory_format", FORMATS)
def test_the_detached_input_of_a_seed_is_the_hosts_map_itself(
    memory_format: str, way: str, blueprint: str
) -> None:
    model, inputs = grown(memory_format, WAYS[way], blueprint), images(memory_format)
    slot, seen = model.slot("stages.0"), []
    assert slot.seed is not None
    slot.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    slot.seed.body.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    step(model, inputs, WAYS[way].mode)
    host, seed = seen[-2:]
    assert not seed.requires_grad
    assert (seed.data_ptr(), seed.stride()) == (host.data_ptr(), host.stride())
    assert seed.is_contiguous(memory_format=FORMATS[memory_format])


class Layouts:
    """The maps' and weights' order in a run, read where they are used."""

    def __init__(self, module: Any) -> None:
        self.inputs: list[Tensor] = []
        self.module = module
        module.model.host.register_forward_pre_hook(lambda _, args: self.inputs.append(args[0]))

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters, their moments and gradients, of host and seeds."""
        names = {p: name for name, p in self.module.model.named_parameters() if p.dim() == 4}
        for optimizer in self.module.trainer.optimizers:
            for parameter, state in optimizer.state.items():
                if parameter in names:
                    yield names[parameter], parameter
                    yield names[parameter], state["exp_avg"]


def in_channels_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


RUN = (*IMAGES, *FAST, "memory_format=channels_last", "blueprint=[conv_light]")


def test_a_run_and_its_resume_stay_in_channels_last(tmp_path: Path) -> None:
    first = fit(tmp_path / "first", *RUN, "trainer.max_epochs=4")
    path = tmp_path / "file.ckpt"
    first.trainer.save_checkpoint(path)
    second = made(tmp_path / "second", *RUN, "trainer.max_epochs=5")
    layouts = Layouts(second.module)
    second.trainer.fit(second.module, second.data, ckpt_path=path, weights_only=True)
    seeds = {name for name, _ in layouts.weights() if name.startswith("slots.")}
    assert seeds, "a seed was rebuilt"
    for name, tensor in layouts.weights():
        assert in_channels_last(tensor), name
        assert not tensor.is_contiguous() or 1 in tensor.shape, name
    assert layouts.inputs
    assert all(map(in_channels_last, layouts.inputs))


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("read", FORMATS)
def test_a_checkpoint_moves_between_memory_formats(tmp_path: Path, written: str, read: str) -> None:
    """Strides belong to the process that loads, values to the file."""
    options = (*IMAGES, *FAST, "blueprint=[conv_light]", "trainer.max_epochs=2")
    first = fit(tmp_path / "first", *options, f"memory_format={written}")
    path = tmp_path / "file.ckpt"
    first.trainer.save_checkpoint(path)
    second = made(tmp_path / "second", *options, f"memory_format={read}")
    fresh, saved = second.module, torch.load(path, weights_only=True)
    fresh.on_load_checkpoint(saved)
    fresh.load_state_dict(saved["state_dict"])
    for name, parameter in fresh.named_parameters():
        assert torch.equal(parameter, saved["state_dict"][name])
        if parameter.dim() == 4:
            assert parameter.is_contiguous(memory_format=FORMATS[read]), name
