"""The scripts that people write: the course's, and one tuned by hand."""
