"""A run's progress: a bar on a terminal, a line now and then elsewhere."""

import re
import sys

import pytest

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.trainers.small_building import build, config
from torchrl_drigm.trainers import PrintProgress, ProgressBar, progress
from torchrl_drigm.trainers import build as build_run

pytestmark = pytest.mark.sustaingym
LINE = re.compile(
    r"[\d,]+ of 1,280 steps, (return \S+, )?(loss \S+, (loss_dual \S+, )?)?[\d,]+ steps/s"
    r"(, about \d+ (s|min) left)?"
)


def test_lines_in_a_file(tmp_path, capfd):
    build(tmp_path, "progress_bar=true", "env.num_envs=4").train()
    printed = capfd.readouterr().err
    assert "\r" not in printed and len(printed) < 4000
    lines = [line for line in printed.splitlines() if "steps/s" in line]
    assert 15 <= len(lines) <= 21, "one for every 5 % of 80 batches"
    assert all(LINE.fullmatch(line) for line in lines), lines
    assert lines[-1].startswith("1,280 of 1,280 steps, return -")
    assert "loss_dual" in lines[-1] and lines[-1].endswith("steps/s")
    assert lines[-2].endswith(" left")


def test_lines_of_a_building_without_a_normalisation_have_its_return(tmp_path, capfd):
    build(
        tmp_path, "progress_bar=true", "env.num_envs=4", "env.building=RestaurantFastFood"
    ).train()
    lines = [line for line in capfd.readouterr().err.splitlines() if "steps/s" in line]
    assert lines[-1].startswith("1,280 of 1,280 steps, return -")


def test_a_bar_on_a_terminal(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    build(tmp_path, "progress_bar=true", "collector.total_frames=320").train()
    printed = capfd.readouterr().err
    last = printed.rstrip("\n").rpartition("\r")[2]
    line = r"100%\|.*\| 320 of 320 steps, [\d.]+ steps/s, 00:00 left, loss \S+, loss_dual \S+"
    assert re.fullmatch(line, last.rstrip()), last  # which takes the place of longer ones
    assert printed.endswith("\n"), "closed: what is printed next stands below it"


def test_a_bar_that_an_error_ends_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    run = build_run(config("progress_bar=true", "collector.total_frames=320"), tmp_path)
    run.trainer.register_op("post_steps", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.train()
    assert run.trainer.progress._bar.disable


@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_resumed_run_goes_on_where_it_stopped(tmp_path, monkeypatch, capfd, on_terminal):
    build(tmp_path, "collector.total_frames=320").train()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: on_terminal, raising=False)
    cfg = config("progress_bar=true", "collector.total_frames=640")
    run = build_run(cfg, tmp_path, tmp_path / "checkpoint")
    if on_terminal:
        run.trainer.register_op("setup", lambda: run.trainer.progress._bar.refresh())
    run.train()
    told, *lines = re.split(r"[\r\n]+", capfd.readouterr().err.strip())
    assert told == "resuming at step 320 of 640"
    first = " 50%|" if on_terminal else "352 of 640 steps"
    assert lines[0].startswith(first) and "640 of 640 steps" in lines[-1]


def test_nothing_without_progress_bar(tmp_path, capfd):
    build(tmp_path, "collector.total_frames=320").train()
    assert not capfd.readouterr().err


class Trainer:
    """Counts frames and keeps what is logged, as TorchRL's does."""

    def __init__(self, frames=0):
        self.collected_frames = frames
        self._log_dict = {}

    def register_op(self, name, op):
        setattr(self, name, op)


@pytest.mark.parametrize(
    ("seconds_per_batch", "expected"), [(0.01, 20), (3.0, 25), (20.0, 100)], ids=str
)
def test_every_ten_seconds_or_five_percent(monkeypatch, capfd, seconds_per_batch, expected):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    trainer = Trainer()
    PrintProgress(1000).register(trainer)
    trainer.setup()
    for _ in range(100):
        now[0] += seconds_per_batch
        trainer.collected_frames += 10
        trainer.post_steps()
    assert len(capfd.readouterr().err.splitlines()) == expected


def test_speed_of_a_resumed_run_is_its_own(monkeypatch, capfd):
    now = [50.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    trainer = Trainer(frames=600)
    trainer._log_dict = {"normalized_return": [0.1, 0.25], "loss": [2.0], "epsilon": [1.0]}
    PrintProgress(1000).register(trainer)
    trainer.setup()
    for now[0], trainer.collected_frames in ((60.0, 700), (80.0, 800)):
        trainer.post_steps()
    expected = "resuming at step 600 of 1,000\n"
    expected += "700 of 1,000 steps, return 0.25, loss 2, 10 steps/s\n"
    expected += "800 of 1,000 steps, return 0.25, loss 2, 5 steps/s, about 40 s left\n"
    assert capfd.readouterr().err == expected


def test_time_left_is_that_of_steps_with_updates(monkeypatch, capfd):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    trainer = Trainer()
    PrintProgress(1000, random_frames=200).register(trainer)
    trainer.setup()
    # the first hundred steps are random, those after learn, and the first that do compile
    for seconds in (1, 500, 50, 50):
        now[0], trainer.collected_frames = now[0] + seconds, trainer.collected_frames + 100
        trainer.post_steps()
    assert capfd.readouterr().err.splitlines() == [
        "100 of 1,000 steps, 100 steps/s",
        "200 of 1,000 steps, 0 steps/s",
        "300 of 1,000 steps, 2 steps/s, about 6 min left",
        "400 of 1,000 steps, 2 steps/s, about 5 min left",
    ]


def test_a_bar_does_not_know_the_time_left_of_random_steps(monkeypatch, capfd):
    trainer = Trainer()
    bar = ProgressBar(1000, random_frames=200)
    bar.register(trainer)
    trainer.setup()
    for frames, left in ((199, r"\?"), (200, r"\?"), (201, r"\d\d:\d\d")):
        trainer.collected_frames = frames
        trainer.post_steps()
        bar._bar.refresh()
        assert re.search(rf"{frames} of 1,000 steps, .*, {left} left", str(bar._bar))
    bar.end()


@pytest.mark.filterwarnings("error")
def test_a_last_batch_that_is_made_whole_is_no_warning(tmp_path):
    trainer = build(tmp_path, "collector.total_frames=50", "env.num_envs=5")
    trainer.train()
    assert trainer.collected_frames == 60  # batches of 16 are of 20, as many of each copy
