"""One method, or one episode, far below the others leaves the others to be seen."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from torchrl_drigm.evaluation import plot_returns
from torchrl_drigm.evaluation.shift_plots import collapsed, plot_shifts

GOOD = {"none": 0.90, "tv": 0.93, "contamination": 0.91}


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """Draws, and returns the figure."""
    saved, savefig = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda *args, **kw: (saved.append(args[0]), savefig(*args, **kw))
    )

    def draw(picture, *args):
        picture(args[0], tmp_path / "x.png", *args[1:])
        return saved[-1]

    return draw


def rows(means, **marks):
    """Methods with their means, the same in two shifts but for a hundredth."""
    table = [
        {"policy": f"{name} QMIX", "mixer": "qmix", "uncertainty": name, "kind": "method"}
        | {"shift": f"env_{i}", "mean": mean - i / 100, "standard_error": 0.01, "n": 3}
        | {mark: value(i) for mark, value in marks.items()}
        for name, mean in means.items()
        for i in (1, 2)
    ]
    return pd.DataFrame(table)


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def note(figure):
    return " ".join(figure.legends[0].get_title().get_text().split())


MARKS = [{}, {"axis": lambda i: "heater power", "level": float}]


class TestShifts:
    @pytest.mark.parametrize("marks", MARKS, ids=["beside", "along"])
    def test_a_collapsed_method_leaves_the_axis_to_the_others(self, figure, marks):
        drawing = figure(plot_shifts, rows({**GOOD, "cvar": -11.0}, **marks), "return")
        (panel,) = drawing.axes
        low, high = panel.get_ylim()
        # the others are between 0.87 and 0.93 with their errors
        assert 0.8 < low < 0.86 and 0.93 < high < 1.0
        arrows = [text for text in panel.texts if text.arrow_patch is not None]
        assert [text.get_text() for text in arrows] == ["-11", "-11"]
        assert {text.xy[1] for text in arrows} == {0.0}, "at the edge"
        drawing.draw_without_rendering()
        boxes = [text.get_window_extent() for text in arrows]
        whole = panel.get_window_extent()
        assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes)
        floor = panel.transData.transform((0, 0.87))[1]
        assert all(whole.y0 <= box.y0 and box.y1 < floor for box in boxes), "below the others"
        colours = {text.get_color() for text in arrows}
        assert colours == {"#D55E00"} and "cvar (3 seeds)" in legend(drawing)
        assert "arrows: means below the axis" in note(drawing)

    def test_without_one_nothing_is_said_of_arrows(self, figure):
        drawing = figure(plot_shifts, rows({**GOOD, "cvar": 0.75}), "return")
        low, _ = drawing.axes[0].get_ylim()
        assert low < 0.72 and not drawing.axes[0].texts
        assert "arrows" not in note(drawing)

    def test_error_bars_are_not_cut(self, figure):
        table = rows(GOOD).assign(standard_error=0.4)
        low, high = figure(plot_shifts, table, "return").axes[0].get_ylim()
        assert low < 0.88 - 0.4 and high > 0.92 + 0.4

    @pytest.mark.parametrize(
        ("means", "expected"),
        [
            ([0.9, 0.91, 0.92, -11.0], ["3"]),
            ([0.9, 0.91, -9.0, -11.0], ["3", "2"]),
            ([0.9, -8.0, -9.0, -11.0], []),  # three of four are the rule
            ([0.9, -11.0], []),  # of one there is nothing to tell apart
            ([0.9, 0.9, 0.9, 0.88], []),  # by no more than can be seen anyway
            ([0.9, 0.5, 0.1, -0.5], []),
            ([-500.0, -505.0, -510.0, -9000.0], ["3"]),
        ],
    )
    def test_what_has_collapsed(self, means, expected):
        policies = [str(i) for i in range(len(means))]
        table = pd.DataFrame({"policy": policies, "mean": means, "standard_error": np.nan})
        assert collapsed(table) == expected

    def test_where_all_fall_none_has_collapsed(self):
        """Along an axis, say."""
        table = pd.DataFrame({"policy": list("aabbcc"), "mean": [0.9, -8, 0.9, -9, 0.8, -11]})
        assert collapsed(table.assign(standard_error=0.1)) == []


class TestReturns:
    def returns(self, *episodes):
        return pd.DataFrame({"policy": "QMIX", "shift": "env_1", "return": episodes})

    def test_episodes_below_the_lowest_mean_are_seen(self, figure):
        """Of returns as they are: the mean is -200, and the lowest dot -400."""
        table = self.returns(-100.0, -100.0, -200.0, -200.0, -400.0)
        drawing = figure(plot_returns, table)
        (ax,) = drawing.axes
        assert ax.get_ylim()[0] < -400.0
        assert legend(drawing) == ["QMIX"] and "triangles" not in note(drawing)

    def test_one_that_is_far_below_is_marked_at_the_edge(self, figure):
        table = self.returns(*np.linspace(-110.0, -90.0, 99), -9000.0)
        drawing = figure(plot_returns, table)
        (ax,) = drawing.axes
        assert -2000 < ax.get_ylim()[0] < -110.0
        (mark,) = (line for line in ax.lines if line.get_marker() == "v" and len(line.get_xdata()))
        assert len(mark.get_xdata()) == 1 and 0 <= mark.get_ydata()[0] < 0.05
        assert legend(drawing) == ["QMIX (episodes below the axis: 1)"]
        assert "triangles those below the axis" in note(drawing)
