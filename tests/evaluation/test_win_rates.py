"""Figures 3 and 4 from the folders of runs."""

import pytest
from omegaconf import OmegaConf

from torchrl_drigm.evaluation import (
    final_win_rates,
    plot_rho_sweep,
    plot_win_rates,
    read_win_rates,
)
from torchrl_drigm.evaluation.__main__ import main


def write_run(folder, uncertainty, seed, clean, noisy, rho=0.1, mixer="qmix"):
    scalars = folder / "metrics" / "scalars"
    scalars.mkdir(parents=True)
    for name, values in (("win_rate_clean", clean), ("win_rate_noisy", noisy)):
        lines = (f"{10_000 * (i + 1)},{value}\n" for i, value in enumerate(values))
        (scalars / f"{name}.csv").write_text("".join(lines))
    (scalars / "loss.csv").write_text("4096,1.0\n10000,0.5\n")
    sets = {"name": uncertainty} if uncertainty == "none" else {"name": uncertainty, "rho": rho}
    cfg = {"uncertainty": sets, "mixer": {"name": mixer}, "seed": seed}
    OmegaConf.save(OmegaConf.create(cfg), folder / "config.yaml")


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
    main(["win-rates", str(runs), "--out", str(tmp_path / "out"), "--last", "1"])
    printed = capsys.readouterr().out
    assert "nominal QMIX" in printed and "0.700" in printed
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["rho_sweep.png", "win_rates.csv", "win_rates.png"]


def test_figure_4_is_the_difference_to_nominal(runs, tmp_path, monkeypatch):
    from torchrl_drigm.evaluation import win_rates

    figures = []
    monkeypatch.setattr(win_rates, "save_figure", lambda figure, path: figures.append(figure))
    plot_rho_sweep(read_win_rates([runs]), tmp_path / "sweep.png", last=1)
    noisy = figures[0].axes[0]
    points = {c.get_label(): c.lines[0].get_xydata().tolist() for c in noisy.containers}
    assert points == {
        "TV QMIX": [pytest.approx([0.1, 0.6 - 0.2])],
        "contamination QMIX": [pytest.approx([0.02, 0.3 - 0.2])],
    }


def test_figure_3_draws_mean_and_error_over_seeds(runs, tmp_path, monkeypatch):
    from torchrl_drigm.evaluation import win_rates

    figures = []
    monkeypatch.setattr(win_rates, "save_figure", lambda figure, path: figures.append(figure))
    plot_win_rates(read_win_rates([runs]), tmp_path / "curves.png", smoothing=1)
    clean = figures[0].axes[1]
    nominal = next(line for line in clean.lines if line.get_label() == "nominal QMIX (2 seeds)")
    assert nominal.get_ydata().tolist() == pytest.approx([0.0, 0.5, 0.7])


class TestRefusals:
    def test_folder_without_runs(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="name folders of runs of smac_rqmix"):
            read_win_rates([tmp_path])

    def test_figure_4_without_nominal_runs(self, runs, tmp_path):
        with pytest.raises(ValueError, match=r"nominal runs of \['qmix'\]"):
            plot_rho_sweep(read_win_rates([runs / "tv"]), tmp_path / "sweep.png")
