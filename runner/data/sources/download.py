"""Published data sets: files that are either there, or fetched, or asked for by name."""

from collections.abc import Callable, Sequence
from pathlib import Path

from runner.errors import UserError, listing


def require(title: str, missing: Sequence[Path], download: bool) -> None:
    """Refuse a data set of which files are missing, unless they may be downloaded.

    Raises:
        UserError: If they may not; it says which files to put where.
    """
    if missing and not download:
        fix = f"data.source.download=true, or {_remedy(missing)}"
        raise UserError(f"{title} is not in {missing[0].parent}", fix=fix)


def fetch(title: str, missing: Sequence[Path], download: bool, fetcher: Callable[[], object]) -> None:
    """Download a data set of which files are missing.

    Args:
        title: What to call the data set.
        missing: The files that are not there; nothing happens where there are none.
        download: Whether downloading is allowed.
        fetcher: Brings the files, and raises whatever it likes if it cannot.

    Raises:
        UserError: If it is not allowed or fails; it says which files to put where.
    """
    require(title, missing, download)
    if not missing:
        return
    try:
        fetcher()
    except Exception as error:  # a downloader fails in many ways: no network, no space, a broken archive
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{title} could not be downloaded: {reason}", fix=_remedy(missing)) from error


def _remedy(missing: Sequence[Path]) -> str:
    return f"put these files into {missing[0].parent.absolute()}: {listing(path.name for path in missing)}"
