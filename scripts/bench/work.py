"""The process in which something is measured: ``python -m scripts.bench.work MODULE:FUNCTION GIVEN ANSWER``.

GIVEN is JSON with the function's arguments, ANSWER the file for what it returns.
"""

import importlib
import json
import sys
from pathlib import Path


def main() -> None:
    name, given, answer = sys.argv[1:]
    module, _, function = name.partition(":")
    returned = getattr(importlib.import_module(module), function)(**json.loads(given))
    Path(answer).write_text(json.dumps(returned))


if __name__ == "__main__":
    main()
