"""What a run logged; lines that a killed run left torn."""

import pytest

from torchrl_drigm.evaluation import read_metrics


def write(folder, **files):
    scalars = folder / "metrics" / "scalars"
    scalars.mkdir(parents=True)
    for name, text in files.items():
        (scalars / f"{name}.csv").write_text(text)


def test_columns_are_metrics_and_the_later_value_counts(tmp_path):
    write(tmp_path, loss="16,0.5\n32,0.25\n32,0.125\n", epsilon="32,1.0\n8,nan\n")
    metrics = read_metrics(tmp_path).set_index("frames")
    assert metrics.index.tolist() == [8, 16, 32]
    assert metrics["loss"].dropna().tolist() == [0.5, 0.125]
    assert metrics["epsilon"].dropna().tolist() == [1.0]


@pytest.mark.parametrize(
    ("text", "torn"),
    [
        ("16,0.5\n32,0.25", "line 2: '32,0.25'"),  # of 0.2543, say
        ("16,0.5\n32,", "line 2: '32,'"),
        ("16,0.5\n3", "line 2: '3'"),
        ("16,0.5\n20,0.32,0.25\n", "line 2: '20,0.32,0.25'"),
        ("\n16,0.5\n", "line 1: ''"),
    ],
)
def test_torn_lines_are_named_and_left_out(tmp_path, text, torn):
    write(tmp_path, loss=text)
    with pytest.warns(UserWarning, match=rf"loss.csv is torn, left out: {torn}\."):
        metrics = read_metrics(tmp_path)
    assert metrics.to_dict("list") == {"frames": [16], "loss": [0.5]}


def test_no_scalars(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no scalars in .*logged with logger=csv"):
        read_metrics(tmp_path)
