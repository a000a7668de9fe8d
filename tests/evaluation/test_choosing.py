"""A parameter's worth: by hand, from episodes of several seeds and shifts."""

import pandas as pd
import pytest

from torchrl_drigm.evaluation import choosing
from torchrl_drigm.evaluation.choosing import best_value, choice_table, plot_choice, score_values

# value, seed, shift: returns of the episodes
EPISODES = {
    (0.3, 0, "a"): (4, 6),  # 5
    (0.3, 1, "a"): (7, 7),
    (0.3, 0, "b"): (2, 2),
    (0.3, 1, "b"): (4, 4),
    (0.1, 0, "a"): (4, 4),
    (0.1, 1, "a"): (4, 4),
    (0.1, 0, "b"): (3, 3),
    (0.1, 1, "b"): (4, 4),
}


@pytest.fixture
def results():
    rows = [(*key, value) for key, values in EPISODES.items() for value in values]
    return pd.DataFrame(rows, columns=["value", "seed", "shift", "return"])


@pytest.mark.parametrize(
    ("score", "expected", "best"),
    [("mean", {0.3: 4.5, 0.1: 3.75}, 0.3), ("worst", {0.3: 3.0, 0.1: 3.5}, 0.1)],
)
def test_scores(results, score, expected, best):
    scores = score_values(results, score)
    assert scores.to_dict() == expected and list(scores.index) == list(expected)
    assert best_value(scores) == best


def test_of_equal_values_the_first_is_chosen():
    assert best_value(pd.Series({0.3: 1.0, 0.1: 1.0})) == 0.3


def test_every_seed_counts_once_however_many_episodes_it_has(results):
    longer = pd.concat([results, results[results["seed"] == 1]])
    assert score_values(longer).to_dict() == score_values(results).to_dict()


@pytest.mark.parametrize(
    ("score", "line"),
    [
        # over the seeds: mean of a 5, 7; of b 2, 4; of both 3.5, 5.5
        ("mean", "rho=0.3 *  6.0 ± 1.0  3.0 ± 1.0             4.5 ± 1.0"),
        ("worst", "rho=0.3    6.0 ± 1.0  3.0 ± 1.0    3.0 ± 1.0"),
    ],
)
def test_table(results, score, line):
    head, first, second = choice_table(results, "rho", score).splitlines()
    assert head.endswith(choosing.SCORES[score])
    assert " ".join(first.split()) == " ".join(line.split())
    assert second.startswith("rho=0.1 *") == (score == "worst")


@pytest.mark.parametrize("values", [(0.3, 0.1), ("vdn", "qmix")], ids=["numbers", "words"])
def test_picture(results, values, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(choosing, "save_figure", lambda figure, path: figures.append(figure))
    results["value"] = results["value"].map(dict(zip((0.3, 0.1), values, strict=True)))
    plot_choice(results, tmp_path / "choice.png", "rho")
    (ax,) = figures[0].axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    first, second = ([0.1, 0.3], [4.0, 6.0]), ([0.1, 0.3], [3.75, 4.5])
    if values[0] == "vdn":
        first, second = ([0, 1], [6.0, 4.0]), ([0, 1], [4.5, 3.75])
    assert lines["a"] == [list(point) for point in zip(*first, strict=True)]
    assert lines["mean over the shifts"] == [list(point) for point in zip(*second, strict=True)]
    assert f"chosen by the mean over the shifts: {values[0]}" in lines


def test_refusals(results):
    with pytest.raises(ValueError, match=r"score='median' must be one of \['mean', 'worst'\]"):
        score_values(results, "median")
    with pytest.raises(ValueError, match=r"results lacks the columns \['seed'\]"):
        score_values(results.drop(columns="seed"))
