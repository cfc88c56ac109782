"""Where Hydra finds the launchers and sweepers of runner. What they do is in ``runner.launch``."""
