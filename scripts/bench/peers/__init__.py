"""One file a peer, each with the same function.

``fit(case, batches, folder, records, stepped=None)`` trains a ``Case`` for one pass over a loader of (inputs, targets)
as the peer's own documentation does it. With ``records``, it also keeps what a run of runner keeps: accuracy, a
progress bar, curves in TensorBoard every 50 steps and a CSV file, as far as the peer has them; without, all that can be
switched off is off. ``stepped`` is called after each optimizer step.
"""

PEERS = {
    "ignite": "Ignite",
    "accelerate": "accelerate",
    "mmengine": "MMEngine",
    "lightning": "Lightning",
    "composer": "Composer",
    "keras": "Keras",
}
"""Module and name."""
