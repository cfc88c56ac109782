"""Where the processes of a run find each other, and what they leave there for each other to read.

It stands before everything else, and after everything else has gone: a process that fails says why, for the others see
no more than that a connection is gone.
"""

import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from runner.errors import UserError
from runner.parallel.place import Place

_FOUND_WITHIN = timedelta(minutes=5)
"""How much later than the first one the last process may start."""
_LOOK_EVERY_S = 0.05
_HEARD_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Departure:
    """Why a process left before the end.

    Args:
        rank: Which one.
        kind: Asked to stop where there was nothing to save; left at once at a second Ctrl-C; or failed.
        signal: The number of the signal, where there was one.
        error: Why it failed, in a line.
        told: The same for a person: with the traceback, where it is no mistake of the user's.
    """

    rank: int
    kind: Literal["stopped", "left", "failed"]
    signal: int | None = None
    error: str = ""
    told: str = ""


class Meeting:
    """The place of this process among the others, and a store of texts that all of them read and write.

    Raises:
        UserError: If the others cannot be found.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        try:
            url = f"tcp://{place.address}:{place.port}"
            store, _, _ = next(rendezvous(url, place.rank, place.world_size, timeout=_FOUND_WITHIN))
        except RuntimeError as error:
            raise UserError(
                f"process {place.rank} of {place.world_size} does not find the others at {place.address}:{place.port}",
                where=f"torch says: {str(error).strip().partition(chr(10))[0]}",
                expected="a port that is free on the host of the first process, and that the others reach",
                fix="MASTER_PORT=PORT, or MASTER_ADDR=HOST, in the environment of all of them",
            ) from error
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # torchrun keeps its store when it starts anew
        self.store = PrefixStore(f"runner-{attempt}", store)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes, and tells the others what to do."""
        return self.place.rank == 0

    def announce(self, run: Path, trust: dict[str, Any]) -> None:
        """Tell the others which run it is, and whose code it may name: the first one alone knows."""
        self._put("word", {"run": str(run.absolute()), "trust": trust})

    def dismiss(self, code: int) -> None:
        """Tell the others to leave with an exit code, unless a run was announced; wait a little for them to hear it."""
        if self._has("word"):
            return
        self._put("word", {"code": code})
        until = time.monotonic() + _HEARD_WITHIN_S  # the store may end with this process
        while self.store.add("heard", 0) < self.place.world_size - 1 and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)

    def word(self) -> dict[str, Any]:
        """What the first process says: ``run`` and ``trust``, or ``code``. Waits for it."""
        try:
            while not self._has("word"):
                time.sleep(_LOOK_EVERY_S)
            self.store.add("heard", 1)
            return dict(self._get("word"))
        except RuntimeError:  # it is gone, with the store
            return {"code": 1}

    def depart(self, departure: Departure) -> None:
        """Say why this process leaves; of several that do, the first is heard."""
        self.store.compare_set("departed", "", json.dumps(asdict(departure)))

    def departure(self, within_s: float = 0.0) -> Departure | None:
        """Why another process has left, if one has and says so within some time."""
        until = time.monotonic() + within_s
        while True:
            try:
                if self._has("departed"):
                    found = Departure(**self._get("departed"))
                    return None if found.rank == self.place.rank else found
            except RuntimeError:  # the store has gone, with whoever kept it
                return None
            if time.monotonic() >= until:
                return None
            time.sleep(_LOOK_EVERY_S)

    def finish(self) -> None:
        """Say that the first process has written everything; the others return from here when it has, or is gone."""
        try:
            if self.is_first:
                self._put("finished", True)
            while not self._has("finished"):
                time.sleep(_LOOK_EVERY_S)
        except RuntimeError:
            return

    def _put(self, key: str, value: Any) -> None:
        self.store.set(key, json.dumps(value))

    def _has(self, key: str) -> bool:
        return bool(self.store.check([key]))

    def _get(self, key: str) -> Any:
        return json.loads(self.store.get(key))
