"""Networks and the tools to initialise them: plain ``torch.nn`` modules that know no configuration."""
