"""The command that compares runs over their seeds."""

from itertools import product

import pandas as pd
import pytest
from omegaconf import OmegaConf

from torchrl_drigm.__main__ import main
from torchrl_drigm.evaluation import compare_each, compare_runs, summarize
from torchrl_drigm.tasks import BuildingTask

SHIFTS = BuildingTask.suites["climate"]
SCALE = 9000.0


def write(folder, means, uncertainty="tv", seed=0, mixer="qmix", policies=("do nothing",), **env):
    """A run with one normalised return per episode, the same in all climates."""
    folder.mkdir(parents=True)
    cfg = {
        "env": {"name": "building", "building": "OfficeSmall", "n_action_levels": 40, **env},
        "mixer": {"name": mixer},
        "uncertainty": {"name": uncertainty} | ({"rho": 0.3} if uncertainty != "none" else {}),
        "evaluation": {"suite": "climate", "episodes": len(means), "seed": 11},
        "seed": seed,
    }
    OmegaConf.save(OmegaConf.create(cfg), folder / "config.yaml")
    rows = [
        (policy, shift["name"], shift["climate"][1], SCALE * (value - 1.0))
        for policy, values in (("TV QMIX", means), *((p, [-1.0] * len(means)) for p in policies))
        for shift in SHIFTS
        for value in values
    ]
    table = pd.DataFrame(rows, columns=["policy", "shift", "location", "return"])
    # what a run of an older version calls normalised need not be
    table.assign(normalized_return=-79.0).to_csv(folder / "evaluation.csv", index=False)
    return folder


def tucson(table):
    summary = summarize(table)
    return summary[summary["shift"] == "env_1"].set_index("policy")


def test_rows_are_methods_and_seeds_are_the_spread(tmp_path, capsys):
    write(tmp_path / "a" / "0", [0.8, 0.9])  # mean 0.85
    write(tmp_path / "a" / "1", [0.9, 1.0], seed=1)  # mean 0.95: 0.9 ± 0.05 over the two seeds
    write(tmp_path / "b", [0.5, 0.5], uncertainty="none")
    main(["compare", str(tmp_path)])
    lines = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        *("policy", "TV QMIX, ρ = 0.3", "nominal QMIX", "do nothing")
    ]
    assert lines[1].endswith("0.900 ± 0.050")
    assert lines[2].endswith("0.500 (n = 1)")
    assert lines[3].endswith("-1.000 (n = 1)"), "no seeds: a policy that does not learn has none"


@pytest.mark.parametrize("version", ["torch 2.0.0, envs 00000000", None])
def test_versions_of_the_environment_are_told_apart(tmp_path, version):
    for seed, noted in enumerate(["torch 2.13.0, envs 12345678"] * 2 + [version]):
        file = write(tmp_path / str(seed), [0.8, 0.9], seed=seed) / "evaluation.csv"
        if noted is not None:
            pd.read_csv(file).assign(environment=noted).to_csv(file, index=False)
    with pytest.warns(UserWarning) as told:
        table = compare_runs([tmp_path])
    (warning,) = told
    assert f"  {version or 'not noted'}: {tmp_path / '2'}\n" in str(warning.message)
    assert table["run"].nunique() == 3, "all are in the table"
    assert len(compare_runs([tmp_path / "0", tmp_path / "1"])), "of one version: no warning"


def test_a_sweep_of_the_quickstart_is_a_row_per_method(tmp_path):
    """One folder with every mixer, set and seed, numbered as Hydra numbers them."""
    mixers, sets = ("vdn", "qmix", "qtran"), ("none", "contamination", "tv")
    value = {key: number / 100 for number, key in enumerate(product(mixers, sets))}
    for number, (key, seed) in enumerate(product(value, (0, 1, 2))):
        mixer, uncertainty = key
        write(tmp_path / str(number), [value[key] + seed / 10] * 2, uncertainty, seed, mixer)
    rows = tucson(compare_runs([tmp_path]))
    learned = rows.drop(index="do nothing")
    assert len(learned) == 9 and set(learned["n"]) == {3}
    assert learned.loc["nominal VDN", "mean"] == pytest.approx(value["vdn", "none"] + 0.1)
    assert learned.loc["TV QTRAN, ρ = 0.3", "mean"] == pytest.approx(value["qtran", "tv"] + 0.1)


class TestLeftOut:
    """Runs that cannot be counted are named, each with its reason, and the others are compared."""

    @pytest.fixture
    def good(self, tmp_path):
        write(tmp_path / "good", [0.8, 0.9])
        return tmp_path

    def assert_left_out(self, folder, run, reason):
        with pytest.warns(UserWarning, match=rf"Left out:\n  .*{run}: .*{reason}"):
            rows = tucson(compare_runs([folder]))
        learned = rows.drop(index="do nothing")
        assert learned["n"].tolist() == [1] and learned["mean"].iloc[0] == pytest.approx(0.85)

    @pytest.mark.parametrize("seed", [0, 1])
    def test_another_copy_of_a_seed_is_no_seed(self, good, seed):
        write(good / "other", [0.1, 0.1], seed=seed)
        if seed:
            assert tucson(compare_runs([good])).iloc[0]["n"] == 2
        else:
            self.assert_left_out(good, "other", "has the config and the seed of .*good")

    # characters that are cut from the end
    @pytest.mark.parametrize("cut", range(1, 900, 37))
    def test_a_file_that_was_cut_anywhere(self, good, cut):
        file = write(good / "other", [0.1, 0.1], seed=1) / "evaluation.csv"
        text = file.read_text()
        file.write_text(text[:-cut])
        assert len(text) > cut, "some of it is left"
        self.assert_left_out(good, "other", "")

    def test_a_file_that_was_cut_at_the_end_of_a_line(self, good):
        file = write(good / "other", [0.1, 0.1], seed=1) / "evaluation.csv"
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(lines[:12]))
        self.assert_left_out(good, "other", "is cut: 1 of 2 episodes of 'learned' on env_6")

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda text: "", "No columns|is torn"),
            (lambda text: text.replace(",return,", ",value,"), r"lacks the columns \['return'\]"),
            (lambda text: text.replace("env_6", "", 1), "has empty cells"),
            (lambda text: text.replace("env_3", "env_3,env_3", 1), "Expected 5 fields"),
            (lambda text: text.replace(",-", ",about -", 1), "has returns that are no numbers"),
        ],
    )
    def test_a_damaged_file(self, good, change, reason):
        file = write(good / "other", [0.1, 0.1], seed=1) / "evaluation.csv"
        file.write_text(change(file.read_text()))
        self.assert_left_out(good, "other", reason)

    def test_fewer_episodes_than_the_others(self, good):
        write(good / "other", [0.1], seed=1)
        self.assert_left_out(good, "other", "has fewer episodes than other runs: 1 of 2 on env_1")

    def test_runs_of_other_shifts_are_no_shorter(self, good):
        other = write(good / "other", [0.1, 0.1], mixer="vdn")
        cfg = OmegaConf.load(other / "config.yaml")
        cfg.evaluation.suite = [{"name": "summer"}]
        OmegaConf.save(cfg, other / "config.yaml")
        table = pd.read_csv(other / "evaluation.csv").query("shift == 'env_1'")
        table.assign(shift="summer").to_csv(other / "evaluation.csv", index=False)
        summary = summarize(compare_runs([good])).query("policy.str.contains('TV')")
        assert summary["shift"].tolist() == [*(shift["name"] for shift in SHIFTS), "summer"]

    def test_runs_with_win_rates_are_compared_by_these(self, good):
        (write(good / "other", [0.1, 0.1], seed=1) / "evaluation.csv").unlink()
        (good / "other" / "win_rates.csv").touch()
        self.assert_left_out(good, "other", "compare with --win-rates")

    def test_no_evaluation(self, good):
        (write(good / "other", [0.1, 0.1], seed=1) / "evaluation.csv").unlink()
        self.assert_left_out(good, "other", "has no evaluation.csv")

    @pytest.mark.parametrize("text", [None, "seed: 0\nmixer: {nam"])
    def test_no_config(self, good, text):
        config = write(good / "other", [0.1, 0.1], seed=1) / "config.yaml"
        config.unlink() if text is None else config.write_text(text)
        self.assert_left_out(good, "other", "no config.yaml in" if text is None else "be read")

    def test_nothing_is_left(self, tmp_path):
        (write(tmp_path / "other", [0.1]) / "evaluation.csv").unlink()
        with (
            pytest.raises(ValueError, match="No run is left to compare"),
            pytest.warns(UserWarning, match="has no evaluation.csv"),
        ):
            compare_runs([tmp_path])


class TestBuildings:
    def test_each_building_is_normalised_by_its_own_scale(self, tmp_path):
        write(tmp_path / "a", [0.8, 0.9])
        write(tmp_path / "b", [-79.0, -79.0], building="Hospital")
        small, large = map(tucson, compare_each([tmp_path]).values())
        assert {*small["measure"], *large["measure"]} == {"normalised return"}
        unit = (55 / 6) ** 1.5  # of 55 zones
        assert small["mean"].to_dict() == pytest.approx(
            {"TV QMIX, ρ = 0.3": 0.85, "do nothing": -1.0}
        )
        assert large["mean"].to_dict() == pytest.approx(
            {"TV QMIX, ρ = 0.3": 1 - 80 / unit, "do nothing": 1 - 2 / unit}
        )

    def test_references_on_other_set_points_are_others(self, tmp_path):
        write(tmp_path / "a", [0.8])
        write(tmp_path / "b", [0.8], target=20.0)
        write(tmp_path / "c", [0.8], seed=1, target=22.0)  # as without the field
        references = [p for p in tucson(compare_runs([tmp_path])).index if p.startswith("do")]
        assert references == ["do nothing, env.target=22.0", "do nothing, env.target=20.0"]

    def test_a_building_file_that_is_gone_leaves_its_run_out(self, tmp_path):
        write(tmp_path / "a", [0.8])
        write(tmp_path / "b", [0.8], building="gone.htm")
        with pytest.warns(UserWarning, match=r"building='gone.htm': there is no such file"):
            assert len(compare_runs([tmp_path])["run"].unique()) == 1

    def test_references_on_other_action_levels_are_others(self, tmp_path):
        write(tmp_path / "a", [0.8])
        write(tmp_path / "b", [0.8], n_action_levels=200)
        write(tmp_path / "c", [0.8], n_action_levels=200, num_envs=16)
        references = [p for p in tucson(compare_runs([tmp_path])).index if p.startswith("do")]
        assert references == [
            *("do nothing, env.n_action_levels=40", "do nothing, env.n_action_levels=200")
        ]


def test_folder_without_runs(tmp_path, capsys):
    message = "no config.yaml and no evaluation.csv below"
    with pytest.raises(FileNotFoundError, match=message):
        compare_runs([tmp_path])
    with pytest.raises(SystemExit, match="1"):
        main(["compare", str(tmp_path)])
    assert message in capsys.readouterr().err


def test_the_team_of_a_task_that_was_not_imported_is_the_first_in_its_file(tmp_path):
    policies = ("always quiet", "always hasty")
    write(tmp_path / "run", [0.8, 0.9], policies=policies, name="nobody_imported.Task")
    compared = compare_runs([tmp_path])
    shown = compared[compared["shift"] == "env_1"].set_index("policy")["return"]
    assert list(shown.index) == ["TV QMIX, ρ = 0.3", *policies]
    assert shown["TV QMIX, ρ = 0.3"] == pytest.approx(SCALE * (0.85 - 1.0))
