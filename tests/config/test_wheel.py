"""What somebody who installs the wheel has, without a checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import hydra

@hydra.main(version_base=None, config_path="pkg://torchrl_drigm.config", config_name="building")
def main(cfg):
    import torchrl_drigm
    print(torchrl_drigm.__file__, cfg.mixer.name, cfg.uncertainty, cfg.env.reward_loc, cfg.seed)

main()
"""


def run(*command, cwd, **env):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The files of the wheel, unpacked as an installation has them."""
    pytest.importorskip("setuptools", "77", reason="needs setuptools: pip install setuptools")
    source = tmp_path_factory.mktemp("source")  # building leaves files where it runs
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "torchrl_drigm",
        source / "torchrl_drigm",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    code, _, errors = run("-W", "ignore", "-c", build, cwd=source)
    assert code == 0, errors[-3000:]
    site = tmp_path_factory.mktemp("site")
    (file,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(site)
    return site


def test_every_config_is_in_the_wheel(wheel):
    def names(folder):
        return {str(file.relative_to(folder)) for file in folder.rglob("*.yaml")}

    package = ROOT / "torchrl_drigm"
    assert "config/preset/paper.yaml" in names(package)
    assert names(wheel / "torchrl_drigm") == names(package)


def test_the_wheel_says_that_it_is_typed(wheel):
    assert (wheel / "torchrl_drigm" / "py.typed").is_file()
    assert (files("torchrl_drigm") / "py.typed").is_file()


def test_a_script_outside_of_the_checkout_composes_and_sweeps(wheel, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = ["mixer=vdn,qtran", "uncertainty=none", "seed=3", "hydra.sweep.dir=swept"]
    code, printed, errors = run(
        "script.py", "--multirun", *arguments, cwd=tmp_path, PYTHONPATH=str(wheel)
    )
    assert code == 0, errors
    for mixer in ("vdn", "qtran"):
        line = f"{wheel}/torchrl_drigm/__init__.py {mixer} {{'name': 'none'}} 3.0 3"
        assert line in printed.splitlines()
    assert {folder.name for folder in (tmp_path / "swept").iterdir()} >= {"0", "1"}


def test_a_script_outside_of_the_checkout_refuses_by_name(wheel, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    code, _, errors = run("script.py", "optim.lr=abc", cwd=tmp_path, PYTHONPATH=str(wheel))
    assert code != 0
    assert "'abc'" in errors and "full_key: optim.lr" in errors


def test_a_run_is_named_after_its_script(wheel, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    code, printed, errors = run(
        *("script.py", "--cfg", "hydra", "--package", "hydra.run", "--resolve"),
        **{"cwd": tmp_path, "PYTHONPATH": str(wheel)},
    )
    assert code == 0, errors
    assert "dir: runs/script/" in printed
