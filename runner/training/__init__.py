"""What training is: tasks, metrics, the loop, and how a run directory becomes all of it."""
