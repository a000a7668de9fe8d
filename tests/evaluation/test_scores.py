"""Scores by seed and shift, and tables that are refused."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from torchrl_drigm.evaluation import check_comparable, seed_scores


def episodes(policies=("qmix", "vdn"), seeds=(3, 1), shifts=("near", "far"), n=2):
    """Rows of episodes, each return another number."""
    keys = list(product(policies, seeds, shifts, range(n)))
    rows = pd.DataFrame(keys, columns=["policy", "seed", "shift", "episode"])
    return rows.assign(**{"return": np.arange(len(rows), dtype=float) ** 2})


class TestScores:
    def test_are_means_over_episodes_in_the_order_of_the_rows(self):
        scores = seed_scores(episodes())
        assert list(scores) == ["qmix", "vdn"]
        assert scores["qmix"].index.tolist() == [3, 1]
        assert scores["qmix"].columns.tolist() == ["near", "far"]
        # squares of 0 to 15, two by two
        assert scores["qmix"].to_numpy().tolist() == [[0.5, 6.5], [20.5, 42.5]]
        assert scores["vdn"].to_numpy().tolist() == [[72.5, 110.5], [156.5, 210.5]]

    def test_methods_may_have_other_seeds_and_other_numbers_of_them(self):
        rows = pd.concat([episodes(["qmix"], [0, 1, 2]), episodes(["vdn"], [7])])
        scores = seed_scores(rows)
        assert scores["qmix"].shape == (3, 2) and scores["vdn"].index.tolist() == [7]

    def test_all_have_the_shifts_in_one_order_and_seeds_in_their_own(self):
        rows = pd.concat([episodes(["qmix"]), episodes(["vdn"]).iloc[::-1]])
        scores = seed_scores(rows)
        assert [list(table) for table in scores.values()] == [["near", "far"]] * 2
        assert [table.index.tolist() for table in scores.values()] == [[3, 1], [1, 3]]

    def test_a_method_may_be_called_so(self):
        rows = episodes().rename(columns={"policy": "method"})
        assert list(seed_scores(rows)) == ["qmix", "vdn"]

    def test_the_measure_is_the_tasks_own_or_the_normalised_return_or_the_return(self):
        rows = episodes().assign(normalized_return=0.5, won=True)
        assert (seed_scores(rows)["vdn"] == 0.5).all(axis=None)
        assert seed_scores(rows)["vdn"].attrs["measure"] == "normalised return"
        rows.attrs["measure"] = ("won", "win rate")
        assert (seed_scores(rows)["vdn"] == 1.0).all(axis=None)
        assert seed_scores(rows)["vdn"].attrs["measure"] == "win rate"
        raw = seed_scores(rows.assign(won=None, normalized_return=np.nan))["vdn"]
        assert raw.attrs["measure"] == "raw return"


class TestRefused:
    @pytest.mark.parametrize("column", ["policy", "seed", "shift", "return"])
    def test_missing_columns(self, column):
        with pytest.raises(ValueError, match=rf"results lacks the columns \['{column}'\]"):
            check_comparable(episodes().drop(columns=column))

    def test_no_rows(self):
        with pytest.raises(ValueError, match="results has no rows"):
            check_comparable(episodes().iloc[:0])

    @pytest.mark.parametrize("column", ["policy", "seed", "shift"])
    def test_rows_of_nobody(self, column):
        rows = episodes()
        rows[column] = rows[column].astype(object).where(rows.index != 5)
        with pytest.raises(ValueError, match=f"results has 1 rows without a {column}"):
            check_comparable(rows)

    @pytest.mark.parametrize("field", ["suite", "protocol", "preset", "commit"])
    def test_rows_of_something_else(self, field):
        rows = episodes().assign(**{field: "this"})
        check_comparable(rows)
        rows.loc[rows["policy"] == "vdn", field] = "that"
        message = f"differ in '{field}': seed 3 of 'qmix' has 'this', seed 3 of 'vdn' has 'that'"
        with pytest.raises(ValueError, match=message):
            check_comparable(rows)

    def test_some_rows_that_do_not_say_it(self):
        rows = episodes().assign(suite="climate")
        rows.loc[rows["seed"] == 1, "suite"] = None
        with pytest.raises(ValueError, match=r"seed 1 of 'qmix' has (nan|None)"):
            check_comparable(rows)

    def test_a_method_without_a_shift(self):
        rows = episodes().query("policy == 'qmix' or shift == 'near'")
        message = "seed 3 of 'vdn' lacks the shift 'far', which seed 3 of 'qmix' has"
        with pytest.raises(ValueError, match=message):
            check_comparable(rows)

    def test_a_seed_without_a_shift(self):
        rows = episodes().query("policy == 'qmix' or seed == 3 or shift == 'far'")
        message = "seed 1 of 'vdn' lacks the shift 'near', which seed 3 of 'qmix' has"
        with pytest.raises(ValueError, match=message):
            check_comparable(rows)

    def test_fewer_episodes(self):
        message = r"seed 1 of 'vdn' has 1 episodes of 'far', seed 3 of 'qmix' has 2 of 'near'"
        with pytest.raises(ValueError, match=message):
            check_comparable(episodes().iloc[:-1])

    def test_a_run_that_is_there_a_second_time(self):
        rows = pd.concat([episodes(), episodes()])
        with pytest.raises(ValueError, match="seed 3 of 'qmix' has episode 0 of 'near' twice"):
            check_comparable(rows)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("column", ["return", "normalized_return"])
    def test_scores_that_are_no_numbers(self, column, value):
        rows = episodes().assign(normalized_return=0.5)
        if column == "return":
            rows = rows.drop(columns="normalized_return")
        rows.loc[5, column] = value
        message = f"seed 1 of 'qmix' has {column} = {value} in 'near'"
        with pytest.raises(ValueError, match=message):
            check_comparable(rows)
