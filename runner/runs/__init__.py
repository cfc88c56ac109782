"""What a run is on disk: its directory, status, provenance and checkpoints."""
