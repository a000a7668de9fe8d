"""A pytest plugin: ``RobustQMixerLoss`` stands in for ``QMixerLoss`` in TorchRL's own tests.

With a checkout of TorchRL at the pinned version, from its folder ``test``:

    PYTHONPATH=PATH_TO_THIS_REPOSITORY python -m pytest -p tests.upstream.in_place \
        objectives/test_dqn.py -k TestQMixer

``test_dqn_prioritized_weights`` of that class needs TorchRL's compiled extension, which does not
load beside the pinned torch. The data of these tests carry ``("collector", "mask")``, ``False``
everywhere; ``QMixerLoss`` does not read it, so the loss here is told to read none.
"""

import torchrl.objectives
import torchrl.objectives.multiagent

from torchrl_drigm.objectives import RobustQMixerLoss


class InPlace(RobustQMixerLoss):
    """Counts every step, as ``QMixerLoss`` does."""

    _loss_mask_key = None


torchrl.objectives.QMixerLoss = torchrl.objectives.multiagent.QMixerLoss = InPlace
