"""Sweeps: several runs side by side, which go on where they were stopped."""

from pathlib import Path

import pytest

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)
pytest.importorskip(
    "hydra_plugins.hydra_joblib_launcher",
    reason='needs hydra-joblib-launcher: pip install "torchrl_drigm[sweep]"',
)

from tests.trainers.small_building import SMALL

pytestmark = [pytest.mark.sustaingym, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


def sweep(python, folder, seeds="0,1", jobs=2, code=0):
    command = ["examples/sustaingym_rqmix.py", "--multirun", *SMALL]
    command += ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}", f"seed={seeds}"]
    command += ["collector.total_frames=320", "evaluation.episodes=1", "env.time_res=3600"]
    command += [f"hydra.sweep.dir={folder}"]
    done = python(*command, cwd=ROOT, timeout=500, OMP_NUM_THREADS="1", MPLBACKEND="Agg")
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout if code == 0 else done.stderr


def test_a_stopped_sweep_goes_on(python, tmp_path):
    sweep(python, tmp_path)
    results = sorted(tmp_path.rglob("evaluation.csv"))
    assert len(results) == 2
    first, second = (file.read_text() for file in results)
    assert first != second
    results[1].unlink()  # as if the second had been stopped before its evaluation
    written = results[0].stat().st_mtime_ns
    assert "has its results already" in sweep(python, tmp_path, jobs=1)
    assert results[0].stat().st_mtime_ns == written
    assert results[1].read_text() == second
    assert "holds another run. Differing: seed: 0 there, 5 here" in sweep(
        python, tmp_path, "5", jobs=1, code=1
    )
