"""What holds for every picture: one colour per method, nothing cut off, nothing unexplained."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from torchrl_drigm.evaluation import (
    evaluate,
    plot_choice,
    plot_noise_levels,
    plot_returns,
    plot_rho_sweep,
    plot_training_curve,
    plot_win_rates,
)
from torchrl_drigm.evaluation.looks import colour_of, looks
from torchrl_drigm.evaluation.shift_plots import plot_shifts
from torchrl_drigm.tasks import BuildingTask, DoNothing

EXAMPLES = Path(__file__).parents[2] / "examples"
# with what they differ in, as tables name them; and how many seeds there are of each
METHODS = {
    "nominal QMIX, optim.gamma=0.99, env.map_name=3s_vs_5z": 3,
    "TV QMIX, ρ = 0.1, optim.gamma=0.99, env.map_name=3s_vs_5z": 1,
    "CVaR QMIX, ρ = 0.5, optim.gamma=0.99, env.map_name=3s_vs_5z": 2,
    "contamination QMIX, ρ = 0.02, optim.gamma=0.99 and 3 more": 2,
}
SETS = dict(zip(METHODS, ("none", "tv", "cvar", "contamination"), strict=True))
SEEDS = [(method, seed) for method, n in METHODS.items() for seed in range(n)]


def returns():
    rows = [
        {"policy": p, "shift": s, "location": "Tucson", "return": 1.0 + e + (s == "b")}
        for p in METHODS
        for s in "ab"
        for e in range(4)
    ]
    # an episode far below the others of each policy makes its name longer
    low = [{**rows[8 * i], "return": -90.0 + 100 * i} for i in range(len(METHODS))]
    table = pd.DataFrame(rows + low)
    table.attrs["trained"] = ["a"]
    return table


def win_rates():
    rows = [
        {"run": f"{m}{seed}", "method": m, "family": m.partition(",")[0], "setting": "QMIX"}
        | {"mixer": "qmix", "uncertainty": SETS[m], "rho": 0.1 * (SETS[m] != "none")}
        | {"seed": seed, "frames": frames, "std": frames / 1e3, "won": 0.5 + 0.1 * seed}
        | {"win_rate_clean": 0.6 + 0.1 * seed, "win_rate_noisy": 0.3 + 0.1 * seed}
        for m, seed in SEEDS
        for frames in (1000, 2000, 3000)
    ]
    return pd.DataFrame(rows)


def shifts(**marks):
    rows = [
        {"policy": m.replace("QMIX", mixer.upper()), "mixer": mixer, "uncertainty": SETS[m]}
        | {"kind": "method", "shift": shift, "location": f"Town of {shift}", "mean": 0.1 * i}
        | {"standard_error": 0.02, "n": METHODS[m]}
        | {mark: value(i) for mark, value in marks.items()}
        for mixer in ("vdn", "qmix")
        for m in METHODS
        for i, shift in enumerate(["env_1", "env_6 days 200-364"])
    ]
    others = [
        {**row, "policy": name, "mixer": "", "kind": "reference", "uncertainty": ""}
        for name in ("do nothing", "random", "proportional control", "one-step oracle")
        for row in rows[:2]
    ]
    return pd.DataFrame(rows + others)


def choices(n_seeds=3):
    rows = [
        {"value": v, "seed": s, "shift": f"val_{i}", "return": v + s + i}
        for v in (0.1, 0.2)
        for s in range(n_seeds)
        for i in range(4)
    ]
    return pd.DataFrame(rows)


def training():
    rows = {"frames": range(90), "normalized_return": 0.5, "eval_normalized_return": 0.6}
    return pd.DataFrame({**rows, "loss": 1.0})


PICTURES = {
    "returns": lambda path: plot_returns(returns(), path, returns()[:8].assign(policy="a rule")),
    "win rates": lambda path: plot_win_rates(win_rates(), path),
    "rho": lambda path: plot_rho_sweep(win_rates(), path),
    "noise": lambda path: plot_noise_levels(win_rates(), path),
    "shifts": lambda path: plot_shifts(shifts(), path, "return", ["env_1"]),
    "axis": lambda path: plot_shifts(
        shifts(axis=lambda i: "heater power", level=float), path, "return", ["env_1"]
    ),
    "choice": lambda path: plot_choice(choices(), path, "uncertainty.rho"),
    "training": lambda path: plot_training_curve(training(), path),
}
OF_METHODS = [name for name in PICTURES if name not in ("choice", "training")]


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """Draws, from a folder in which nothing may be left, and returns the figure."""
    saved, savefig = [], Figure.savefig
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def record(figure, *args, **kwargs):
        saved.append(figure)
        savefig(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", record)

    def draw(picture):
        PICTURES[picture](tmp_path / "there" / "x.png") if picture in PICTURES else picture()
        return saved[-1]

    return draw


def drawn(figure):
    """Lines with their labels, those of means with error bars among them."""
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            yield label, handle[0] if isinstance(handle, ErrorbarContainer) else handle


def note(figure):
    return " ".join(figure.legends[0].get_title().get_text().split())


@pytest.mark.parametrize("picture", OF_METHODS)
def test_a_method_has_its_colour_whatever_the_picture(figure, picture):
    found = {}
    for label, line in drawn(figure(picture)):
        name = label.replace(" QMIX", "").partition(",")[0].partition(" (")[0]
        if name in ("TV", "CVaR", "contamination") or (name == "nominal" and picture != "rho"):
            found.setdefault(name, set()).add(to_hex(line.get_color()))
    expected = {"TV": "#0072b2", "CVaR": "#d55e00", "contamination": "#e69f00"}
    expected |= {"nominal": "#000000"} if picture != "rho" else {}  # there it is the zero
    assert found == {name: {colour} for name, colour in expected.items()}


@pytest.mark.parametrize("picture", PICTURES)
def test_all_text_is_inside_the_figure_and_no_legend_on_a_panel(figure, picture):
    drawing = figure(picture)
    drawing.draw_without_rendering()
    whole = drawing.bbox
    for ax in drawing.axes:
        texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels()]
        for text in [*texts, *ax.get_yticklabels()]:
            if not text.get_text() or not text.get_visible():
                continue
            box = text.get_window_extent()
            low, high = ax.viewLim.intervalx
            if text in ax.get_xticklabels() and not low <= text.get_position()[0] <= high:
                continue  # of a tick that is not in view
            assert box.x0 >= -1 and box.x1 <= whole.x1 + 1, text
    for legend in drawing.legends:
        box = legend.get_window_extent()
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1
        assert whole.y0 - 1 <= box.y0 and box.y1 <= whole.y1
        assert not any(box.overlaps(ax.get_window_extent()) for ax in drawing.axes)


def test_tick_labels_do_not_run_into_each_other(figure, tmp_path):
    short = shifts()[lambda rows: rows["uncertainty"].isin(["none", "tv"])]
    short = short.assign(policy=short["policy"].str.partition(",")[0])
    more = short.assign(shift=short["shift"].str.replace("_", " of the paper, 1"))
    four = pd.concat([short, more], ignore_index=True)
    drawing = figure(lambda: plot_shifts(four, tmp_path / "x.png", "return"))
    drawing.draw_without_rendering()
    labels = [text for ax in drawing.axes for text in ax.get_xticklabels()]
    assert len(labels) == 8
    boxes = [text.get_window_extent() for text in labels]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))


@pytest.mark.parametrize(
    ("picture", "marks"),
    [("returns", ["a\nTucson\n(training)", "b\nTucson"]), ("shifts", ["(training)", None])],
)
def test_what_was_trained_in_is_marked(figure, picture, marks):
    for ax in figure(picture).axes:
        ticks = [tick.get_text() for tick in ax.get_xticklabels()]
        assert [("(training)" in tick) for tick in ticks] == [True, False]
        assert picture == "shifts" or ticks == marks


@pytest.mark.parametrize("picture", ["win rates", "rho"])
def test_battles_are_trained_without_noise(figure, picture):
    titles = [ax.get_title() for ax in figure(picture).axes]
    assert titles == ["under noise", "without noise (training)"]


def test_of_noise_levels_training_is_the_level_0(figure):
    (ax,) = figure("noise").axes
    assert ax.get_xlabel().endswith("(training: 0)")


def test_on_an_axis_the_level_of_training_is_marked(figure):
    for ax in figure("axis").axes:
        lines = {line.get_label(): line for line in ax.lines}
        assert set(lines["training"].get_xdata()) == {0.0}  # the level of env_1


@pytest.mark.parametrize("picture", ["win rates", "noise", "shifts", "axis"])
def test_one_seed_looks_like_it_and_seeds_are_counted(figure, picture):
    drawing = figure(picture)
    looked = {}
    for label, line in drawn(drawing):
        if seeds := re.search(r"\((\d) seed", label):
            look = line.get_linewidth(), to_hex(line.get_markerfacecolor()) == "#ffffff"
            looked.setdefault(int(seeds[1]), set()).add(look)
    assert set(looked) == {1, 2, 3}
    ((thin, hollow),), several = looked[1], looked[2] | looked[3]
    assert hollow and all(width > thin and not empty for width, empty in several)
    assert "thin and hollow: one seed" in note(drawing)


def test_a_picture_of_returns_says_whether_a_policy_is_one_team_or_several(figure, tmp_path):
    assert "one team, hollow" in note(figure("returns"))
    table = returns().assign(seed=[0, 1] * 18)
    drawing = figure(lambda: plot_returns(table, tmp_path / "x.png"))
    assert all("(2 seeds)" in text.get_text() for text in drawing.legends[0].get_texts())
    assert "one team" not in note(drawing)


def test_smoothing_is_said_and_only_where_there_is_some(figure, tmp_path):
    assert "running means over 5 evaluations" in note(figure("win rates"))
    plain = figure(lambda: plot_win_rates(win_rates(), tmp_path / "x.png", smoothing=1))
    assert "running" not in note(plain)
    (panel, *_) = figure("training").axes
    texts = [text.get_text() for text in panel.get_legend().get_texts()]
    assert "training, running mean of 3 dots" in texts and "training, as logged" in texts


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ("returns", ["bars: ± standard error", "dots: episodes", "lines: means of references"]),
        ("win rates", ["bands: ± standard error over the seeds"]),
        ("rho", ["bars: ± standard error of the difference", "last 10 evaluations"]),
        ("noise", ["bars: ± standard error"]),
        ("shifts", ["bars: ± standard error", "grey: to compare with"]),
        ("choice", ["mean over 3 seeds", "bands: ± standard error over the seeds"]),
    ],
)
def test_bars_bands_and_lines_are_explained(figure, picture, said):
    drawing = figure(picture)
    assert all(words in note(drawing) for words in said), note(drawing)
    # what is drawn without a marker has a name
    unnamed = [
        line for ax in drawing.axes for line in ax.lines if line.get_ls() not in ("-", "None")
    ]
    assert all(not line.get_label().startswith("_") for line in unnamed)


def test_a_choice_by_one_seed_says_so(figure, tmp_path):
    drawing = figure(lambda: plot_choice(choices(1), tmp_path / "x.png", "uncertainty.rho"))
    assert "1 seed" in note(drawing) and "bands" not in note(drawing)


@pytest.mark.parametrize("picture", PICTURES)
def test_nothing_is_left_in_the_folder_that_one_stands_in(figure, picture):
    figure(picture)
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_draw_below_runs_if_not_told_where(script):
    found = re.findall(r'"--out(?:put)?",.*?default="([^"]*)"', script.read_text(), re.DOTALL)
    assert all(default.startswith("runs/") for default in found)


class TestLooks:
    def test_the_order_and_company_of_methods_change_no_colour(self):
        alone = {method: looks([method])[method] for method in METHODS}
        together = looks(reversed(METHODS))
        assert alone == together

    def test_no_two_of_a_picture_look_the_same(self):
        many = [f"TV QMIX, ρ = {i / 10}" for i in range(20)]
        assert len(set(looks(many).values())) == 20

    def test_mixers_differ_in_the_marker_alone(self):
        vdn, qmix, qtran = looks(["TV VDN", "TV QMIX", "TV QTRAN"]).values()
        assert len({vdn.marker, qmix.marker, qtran.marker}) == 3
        assert (vdn.colour, vdn.line) == (qmix.colour, qmix.line) == (qtran.colour, qtran.line)

    def test_names_and_labels_of_a_set_have_one_colour(self):
        for names in (("tv", "TV VDN", "total variation"), ("none", "nominal QMIX, γ = 0.9")):
            assert len({colour_of(name) for name in names}) == 1

    def test_a_label_of_ones_own_has_the_same_colour_in_another_process(self):
        own = [f"rule {i}" for i in range(9)]
        line = (
            f"from torchrl_drigm.evaluation.looks import colour_of; print(*map(colour_of, {own}))"
        )
        env = {"PYTHONHASHSEED": "7", "PYTHONPATH": str(EXAMPLES.parent)}
        done = subprocess.run([sys.executable, "-c", line], env=env, capture_output=True, text=True)
        assert done.stdout.split() == [colour_of(name) for name in own], done.stderr
        assert colour_of("my rule") not in map(colour_of, SETS.values())


class TestTrainedIn:
    def test_evaluate_notes_it_for_pictures(self):
        suite = [{"name": "spring", "days": (90, 91)}, {"name": "autumn", "days": (250, 251)}]
        results = evaluate(DoNothing(), BuildingTask(), suite, episodes=1)
        assert results.attrs["trained"] == ["spring"]

    def test_of_a_team_it_is_the_team_s_own_training(self):
        team = DoNothing()
        team.task = BuildingTask(days=(200, 300))
        suite = [{"name": "spring", "days": (90, 91)}, {"name": "autumn", "days": (250, 251)}]
        results = evaluate(team, BuildingTask(), suite, episodes=1)
        assert results.attrs["trained"] == ["autumn"]

    def test_all_climates_of_training_count(self):
        task = BuildingTask(climates=[("Hot_Dry", "Tucson"), ("Hot_Humid", "Tampa")])
        (tucson, tampa, honolulu, *_) = task.suites["climate"]
        assert [task.trained_in(s) for s in (tucson, tampa, honolulu)] == [True, True, False]

    @pytest.mark.parametrize("suite", ["climate", "physics", "sensor", "season_strict"])
    def test_of_a_suite_of_the_paper_it_is_the_nominal_levels(self, suite):
        task = BuildingTask()
        shifts = task.suites[suite]
        nominal = {axis: s["name"] for s in reversed(shifts) for axis in [s.get("axis")]}
        found = [s["name"] for s in shifts if task.trained_in(s)]
        assert sorted(found) == sorted(nominal.values())
