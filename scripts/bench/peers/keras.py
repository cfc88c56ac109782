"""Keras on its torch backend: compile and fit.

The network is made of Keras's own layers, as its documentation does. Records: the accuracy metric, its progress bar,
CSVLogger (a row an epoch) and its TensorBoard callback, which needs TensorFlow and is left out where that is missing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from scripts.bench.cases import Case


class Stepped(keras.callbacks.Callback):
    def __init__(self, stepped: Callable[[], None]) -> None:
        super().__init__()
        self.stepped = stepped

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.stepped()


def fit(case: Case, batches: Any, folder: Path, records: bool, stepped: Callable[[], None] | None = None) -> None:
    keras.utils.set_random_seed(0)
    *hidden, classes = case.sizes[1:]
    model = keras.Sequential(
        [
            keras.layers.Flatten(),
            *(keras.layers.Dense(width, activation="relu") for width in hidden),
            keras.layers.Dense(classes),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(case.lr),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"] if records else None,
    )
    callbacks: list[Any] = [keras.callbacks.CSVLogger(folder / "metrics.csv")] if records else []
    if stepped is not None:
        callbacks.append(Stepped(stepped))
    model.fit(batches, epochs=1, verbose="auto" if records else 0, callbacks=callbacks)
