"""What docs/your_building.md says, done with the files that it shows."""

import re
import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.envs._own_building import shipped_weather, write_weather
from torchrl_drigm.config import compose_config
from torchrl_drigm.envs import BuildingParameters, SustainGymEnv
from torchrl_drigm.envs.libs._epw import check_epw
from torchrl_drigm.tasks import read_suite
from torchrl_drigm.trainers import build, load_team

pytestmark = pytest.mark.sustaingym
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your_building.md").read_text()
FILES = (
    *("warm_weather.py", "hourly_year.py", "day_of_set_points.py"),
    *("conf/home.yaml", "home_climates.yaml"),
)
SMALL = (
    *("env.num_envs=4", "collector.frames_per_batch=32", "collector.total_frames=96"),
    *("replay.batch_size=8", "replay.size=96", "collector.init_random_frames=32"),
    *("agent.hidden_size=8", "log_interval=1", "progress_bar=false"),
)


def run(script, *arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(script, run_name="__main__")


@pytest.fixture
def folder(users_folder, monkeypatch):
    made = users_folder(*FILES)
    run("warm_weather.py", monkeypatch=monkeypatch)
    return made


def test_every_file_is_on_the_page():
    for file in (*FILES, "all_buildings.py"):
        assert f"{{literalinclude}} examples/{file}\n" in PAGE or f"python {file}" in PAGE


def test_the_message_about_the_ground_is_that_of_the_page(folder):
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    with pytest.raises(ValueError, match="location='Home'") as error:
        exec(code)
    message = code.partition("# ValueError: ")[2].replace("\n# ", " ").strip()
    for part in re.split(r"\.\.\.", message):
        assert part.strip("]. ") in str(error.value)


def test_from_the_weather_to_a_day_of_set_points(folder, monkeypatch, capsys):
    words = re.search(r"python -m torchrl_drigm train home (.*)", PAGE)[1].split()
    fields = [w for w in words if "=" in w and not w.startswith(("-", "hydra"))]
    home = OmegaConf.load("conf/home.yaml")
    assert home.pop("defaults") == ["building", "_self_"]
    cfg = OmegaConf.merge(compose_config(*fields, *SMALL), home)
    assert cfg.env.scale == [2.0, 20.0, 20.0, 1.0, 0.2], "the preset is that of buildings"
    torch.manual_seed(0)
    build(cfg, "runs/home").train()
    name, shifts = read_suite(load_team("runs/home").task, cfg.evaluation.suite)
    assert (name, len(shifts)) == ("home_climates", 4)

    arguments = re.search(r"python day_of_set_points.py (.*)", PAGE)[1].split()
    run("day_of_set_points.py", *arguments, monkeypatch=monkeypatch)
    assert "288 steps of CORE_ZN, PERIMETER_ZN_1" in capsys.readouterr().out
    table = pd.read_csv("day.csv", parse_dates=["time"])
    assert table.shape == (288, 1 + 2 * 5)
    assert str(table["time"].iloc[0]) == "2001-01-11 00:00:00"  # day 10 from 0
    env = SustainGymEnv(**{name: cfg.env[name] for name in ("building", "climates")}, **own(cfg))
    td = env.reset(day=torch.tensor([10]))
    share = torch.tensor(table.filter(like="share").iloc[0].to_numpy())
    td["agents", "action"] = ((share + 1) * 100).round().long()[None]
    reached = env.step(td)["next", "agents", "observation"][0, :, 0]
    told = torch.tensor(table.filter(like="set point").iloc[0].to_numpy(), dtype=torch.float32)
    torch.testing.assert_close(told, reached, atol=6e-4, rtol=0)


def own(cfg):
    fields = OmegaConf.to_container(cfg.env)
    return {name: fields[name] for name in BuildingParameters.names()}


@pytest.mark.parametrize("kind", ["leap", "quarters", "both"])
def test_the_script_makes_a_year_of_hours(folder, monkeypatch, kind):
    header, rows = shipped_weather()
    at = 24 * (31 + 28)
    if kind != "quarters":
        leap = [[row[0], "2", "29", *row[3:]] for row in rows[:24]]
        rows = [*rows[:at], *leap, *rows[at:]]
    if kind != "leap":
        header[7] = header[7].replace("1,1,", "1,4,", 1)
        rows = [
            [*row[:4], str(minute), *row[5:13], str(4 * i * float(row[13]) / 10), *row[14:]]
            for row in rows
            for i, minute in zip((1, 2, 3, 4), (15, 30, 45, 60), strict=True)
        ]
    write_weather(folder / "raw.epw", header, rows)
    with pytest.raises(ValueError, match=r"raw\.epw"):
        check_epw("raw.epw")
    run("hourly_year.py", "raw.epw", "year.epw", monkeypatch=monkeypatch)
    check_epw("year.epw")
    env = SustainGymEnv(building="Warehouse", climates=[("year.epw", "Tucson")], num_envs=2)
    usual = SustainGymEnv(building="Warehouse", num_envs=2)
    days = {"day": torch.tensor([58, 59])}  # before and after the day that is left out
    one, two = (e.rollout(150, auto_reset=False, tensordict=e.reset(**days)) for e in (env, usual))
    torch.testing.assert_close(one["state"][..., 3:6], two["state"][..., 3:6])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows[5].__setitem__(13, "9999"), "line 14 has no temperature .* or no radia"),
        (lambda rows: rows[5].__setitem__(6, "99.9"), "line 14 has no temperature"),
        (lambda rows: rows.__delitem__(slice(5000, None)), "5000 hours, and a year .* has 8760"),
        (lambda rows: rows[7].__delitem__(slice(9, None)), "line 16 is cut"),
    ],
)
def test_a_year_of_hours_has_no_values_that_were_missing(folder, monkeypatch, spoil, message):
    """Radiation of 9999 in one of six records would be the mean of an hour that looks real."""
    header, rows = shipped_weather()
    spoil(rows)
    write_weather(folder / "raw.epw", header, rows)
    with pytest.raises(SystemExit, match=message):
        run("hourly_year.py", "raw.epw", "year.epw", monkeypatch=monkeypatch)
    assert not (folder / "year.epw").exists()


def test_a_row_of_the_table_is_what_its_script_prints(users_folder, monkeypatch, capsys):
    users_folder("all_buildings.py")
    run("all_buildings.py", "Warehouse", monkeypatch=monkeypatch)
    head, _, row = capsys.readouterr().out.splitlines()
    assert head in PAGE and row in PAGE


@pytest.mark.slow
def test_the_config_of_the_page_trains(folder, python):
    """By its command, but for the size of the run."""
    command = re.search(r"python (-m torchrl_drigm train home .*)", PAGE)[1].split()
    sizes = [*SMALL, "evaluation.episodes=2", "env.time_res=3600"]
    done = python(*command, *sizes, cwd=folder, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "weak heaters" in done.stdout
    config = OmegaConf.load(folder / "runs" / "home" / "config.yaml")
    assert config.env.building == "OfficeSmall" and config.env.n_action_levels == 200
