"""Published data sets: files that are either there, or fetched, or asked for by name."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from runner.data import fingerprint
from runner.errors import UserError, listing


class Published(ABC):
    """A data set that torchvision can fetch; its files are digested, and fetched, all together.

    Args:
        root: Folder that torchvision puts it into.
        download: Fetch it through torchvision when files are missing.
    """

    title: ClassVar[str]
    """What people call it, and torchvision, but for hyphens."""

    def __init__(self, root: str, download: bool = True) -> None:
        self.root = Path(root)
        self.download = download

    @abstractmethod
    def files(self) -> list[Path]:
        """Where each of its files is, or belongs."""

    def check(self) -> None:
        """Refuse missing files, unless they may be downloaded.

        Raises:
            UserError: It says which files to put where.
        """
        missing = self._missing()
        if missing and not self.download:
            fix = f"data.source.download=true, or {_remedy(missing)}"
            raise UserError(f"{self.title} is not in {missing[0].parent}", fix=fix)

    def fingerprint(self) -> str:
        """Digest of the files' contents."""
        self.fetch()
        return fingerprint.of_contents(self.files())

    def fetch(self) -> None:
        """Download it where files are missing.

        Raises:
            UserError: If that is not allowed or fails; it says which files to put where.
        """
        self.check()
        missing = self._missing()
        if not missing:
            return
        try:
            self._download()
        except Exception as error:  # a downloader fails in many ways: no network, no space, a broken archive
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{self.title} could not be downloaded: {reason}", fix=_remedy(missing)) from error

    def _download(self) -> None:
        import torchvision.datasets  # takes seconds

        getattr(torchvision.datasets, self.title.replace("-", ""))(self.root, download=True)

    def _missing(self) -> list[Path]:
        return [file for file in self.files() if not file.is_file()]


def _remedy(missing: Sequence[Path]) -> str:
    return f"put these files into {missing[0].parent.absolute()}: {listing(path.name for path in missing)}"
