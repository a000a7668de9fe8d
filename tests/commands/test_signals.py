"""Ctrl-C and SIGTERM: a checkpoint, the command that goes on, the usual status; twice: at once."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.commands.small_runs import SMALL, config
from tests.cpu_time import ROOT
from torchrl_drigm.config import compose_config
from torchrl_drigm.trainers import build, claim_run
from torchrl_drigm.trainers.runs import read_duration

# A command that a signal reaches in the middle of training: as the terminal or the system sends it.
TRAIN = """if True:
    import os, signal, sys
    from torchrl_drigm.trainers import hooks

    number, times, step, *words = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever ignores it, ignores it
    anneal, sent = hooks.AnnealEpsilon.__call__, []

    def reached(self):
        anneal(self)
        if self._trainer.collected_frames == int(step) and not sent:  # of a stack the first run
            sent.append(step)
            for _ in range(int(times)):
                os.kill(os.getpid(), int(number))

    hooks.AnnealEpsilon.__call__ = reached
    from torchrl_drigm.__main__ import main
    main(["train", *words])
"""
WORDS = [word for word in SMALL if word != "progress_bar=false"]
WORDS += ["collector.total_frames=128", "hydra.run.dir=a run"]
STACK = [
    *("env=harvest", "agent=drqn", "preset=toy", "agent.hidden_size=8", "env.num_envs=4"),
    *("collector.frames_per_batch=8", "collector.init_random_frames=16", "replay.batch_size=8"),
    *("collector.total_frames=128", "evaluation.episodes=2", "runs=2", "hydra.run.dir=stack"),
]


@pytest.fixture
def train(python, tmp_path):
    """Trains, and sends itself a signal at a step."""

    def run(signum, *words, times=1, step=64):
        told = [str(int(signum)), str(times), str(step)]
        env = {"PYTHONPATH": str(ROOT)}
        return python("-c", TRAIN, *told, *words, cwd=tmp_path, **env)

    return run


def go_on(python, folder, line):
    """Run the command that was printed."""
    program, *words = shlex.split(line)
    assert program == "python"
    return python(*words, cwd=folder, PYTHONPATH=str(ROOT))


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_is_saved_and_goes_on_by_what_is_printed(train, python, tmp_path, signum, code):
    done = train(signum, "torchrl", *WORDS)
    assert done.returncode == code, done.stderr
    *_, told, line = done.stderr.strip().splitlines()
    assert told == "Stopped at step 64 of 128, with a checkpoint. It goes on with"
    assert "resume='a run/checkpoint'" in shlex.split(line)
    assert "Traceback" not in done.stderr
    assert f"{signal.Signals(signum).name}: it ends after this batch" in done.stderr
    assert not (tmp_path / "a run" / "evaluation.csv").exists()
    done = go_on(python, tmp_path, line)
    assert done.returncode == 0, done.stderr
    assert "resuming at step 64 of 128" in done.stderr
    assert (tmp_path / "a run" / "evaluation.csv").exists()
    assert read_duration(tmp_path / "a run") is not None


def test_a_stack_saves_all_of_its_runs(train, python, tmp_path):
    done = train(signal.SIGTERM, "torchrl", *STACK)
    assert done.returncode == 143, done.stderr
    *_, told, line = done.stderr.strip().splitlines()
    assert told == "Stopped at step 64 of 128, with checkpoints of 2 runs. It goes on with"
    assert {"runs=2", "hydra.run.dir=stack"} <= set(shlex.split(line))
    folders = sorted((tmp_path / "stack").glob("seed_*"))
    assert [(folder / "checkpoint").is_dir() for folder in folders] == [True, True]
    done = go_on(python, tmp_path, line)
    assert done.returncode == 0, done.stderr
    assert "resuming at step 64 of 128" in done.stdout
    assert all((folder / "evaluation.csv").exists() for folder in folders)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_second_one_ends_at_once(train, tmp_path, signum):
    done = train(signum, "torchrl", *WORDS, times=2)
    assert done.returncode == -signum, "killed by it"
    assert not (tmp_path / "a run" / "checkpoint").exists()
    assert "once more ends it at once" in done.stderr


def test_a_sweep_goes_on_in_its_folder(train, python, tmp_path):
    words = [word for word in WORDS if "run.dir" not in word]
    done = train(signal.SIGINT, "torchrl", "-m", *words, "seed=0,1", "hydra.sweep.dir=swept")
    assert done.returncode == 130, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert {"-m", "seed=0,1", "hydra.sweep.dir=swept"} <= set(shlex.split(line))
    assert not (tmp_path / "swept" / "1").exists(), "the other run has not begun"


def parameters(run):
    return torch.cat([p.detach().flatten() for p in run.loss.parameters()])


def test_a_stopped_run_that_goes_on_is_the_run_that_was_not_stopped(tmp_path, capsys):
    one = [word for word in STACK if not word.startswith(("runs", "hydra"))]
    cfg = compose_config(*one, "progress_bar=false", config="torchrl")
    torch.manual_seed(0)
    whole = build(cfg, tmp_path / "whole")
    whole.train()
    torch.manual_seed(0)
    run = build(cfg, tmp_path / "stopped")

    def stop():
        if run.trainer.collected_frames == 64:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    run.trainer.register_op("post_steps", stop)
    with pytest.raises(SystemExit) as ended:
        run.train()
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert f"resume={tmp_path}/stopped/checkpoint" in capsys.readouterr().err
    resumed = build(cfg, tmp_path / "stopped", tmp_path / "stopped" / "checkpoint")
    resumed.train()
    assert torch.equal(parameters(resumed), parameters(whole))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143)], ids=repr)
def test_while_it_is_judged_it_is_said_how_it_goes_on(tmp_path, capsys, error):
    with pytest.raises(type(error)), claim_run(config(), tmp_path):
        (tmp_path / "checkpoint").mkdir()
        raise error
    assert f"It goes on with\n  resume={tmp_path}/checkpoint" in capsys.readouterr().err


def test_an_end_of_another_kind_says_nothing(tmp_path, capsys):
    with pytest.raises(SystemExit), claim_run(config(), tmp_path):
        (tmp_path / "checkpoint").mkdir()
        raise SystemExit(1)
    assert not capsys.readouterr().err


def wait_for(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


class TestProcesses:
    """Those of reproduce, choose and the controls."""

    @pytest.fixture
    def started(self, tmp_path):
        """Starts a process with two more, each in the middle of a run."""
        processes = []

        def start(seconds):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.commands.stopped_child", str(seconds)],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )
            processes.append(process)
            wait_for(lambda: len(list(tmp_path.glob("*.started"))) == 2)
            return process

        yield start
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @staticmethod
    def are_gone(folder):
        pids = [int(file.read_text()) for file in folder.glob("*.started")]
        return not any(os.path.exists(f"/proc/{pid}") for pid in pids)

    @pytest.mark.parametrize(
        ("signum", "code", "to_all"),
        [
            (signal.SIGINT, 130, False),
            (signal.SIGINT, 130, True),  # as a terminal does
            (signal.SIGTERM, 143, False),
        ],
    )
    def test_all_save_and_no_other_call_is_made(self, started, tmp_path, signum, code, to_all):
        process = started(0.3)
        (os.killpg if to_all else os.kill)(process.pid, signum)
        assert process.wait(60) == code
        names = sorted(file.name for file in tmp_path.glob("*.*ed"))
        assert names == ["0.saved", "0.started", "1.saved", "1.started"]
        wait_for(lambda: self.are_gone(tmp_path))

    def test_a_second_signal_ends_all_of_them_at_once(self, started, tmp_path):
        process = started(600)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None, "it waits for what is saved"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
        wait_for(lambda: self.are_gone(tmp_path))
        assert not list(tmp_path.glob("*.saved"))


def test_a_command_of_many_runs_says_that_it_goes_on(monkeypatch, capsys):
    from torchrl_drigm.__main__ import main

    def stopped(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("torchrl_drigm.commands.reproduce.main", stopped)
    with pytest.raises(KeyboardInterrupt):
        main(["reproduce"])
    assert re.search(r"reproduce: stopped\. The same goes on\.", capsys.readouterr().err)
