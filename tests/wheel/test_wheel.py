"""What somebody who installs the wheel has, without a checkout."""

from importlib.resources import files
from pathlib import Path

import pandas as pd
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


def test_every_config_is_in_the_wheel(wheel):
    def names(folder):
        return {str(file.relative_to(folder)) for file in folder.rglob("*.yaml")}

    package = ROOT / "torchrl_drigm"
    assert "config/preset/paper.yaml" in names(package)
    assert names(wheel / "torchrl_drigm") == names(package)


def test_the_wheel_says_that_it_is_typed(wheel):
    assert (wheel / "torchrl_drigm" / "py.typed").is_file()
    assert (files("torchrl_drigm") / "py.typed").is_file()


def test_a_script_outside_of_the_checkout_composes_and_sweeps(wheel, run, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = ["mixer=vdn,qtran", "uncertainty=none", "seed=3", "hydra.sweep.dir=swept"]
    code, printed, errors = run(
        "script.py", "--multirun", *arguments, cwd=tmp_path, PYTHONPATH=str(wheel)
    )
    assert code == 0, errors
    # what the preset sets of the environment, and of the environment with that mixer
    for mixer, loc in (("vdn", 3.0), ("qtran", 0.3)):
        line = f"{wheel}/torchrl_drigm/__init__.py {mixer} {{'name': 'none'}} {loc} 3"
        assert line in printed.splitlines()
    assert {folder.name for folder in (tmp_path / "swept").iterdir()} >= {"0", "1"}


def test_a_script_outside_of_the_checkout_refuses_by_name(wheel, run, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    code, _, errors = run("script.py", "optim.lr=abc", cwd=tmp_path, PYTHONPATH=str(wheel))
    assert code != 0
    assert "'abc'" in errors and "full_key: optim.lr" in errors


def test_a_run_is_named_after_its_script(wheel, run, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    code, printed, errors = run(
        *("script.py", "--cfg", "hydra", "--package", "hydra.run", "--resolve"),
        **{"cwd": tmp_path, "PYTHONPATH": str(wheel)},
    )
    assert code == 0, errors
    assert "dir: runs/script/" in printed


TEAM = """
import sys
from torchrl_drigm.evaluation import evaluate
from torchrl_drigm.trainers import load_team

team = load_team(sys.argv[1])
suite = [{"name": "summer", "days": (150, 200)}]
print(evaluate(team, suite=suite, episodes=2)[["shift", "day"]].to_string(index=False))
"""


@pytest.mark.sustaingym
@pytest.mark.slow
def test_the_wheel_alone_trains_loads_evaluates_compares_and_exports(wheel, run, tmp_path):
    pytest.importorskip(
        "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
    )

    def command(*arguments):
        code, printed, errors = run(*arguments, cwd=tmp_path, PYTHONPATH=str(wheel))
        assert code == 0, errors[-3000:]
        return printed

    small = ["collector.total_frames=2000", "optim.updates_per_batch=1", "replay.batch_size=8"]
    small += ["agent.hidden_size=8", "evaluation.episodes=2", "env.time_res=3600"]
    printed = command("-m", "torchrl_drigm", "train", "building", *small)
    assert "TV QMIX" in printed and "one-step oracle" in printed
    (folder,) = (tmp_path / "runs" / "building").iterdir()

    (tmp_path / "team.py").write_text(TEAM)
    assert command("team.py", folder).splitlines()[1].split()[0] == "summer"

    (tmp_path / "seasons.yaml").write_text("- {name: summer, days: [150, 200]}\n")
    printed = command(
        *("-m", "torchrl_drigm", "evaluate", folder, "--suite", "seasons.yaml", "--episodes", "3")
    )
    assert "summer Tucson" in printed
    rows = pd.read_csv(folder / "evaluation_seasons.csv")
    assert len(rows) == 3 and set(rows["suite"]) == {"seasons"}
    assert (folder / "evaluation_seasons.png").exists()

    printed = command("-m", "torchrl_drigm", "compare", folder, "--out", "out")
    assert "TV QMIX, ρ = 0.3" in printed and (tmp_path / "out" / "compared.csv").exists()

    command("-m", "torchrl_drigm", "export", folder)
    assert (folder / "team.pt2").exists() and (folder / "team.json").exists()
