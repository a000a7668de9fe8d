import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from torchrl_drigm.evaluation import plot_returns, plot_training_curve


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    saved = []
    savefig = Figure.savefig

    def record(figure, *args, **kwargs):
        saved.append(figure)
        savefig(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", record)
    return saved


def metrics(n=40, **columns):
    return pd.DataFrame({"frames": 288 * np.arange(1, n + 1), **columns})


def results(policy, *means, episodes=4):
    """Episodes around a mean for env_1, env_2, …"""
    spread = np.linspace(-0.05, 0.05, episodes)
    return pd.concat(
        pd.DataFrame(
            {
                "policy": policy,
                "shift": f"env_{i}",
                "location": f"Town{i}",
                "normalized_return": mean + spread,
            }
        )
        for i, mean in enumerate(means, 1)
    )


def assert_png(path):
    image = imread(path)
    assert image.shape[0] > 300
    assert image.shape[1] > 300
    assert image.std() > 0


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


class TestPlotTrainingCurve:
    def test_everything(self, tmp_path, figures):
        evaluated = np.full(40, np.nan)
        evaluated[9::10] = 0.8
        table = metrics(
            normalized_return=np.linspace(-3.0, 0.9, 40) ** 3 / 9,
            eval_normalized_return=evaluated,
            loss=np.geomspace(10, 0.1, 40),
            loss_dual=np.linspace(-1, 1, 40),
            epsilon=np.linspace(1, 0, 40),
        )
        path = plot_training_curve(table, tmp_path / "new" / "curve.png")
        assert_png(path)
        axes = figures[0].axes
        assert [ax.get_ylabel() for ax in axes] == [
            *("normalised return", "TD loss", "dual loss", "exploration ε")
        ]
        assert axes[-1].get_xlabel() == "environment steps of this one run"
        assert [ax.get_yscale() for ax in axes] == ["linear", "log", "linear", "linear"]
        labels = [text.get_text() for text in axes[0].get_legend().get_texts()]
        assert labels == ["training", "evaluation"]

    @pytest.mark.parametrize(
        ("values", "clipped"),
        [([-3.0, 0.5, 0.8, 0.9], True), ([-3.0, -2.0, -1.0, 0.5], False), ([0.5] * 4, False)],
        ids=["few below", "most below", "none below"],
    )
    def test_floor(self, tmp_path, figures, values, clipped):
        plot_training_curve(metrics(4, normalized_return=values), tmp_path / "curve.png")
        assert (figures[0].axes[0].get_ylim()[0] == -0.5) == clipped

    def test_returns_that_are_not_normalised_say_so(self, tmp_path, figures):
        table = metrics(4, **{"return": [-9e5, -8e5, -7e5, -7e5]})
        plot_training_curve(table, tmp_path / "curve.png")
        ax = figures[0].axes[0]
        assert ax.get_ylabel() == "raw return"
        assert ax.get_ylim()[0] < -9e5

    def test_one_value_is_a_marker_that_the_legend_has(self, tmp_path, figures):
        plot_training_curve(metrics(1, normalized_return=0.5, loss=1.0), tmp_path / "curve.png")
        for ax in figures[0].axes:
            assert any(line.get_marker() == "o" for line in ax.get_lines())
        (handle,) = figures[0].axes[0].get_legend().get_lines()
        assert handle.get_marker() == "o"

    def test_columns_without_values_have_no_panel(self, tmp_path, figures):
        table = metrics(loss=1.0, loss_dual=np.nan)
        assert_png(plot_training_curve(table, tmp_path / "curve.png"))
        assert [ax.get_ylabel() for ax in figures[0].axes] == ["TD loss"]

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (metrics(0, loss=1.0), "metrics has no rows"),
            (metrics().rename(columns={"frames": "step"}), r"metrics lacks the columns \['frames'"),
            (metrics(reward=1.0), r"metrics has no value of normalized_return, .* \['frames', 're"),
            (metrics(loss=np.nan), "metrics has no value of"),
        ],
    )
    def test_nothing_to_draw(self, tmp_path, table, message):
        with pytest.raises(ValueError, match=message):
            plot_training_curve(table, tmp_path / "curve.png")
        assert not list(tmp_path.iterdir())


class TestPlotReturns:
    def test_policies_and_references(self, tmp_path, figures):
        ours = pd.concat([results("VDN", 0.8, 0.7), results("QMIX", 0.9, 0.85)])
        references = pd.concat(
            [results("random", -2.0, -4.0), results("control", 0.86, 0.76), results("x", 0.9, -1)]
        )
        path = plot_returns(ours, tmp_path / "returns.png", references, title="Shifts")
        assert_png(path)
        (figure,) = figures
        (ax,) = figure.axes
        assert ax.get_title() == "Shifts"
        assert [label.get_text() for label in ax.get_xticklabels()] == [
            "env_1\nTown1",
            "env_2\nTown2",
        ]
        assert legend(figure) == [
            *("VDN", "QMIX", "random (below the axis: -4.00 to -2.00)", "control"),
            "x (below the axis in 1 of 2: -1.00 to -1.00)",
        ]
        # the lowest episode, 0.65, is the lowest thing to see
        assert ax.get_ylim() == pytest.approx((0.61, 1.03))

    def test_one_policy_without_a_name(self, tmp_path, figures):
        table = results("VDN", 0.8).drop(columns="policy")
        assert_png(plot_returns(table, tmp_path / "returns.png"))
        assert legend(figures[0]) == ["evaluated policy"]

    def test_bad_policy_stays_in_the_picture(self, tmp_path, figures):
        table = pd.concat([results("VDN", -1.0, 0.5), results("QMIX", 0.9, 0.9)])
        plot_returns(table, tmp_path / "returns.png")
        bottom, _ = figures[0].axes[0].get_ylim()
        assert -1.1 < bottom < -1.0
        assert legend(figures[0])[1] == "QMIX"

    def test_the_lowest_marker_is_seen_whole(self, tmp_path, figures):
        plot_returns(results("VDN", -60.0, 0.5), tmp_path / "returns.png")
        (ax,) = figures[0].axes
        (points,) = ax.containers
        low = ax.transData.transform((0, points.lines[0].get_ydata().min()))[1]
        half = points.lines[0].get_markersize() / 2 * figures[0].dpi / 72
        assert low - half >= ax.bbox.y0

    def test_episodes_below_the_axis_are_counted(self, tmp_path, figures):
        table = results("VDN", 0.9, episodes=20)
        table.iloc[0, -1] = -0.5
        plot_returns(table, tmp_path / "returns.png")
        assert legend(figures[0]) == ["VDN (episodes below the axis: 1)"]

    def test_one_episode_has_no_error_bar_and_says_so(self, tmp_path, figures):
        single = results("VDN", 0.8).iloc[:1]
        plot_returns(single, tmp_path / "returns.png")
        (points,) = figures[0].axes[0].containers
        (bars,) = points.lines[2]
        assert all(len(segment) == 0 for segment in bars.get_segments())
        assert "(none for one episode)" in figures[0].legends[0].get_title().get_text()
        plot_returns(results("VDN", 0.8), tmp_path / "returns.png")
        assert "none for" not in figures[1].legends[0].get_title().get_text()

    def test_references_of_other_shifts_are_left_out(self, tmp_path, figures):
        references = results("control", 0.86, 0.1)
        plot_returns(results("VDN", 0.9), tmp_path / "returns.png", references)
        assert figures[0].axes[0].get_ylim()[0] == pytest.approx(0.81)

    @pytest.mark.parametrize(
        ("table", "references", "message"),
        [
            (results("VDN", 0.9).iloc[:0], None, "results has no rows"),
            (metrics(), None, "results lacks the columns"),
            (results("VDN", 0.9), results("x", 0.9).iloc[:0], "references has no rows"),
            (
                results("VDN", 0.9),
                results("x", 0.9).drop(columns="policy"),
                r"references lacks the columns \['policy'\]",
            ),
        ],
    )
    def test_nothing_to_draw(self, tmp_path, table, references, message):
        with pytest.raises(ValueError, match=message):
            plot_returns(table, tmp_path / "returns.png", references)
        assert not list(tmp_path.iterdir())


def test_errors_of_several_seeds_are_over_the_seeds(figures, tmp_path):
    """Two seeds of a hundred equal episodes each are two values, not two hundred."""
    rows = [
        {"policy": "TV QMIX", "shift": "a", "seed": seed, "episode": e, "return": float(seed)}
        for seed in (0, 1)
        for e in range(100)
    ]
    plot_returns(pd.DataFrame(rows), tmp_path / "x.png")
    (bars,) = figures[0].axes[0].collections  # of the error bar
    low, high = bars.get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((0.5 - 0.5, 0.5 + 0.5))
