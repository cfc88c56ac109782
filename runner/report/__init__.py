"""Looking at runs after, or while, they run. Nothing here imports torch."""
