"""From a config to a run: its parts, ready wired, its folder, and the team that it leaves."""

from typing import TYPE_CHECKING

from torchrl_drigm._lazy import attach

if TYPE_CHECKING:
    from torchrl_drigm.tasks.seeds import battle_seeds
    from torchrl_drigm.trainers._deprecated import play_noise_levels
    from torchrl_drigm.trainers.battles import EvaluateBattles, make_test_envs
    from torchrl_drigm.trainers.build import Run, build
    from torchrl_drigm.trainers.builders import make_agents, make_dual, make_loss
    from torchrl_drigm.trainers.checkpoint import CollectionState, load_checkpoint
    from torchrl_drigm.trainers.checkpoint_folder import RunCheckpoint
    from torchrl_drigm.trainers.environments import make_env, make_memory
    from torchrl_drigm.trainers.export import export_team
    from torchrl_drigm.trainers.group_dr import fit_reward_model
    from torchrl_drigm.trainers.hooks import AnnealEpsilon, LogEpisodeReturn
    from torchrl_drigm.trainers.mixers import make_mixer
    from torchrl_drigm.trainers.policy_only import keep_policy
    from torchrl_drigm.trainers.prepare import prepare
    from torchrl_drigm.trainers.progress import PrintProgress, ProgressBar
    from torchrl_drigm.trainers.released import load_released_team
    from torchrl_drigm.trainers.released_folder import is_released, released_label
    from torchrl_drigm.trainers.replay import ReplayState
    from torchrl_drigm.trainers.runs import claim_run, is_done, locate_run, save_config
    from torchrl_drigm.trainers.sizes import Sizes
    from torchrl_drigm.trainers.stepper import PerPartStepper
    from torchrl_drigm.trainers.team import Team, load_team
    from torchrl_drigm.trainers.training import make_trainer

__all__ = [
    "AnnealEpsilon",
    "CollectionState",
    "EvaluateBattles",
    "LogEpisodeReturn",
    "PerPartStepper",
    "PrintProgress",
    "ProgressBar",
    "ReplayState",
    "Run",
    "RunCheckpoint",
    "Sizes",
    "Team",
    "battle_seeds",
    "build",
    "claim_run",
    "export_team",
    "fit_reward_model",
    "is_done",
    "is_released",
    "keep_policy",
    "load_checkpoint",
    "load_released_team",
    "load_team",
    "locate_run",
    "make_agents",
    "make_dual",
    "make_env",
    "make_loss",
    "make_memory",
    "make_mixer",
    "make_test_envs",
    "make_trainer",
    "play_noise_levels",
    "prepare",
    "released_label",
    "save_config",
]

__getattr__, __dir__ = attach(__name__, __file__)
