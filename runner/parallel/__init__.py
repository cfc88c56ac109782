"""Several processes that are one run: which of them this is, and what they tell each other."""
