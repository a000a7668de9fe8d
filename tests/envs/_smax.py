"""Battles for the tests of SMAX; whoever imports this is skipped where JaxMARL is missing."""

import numpy as np
import pytest

from torchrl_drigm.envs.libs import _smax_programs
from torchrl_drigm.envs.libs.smax import SMAXEnv

# found, not imported: JaxMARL's import takes seconds, and prints unless it is left to the package
if not _smax_programs.has_smax:
    pytest.skip('needs JaxMARL: pip install "torchrl_drigm[smax]"', allow_module_level=True)

jaxmarl = _smax_programs.import_jaxmarl()

B = 16  # one number for all tests: JAX compiles once for each


def make_env(seed=0):
    return SMAXEnv("3s_vs_5z", num_envs=B, seed=seed)


def attack(td):
    """The last available action: an attack where there is one, stop otherwise."""
    last = td["agents", "action_mask"].flip(-1).int().argmax(-1)
    return td.set(("agents", "action"), td["agents", "action_mask"].shape[-1] - 1 - last)


def change_units(env, **leaves):
    """Overwrites the state of units (or of the clock) by functions of NumPy arrays."""
    battle = env._battles.state
    changed = {}
    for name, change in leaves.items():
        values = np.array(getattr(battle, name))
        change(values)
        changed[name] = env._put(values)  # on the same device, or JAX compiles again
    env._battles = env._battles.replace(state=battle.replace(**changed))
