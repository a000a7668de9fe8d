"""Pictures of methods over shifts."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from torchrl_drigm.evaluation import shift_plots
from torchrl_drigm.evaluation.shift_plots import plot_shifts

SETS = {"none": "method", "tv": "method", "best": "control"}


@pytest.fixture
def figures(monkeypatch):
    drawn = []

    def keep(figure, path):
        drawn.append(figure)
        return path

    monkeypatch.setattr(shift_plots, "save_figure", keep)
    return drawn


def rows(**marks):
    table = [
        {
            "policy": f"{name} {mixer.upper()}",
            "mixer": mixer,
            "uncertainty": name,
            "kind": kind,
            "shift": f"shift {level}",
            "mean": 0.5 + 0.1 * level,
            "standard_error": 0.01,
            "n": 5,
            **{mark: value(level) for mark, value in marks.items()},
        }
        for mixer in ("vdn", "qmix")
        for name, kind in SETS.items()
        for level in (2, 1)
    ]
    for policy, mean in (("oracle", 0.9), ("do nothing", -3.0)):
        table += [
            {**row, "policy": policy, "mixer": "", "uncertainty": "", "kind": "reference"}
            | {"mean": mean}
            for row in table[:2]
        ]
    return pd.DataFrame(table)


def labels(panel):
    return panel.get_legend_handles_labels()[1]


def test_a_panel_for_each_mixer_in_the_same_colours(figures, tmp_path):
    plot_shifts(rows(), tmp_path / "x.png", "return")
    (figure,) = figures
    assert isinstance(figure, Figure) and [p.get_title() for p in figure.axes] == ["VDN", "QMIX"]
    colours = [
        {container.get_label(): container[0].get_color() for container in panel.containers}
        for panel in figure.axes
    ]
    assert colours[0] == colours[1] and len(set(colours[0].values())) == 2
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["shift 2", "shift 1"]
    # who does nothing is far below what was learned, and is no line to compare with
    assert "oracle" in labels(figure.axes[0]) and "do nothing" not in labels(figure.axes[0])


def test_shifts_along_an_axis_are_curves_over_their_levels(figures, tmp_path):
    plot_shifts(rows(axis=lambda _: "power", level=float), tmp_path / "x.png", "return")
    panel = figures[0].axes[0]
    assert panel.get_xlabel() == "power"
    for container in panel.containers:
        x, y = container[0].get_data()
        assert list(x) == [1.0, 2.0] and list(y) == pytest.approx([0.6, 0.7])


@pytest.mark.parametrize("axis", [None, "power"])
def test_points_are_joined_from_left_to_right(axis, figures, tmp_path):
    """Whatever order a policy's rows have: those of the best discount are in none."""
    table = rows(axis=lambda _: axis, level=float) if axis else rows()
    mixed = table["kind"] != "method"
    table = pd.concat([table[~mixed], table[mixed].iloc[::-1]])
    plot_shifts(table, tmp_path / "x.png", "return")
    for panel in figures[0].axes:
        lines = [line for line in panel.get_lines() if len(line.get_xdata()) == 2]
        assert len(lines) >= 4  # two methods, the best discount and the oracle
        for line in lines:
            assert list(line.get_xdata()) == sorted(line.get_xdata())
        (best,) = (line for line in lines if "best" in line.get_label())
        assert list(best.get_ydata()) == pytest.approx([0.7, 0.6] if axis is None else [0.6, 0.7])


def test_columns_that_are_missing_are_named(tmp_path):
    with pytest.raises(ValueError, match="lacks the columns"):
        plot_shifts(rows().drop(columns="kind"), tmp_path / "x.png", "return")
