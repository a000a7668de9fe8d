"""Which nominal runs a robust one is compared with, and that no table leaves them out."""

from dataclasses import dataclass
from itertools import product

import pandas as pd
import pytest
from omegaconf import OmegaConf

from torchrl_drigm.__main__ import main
from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation import compare_runs, summarize
from torchrl_drigm.evaluation.controls import (
    FACTORS,
    best_in_hindsight,
    control_configs,
    control_discounts,
    control_note,
    finished_controls,
)
from torchrl_drigm.uncertainty import UncertaintySet, check_radius

GRID = [0.99, 0.9405, 0.891, 0.693, 0.495]


@dataclass(frozen=True)
class Ball(UncertaintySet):
    """A set whose size is a radius."""

    rho: float = 0.0
    check_size = staticmethod(check_radius)


class TestDiscounts:
    @pytest.mark.parametrize(
        ("uncertainty", "rho", "share"),
        [
            ("contamination", 0.02, 0.9702),
            ("tv", 0.2, 0.792),
            ("cvar", 0.2, 0.792),
            ("tv", 0.3, None),  # that of the grid
            ("tv", 1.0, None),  # a discount of 0
            ("tv", 0.0, None),
        ],
    )
    def test_a_share_of_probability_has_one_of_its_own(self, uncertainty, rho, share):
        cfg = compose_config(f"uncertainty={uncertainty}", f"uncertainty.rho={rho}")
        own = [] if share is None else [share]
        assert list(control_discounts(cfg)) == sorted([*GRID, *own], reverse=True)
        labels = [label for label in control_discounts(cfg).values() if label.startswith("γ(1-ρ)")]
        assert labels == ([f"γ(1-ρ) = {share or 0.693}"] if 0 < rho < 1 else [])

    @pytest.mark.parametrize("name", [f"{__name__}.Ball", "not_imported.Set"])
    def test_a_radius_has_the_grid_alone(self, name):
        cfg = compose_config("uncertainty=own", f"uncertainty.name={name}", "uncertainty.rho=0.2")
        assert list(control_discounts(cfg)) == GRID

    def test_none_is_zero(self):
        assert min(FACTORS) > 0
        with pytest.raises(ValueError, match=r"optim.gamma=0.0 has no controls: .*all actions tie"):
            control_discounts(compose_config("uncertainty=tv", "optim.gamma=0"))

    @pytest.mark.parametrize("name", ["none", "group_dr"])
    def test_what_is_not_robust_has_none(self, name):
        with pytest.raises(ValueError, match=f"uncertainty.name='{name}' has no controls"):
            control_discounts(compose_config(f"uncertainty={name}"))


def test_a_control_differs_in_set_and_discount_alone():
    cfg = compose_config("uncertainty=tv", "seed=4", "preset=paper", "resume=x/checkpoint")
    nominal = compose_config("uncertainty=none", "seed=4", "preset=paper")
    for control in control_configs(cfg).values():
        nominal.optim.gamma = control.optim.gamma
        assert control == nominal
    assert cfg.uncertainty.name != "none" and cfg.resume, "the config itself is as it was"


def test_the_best_in_hindsight_is_of_each_shift():
    worth = {("a", "long"): [3, 5], ("a", "short"): [4, 4.5], ("b", "long"): [1], ("b", "tv"): [9]}
    rows = [(s, p, value) for (s, p), values in worth.items() for value in values]
    rows = pd.DataFrame(rows, columns=["shift", "policy", "return"])
    best = best_in_hindsight(rows, ["long", "short"], "return")
    assert best["return"].tolist() == [4, 4.5, 1] and best["policy"].nunique() == 1
    assert best_in_hindsight(rows, [], "return").empty


class TestCompare:
    """Returns by method, seed and shift."""

    @pytest.fixture
    def write(self, tmp_path):
        def write(name, near, far, uncertainty="none", seed=0, gamma=0.99, rho=0.3, **more):
            folder = tmp_path / name
            folder.mkdir(parents=True)
            sets = {"name": uncertainty} | ({"rho": rho} if uncertainty != "none" else {})
            suite = [{"name": "near"}, {"name": "far"}]
            cfg = {
                "mixer": {"name": "vdn"},
                "uncertainty": sets,
                "seed": seed,
                "env": {"name": "x"},
            }
            cfg |= {"optim": {"gamma": gamma, **more}, "evaluation": {"suite": suite}}
            OmegaConf.save(OmegaConf.create(cfg), folder / "config.yaml")
            rows = {"policy": "team", "shift": ["near", "far"], "return": [near, far]}
            pd.DataFrame(rows).to_csv(folder / "evaluation.csv", index=False)
            return folder

        return write

    @pytest.fixture
    def whole(self, write):
        """A robust method of two seeds with its controls, the best of which depends on the shift.

        By seed and discount near = 1 + gamma + seed, far = 1 - gamma + seed.
        """
        for seed in (0, 1):
            write(f"robust/{seed}", 1.5 + seed, 1.2 + seed, "tv", seed)
            for gamma in GRID:
                folder = f"robust/{seed}/controls/gamma_{gamma}"
                write(folder, 1 + gamma + seed, 1 - gamma + seed, seed=seed, gamma=gamma)

    def table(self, tmp_path):
        compared = compare_runs([tmp_path])
        rows = summarize(compared).pivot_table("mean", "policy", "shift", sort=False)
        return compared, rows

    def test_controls_stand_below_the_robust_method(self, whole, write, tmp_path):
        write("another", 0.0, 0.0, lr=0.5)  # nominal, of no robust method
        compared, rows = self.table(tmp_path)
        nominal = [f"nominal VDN, optim.gamma={gamma}, optim.lr=unset" for gamma in GRID]
        shown = [name.replace(", optim.lr=unset", "") for name in rows.index]
        assert shown[1:] == [
            "TV VDN, ρ = 0.3",
            *(n.partition(", optim.lr")[0] + ", γ(1-ρ)" * ("0.693" in n) for n in nominal),
            "best discount, in hindsight, VDN",
        ]
        assert compared.attrs["missing_controls"] is None

    def test_the_best_discount_is_of_each_shift_over_the_seeds(self, whole, tmp_path):
        compared, rows = self.table(tmp_path)
        best = rows.iloc[-1]
        assert best["near"] == pytest.approx(1 + 0.99 + 0.5)
        assert best["far"] == pytest.approx(1 - 0.495 + 0.5)
        assert set(summarize(compared)["n"]) == {2}

    def test_a_lucky_seed_that_the_robust_method_lacks_is_none(self, whole, write, tmp_path):
        write("lucky/0", 99.0, 99.0, seed=2, gamma=0.891)
        _, rows = self.table(tmp_path)
        assert rows.iloc[-1]["near"] == pytest.approx(1 + 0.99 + 0.5)
        write("lucky/1", 99.0, 99.0, seed=0, gamma=0.123)  # one seed of two
        assert self.table(tmp_path)[1].iloc[-1]["near"] == pytest.approx(1 + 0.99 + 0.5)

    def test_nominal_runs_count_wherever_they_lie(self, write, tmp_path):
        write("robust", 1.0, 1.0, "tv")
        for gamma in GRID:
            write(f"elsewhere/{gamma}", gamma, gamma, gamma=gamma)
        compared, rows = self.table(tmp_path)
        assert compared.attrs["missing_controls"] is None
        assert rows.index[0] == "TV VDN, ρ = 0.3" and rows["near"].iloc[-1] == 0.99

    @pytest.mark.parametrize(
        ("more", "mark"), [({}, "1 of 5 controls"), ({"lr": 1.0}, "no control")]
    )
    def test_a_robust_method_without_them_is_marked(self, write, more, mark, tmp_path, capsys):
        folder = write("robust", 1.0, 1.0, "tv")
        write("nominal", 1.0, 1.0, **more)  # of another config it is no control
        main(["compare", str(tmp_path)])
        printed = capsys.readouterr().out
        assert f"TV VDN, ρ = 0.3 ({mark})" in printed
        assert f"  python -m torchrl_drigm evaluate {folder} --controls" in printed.splitlines()

    def test_a_seed_without_them_is_enough_to_be_marked(self, whole, write, tmp_path):
        folder = write("robust/2", 1.0, 1.0, "tv", seed=2)
        compared, rows = self.table(tmp_path)
        assert rows.index[0] == "TV VDN, ρ = 0.3 (no control)"
        assert str(folder) in compared.attrs["missing_controls"]
        assert str(folder.parent / "1") not in compared.attrs["missing_controls"]

    def test_methods_that_differ_in_the_set_alone_share_them(self, whole, write, tmp_path, recwarn):
        write("other", 1.0, 1.0, "contamination", rho=0.05)
        write("other/controls/gamma_0.99", 1 + 0.99, 1 - 0.99)  # a run of the first method's again
        _, rows = self.table(tmp_path)
        assert rows.index[:2].tolist() == [
            "contamination VDN, ρ = 0.05",
            "TV VDN, ρ = 0.3",
        ]
        assert len(rows) == 2 + 5 + 1 and not recwarn.list

    def test_settings_have_their_own(self, whole, write, tmp_path):
        write("slow", 0.0, 0.0, "tv", lr=0.5)
        for gamma in GRID:
            write(f"slow/controls/{gamma}", 0.0, 0.0, gamma=gamma, lr=0.5)
        _, rows = self.table(tmp_path)
        best = [name for name in rows.index if "hindsight" in name]
        assert best == [f"best discount, in hindsight, VDN, optim.lr={lr}" for lr in ("unset", 0.5)]
        assert rows["near"][best].tolist() == pytest.approx([1 + 0.99 + 0.5, 0.0])

    def test_many_missing_ones_are_not_all_printed(self, write, tmp_path):
        for seed, rho in product(range(5), (0.1, 0.2, 0.3)):
            write(f"{rho}/{seed}", 1.0, 1.0, "tv", seed, rho=rho)
        printed = compare_runs([tmp_path]).attrs["missing_controls"]
        assert printed.count("--controls") == 10 and printed.endswith("and so for 5 more runs")


def test_win_rates_have_them_too(tmp_path, capsys):
    """The best discount with noise need not be the best one without."""
    for i, (uncertainty, gamma) in enumerate([("tv", 0.99), *(("none", g) for g in GRID)]):
        scalars = tmp_path / str(i) / "metrics" / "scalars"
        scalars.mkdir(parents=True)
        (scalars / "win_rate_clean.csv").write_text(f"100,{gamma}\n")
        (scalars / "win_rate_noisy.csv").write_text(f"100,{1 - gamma}\n")
        sets = {"name": uncertainty} | ({"rho": 0.3} if i == 0 else {})
        cfg = {"mixer": {"name": "vdn"}, "uncertainty": sets, "seed": 0, "optim": {"gamma": gamma}}
        OmegaConf.save(OmegaConf.create(cfg), tmp_path / str(i) / "config.yaml")
    main(["compare", "--win-rates", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["TV", "VDN,", "ρ"] and "no control" not in lines[1]
    assert "hindsight, VDN" in lines[7] and " 0.990 " in lines[7] and " 0.505 " in lines[7]
    for folder in tmp_path.iterdir():
        if "none" in (folder / "config.yaml").read_text():
            (folder / "config.yaml").unlink()
    main(["compare", "--win-rates", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "(no control)" in printed and "--controls" in printed


@pytest.mark.parametrize("results", ["evaluation.csv", "win_rates.csv"])
def test_a_control_is_finished_with_its_results(results, tmp_path):
    config = "building" if results == "evaluation.csv" else "battles"
    cfg = compose_config("uncertainty=contamination", config=config)
    OmegaConf.save(cfg, tmp_path / "config.yaml")
    for name, control in control_configs(cfg).items():
        (tmp_path / "controls" / name).mkdir(parents=True)
        OmegaConf.save(control, tmp_path / "controls" / name / "config.yaml")
    assert not finished_controls(tmp_path)
    assert control_note(tmp_path).startswith("The control is missing")
    for name in control_configs(cfg):
        (tmp_path / "controls" / name / results).touch()
    assert list(finished_controls(tmp_path)) == list(control_discounts(cfg).values())
    assert control_note(tmp_path) is None


def test_a_folder_of_something_else_needs_no_note(tmp_path):
    assert control_note(tmp_path) is None
    (tmp_path / "config.yaml").write_text("a: 1")
    assert control_note(tmp_path) is None
