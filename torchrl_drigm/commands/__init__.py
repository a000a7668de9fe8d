"""The commands of ``python -m torchrl_drigm``, a file each."""
