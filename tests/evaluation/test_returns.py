"""Where a return is shown normalised, and where as it is."""

import numpy as np
import pandas as pd
import pytest

from torchrl_drigm.evaluation import (
    RETURN_SCALES,
    format_table,
    normalise_return,
    plot_returns,
    summarize,
)


def test_the_paper_normalises_the_office():
    returns = np.array([-9000.0, 0.0, -18000.0])
    assert normalise_return(returns, "OfficeSmall").tolist() == [0, 1, -1]
    assert RETURN_SCALES["OfficeSmall"] == 9000.0 and len(RETURN_SCALES) == 16


@pytest.mark.parametrize(("building", "n"), [("Warehouse", 3), ("OutPatientHealthCare", 118)])
def test_zero_is_the_same_error_in_every_zone_of_every_building(building, n):
    """The reward is minus n times the Euclidean norm of n errors, in each of 288 steps."""
    error = 9000.0 / (288 * 0.999 * 6 * 6**0.5)  # °C, in the office
    returned = -288 * 0.999 * n * (n * error**2) ** 0.5
    assert error == pytest.approx(2.13, abs=0.01)
    assert normalise_return(returned, building) == pytest.approx(0.0, abs=1e-9)


def test_a_building_without_a_scale():
    with pytest.raises(ValueError, match=r"building='Barn' has no normalised return.*OfficeSmall"):
        normalise_return(-700_000.0, "Barn")


def rows(policy, *returns, normalised):
    table = pd.DataFrame(
        {"policy": policy, "shift": "env_1", "location": "Tucson", "return": returns}
    )
    if normalised:
        table["normalized_return"] = normalise_return(table["return"], "OfficeSmall")
    return table


OFFICE = rows("QMIX", -900.0, -450.0, normalised=True)
HOSPITAL = rows("VDN", -720_000.0, -700_000.0, normalised=False)


@pytest.mark.parametrize("results", [HOSPITAL, pd.concat([OFFICE, HOSPITAL])])
def test_tables_of_raw_returns_say_so(results):
    """One row without a normalised return makes it a table of raw ones: one column, one unit."""
    summary = summarize(results)
    assert set(summary["measure"]) == {"raw return"}
    lines = format_table(summary).splitlines()
    assert lines[0].startswith("policy (raw return)")
    assert lines[-1].endswith("-710000.0 ± 10000.0")


def test_tables_of_normalised_returns():
    assert set(summarize(OFFICE)["measure"]) == {"normalised return"}
    lines = format_table(summarize(OFFICE)).splitlines()
    assert lines[0].startswith("policy  ") and lines[1].endswith("0.925 ± 0.025")


class TestPlots:
    @pytest.fixture
    def drawn(self, tmp_path, monkeypatch):
        from torchrl_drigm.evaluation import plots

        figures = []
        monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))

        def draw(*args):
            plot_returns(*args)
            return figures[-1].axes[0]

        return lambda results, references=None: draw(results, tmp_path / "x.png", references)

    def test_raw_returns_are_labelled_and_in_the_picture(self, drawn):
        nothing = rows("do nothing", -4e6, normalised=False)
        oracle = rows("oracle", -500.0, normalised=False)
        ax = drawn(HOSPITAL, pd.concat([nothing, oracle]))
        assert ax.get_ylabel() == "raw return"
        low, high = ax.get_ylim()
        assert -4e6 < low < -720_000 and high > -500

    def test_results_and_references_share_one_unit(self, drawn):
        """References without a normalised return draw all of them raw."""
        ax = drawn(OFFICE, rows("do nothing", -20_000.0, normalised=False))
        assert ax.get_ylabel() == "raw return"
        assert drawn(OFFICE).get_ylabel() == "normalised return"
