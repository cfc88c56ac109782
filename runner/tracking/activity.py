"""How far something under way has come, how fast it goes and how long it will take."""

from collections import deque
from dataclasses import dataclass, field

from runner.tracking.formatting import duration, number

_WINDOW_S = 30.0  # the rate is that of the last half minute: compiling in the first step is soon forgotten


@dataclass(slots=True)
class Activity:
    """Something that is counted while it is under way.

    Args:
        description: What it is.
        total: How far it goes, if that is known.
        start: When it began, in seconds of the clock that ``advance`` is told.
        done: How far it had come by then.
        loss: The newest training loss, if it has one.
    """

    description: str
    total: int | None
    start: float
    done: int = 0
    loss: float | None = None
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._marks.append((self.start, self.done))

    def advance(self, done: int, now: float) -> None:
        """Note how far it has come."""
        self.done = done
        while len(self._marks) > 1 and self._marks[1][0] <= now - _WINDOW_S:
            self._marks.popleft()
        self._marks.append((now, done))

    @property
    def rate(self) -> float:
        """Counts per second over the last half minute; 0 when nothing is known yet."""
        (earlier, before), (now, done) = self._marks[0], self._marks[-1]
        return (done - before) / (now - earlier) if now > earlier else 0.0

    def counted(self) -> str:
        """``412/938``."""
        return f"{self.done:,}" if self.total is None else f"{self.done:,}/{self.total:,}"

    def details(self) -> list[str]:
        """The loss, the rate and the time left, as far as they are known."""
        rate = self.rate
        texts = [] if self.loss is None else [f"loss {number(self.loss)}"]
        if rate > 0:
            texts.append(
                f"{rate:,.0f}/s" if rate >= 99.5 else f"{rate:.3g}/s" if rate >= 1 else f"{1 / rate:.3g} s each"
            )
            if self.total is not None:
                texts.append(f"{duration((self.total - self.done) / rate)} left")
        return texts
