"""``runner``, left when its first training step is done: ``python -m scripts.bench.stamp train ...`` prints that time.

The module of the loop is watched for, not imported, so that everything is imported when and where runner does it.
"""

import importlib.util
import os
import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

WATCHED = "runner.training.loop"


class Watch:
    """Finds the loop's module as Python would, and wraps its step once it is loaded."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        if name != WATCHED:
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def load_and_wrap(module: ModuleType) -> None:
            load(module)
            step = module.train_step  # type: ignore[attr-defined]

            def first_step(*given: Any, **named: Any) -> None:
                step(*given, **named)
                cuda = sys.modules["torch"].cuda
                if cuda.is_initialized():
                    cuda.synchronize()
                print(f"\n{time.time()}", flush=True)
                sys.stderr.flush()
                os._exit(0)

            module.train_step = first_step  # type: ignore[attr-defined]

        spec.loader.exec_module = load_and_wrap  # type: ignore[method-assign]
        return spec


if __name__ == "__main__":
    sys.meta_path.insert(0, Watch())  # type: ignore[arg-type]
    from runner.cli import main

    sys.exit(main(sys.argv[1:]))
