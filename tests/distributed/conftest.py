"""Things that tests of several processes start from."""

from collections.abc import Iterator

import pytest
from crew import start_server, stop_server


@pytest.fixture(scope="package", autouse=True)
def server() -> Iterator[None]:
    """Processes are forked by one that has imported everything; it ends with these tests."""
    start_server()
    yield
    stop_server()
