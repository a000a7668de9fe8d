"""Runs of different environments are in no table together."""

import re

import pandas as pd
import pytest
from omegaconf import OmegaConf

from torchrl_drigm.__main__ import main
from torchrl_drigm.evaluation import compare_each, compare_runs


def write(folder, value, seed=0, uncertainty="none", logged=False, **env):
    """A run with two episodes of one shift, called as in every other environment."""
    (folder / "metrics" / "scalars").mkdir(parents=True)
    cfg = {
        "env": {"name": "torchrl", "make": "nobody.imports:this", **env},
        "mixer": {"name": "qmix"},
        "uncertainty": {"name": uncertainty},
        "evaluation": {"episodes": 2, "seed": 11},
        "seed": seed,
    }
    OmegaConf.save(OmegaConf.create(cfg), folder / "config.yaml")
    rows = {"policy": "QMIX", "shift": "nominal", "return": [value, value]}
    pd.DataFrame(rows).to_csv(folder / "evaluation.csv", index=False)
    for test in ("clean", "noisy"):
        file = folder / "metrics" / "scalars" / f"win_rate_{test}.csv"
        file.write_text(f"10,{value}\n20,{value}\n")
    return folder


# what differs, and what two environments are called by it
DIFFERENT = [
    ({}, {"name": "harvest"}, "env.name=torchrl", "env.name=harvest"),
    ({}, {"make": "cranes:make_env"}, "env.make=nobody.imports.this", "env.make=cranes.make_env"),
    ({"map_name": "3m"}, {"map_name": "8m"}, "env.map_name=3m", "env.map_name=8m"),
    ({"building": "A.htm"}, {"building": "B.htm"}, "env.building=A.htm", "env.building=B.htm"),
    (
        {"kwargs": {"scenario": "balance"}},
        {"kwargs": {"scenario": "navigation"}},
        "env.kwargs.scenario=balance",
        "env.kwargs.scenario=navigation",
    ),
]


@pytest.mark.parametrize(("one", "other", "first", "second"), DIFFERENT)
def test_one_table_of_two_is_refused_with_both_names(tmp_path, one, other, first, second):
    write(tmp_path / "a", 1.0, **one)
    write(tmp_path / "b", 2.0, **other)
    message = rf"runs of 2 environments .*a is of .*{re.escape(first)}.* and .*b of .*{second}"
    with pytest.raises(ValueError, match=message):
        compare_runs([tmp_path])


@pytest.mark.parametrize(("one", "other", "first", "second"), DIFFERENT)
def test_the_command_prints_a_table_of_each(tmp_path, capsys, one, other, first, second):
    """Seeds of one environment are no seeds of the other."""
    for seed in (0, 1):
        write(tmp_path / f"a{seed}", 1.0 + 2 * seed, seed, **one)
        write(tmp_path / f"b{seed}", 10.0 + 2 * seed, seed, **other)
    main(["compare", str(tmp_path), "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    before, between, after = re.split(rf"(?m)^.*(?:{first}|{second}).*:$", printed)
    assert not before.strip()
    assert "2.0 ± 1.0" in between and "11.0" not in between
    assert "11.0 ± 1.0" in after and "2.0 ± 1.0" not in after
    files = list((tmp_path / "out").glob("*/compared.csv"))
    assert len(files) == 2 and all(str(file) in printed for file in files)
    assert {frozenset(pd.read_csv(file)["return"]) for file in files} == {
        frozenset({1.0, 3.0}),
        frozenset({10.0, 12.0}),
    }


@pytest.mark.parametrize(
    "settings",
    [{"num_envs": 4}, {"kwargs": {"severity": 2.0}}, {"make": "nobody.imports.this"}],
)
def test_settings_of_one_environment_stay_in_one_table(tmp_path, settings):
    write(tmp_path / "a", 1.0)
    write(tmp_path / "b", 2.0, **settings)
    assert compare_runs([tmp_path])["policy"].nunique() == 2


def test_a_run_with_more_episodes_elsewhere_leaves_none_out(tmp_path):
    """Of a shift that is called the same."""
    write(tmp_path / "a", 1.0)
    long = write(tmp_path / "b", 2.0, make="cranes:make_env")
    rows = pd.read_csv(long / "evaluation.csv")
    pd.concat([rows, rows]).to_csv(long / "evaluation.csv", index=False)
    assert [len(table) for table in compare_each([tmp_path]).values()] == [1, 1]


def test_win_rates_of_two_maps_are_two_tables_and_pictures(tmp_path, capsys):
    write(tmp_path / "a", 0.25, map_name="3m")
    write(tmp_path / "b", 0.75, map_name="8m")
    out = tmp_path / "out"
    main(["compare", str(tmp_path), "--win-rates", "--out", str(out), "--last", "1"])
    printed = capsys.readouterr().out
    small, large = printed.split("env.map_name=8m:")
    assert "0.250" in small and "0.750" not in small and "0.750" in large
    assert len(list(out.glob("*/win_rates.png"))) == 2
