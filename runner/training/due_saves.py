"""When the next checkpoint within an epoch is due."""

import time

from runner.training.parts import Parts
from runner.training.progress import Plan


class DueSaves:
    """Tells after which updates, and after how many minutes, the plan wants a checkpoint; all processes alike.

    Args:
        plan: Of the run.
        parts: Of the run.
    """

    def __init__(self, plan: Plan, parts: Parts) -> None:
        self._every_steps = plan.save_every_steps
        self._every_minutes = plan.save_every_minutes
        have_to_agree = parts.group if self._every_minutes is not None else None
        self._vote = None if have_to_agree is None else have_to_agree.vote()
        self._has_voted = False
        self.restart()

    def restart(self) -> float:
        """Note a save; give the seconds of the clock."""
        self._saved_at = time.monotonic()
        return self._saved_at

    def at(self, step: int) -> bool:
        """Whether one is due. Asked once a step."""
        has_time_passed = self._every_minutes is not None and self._has_time_passed(self._every_minutes)
        return has_time_passed or (self._every_steps is not None and step % self._every_steps == 0)

    def _has_time_passed(self, minutes: float) -> bool:
        has_passed = time.monotonic() - self._saved_at >= 60 * minutes
        if self._vote is None:
            return has_passed
        self._has_voted = has_passed and not self._has_voted  # one yes is enough, and known at the next step
        return bool(self._vote(self._has_voted))
