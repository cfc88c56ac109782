"""Checkpoints of which every process writes its own part: tensors that no process has as a whole.

The parts are a folder as ``torch.distributed.checkpoint`` writes it. What else belongs to the state is an ordinary
checkpoint file beside it, which names the folder and the digest of each file in there. It is written last: a folder
without one is no checkpoint, and nothing of a folder is read that is not as it was written.

Torch unpickles the ``.metadata`` in it, which may run any code. Here only the types that belong in there can come out
of it, and of the other files only tensors.
"""

import hashlib
import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from runner.runs.files import sync_folder

_METADATA = ".metadata"


class DamagedShardsError(Exception):
    """A folder is not what was written."""


def write_shards(folder: Path, tensors: Mapping[str, Tensor], group: Any) -> None:
    """Write the parts of some tensors that this process has; called by all processes.

    Args:
        folder: Is made, and holds what is flushed to the disk when all have returned.
        tensors: Distributed ones, by name.
        group: The processes; they talk through the memory of the CPU.

    Raises:
        OSError: If a process cannot write.
    """
    writer = FileSystemWriter(folder, single_file_per_rank=True, sync_files=True)
    try:
        save(dict(tensors), storage_writer=writer, process_group=group)
    except CheckpointException as error:  # no Exception, and with those of all processes in it
        causes = [cause for cause, _ in error.failures.values()]
        raise next((cause for cause in causes if isinstance(cause, OSError)), OSError(str(error))) from error


def digests(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The SHA-256 of files in a folder, by name."""
    found = {}
    for name in names:
        with (folder / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def own_files(folder: Path, rank: int) -> list[str]:
    """The names of what a process has written there; the first one has written what describes all."""
    names = sorted(path.name for path in folder.glob(f"__{rank}_*.distcp"))
    return [*names, _METADATA] if rank == 0 else names


def read_shards(folder: Path, tensors: dict[str, Tensor], files: Mapping[str, str], group: Any = None) -> None:
    """Fill tensors, whole or distributed, with what was written; called by all processes of a group.

    Args:
        folder: Where it lies.
        tensors: By name.
        files: Those of the folder that belong to it, with their digests.
        group: The processes; None: this one reads by itself.

    Raises:
        DamagedShardsError: If the folder names other files, or holds more than tensors.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        load(tensors, storage_reader=_Reader(folder, files), process_group=group, no_dist=group is None)


def whole_tensors(folder: Path, files: Mapping[str, str]) -> dict[str, Tensor]:
    """Everything in a folder, put together, by name, on the CPU.

    Raises:
        DamagedShardsError: As ``read_shards``.
    """
    tensors = {
        name: torch.empty(one.size, dtype=one.properties.dtype) for name, one in described(folder, files).items()
    }
    read_shards(folder, tensors, files)
    return tensors


def described(folder: Path, files: Mapping[str, str]) -> dict[str, TensorStorageMetadata]:
    """Size and type of every tensor in a folder, by name.

    Raises:
        DamagedShardsError: As ``read_shards``.
    """
    found = _Reader(folder, files).read_metadata().state_dict_metadata
    return {name: one for name, one in found.items() if isinstance(one, TensorStorageMetadata)}


def located(state: dict[str, Any], parent: Path) -> dict[str, Any]:
    """A state whose ``shards`` name the folder itself.

    Args:
        state: As it stands in a checkpoint file.
        parent: The folder of that file.
    """
    record = state["shards"]
    return {**state, "shards": {**record, "folder": str(parent / Path(record["folder"]).name)}}


def require_whole(record: Mapping[str, Any]) -> None:
    """Make sure that the folder of a state that was located is as it was written.

    Raises:
        DamagedShardsError: If it, or a file in it, is not.
    """
    folder, files = Path(record["folder"]), record["files"]
    try:
        found = digests(folder, list(files))
    except OSError as error:
        raise DamagedShardsError(f"a file of {folder.name} cannot be read: {error.strerror}") from error
    altered = [name for name in files if found[name] != files[name]]
    if altered:
        raise DamagedShardsError(f"the content of {folder.name}/{altered[0]} does not match its digest")


def completed(state: dict[str, Any]) -> dict[str, Any]:
    """A state that was located with all tensors whole, as one process would have written it.

    Raises:
        DamagedShardsError: If the folder names files that are not its own, or holds more than tensors.
    """
    record = state.pop("shards")
    tensors = whole_tensors(Path(record["folder"]), record["files"])
    for name, path in record["paths"].items():
        put(state, path, tensors[name])
    return state


def put(state: Any, path: Sequence[Any], value: Any) -> None:
    """Set what is at the end of a path of keys."""
    *way, last = path
    for key in way:
        state = state[key]
    state[last] = value


def publish(draft: Path, folder: Path) -> None:
    """Give a folder that is complete its name."""
    sync_folder(draft)
    draft.rename(folder)
    sync_folder(folder.parent)


class _Reader(FileSystemReader):
    """Torch's reader, which takes nothing but tensors from nothing but the files that belong to the checkpoint."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._folder = folder
        self._files = files

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        with (self._folder / _METADATA).open("rb") as file:
            try:
                metadata = _MetadataUnpickler(file).load()
            except (pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError) as error:
                raise DamagedShardsError(f"{_METADATA} of {self._folder.name} is refused: {error}") from error
        if not isinstance(metadata, Metadata):
            raise DamagedShardsError(f"{_METADATA} of {self._folder.name} describes no checkpoint")
        for name, one in metadata.state_dict_metadata.items():
            if not isinstance(one, TensorStorageMetadata):
                raise DamagedShardsError(f"{name} in {self._folder.name} is no tensor")
        for place in (metadata.storage_data or {}).values():
            if place.relative_path not in self._files or place.transform_descriptors:
                raise DamagedShardsError(f"{self._folder.name} leads to {place.relative_path}, which is not its own")
        return metadata


class _MetadataUnpickler(pickle.Unpickler):
    """Makes what belongs in a checkpoint's description, and nothing else."""

    _TYPES: Mapping[str, frozenset[str]] = {
        "torch.distributed.checkpoint.metadata": frozenset(
            {
                "ChunkStorageMetadata",
                "Metadata",
                "MetadataIndex",
                "StorageMeta",
                "TensorProperties",
                "TensorStorageMetadata",
                "_MEM_FORMAT_ENCODING",
            }
        ),
        "torch.distributed.checkpoint.filesystem": frozenset({"_StorageInfo"}),
        "torch.serialization": frozenset({"_get_layout"}),
        "pathlib": frozenset({"PosixPath"}),
        "pathlib._local": frozenset({"PosixPath"}),
    }

    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and (name == "Size" or isinstance(getattr(torch, name, None), torch.dtype))
        if is_dtype or name in self._TYPES.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def leaves(state: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Everything in nested dictionaries and lists, with the keys that lead there."""
    if isinstance(state, dict):
        for key, value in state.items():
            yield from leaves(value, (*path, key))
    elif isinstance(state, list):
        for number, value in enumerate(state):
            yield from leaves(value, (*path, number))
    else:
        yield path, state
