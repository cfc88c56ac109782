"""The types and ranges of the settings, a module for each section of a run."""
