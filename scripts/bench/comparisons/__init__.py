"""One file a comparison: ``measure(bench)`` gives its result, and what is timed stands below it."""
