"""Where configuration files and the user's code are looked for."""

from dataclasses import dataclass
from pathlib import Path

from runner.errors import UserError
from runner.trust import Trust


def shipped_conf() -> Path:
    """The configuration groups that come with the program: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


@dataclass(frozen=True, slots=True)
class Places:
    """The configuration folders of one command, the user's before the shipped one, and where the user's code lies."""

    conf_dirs: tuple[Path, ...]
    import_paths: tuple[Path, ...]

    @classmethod
    def shipped(cls) -> "Places":
        """The shipped folder alone, for what is not composed anew."""
        return cls((shipped_conf(),), ())

    @classmethod
    def find(cls, config_dir: str | None, current: Path) -> "Places":
        """The folders for ``--config-dir`` (or a ``conf/`` in the current folder, when there is one).

        Raises:
            UserError: If ``config_dir`` is not a folder.
        """
        shipped = shipped_conf()
        user = Path(config_dir).expanduser().resolve() if config_dir else (current / "conf").resolve()
        if config_dir and not user.is_dir():
            raise UserError(
                f"--config-dir {config_dir}: there is no such folder", expected="a folder with folders like model/"
            )
        if not user.is_dir() or user == shipped.resolve():
            return cls((shipped,), (current,))
        # A module may lie beside conf/, or beside the YAML file that names it.
        beside = (user.parent, *sorted(folder for folder in user.iterdir() if folder.is_dir()))
        return cls((user, shipped), tuple(dict.fromkeys((current, *beside))))

    def trust(self, packages: tuple[str, ...] = (), *, everything: bool = False) -> Trust:
        """What may be imported with these folders."""
        return Trust(self.import_paths, packages, everything)

    def is_shipped(self, file: Path) -> bool:
        """Whether a configuration file came with the program."""
        return file.is_relative_to(self.conf_dirs[-1])

    def file_of(self, group: str, option: str) -> Path | None:
        """The YAML file of an option: the user's, if both have one."""
        files = (conf / group / f"{option}.yaml" for conf in self.conf_dirs)
        return next((file for file in files if file.is_file()), None)
