import pytest
from omegaconf import OmegaConf

from kasmina import places


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(places, "cores", lambda: 8)
    monkeypatch.setenv(places.VISIBLE, "2,5,6")


def job(accelerator: str = "cpu", devices: object = 1, threads: int | None = None):
    return OmegaConf.create(
        {"threads": threads, "trainer": {"accelerator": accelerator, "devices": devices}}
    )


def room(config, most: int | None = None, per_device: int = 1) -> int:
    """Jobs like this one that run at a time."""
    free = places.places(config, most=most, per_device=per_device)
    jobs = 0
    while free.take(places.need(config)) is not None:
        jobs += 1
    return jobs


@pytest.mark.parametrize(
    ("threads", "devices", "jobs"),
    [(None, 1, 1), (1, 1, 8), (2, 1, 4), (3, 1, 2), (16, 1, 1), (1, 2, 4), (2, 4, 1)],
)
def test_jobs_on_the_cpu_share_the_cores(threads, devices, jobs):
    assert room(job(devices=devices, threads=threads)) == jobs


def test_the_environments_threads_count_too(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert room(job()) == 4


def test_a_number_of_jobs_goes_before_the_cores():
    assert room(job(), most=3) == 3


@pytest.mark.parametrize(
    ("devices", "jobs"), [(1, 3), (2, 1), ("2", 1), (3, 1), ("auto", 1), (-1, 1), ([0], 1), (9, 1)]
)
@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "auto"])
def test_jobs_on_gpus_have_them_to_themselves(accelerator, devices, jobs):
    assert room(job(accelerator, devices)) == jobs


def test_jobs_may_share_a_gpu():
    assert room(job("gpu"), per_device=2) == 6
    assert room(job("gpu"), per_device=2, most=4) == 4


def test_a_job_is_told_the_gpus_by_their_names():
    free = places.places(job("gpu", 2), most=None, per_device=1)
    assert free.variable == places.VISIBLE
    assert free.take(2) == ["2", "5"]


def test_a_job_that_finds_no_gpu_is_started_and_says_so(monkeypatch):
    monkeypatch.setenv(places.VISIBLE, "")
    assert room(job("gpu")) == 1
    assert room(job("auto", threads=4)) == 2


@pytest.mark.parametrize(
    ("config", "most", "told"),
    [
        (job(), 4, {"OMP_NUM_THREADS": "2"}),
        (job(devices=2), 2, {"OMP_NUM_THREADS": "2"}),
        (job(), 100, {"OMP_NUM_THREADS": "1"}),
        (job(), None, {}),
        (job(threads=3), 4, {}),
        (job("gpu"), 4, {}),
    ],
)
def test_the_cores_are_shared_out_where_only_jobs_were_asked_for(config, most, told):
    assert places.threads(config, most) == told
