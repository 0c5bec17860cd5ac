"""Our hosts: shapes, gradients, state, memory format, errors."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kasmina.hosts.convnet import ConvNet
from kasmina.hosts.gpt import GPT
from kasmina.hosts.mlp import MLP

IMAGES = torch.randn(4, 3, 9, 8, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(11, (3, 6), generator=torch.Generator().manual_seed(0))


def convnet(**options: object) -> ConvNet:
    return ConvNet(in_channels=3, num_classes=5, **{"widths": [4, 8], **options})


def gpt(**options: object) -> GPT:
    small = {"vocab_size": 11, "context": 8, "depth": 2, "width": 16, "num_heads": 2}
    return GPT(**{**small, **options})


def mlp(**options: object) -> MLP:
    return MLP(in_features=3 * 9 * 8, num_classes=5, **{"widths": [7, 6], **options})


CASES = {
    **{
        f"convnet-{norm}-{pooling}": (lambda n=norm, p=pooling: convnet(norm=n, pooling=p), IMAGES)
        for norm in ("batch", "group")
        for pooling in ("max", "avg", "stride")
    },
    "convnet-deep": (lambda: convnet(blocks=3), IMAGES),
    "gpt-tied": (gpt, TOKENS),
    "gpt-untied": (lambda: gpt(tie_weights=False), TOKENS),
    "mlp": (mlp, IMAGES),
}
every_host = pytest.mark.parametrize(("make", "inputs"), CASES.values(), ids=CASES)


@every_host
def test_every_parameter_of_a_host_gets_a_gradient(
    make: Callable[[], nn.Module], inputs: Tensor
) -> None:
    torch.manual_seed(0)
    host = make()
    host(inputs).square().sum().backward()
    for name, parameter in host.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@every_host
def test_a_state_dict_makes_another_host_the_same(
    make: Callable[[], nn.Module], inputs: Tensor
) -> None:
    torch.manual_seed(0)
    host = make()
    host(inputs)  # moves the running statistics
    torch.manual_seed(1)
    twin = make()
    twin.load_state_dict(host.state_dict())
    assert torch.equal(twin.eval()(inputs), host.eval()(inputs))


@pytest.mark.parametrize("pooling", ["max", "avg", "stride"])
@pytest.mark.parametrize("blocks", [1, 2])
def test_a_stage_halves_the_map_rounded_up(pooling: str, blocks: int) -> None:
    host = convnet(pooling=pooling, blocks=blocks)
    first = host.get_submodule("stages.0")(IMAGES)
    second = host.get_submodule("stages.1")(first)
    assert first.shape == (4, 4, 5, 4)
    assert second.shape == (4, 8, 3, 2)
    assert host(IMAGES).shape == (4, 5)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("pooling", ["max", "avg", "stride"])
def test_channels_last_computes_what_contiguous_computes(norm: str, pooling: str) -> None:
    torch.manual_seed(0)
    plain = convnet(norm=norm, pooling=pooling).double()
    last = convnet(norm=norm, pooling=pooling).double().to(memory_format=torch.channels_last)
    last.load_state_dict(plain.state_dict())
    images = IMAGES.double()
    one = plain(images)
    two = last(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(two, one, rtol=1e-10, atol=1e-10)
    one.square().sum().backward()
    two.square().sum().backward()
    for mine, its in zip(plain.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(its.grad, mine.grad, rtol=1e-9, atol=1e-9)


def test_stages_pass_channels_last_on() -> None:
    host = convnet().to(memory_format=torch.channels_last)
    features = host.stages[0](IMAGES.contiguous(memory_format=torch.channels_last))
    assert features.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("width", range(1, 70))
def test_group_norm_takes_any_width(width: int) -> None:
    host = convnet(widths=[width], norm="group")
    groups = host.stages[0].blocks[0].norm.num_groups
    assert width % groups == 0
    assert groups == 1 or width // groups >= 4


def test_the_hidden_layers_of_an_mlp_are_its_sites() -> None:
    host = mlp()
    first = host.get_submodule("layers.0")(IMAGES.flatten(1))
    assert first.shape == (4, 7)
    assert first.min() >= 0  # the activation belongs to the layer
    assert host(IMAGES).shape == (4, 5)


def test_the_flattened_input_of_an_mlp_is_a_site() -> None:
    host = mlp()
    assert host.get_submodule("input")(IMAGES).equal(IMAGES.flatten(1))
    heard: list[Tensor] = []
    host.get_submodule("input").register_forward_hook(lambda *args: heard.append(args[2]))
    host(IMAGES)
    assert [tuple(h.shape) for h in heard] == [(4, 3 * 9 * 8)]


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "tanh"])
def test_an_mlp_takes_each_activation(activation: str) -> None:
    assert mlp(activation=activation)(IMAGES).isfinite().all()


def test_the_blocks_of_a_gpt_are_its_sites() -> None:
    host = gpt()
    features = host.get_submodule("blocks.1")(torch.randn(3, 6, 16))
    assert features.shape == (3, 6, 16)
    assert host(TOKENS).shape == (3, 6, 11)


def test_no_token_of_a_gpt_sees_a_later_one() -> None:
    host = gpt().eval()
    later = TOKENS.clone()
    later[:, 4:] = (later[:, 4:] + 1) % 11
    assert torch.equal(host(TOKENS)[:, :4], host(later)[:, :4])
    assert not torch.equal(host(TOKENS)[:, 4:], host(later)[:, 4:])


def test_tied_weights_are_one_parameter() -> None:
    tied, untied = gpt(), gpt(tie_weights=False)
    assert tied.head.weight is tied.token_embedding.weight
    count = [sum(p.numel() for p in host.parameters()) for host in (tied, untied)]
    assert count[1] - count[0] == 11 * 16
    tied.load_state_dict(gpt().state_dict())
    assert tied.head.weight is tied.token_embedding.weight


def test_a_newborn_gpt_predicts_every_token_alike() -> None:
    torch.manual_seed(0)
    host = gpt(vocab_size=65, context=32, depth=4, width=64)
    loss = nn.functional.cross_entropy(
        host(torch.randint(65, (8, 32))).flatten(0, 1), torch.randint(65, (256,))
    )
    assert loss.item() == pytest.approx(torch.tensor(65.0).log().item(), abs=0.1)


def test_what_a_block_adds_is_born_smaller_the_deeper_the_gpt() -> None:
    torch.manual_seed(0)
    host = gpt(depth=8, width=64)
    for weight in (host.blocks[3].attention.proj.weight, host.blocks[3].mlp[2].weight):
        assert weight.std().item() == pytest.approx(0.02 / 4, rel=0.1)
    assert host.blocks[3].mlp[0].weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_dropout_acts_in_training_only() -> None:
    host = gpt(dropout=0.5)
    assert not torch.equal(host(TOKENS), host(TOKENS))
    host.eval()
    assert torch.equal(host(TOKENS), host(TOKENS))


def test_the_backend_reaches_every_attention() -> None:
    host = gpt(backend="math")
    assert [block.attention.backend for block in host.blocks] == ["math", "math"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: convnet(norm="bach"), "unknown norm 'bach'; did you mean 'batch'"),
        (lambda: convnet(pooling="mean"), "unknown pooling 'mean'"),
        (lambda: convnet(widths=[]), "at least one stage"),
        (lambda: convnet(widths=[4, 0]), "at least one channel"),
        (lambda: convnet(blocks=0), "one block"),
        (lambda: mlp(activation="rely"), "unknown activation 'rely'; did you mean 'relu'"),
        (lambda: mlp(widths=[]), "at least one hidden layer"),
        (lambda: gpt(depth=0), "at least one block"),
        (lambda: gpt()(torch.zeros(1, 9, dtype=torch.int64)), "9 tokens came, but .* is 8"),
    ],
)
def test_a_host_says_what_is_wrong(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_stage_with_kernels_of_one_sees_no_neighbours():
    host = ConvNet(in_channels=1, num_classes=2, widths=[4, 4], kernel_sizes=[1, 3])
    assert [stage.blocks[0].conv.kernel_size for stage in host.stages] == [(1, 1), (3, 3)]
    assert host(torch.zeros(2, 1, 8, 8)).shape == (2, 2)


@pytest.mark.parametrize("sizes", [[3], [2, 3], [3, 0], [3, 3, 3]])
def test_kernels_that_are_even_or_not_one_a_stage_are_refused(sizes):
    with pytest.raises(ValueError, match="kernel_sizes are odd"):
        ConvNet(in_channels=1, num_classes=2, widths=[4, 4], kernel_sizes=sizes)
