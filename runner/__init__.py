"""A config-driven command-line experiment runner for PyTorch."""

__version__ = "0.1.0"
