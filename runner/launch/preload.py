"""What a run needs to have imported: the server that runs are forked from imports this once, and they inherit it.

Nothing may be computed here. A thread pool, or a GPU that was looked at, does not survive the fork.
"""

import runner.launch.child
import runner.runs.weights
import runner.tracking.live_bar
import runner.tracking.summaries
import runner.training.execute  # noqa: F401
