"""What the paper's released configuration does otherwise, in a stack as alone."""

import pytest
import torch

from tests.trainers.test_stack import (
    RELEASED,
    SETS,
    SMALL,
    TOGETHER,
    assert_same,
    member,
    members,
    train_all,
)
from torchrl_drigm.config import compose_config
from torchrl_drigm.trainers import build
from torchrl_drigm.trainers.stack import Stack


def test_a_team_explores_as_it_does_alone(tmp_path):
    overrides = (*RELEASED, *TOGETHER, "collector.total_frames=96")
    stack = train_all(tmp_path / "stack", *overrides)
    alone, states = members(tmp_path / "alone", *overrides)
    for run, state, together in zip(alone, states, stack.runs, strict=True):
        torch.set_rng_state(state)
        run.train()
        for key in (("agents", "action"), ("next", "reward")):
            expected, found = (one.trainer.replay_buffer.storage[:][key] for one in (run, together))
            assert torch.equal(found, expected)


def test_episodes_that_do_not_end_together_cannot_lose_their_last_step(tmp_path):
    stack = Stack(*members(tmp_path, *RELEASED))
    batch = stack.collection.next().flatten(1, 2)
    batch["next", "done"][1, 0] ^= True
    with pytest.raises(ValueError, match=r"replay.drop_last=true: the episodes of these runs do"):
        stack.replay.extend(batch)


def test_a_run_that_was_stopped_goes_on_in_its_turns(tmp_path):
    overrides = (*SETS["tv"], *RELEASED, "optim.lr_end_factor=1", "optim.updates_per_batch=6")
    whole = member(tmp_path / "whole", *overrides, "collector.total_frames=64")
    whole.train()
    half = member(tmp_path / "half", *overrides, "collector.total_frames=32")
    half.train()
    cfg = compose_config(*SMALL, *overrides, "collector.total_frames=64", config="torchrl")
    run = build(cfg, tmp_path / "half", tmp_path / "half" / "checkpoint")
    run.train()
    assert run.trainer.collected_frames == 64
    assert_same(run, whole)
