"""The modules here run where StarCraft's protocol package is installed; nothing is collected."""

collect_ignore_glob = ["*.py"]
