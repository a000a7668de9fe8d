"""The command that compares runs over their seeds."""

import pandas as pd
import pytest

from torchrl_drigm.evaluation.__main__ import main


def write(folder, learned):
    folder.mkdir(parents=True)
    rows = [("TV QMIX", value) for value in learned] + [("do nothing", -1.0)]
    results = pd.DataFrame(rows, columns=["policy", "normalized_return"])
    results.assign(shift="env_1", location="Tucson").to_csv(folder / "evaluation.csv")


def test_rows_are_methods_and_seeds_are_the_spread(tmp_path, capsys):
    write(tmp_path / "tv" / "0", [0.8, 0.9])  # mean 0.85
    write(tmp_path / "tv" / "1", [0.9, 1.0])  # mean 0.95: 0.9 ± 0.05 over the two seeds
    write(tmp_path / "nominal" / "seed" / "0", [0.5])
    main(["compare", str(tmp_path / "tv"), str(tmp_path / "nominal")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["policy", "tv", "nominal", "do nothing"]
    assert lines[1].endswith("0.900 ± 0.050")
    assert lines[2].split()[1] == "0.500"


def test_folder_without_results(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no evaluation.csv below"):
        main(["compare", str(tmp_path)])
