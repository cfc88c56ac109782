"""What was asked: composing, checking and freezing a configuration. Hydra and OmegaConf are used here only."""
