"""Tables over seeds, and that the command that compares runs prints them."""

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from torchrl_drigm.__main__ import main
from torchrl_drigm.evaluation import (
    compare_runs,
    format_improvements,
    format_seeds,
    improvements,
    interquartile_mean,
    probability_of_improvement,
    seed_scores,
    summarize_seeds,
)

SCORES = {
    "TV": pd.DataFrame({"near": [0.9, 0.7, 0.8], "far": [0.6, 0.8, 0.4]}, index=[0, 1, 2]),
    "nominal": pd.DataFrame({"near": [0.9, 0.6], "far": [0.5, 0.3]}, index=[0, 1]),
    "random": pd.DataFrame({"near": [0.1], "far": [-0.2]}, index=[0]),
}


class TestSummary:
    def test_by_hand(self):
        tv = summarize_seeds(SCORES).set_index("policy").loc["TV"]
        # of the seeds' means 0.75, 0.75 and 0.6
        assert tv["n"] == 3 and tv["mean"] == pytest.approx(0.7)
        assert tv["standard_error"] == pytest.approx(np.sqrt((0.05**2 * 2 + 0.1**2) / 2 / 3))
        assert tv["iqm"] == pytest.approx((0.6 + 0.7 + 0.8 + 0.8) / 4)
        # the lowest of each seed: 0.6 and 0.4 in far, 0.7 in near
        assert tv["worst"] == pytest.approx(1.7 / 3) and tv["worst_shift"] == "far"
        assert tv["worst_error"] == pytest.approx(np.std([0.6, 0.7, 0.4], ddof=1) / np.sqrt(3))

    @pytest.mark.parametrize("order", [[0, 2, 1], [1, 0, 2]])
    def test_the_worst_shift_is_that_of_most_seeds(self, order):
        assert summarize_seeds({"TV": SCORES["TV"].loc[order]})["worst_shift"].tolist() == ["far"]

    def test_intervals_are_of_seeds_in_each_shift_and_of_whole_runs(self):
        tv = summarize_seeds(SCORES).iloc[0]
        assert (tv["low"], tv["high"]) == interquartile_mean(SCORES["TV"])[1:]
        runs = interquartile_mean(SCORES["TV"], whole_runs=True)[1:]
        assert (tv["low_of_runs"], tv["high_of_runs"]) == runs

    def test_one_seed_has_neither_errors_nor_intervals(self):
        one = summarize_seeds(SCORES).iloc[2]
        numbers = one[["mean", "iqm", "worst"]].tolist()
        assert one["n"] == 1 and numbers == pytest.approx([-0.05, -0.05, -0.2])
        columns = ["standard_error", "low", "high", "low_of_runs", "high_of_runs", "worst_error"]
        assert one[columns].isna().all()

    def test_no_methods(self):
        with pytest.raises(ValueError, match="scores has no methods"):
            summarize_seeds({})


class TestFormat:
    def test_is_markdown_whose_cells_are_aligned(self):
        lines = format_seeds(summarize_seeds(SCORES)).splitlines()
        cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
        assert len({len(line) for line in lines}) == 1
        assert [len(row) for row in cells] == [6] * 5 and set("".join(cells[1])) == {"-"}
        assert cells[2][:3] == ["TV", "3", "0.700 ± 0.050"]
        low, high = interquartile_mean(SCORES["TV"])[1:]
        assert cells[2][3] == f"0.725 [{low:.3f}, {high:.3f}]"
        assert cells[2][5] == "0.567 ± 0.088, far"
        assert cells[4] == [
            *("random", "1", "-0.050 (n = 1)", "-0.050 (n = 1)", "(n = 1)", "-0.200 (n = 1), far")
        ]

    def test_raw_returns_are_named(self):
        scores = {"TV": SCORES["TV"] * 1000}
        scores["TV"].attrs["measure"] = "raw return"
        lines = format_seeds(summarize_seeds(scores)).splitlines()
        assert lines[0].startswith("| policy (raw return) |") and "| 700.0 ± 50.0 |" in lines[2]

    def test_missing_columns_and_no_rows(self):
        summary = summarize_seeds(SCORES)
        with pytest.raises(ValueError, match=r"summary lacks the columns \['low_of_runs'\]"):
            format_seeds(summary.drop(columns="low_of_runs"))
        with pytest.raises(ValueError, match="summary has no rows"):
            format_seeds(summary.iloc[:0])
        with pytest.raises(ValueError, match="table lacks the columns"):
            format_improvements(summary)


class TestImprovements:
    def test_are_of_each_pair(self):
        table = improvements(SCORES, {"TV": ["nominal", "random"]})
        assert table[["policy", "control"]].to_numpy().tolist() == [
            ["TV", "nominal"],
            ["TV", "random"],
        ]
        found = table.iloc[0]
        pair = SCORES["TV"], SCORES["nominal"]
        # 3.5 of 6 pairs near, 5 of 6 far
        assert found["probability"] == pytest.approx((3.5 + 5) / 12)
        assert (found["low"], found["high"]) == probability_of_improvement(*pair)[1:]
        runs = probability_of_improvement(*pair, whole_runs=True)[1:]
        assert (found["low_of_runs"], found["high_of_runs"]) == runs
        assert format_improvements(table).splitlines()[3].split("|")[3:5] == [
            *(" 1.00 (n = 1)".ljust(len(" 0.71 [0.50, 1.00] ")), " (n = 1)".ljust(19))
        ]

    def test_of_a_method_without_scores(self):
        with pytest.raises(ValueError, match=r"no scores of \['VDN'\], only of \['TV', 'nominal'"):
            improvements(SCORES, {"TV": ["VDN"]})


class TestCompare:
    """What ``python -m torchrl_drigm compare`` prints of several seeds."""

    @pytest.fixture
    def write(self, tmp_path):
        def write(name, near, far, uncertainty="none", seed=0, gamma=0.99, suite="own"):
            folder = tmp_path / name
            folder.mkdir(parents=True)
            sets = {"name": uncertainty} | ({"rho": 0.3} if uncertainty != "none" else {})
            cfg = {"mixer": {"name": "vdn"}, "uncertainty": sets, "seed": seed}
            cfg |= {"env": {"name": "x"}, "optim": {"gamma": gamma}}
            OmegaConf.save(OmegaConf.create(cfg), folder / "config.yaml")
            rows = {"policy": "team", "suite": suite, "shift": ["near", "far"]}
            rows = pd.DataFrame(rows).assign(**{"return": [near, far]})
            rows = pd.concat([rows, rows.assign(policy="quiet", **{"return": -1.0})])
            rows.to_csv(folder / "evaluation.csv", index=False)
            return folder

        return write

    @pytest.fixture
    def several(self, write):
        for seed in (0, 1):
            write(f"tv/{seed}", 3.0 + seed, 2.0 + seed, "tv", seed)
            for gamma in (0.99, 0.693):
                write(
                    f"tv/{seed}/controls/{gamma}",
                    2.0 * gamma + seed,
                    1.0 + seed,
                    "none",
                    seed,
                    gamma,
                )

    def test_rows_say_seed_and_suite_and_which_controls_there_are(self, several, tmp_path):
        compared = compare_runs([tmp_path])
        scores = seed_scores(compared)
        assert scores["TV VDN, ρ = 0.3 (2 of 5 controls)"].to_numpy().tolist() == [[3, 2], [4, 3]]
        assert scores["quiet"].index.tolist() == [0]
        assert set(compared["suite"]) == {"own"}
        assert compared.attrs["controls"] == {
            "TV VDN, ρ = 0.3 (2 of 5 controls)": [
                "nominal VDN, optim.gamma=0.99",
                "nominal VDN, optim.gamma=0.693, γ(1-ρ)",
                "best discount, in hindsight, VDN",
            ]
        }

    def test_tables_have_every_method_and_every_control(self, several, tmp_path, capsys):
        main(["compare", str(tmp_path)])
        printed = capsys.readouterr().out
        tables = [line for line in printed.splitlines() if line.startswith("| ")]
        names = [line.split("|")[1].strip() for line in tables]
        assert names[0] == "policy (raw return)" and names[7] == "policy"
        assert names[2:7] == [
            "TV VDN, ρ = 0.3 (2 of 5 controls)",
            "nominal VDN, optim.gamma=0.99",
            "nominal VDN, optim.gamma=0.693, γ(1-ρ)",
            "best discount, in hindsight, VDN",
            "quiet",
        ]
        better_than = [line.split("|")[2].strip() for line in tables[-3:]]
        assert better_than == names[3:6]
        # near all of 3, 4 are above 1.98, 2.98; far 2, 3 against 1, 2: three pairs and a tie
        assert tables[-3].split("|")[3].strip().startswith("0.94 [")

    def test_a_suite_may_be_called_as_pandas_calls_what_is_missing(self, write, tmp_path):
        write("tv", 3.0, 2.0, "tv", suite="NA")
        scores = seed_scores(compare_runs([tmp_path]))
        assert scores["TV VDN, ρ = 0.3 (no control)"].to_numpy().tolist() == [[3.0, 2.0]]

    def test_of_one_seed_there_is_nothing_to_say(self, write, tmp_path, capsys):
        write("tv", 3.0, 2.0, "tv")
        main(["compare", str(tmp_path)])
        assert "IQM" not in capsys.readouterr().out

    def test_methods_that_were_judged_differently_have_none_and_it_says_why(
        self, several, write, tmp_path, capsys
    ):
        write("other", 3.0, 2.0, gamma=0.5, suite="climate")
        main(["compare", str(tmp_path)])
        printed = capsys.readouterr().out
        assert "IQM" not in printed
        assert "No interquartile means: results differ in 'suite': " in printed
        assert "has 'own', " in printed and " has 'climate'" in printed
