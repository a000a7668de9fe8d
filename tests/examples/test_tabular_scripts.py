"""The scripts that solve and draw small models."""

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


class TestScripts:
    @pytest.fixture
    def run(self, python, tmp_path):
        return lambda script, *args: python(EXAMPLES / script, *args, cwd=tmp_path)

    def test_learned_vs_exact(self, run, tmp_path):
        done = run("tabular_exact.py", "--sets", "tv", "--models", "1", "--steps", "30")
        assert done.returncode == 0, done.stderr
        rows = [line.split()[:2] for line in done.stdout.splitlines()[1:4]]
        assert rows == [["tv", "vdn"], ["tv", "qmix"], ["tv", "qtran"]]
        assert [path.name for path in tmp_path.iterdir()] == ["runs"]
        files = list((tmp_path / "runs" / "learned_vs_exact").iterdir())
        assert [path.name for path in files] == ["learned_vs_exact_tv.png"]
        assert files[0].stat().st_size > 10_000

    def test_worst_value(self, run, tmp_path):
        done = run("worst_value.py")
        assert done.returncode == 0, done.stderr
        # 0.8 E[V'] = -50.4 under contamination; total variation is back at E[V'] = -63.
        assert "      0           -50.4             -63.0" in done.stdout
        assert [path.name for path in tmp_path.iterdir()] == ["runs"]
        assert (tmp_path / "runs" / "worst_value.png").exists()

    @pytest.mark.parametrize(
        "script, args",
        [("tabular_exact.py", ["--models", "0"]), ("worst_value.py", ["--rho", "2"])],
    )
    def test_bad_input(self, run, script, args, tmp_path):
        done = run(script, *args)
        assert done.returncode != 0 and f"{args[0]} must be" in done.stderr
        assert "--output" in done.stderr  # the usage
        assert not list(tmp_path.iterdir())
