import pytest
import torch
from omegaconf import OmegaConf

from kasmina import hydra_api
from kasmina.preflight import check, check_keys, plain

TEXT = ["data=stdlib_text", "host=gpt", "task=language_modelling", "slots=blocks"]
VECTORS = ["host=mlp", "slots=layers", "blueprint=[mlp]"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(hydra_api.USER_CONF, raising=False)
    monkeypatch.delenv("KASMINA_DATA", raising=False)


def compose(*overrides: str):
    return hydra_api.compose(list(overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        VECTORS,
        [*TEXT, "blueprint=[mlp,attention,lora]"],
        ["memory_format=channels_last", "trainer.precision=bf16-mixed"],
        ["trainer=ddp_sim"],
        ["controller=none", "blueprint=[]", "callbacks.progress=null"],
        ["slots.sites=['re:stages.[01]']", "slots.planted={stages.0:conv_light}"],
        ["logger=[wandb,tensorboard]", "scheduler=warmup_cosine", "optimizer=sgd"],
    ],
)
def test_a_config_that_can_be_run_has_no_fault(overrides):
    assert check(compose(*overrides)) == []


KEYS = [
    ("seed=one", "seed: 'one' came; possible: a whole number"),
    ("tags=word", "tags: 'word' came; possible: a list"),
    ("ramp.curve=sine", "ramp.curve: 'sine' came; did you mean 'cosine'?"),
    ("attention.backend=falsh", "attention.backend: 'falsh' came; did you mean 'flash'?"),
    ("memory_format.name=last", "memory_format.name: 'last' came; possible: contiguous, channels"),
    ("host.norm=bach", "host.norm: 'bach' came; did you mean 'batch'?"),
    ("host.blocks=1.5", "host.blocks: 1.5 came; possible: a whole number"),
    ("host.widths=[8,x]", "host.widths[1]: 'x' came; possible: a whole number"),
    ("trainer.precision=31", "trainer.precision: 31 came; possible: 64, 32, 16"),
    ("optimizer.betas=[0.9]", "optimizer.betas: 1 values came; possible: 2 values"),
    ("timing=replay", "timing.run: needs a value"),
    ("~task", "task: needs a value, and nothing came"),
    ("+trainer.max_epoch=3", "trainer.max_epoch: unknown key 'max_epoch'; did you mean 'max_e"),
    ("+slots.places=[a]", "slots.places: unknown key 'places'"),
    ("+nonsense=1", "nonsense: unknown key 'nonsense'"),
    ("+callbacks.mine._target_=no.such", "callbacks.mine._target_: cannot import 'no.such'"),
    ("+callbacks.mine.x=1", "callbacks.mine: a mapping came; possible: a mapping with _ta"),
    ("+blueprint.conv_light.site=1", "blueprint.conv_light.site: is passed by the program"),
    ("+optimizer.params=[]", "optimizer.params: is passed by the program"),
    ("+host._partial_=true", "host._partial_: Hydra's instantiate is not used here"),
    ("blend._target_=kasmina.blend.Ad", "did you mean 'kasmina.blend.Add'?"),
    ("~data.num_classes", "host.num_classes: is taken from 'data.num_classes', which is not"),
    ("name=${nope}", "name: is taken from 'nope', which is not there; possible: "),
    ("name=${oc.env:NO_SUCH_VARIABLE}", "Environment variable 'NO_SUCH_VARIABLE' not found"),
]


@pytest.mark.parametrize(("override", "said"), KEYS)
def test_a_wrong_key_is_named_with_what_came_and_what_is_possible(override, said):
    faults = check_keys(compose(override))
    assert any(said in fault for fault in faults), faults
    assert all("\n" not in fault for fault in faults)


def test_all_wrong_keys_are_named_at_once():
    wrong = [override for override, _ in KEYS[:11]]
    assert len(check_keys(compose(*wrong))) == len(wrong)


def test_a_key_that_only_points_at_the_wrong_one_is_not_named():
    faults = check_keys(compose("seed=one"))
    assert [fault.partition(":")[0] for fault in faults] == ["seed"]


def test_a_host_that_needs_what_the_data_does_not_have_says_what_the_data_has():
    (words, context) = check_keys(compose("host=gpt"))
    assert words.startswith("host.vocab_size: is taken from 'data.vocab_size', which is not there")
    assert "in_channels" in context


def test_nothing_is_built_while_a_key_is_wrong():
    assert check(compose("seed=one", "ramp.ticks=0")) == check_keys(compose("seed=one"))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CXX": "/no/such/g++"}, "and CXX=/no/such/g++ is none: unset it or set it to one"),
        ({"PATH": "", "CXX": ""}, "install g++ or clang++ (Debian, Ubuntu: apt install g++)"),
    ],
)
def test_where_no_compiler_is_the_error_says_what_to_install_or_choose(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (problem,) = check(compose("compile=default", "trainer.accelerator=cpu"))
    assert said in problem
    assert problem.endswith("or choose compile=off")
    assert not check(compose("compile=off"))


NO_ADAM = ["~optimizer.betas", "~optimizer.eps", "~optimizer.weight_decay"]
FSDP2 = ["trainer=fsdp2", "trainer.accelerator=cpu", "trainer.devices=2", "incubation=ste"]
COMBINATIONS = [
    ([*FSDP2, "controller=race"], "controller: a race needs the whole network on one rank: not"),
    ([*FSDP2, "timing=score"], "timing: a probe needs the whole network on one rank: not with"),
    (
        ["timing=score", "optimizer._target_=torch.optim.LBFGS", *NO_ADAM],
        "timing: unknown optimizer of the dual criterion 'LBFGS'",
    ),
    (["timing=score", "timing.batches=3"], "controller: a promise takes at least 4 batches, not 3"),
    (["memory_format=channels_last", *VECTORS], "memory_format.name: channels_last is an order"),
    (["memory_format=channels_last", *TEXT, "blueprint=[lora]"], "and GPT has none"),
    (["slots=blocks"], "slots.sites: this host has no 'blocks.*'; "),
    (["slots.sites=[stage.0]"], "no 'stage.0'; did you mean 'stages.0'? possible: stages.*"),
    (["slots.sites=[stages.0,zzz,yyy]"], "slots.sites: this host has no 'yyy'"),
    ([*VECTORS, "blueprint=[mlp,se]"], "blueprint.se: fits map; the chosen sites pass vector"),
    (["slots.planted={stages.0:se}"], "slots.planted.stages.0: unknown blueprint 'se'"),
    (["slots.planted={stages.9:conv_light}"], "slots.planted.stages.9: unknown slot 'stages.9'"),
    ([*TEXT, "blueprint=[lora]", "attention=flex"], "attention.backend: attention backend 'flex'"),
    (["data=cifar10", "data_root=/no/such"], "data: no CIFAR-10 in /no/such"),
    (["data=shakespeare", "host=gpt", "task=language_modelling", "slots=blocks"], "data: no file"),
    (["compile=default", "compile.backend=inductr"], "did you mean 'inductor'?"),
    (
        ["compile=default", "compile.scope=whole", "compile.fullgraph=true", "incubation=ste"],
        "choose compile.scope=blocks or incubation=shadow",
    ),
    (["trainer.precision=16-mixed"], "trainer.precision: '16-mixed' came, but half precision"),
    (["trainer.devices=0"], "trainer: `Trainer(devices=0)`"),
    (["trainer.strategy=ddpp"], "trainer: You selected an invalid strategy name"),
    (["threads=0"], "threads: at least 1"),
    (["trainer.limit_val_batches=0"], "0 leaves the controller blind"),
    (["ramp.ticks=0"], "ramp: a ramp takes at least 1 tick, not 0"),
    (["incubation=ste", "incubation.ridge=-1"], "incubation: a ridge is at least 0, not -1"),
    (["timing.every=0"], "controller: a period is at least 1 tick, not 0"),
    (["host.widths=[]"], "host: a ConvNet has at least one stage"),
    (["data.image_size=[8]"], "data.image_size"),
    (["data=synthetic_vectors"], "host.in_channels: is taken from 'data.in_channels'"),
    (["host.in_channels=3"], "host: cannot read a batch of data of shape (2, 1, 8, 8)"),
]


@pytest.mark.parametrize(("overrides", "said"), COMBINATIONS)
def test_a_combination_that_cannot_work_is_named(overrides, said):
    faults = check(compose(*overrides))
    assert any(said in fault for fault in faults), faults
    assert all("\n" not in fault for fault in faults)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("more", [[], ["compile=default"], [*TEXT, "blueprint=[mlp]"]])
def test_a_gpu_that_is_not_there_is_named_once_and_alone(more):
    (fault,) = check(compose("trainer=gpu", *more))
    assert fault == (
        "trainer.accelerator: 'gpu' came, and there is no GPU here; possible: cpu, auto"
    )


def test_a_damaged_data_file_is_named(tmp_path):
    folder = tmp_path / "cifar10"
    folder.mkdir()
    for name in ("train", "test"):
        (folder / f"{name}.parquet").write_bytes(b"no parquet")
    faults = check(compose("data=cifar10", f"data_root={tmp_path}", "host=convnet_cifar"))
    assert any("damaged" in fault for fault in faults)


def test_several_combinations_are_named_at_once():
    faults = check(compose("slots=blocks", "ramp.ticks=0", "trainer.precision=16-mixed"))
    assert len(faults) == 3


def test_the_check_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    check(compose())
    assert torch.equal(torch.get_rng_state(), before)


def test_plain_values_are_plain():
    values = plain(compose())
    assert type(values) is dict
    assert values["host"]["num_classes"] == 10
    assert OmegaConf.create(values) is not None
