"""Every network refuses sizes below 1 by name."""

import pytest

from torchrl_drigm.modules import (
    DRQN,
    DualNetwork,
    MultiAgentGRU,
    MultiAgentLSTM,
    QTRANJointValue,
)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: MultiAgentLSTM(3, 4, 0), "MultiAgentLSTM: n_agents"),
        (lambda: MultiAgentGRU(3, 0, 2), "MultiAgentGRU: hidden_size"),
        (lambda: MultiAgentGRU(0, 3, 2), "MultiAgentGRU: input_size"),
        (lambda: DRQN(5, 4, n_agents=0), "DRQN: n_agents"),
        (lambda: DRQN(5, n_actions=-1, n_agents=2), "DRQN: n_actions"),
        (lambda: DualNetwork(3, n_agents=0, n_actions=4), "joint action: n_agents"),
        (lambda: QTRANJointValue(3, n_agents=2, n_actions=0), "joint action: n_actions"),
        (lambda: DRQN(5, 4, n_agents=1.5), "DRQN: n_agents"),
        (lambda: DRQN(5, 4, n_agents=True), "DRQN: n_agents"),
    ],
)
def test_sizes(make, name):
    with pytest.raises(ValueError, match=f"{name} must be an int of at least 1"):
        make()
