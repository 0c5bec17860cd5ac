"""Hosts that others wrote: Transformers' GPT-2, ViT and ConvNeXt, small and with random weights."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import OPERATORS, fixed, gradients, lead, operator, same

from kasmina.flops import step_cost
from kasmina.graft import Grafted, call, graft, ungraft
from kasmina.incubation import Shadow
from kasmina.nursery import germinate
from kasmina.recipe import Recipe
from kasmina.slot import SeedSlot
from kasmina.stage import Stage
from kasmina.topology import restore, topology

transformers = pytest.importorskip("transformers", reason="needs the extra: pip install .[foreign]")

WIDTH, TOKENS = 16, 6
BLUEPRINTS = {
    "lora": Recipe("lora", "kasmina.blueprints.lora.LowRank", {"rank": 2}),
    "mlp": Recipe("mlp", "kasmina.blueprints.mlp.MLP", {"ratio": 2.0}),
    "attention": Recipe("attention", "kasmina.blueprints.attention.Attention", {"causal": False}),
    "se": Recipe("se", "kasmina.blueprints.se.SqueezeExcite"),
    "conv": Recipe("conv", "kasmina.blueprints.conv.Conv"),
    "depthwise": Recipe("depthwise", "kasmina.blueprints.depthwise.DepthwiseSeparable"),
}


def gpt2() -> nn.Module:
    special = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    sizes = {"vocab_size": 17, "n_positions": TOKENS, "n_embd": WIDTH, "n_layer": 2, "n_head": 2}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **special))


def vit() -> nn.Module:
    config = transformers.ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=0.1,
        image_size=8,
        patch_size=4,
        num_labels=3,
    )
    return transformers.ViTForImageClassification(config)


def convnext() -> nn.Module:
    config = transformers.ConvNextConfig(
        num_stages=2, hidden_sizes=[8, WIDTH], depths=[1, 1], patch_size=2, num_labels=3
    )
    return transformers.ConvNextForImageClassification(config)


@dataclass(frozen=True)
class Foreign:
    """A host, where its slots go, what it reads, and which seeds fit."""

    make: Callable[[], nn.Module]
    sites: list[str]
    passing: list[tuple[str, int]]  # kind and width at each site
    inputs: dict[str, Tensor]
    fitting: tuple[str, ...]


HOSTS = {
    "gpt2": Foreign(
        gpt2,
        ["transformer.h.*", "transformer.h.*.attn"],  # the attention puts out a tuple
        [("sequence", WIDTH)] * 4,
        {"input_ids": torch.arange(2 * TOKENS).reshape(2, TOKENS)},
        ("lora", "mlp", "attention"),
    ),
    "vit": Foreign(
        vit,
        [r"re:vit\.(layers|encoder\.layer)\.\d+"],  # transformers 5 and 4
        [("sequence", WIDTH)] * 2,
        {"pixel_values": fixed(2, 3, 8, 8)},
        ("lora", "mlp", "attention"),
    ),
    "convnext": Foreign(
        convnext,
        ["convnext.encoder.stages.*"],
        [("map", 8), ("map", WIDTH)],
        {"pixel_values": fixed(2, 3, 16, 16)},
        ("se", "conv", "depthwise"),
    ),
}
EVERY_HOST = pytest.mark.parametrize("name", HOSTS)
EVERY_SEED = pytest.mark.parametrize(
    ("name", "seed"), [(name, seed) for name, foreign in HOSTS.items() for seed in foreign.fitting]
)


def grafted(name: str) -> Grafted:
    foreign = HOSTS[name]
    return graft(foreign.make(), foreign.sites, foreign.inputs)


def born(model: Grafted, seed: str, *, blend: str = "Add") -> SeedSlot:
    """A newborn in the last slot, not silent any more."""
    site = [slot.site.name for slot in model][-1]
    options: dict[str, Any] = {"blueprint": BLUEPRINTS[seed], "operator": operator(blend)}
    slot = germinate(model, site, **options, run_seed=0)
    with torch.no_grad():
        for parameter in slot.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return slot


def lossy(outputs: Any) -> Tensor:
    return 10 * (outputs.logits - 1).square().mean()


def step(module: nn.Module, name: str, *, training: bool = True) -> Tensor:
    """The loss of one pass after its backward."""
    torch.manual_seed(1)
    loss = lossy(call(module.train(training), HOSTS[name].inputs))
    loss.backward()
    return loss.detach()


@EVERY_HOST
def test_sites_are_found_with_their_kind_and_width(name: str) -> None:
    slots = list(grafted(name))
    assert [(slot.site.kind, slot.site.width) for slot in slots] == HOSTS[name].passing


@pytest.mark.parametrize("training", [True, False])
@EVERY_HOST
def test_with_empty_slots_it_is_the_bare_host(name: str, training: bool) -> None:
    model = grafted(name)
    bare = ungraft(copy.deepcopy(model))
    assert torch.equal(step(model, name, training=training), step(bare, name, training=training))
    assert same(gradients(model.host), gradients(bare))
    assert list(model.host.state_dict()) == list(bare.state_dict())


@EVERY_SEED
def test_a_seed_trains_in_the_shadow_and_the_host_does_not_notice(name: str, seed: str) -> None:
    model = grafted(name)
    bare = copy.deepcopy(model)
    slot = born(model, seed)
    lead(slot, Stage.TRAINING)
    losses = []
    for index in range(3):
        assert torch.equal(step(model, name), step(bare, name))
        loss = Shadow(interval=1).loss(model, HOSTS[name].inputs, lossy, index)
        assert loss is not None
        loss.backward()
        assert same(gradients(model.host), gradients(bare.host))
        assert torch.equal(torch.get_rng_state(), rng_after(bare, name))
        losses.append(loss.item())
        with torch.no_grad():
            for parameter in slot.parameters():
                assert parameter.grad is not None
                parameter.sub_(0.01 * parameter.grad)
        model.zero_grad()
        bare.zero_grad()
    assert losses[2] < losses[1] < losses[0]


def rng_after(model: Grafted, name: str) -> Tensor:
    """The random state that a training pass of the model leaves."""
    torch.manual_seed(1)
    with torch.no_grad():
        call(model, HOSTS[name].inputs)
    return torch.get_rng_state()


@pytest.mark.parametrize("blend", OPERATORS)
@EVERY_SEED
def test_a_seed_blends_learns_and_is_kept(name: str, seed: str, blend: str) -> None:
    model, inputs = grafted(name).eval(), HOSTS[name].inputs
    without = lossy(call(model, inputs))
    slot = born(model, seed, blend=blend)
    lead(slot, Stage.FOSSILIZED, alpha=0.7)
    with_it = lossy(call(model, inputs))
    assert not torch.equal(with_it, without)
    assert torch.equal(lossy(call(model, inputs, alphas={slot.site.name: 0.0})), without)
    with_it.backward()
    assert all(parameter.grad is not None for parameter in slot.parameters())


@EVERY_SEED
def test_a_grown_host_is_restored_into_a_fresh_one(name: str, seed: str) -> None:
    model, twin = grafted(name), grafted(name)
    lead(born(model, seed), Stage.HOLDING, alpha=0.5)
    restore(twin, json.loads(json.dumps(topology(model))))
    twin.load_state_dict(model.state_dict(), strict=True)
    assert topology(twin) == topology(model)
    assert torch.equal(step(twin, name), step(model, name))
    assert same(gradients(twin), gradients(model))


@EVERY_HOST
def test_its_flops_are_counted(name: str) -> None:
    model, inputs = grafted(name), HOSTS[name].inputs
    before = step_cost(model, Shadow(interval=1), inputs, lossy)
    lead(born(model, HOSTS[name].fitting[0]), Stage.TRAINING)
    after = step_cost(model, Shadow(interval=1), inputs, lossy)
    assert after.main == before.main > before.evaluation > 0
    assert after.incubation > after.evaluation
