"""Published networks on the command line, as a run's team."""

import pandas as pd
import pytest

from tests.trainers import published
from torchrl_drigm.__main__ import main

pytestmark = pytest.mark.sustaingym
pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)


@pytest.fixture
def folder(tmp_path):
    return published.write(tmp_path / published.NAME, published.networks())


def test_they_are_a_row_of_the_table(folder, tmp_path, capsys):
    suite = tmp_path / "two.yaml"
    suite.write_text("- {name: winter, days: [0, 30]}\n- {name: summer, days: [150, 200]}\n")
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    main(["evaluate", str(folder), "--suite", str(suite), "--episodes", "2", "--references"])
    printed = capsys.readouterr().out
    for text in ("released TV QMIX, ρ = 0.2", "one-step oracle", "winter", "summer"):
        assert text in printed
    results = pd.read_csv(folder / "evaluation_two.csv")
    own = results[results["policy"] == "released TV QMIX, ρ = 0.2"]
    assert len(own) == 4 and own["normalized_return"].notna().all()
    assert (folder / "evaluation_two.png").exists()
    assert {file: file.read_bytes() for file in before} == before, "what was published stays"


def test_controls_of_theirs_are_refused(folder, capsys):
    with pytest.raises(SystemExit, match="1"):
        main(["evaluate", str(folder), "--controls"])
    assert "evaluate: --controls: " in capsys.readouterr().err


def test_a_damaged_folder_is_one_line(folder, capsys):
    (folder / "network_parameter" / "agent_0_q_network.pt").unlink()
    with pytest.raises(SystemExit, match="1"):
        main(["evaluate", str(folder)])
    assert "network_parameter lacks agent_0_q_network.pt" in capsys.readouterr().err


def test_help_says_that_they_can_be_evaluated(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", "--help"])
    assert "network_parameter/agent_0_q_network.pt" in " ".join(capsys.readouterr().out.split())
