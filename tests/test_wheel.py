"""The wheel, in an environment of its own, used from a folder that has nothing to do with it."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**clean, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder]
    done(run(*build, CHECKOUT, cwd=folder))
    (path,) = folder.glob("kasmina-*.whl")
    return path


@pytest.fixture(scope="module")
def kasmina(wheel, tmp_path_factory):
    """The command of a fresh environment that has our dependencies and no kasmina but the wheel."""
    home = tmp_path_factory.mktemp("env")
    venv.create(home, symlinks=True)
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    (site,) = home.rglob("site-packages")
    # a path in a .pth file is searched, but the .pth files there, such as ours, are not read
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", scripts / "python", "install"]
    done(run(*install, "--no-deps", "--no-index", wheel, cwd=home))
    return scripts / "kasmina"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder: a blueprint of their own, its config, and an experiment with it."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "mine.py").write_text(
        "from torch import Tensor, nn\n\n\n"
        "class Mine(nn.Module):\n"
        '    """A learned scale of every channel."""\n\n'
        '    kinds = ("map",)\n\n'
        "    def __init__(self, site, *, start: float = 1.0) -> None:\n"
        "        super().__init__()\n"
        "        self.scale = nn.Parameter(site_scale(site.width) * start)\n\n"
        "    def forward(self, h: Tensor) -> Tensor:\n"
        "        return h * self.scale[:, None, None]\n\n\n"
        "def site_scale(width: int) -> Tensor:\n"
        "    import torch\n\n"
        "    return torch.ones(width)\n"
    )
    for group in ("blueprint", "experiment"):
        (folder / "conf" / group).mkdir(parents=True)
    (folder / "conf/blueprint/mine.yaml").write_text(
        "# @package blueprint.mine\n_target_: mine.Mine\nstart: 1.0  # of the scale\n"
    )
    (folder / "conf/experiment/mine.yaml").write_text(
        "# @package _global_\n# kasmina experiment=mine\n# A blueprint of my own.\n"
        "defaults:\n  - override /blueprint: [mine]\n\nname: mine\n"
    )
    return folder


def test_the_wheel_has_the_configs_and_nothing_that_is_not_ours(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name.removeprefix("kasmina/conf/") for name in names if "/conf/" in name}
    outside = {str(p.relative_to(CHECKOUT / "conf")) for p in (CHECKOUT / "conf").rglob("*.yaml")}
    assert inside == outside
    assert {name.split("/")[0].split("-")[0] for name in names} == {"kasmina", "hydra_plugins"}
    assert "hydra_plugins/__init__.py" not in names  # others put their plugins there too
    assert "hydra_plugins/kasmina_process/__init__.py" in names
    assert "kasmina/py.typed" in names


def test_the_installed_package_is_the_wheels(kasmina, tmp_path):
    code = "import kasmina.hydra_api as h; print(h.__file__, h.conf_dir())"
    out = done(run(kasmina.parent / "python", "-c", code, cwd=tmp_path))
    assert str(CHECKOUT) not in out
    assert str(kasmina.parents[1]) in out


def test_the_installed_command_shows_a_config_with_a_users_blueprint(kasmina, folder):
    out = done(run(kasmina, "--cfg", "job", "experiment=mine", cwd=folder))
    assert "_target_: mine.Mine" in out
    assert "name: mine" in out


def test_the_installed_command_finds_a_users_config_by_the_environment(kasmina, folder, tmp_path):
    conf = str(folder / "conf")
    out = done(run(kasmina, "--cfg", "job", "blueprint=mine", cwd=tmp_path, KASMINA_CONF=conf))
    assert "_target_: mine.Mine" in out
    missed = run(kasmina, "--cfg", "job", "blueprint=mine", cwd=tmp_path)
    assert missed.returncode == 2
    assert "blueprint: unknown option 'mine'" in missed.stderr


@pytest.mark.long
def test_the_installed_command_lists_and_checks_a_users_blueprint(kasmina, folder):
    listed = done(run(kasmina, "list", "blueprints", cwd=folder))
    assert "A learned scale of every channel." in listed
    checked = done(run(kasmina, "check", "blueprint=mine", cwd=folder))
    assert "BROKEN" not in checked
    assert "kept   mine on a map, identity" in checked


def test_the_installed_command_trains_with_a_users_experiment(kasmina, folder):
    done(run(kasmina, "experiment=mine", "debug=fast_dev_run", cwd=folder))
    assert (folder / "runs" / "debug").is_dir()
