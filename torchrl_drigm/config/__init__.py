"""The configs of the examples and of the command line: YAML files, and their types (`schema`)."""

from torchrl_drigm.config import schema
from torchrl_drigm.config.checks import check_config
from torchrl_drigm.config.compose import compose_config, config_path

__all__ = ["check_config", "compose_config", "config_path"]

schema.register()  # also where Hydra itself imports this package: config_path="pkg://…"
