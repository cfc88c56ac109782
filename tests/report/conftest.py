"""Things that tests of looking at runs start from."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.report.comparison import Comparison, compare
from runner.report.runs import given


@pytest.fixture
def compared(tmp_path: Path) -> Callable[..., Comparison]:
    """The comparison of all runs below the folder of the test."""
    return lambda *metrics, **options: compare(given([tmp_path], "runner compare"), metrics, **options)
