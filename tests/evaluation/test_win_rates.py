"""Figures 3 and 4 from the folders of runs."""

import pandas as pd
import pytest
from omegaconf import OmegaConf

from torchrl_drigm.__main__ import main
from torchrl_drigm.evaluation import (
    final_win_rates,
    plot_noise_levels,
    plot_rho_sweep,
    plot_win_rates,
    read_win_rates,
)


def write_run(folder, uncertainty, seed, clean, noisy, rho=0.1, mixer="qmix", **env):
    scalars = folder / "metrics" / "scalars"
    scalars.mkdir(parents=True)
    for name, values in (("win_rate_clean", clean), ("win_rate_noisy", noisy)):
        lines = (f"{10_000 * (i + 1)},{value}\n" for i, value in enumerate(values))
        (scalars / f"{name}.csv").write_text("".join(lines))
    (scalars / "loss.csv").write_text("4096,1.0\n10000,0.5\n")
    sets = {"name": uncertainty} if uncertainty == "none" else {"name": uncertainty, "rho": rho}
    env = {"name": "smax", "map_name": "3m", **env}
    cfg = {"env": env, "uncertainty": sets, "mixer": {"name": mixer}, "seed": seed}
    OmegaConf.save(OmegaConf.create(cfg), folder / "config.yaml")
    return folder


@pytest.fixture
def runs(tmp_path):
    write_run(tmp_path / "nominal" / "0", "none", 0, [0.0, 0.4, 0.6], [0.0, 0.1, 0.1])
    write_run(tmp_path / "nominal" / "1", "none", 1, [0.0, 0.6, 0.8], [0.0, 0.1, 0.3])
    write_run(tmp_path / "tv", "tv", 0, [0.0, 0.5, 0.7], [0.0, 0.4, 0.6])
    write_run(tmp_path / "con", "contamination", 0, [0.1, 0.2, 0.3], [0.1, 0.2, 0.3], rho=0.02)
    return tmp_path


def test_runs_are_described_by_their_configs(runs):
    table = read_win_rates([runs])
    assert len(table) == 4 * 3
    assert set(table["method"]) == {
        "nominal QMIX",
        "TV QMIX, ρ = 0.1",
        "contamination QMIX, ρ = 0.02",
    }
    assert table.groupby("method")["rho"].first().to_dict()["nominal QMIX"] == 0.0
    assert sorted(table["frames"].unique()) == [10_000, 20_000, 30_000]


def test_final_win_rates_average_evaluations_then_runs(runs):
    final = final_win_rates(read_win_rates([runs]), last=2).set_index("method")
    # runs: (0.4 + 0.6) / 2 = 0.5 and 0.7, so 0.6 ± 0.1; noisy 0.1 and 0.2
    assert final.loc["nominal QMIX", ["clean", "clean_se", "noisy", "noisy_se"]].tolist() == (
        pytest.approx([0.6, 0.1, 0.15, 0.05])
    )
    assert final.loc["nominal QMIX", "n"] == 2
    assert final.loc["TV QMIX, ρ = 0.1", "noisy"] == pytest.approx(0.5)


def test_command_writes_table_and_both_figures(runs, tmp_path, capsys):
    main(["compare", "--win-rates", str(runs), "--out", str(tmp_path / "out"), "--last", "1"])
    printed = capsys.readouterr().out
    assert "nominal QMIX" in printed and "0.700" in printed
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["rho_sweep.png", "win_rates.csv", "win_rates.png"]


def test_figure_4_is_the_difference_to_nominal(runs, tmp_path, monkeypatch):
    from torchrl_drigm.evaluation import win_rate_plots

    figures = []
    monkeypatch.setattr(win_rate_plots, "save_figure", lambda figure, path: figures.append(figure))
    plot_rho_sweep(read_win_rates([runs]), tmp_path / "sweep.png", last=1)
    noisy = figures[0].axes[0]
    points = {c.get_label(): c.lines[0].get_xydata().tolist() for c in noisy.containers}
    assert points == {
        "TV QMIX (1 to 2 seeds: no error bar for 1)": [pytest.approx([0.1, 0.6 - 0.2])],
        "contamination QMIX (1 to 2 seeds: no error bar for 1)": [pytest.approx([0.02, 0.3 - 0.2])],
    }


def test_figure_3_draws_mean_and_error_over_seeds(runs, tmp_path, monkeypatch):
    from torchrl_drigm.evaluation import win_rate_plots

    figures = []
    monkeypatch.setattr(win_rate_plots, "save_figure", lambda figure, path: figures.append(figure))
    plot_win_rates(read_win_rates([runs]), tmp_path / "curves.png", smoothing=1)
    clean = figures[0].axes[1]
    nominal = next(line for line in clean.lines if line.get_label() == "nominal QMIX (2 seeds)")
    assert nominal.get_ydata().tolist() == pytest.approx([0.0, 0.5, 0.7])


class TestOneSeed:
    """A mean of one run has no error, and says so."""

    @pytest.fixture
    def figure(self, tmp_path, monkeypatch):
        from torchrl_drigm.evaluation import win_rate_plots

        figures = []
        monkeypatch.setattr(
            win_rate_plots, "save_figure", lambda figure, path: figures.append(figure)
        )

        def figure(plot, table, **kwargs):
            plot(table, tmp_path / "x.png", **kwargs)
            return figures[-1]

        return figure

    @staticmethod
    def bars(container):
        """Error bars that are to be seen."""
        (lines,) = container.lines[2]
        return [segment for segment in lines.get_segments() if len(segment)]

    def test_no_band_over_training(self, runs, figure):
        ax = figure(plot_win_rates, read_win_rates([runs])).axes[0]
        bands = [
            len(band.get_paths()[0].vertices) if band.get_paths() else 0 for band in ax.collections
        ]
        labels = [line.get_label() for line in ax.lines]
        drawn = dict(zip(labels, (n > 0 for n in bands), strict=True))
        assert drawn == {
            "contamination QMIX, ρ = 0.02 (1 seed: no error)": False,
            "nominal QMIX (2 seeds)": True,
            "TV QMIX, ρ = 0.1 (1 seed: no error)": False,
        }

    def test_no_bar_over_rho(self, runs, figure):
        (container, *_) = figure(plot_rho_sweep, read_win_rates([runs])).axes[0].containers
        assert not self.bars(container)
        write_run(runs / "con1", "contamination", 1, [0.1] * 3, [0.1] * 3, rho=0.02)
        containers = figure(plot_rho_sweep, read_win_rates([runs])).axes[0].containers
        bars = {c.get_label().split(" (")[0]: len(self.bars(c)) for c in containers}
        assert bars == {"contamination QMIX": 1, "TV QMIX": 0}

    def test_no_bar_over_noise(self, figure):
        rows = [("a", "0", 0.1), ("b", "1", 0.2), ("b", "2", 0.4)]
        table = pd.DataFrame(rows, columns=["method", "run", "won"]).assign(std=0.5)
        containers = figure(plot_noise_levels, table).axes[0].containers
        assert {c.get_label(): len(self.bars(c)) for c in containers} == {
            "a (1 seed: no error)": 0,
            "b (2 seeds)": 1,
        }

    def test_the_table_says_so(self, runs, tmp_path, capsys):
        main(["compare", "--win-rates", str(runs), "--out", str(tmp_path / "out")])
        lines = capsys.readouterr().out.splitlines()
        counts = {
            name: line.count("one run")
            for name in ("TV", "nominal")
            for line in lines
            if name in line
        }
        assert counts == {"TV": 2, "nominal": 0}


def test_maps_and_simulators_are_not_averaged(tmp_path):
    for i, env in enumerate(
        [{}, {"map_name": "3s_vs_5z"}, {"name": "smac"}, {"map_name": "3s_vs_5z", "name": "smac"}]
    ):
        write_run(tmp_path / str(i), "none", 0, [i / 4], [i / 4], **env)
        write_run(tmp_path / f"{i}tv", "tv", 0, [i / 4 + 0.1], [0.0], **env)
    final = final_win_rates(read_win_rates([tmp_path])).set_index("method")
    assert len(final) == 8 and set(final["n"]) == {1}
    assert final.loc["nominal QMIX, env.name=smac, env.map_name=3m", "clean"] == 0.5


def test_figure_4_compares_with_nominal_runs_of_the_same_map(tmp_path, monkeypatch):
    from torchrl_drigm.evaluation import win_rate_plots

    figures = []
    monkeypatch.setattr(win_rate_plots, "save_figure", lambda figure, path: figures.append(figure))
    for name, nominal in (("3m", 0.5), ("8m", 0.25)):
        write_run(tmp_path / f"{name}none", "none", 0, [nominal], [nominal], map_name=name)
        write_run(tmp_path / f"{name}tv", "tv", 0, [0.75], [0.75], map_name=name)
    plot_rho_sweep(read_win_rates([tmp_path]), tmp_path / "x.png")
    points = {c.get_label(): c.lines[0].get_ydata().item() for c in figures[0].axes[0].containers}
    assert points == {
        "TV QMIX, env.map_name=3m (1 seed: no error)": 0.25,
        "TV QMIX, env.map_name=8m (1 seed: no error)": 0.5,
    }


class TestLeftOut:
    """Runs that cannot be counted are named, each with its reason."""

    def assert_left_out(self, folder, reason):
        with pytest.warns(UserWarning, match=rf"Left out:\n  .*other: .*{reason}"):
            table = read_win_rates([folder])
        assert table["run"].nunique() == 4

    @pytest.fixture
    def other(self, runs):
        return write_run(runs / "other", "tv", 1, [0.5] * 3, [0.5] * 3)

    def test_whole_runs_are_counted(self, runs, other):
        assert read_win_rates([runs])["run"].nunique() == 5

    @pytest.mark.parametrize("cut", range(1, 30))
    def test_a_log_that_was_cut_anywhere(self, runs, other, cut):
        file = other / "metrics" / "scalars" / "win_rate_noisy.csv"
        text = file.read_text()
        assert len(text) == 30
        file.write_text(text[:-cut])
        self.assert_left_out(runs, "torn|lacks one of the two|never tested")

    def test_a_line_that_was_continued_by_the_next(self, runs, other):
        """What a run leaves that was killed while it wrote, and resumed."""
        file = other / "metrics" / "scalars" / "win_rate_clean.csv"
        file.write_text("10000,0.5\n20000,0.20000,0.5\n30000,0.5\n")
        self.assert_left_out(runs, r"is torn, left out: line 2: '20000,0.20000,0.5'")

    def test_fewer_evaluations_than_the_others(self, runs):
        write_run(runs / "other", "tv", 1, [0.5] * 2, [0.5] * 2)
        self.assert_left_out(runs, "has 2 of the 3 evaluations of other runs")

    def test_never_tested(self, runs, other):
        for file in (other / "metrics" / "scalars").glob("win_rate*"):
            file.unlink()
        self.assert_left_out(runs, "was never tested")

    def test_a_copy_of_a_seed(self, runs):
        write_run(runs / "other", "none", 1, [0.5] * 3, [0.5] * 3)
        self.assert_left_out(runs, "has the config and the seed of .*nominal/1")

    def test_damaged_config(self, runs, other):
        (other / "config.yaml").write_text("seed: 0\nenv: {na")
        self.assert_left_out(runs, "cannot be read")

    def test_nothing_is_left(self, tmp_path):
        write_run(tmp_path, "none", 0, [], [])
        with (
            pytest.raises(ValueError, match="No run with test win rates is left"),
            pytest.warns(UserWarning, match="never tested"),
        ):
            read_win_rates([tmp_path])


class TestRefusals:
    def test_folder_without_runs(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no config.yaml below .*runs of smac_rqmix"):
            read_win_rates([tmp_path])

    def test_figure_4_without_nominal_runs(self, runs, tmp_path):
        with pytest.raises(ValueError, match=r"nominal runs of \['QMIX'\]"):
            plot_rho_sweep(read_win_rates([runs / "tv"]), tmp_path / "sweep.png")
