"""Dividing samples into training, validation and test.

What is drawn depends on the seed alone, and the test part on nothing but its own size: asking for more validation
samples never lets a sample slip from the test part into the training part.
"""

from typing import Literal, NamedTuple

import numpy as np

from runner.data.source import PARTS, Array, Samples
from runner.errors import UserError

Share = float | int
"""A fraction (float, 0 to 1) or a count (int). Of groups, where samples have groups; of samples otherwise."""


class Split(NamedTuple):
    """Indices of the samples of each part, int64, ascending. Only the training part is never empty."""

    train: Array
    val: Array
    test: Array


def split(
    samples: Samples,
    val: Share | Literal["test"] = 0.15,
    test: Share | None = 0.15,
    seed: int = 0,
    stratify: bool | None = None,
    folds: int | None = None,
    fold: int = 0,
) -> Split:
    """Divide the samples.

    A part of the official division is taken as it is, whatever size is asked for, unless that is 0: it leaves the part
    out. What the official division does not have is drawn from its training part.

    Args:
        samples: What to divide.
        val: Share for validation; 0: none; "test": validate on the test part.
        test: Share for the test; 0: none; None: the official test part, or none if there is no such part.
        seed: Decides which samples are drawn; counts modulo 2**32.
        stratify: Draw the same fraction from every class, to rounding. None: where targets are classes.
        folds: Divide all that is not for the test into so many folds of equal size, to one sample, and validate on one
            of them, whatever ``val`` says. None: no folds.
        fold: Which one, from 0.

    Raises:
        UserError: If a share is not valid, no training samples are left, or a part lacks a class.
    """
    _check_share("test", test)
    _check_share("val", 0 if val == "test" else val)
    units = _Units(samples, _stratified(samples, stratify), seed)

    official_test = units.official("test")
    test_units = official_test if test != 0 and len(official_test) else units.draw("test", test or 0)
    if folds is not None:
        val_units = units.fold(fold, folds)
    elif val == "test":
        if not len(test_units):
            raise UserError("data.split.val=test, but there is no test part", fix="data.split.test=0.15")
        val_units = test_units
    else:
        official_val = units.official("val")
        val_units = official_val if val != 0 and len(official_val) else units.draw("val", val)
    divided = Split(*(units.samples(part) for part in (units.pool, val_units, test_units)))
    if not len(divided.train):
        raise UserError(
            "the data have no training part", expected="samples that are neither for validation nor for test"
        )
    _check_classes(samples, divided)
    return divided


class _Units:
    """What is drawn: groups of samples, or single ones. ``pool`` holds those that are left to draw from."""

    def __init__(self, samples: Samples, stratify: bool, seed: int) -> None:
        if samples.groups is None:
            first = self._unit_of = np.arange(len(samples))
        else:
            _, first, self._unit_of = np.unique(samples.groups, return_index=True, return_inverse=True)
        self._official = None if samples.official is None else samples.official[first]
        self._strata = samples.classes[first] if stratify else np.zeros(len(first), np.int64)
        # RandomState, unlike the newer generators, gives the same numbers in every version of numpy (NEP 19).
        self._rank = np.random.RandomState(seed % 2**32).permutation(len(first))
        self.pool: Array = np.arange(len(first)) if self._official is None else self.official("train")
        self._size = len(self.pool)

    def fold(self, number: int, folds: int) -> Array:
        """Take one of several folds out of the pool, to which an official validation part belongs as well."""
        self.pool = np.union1d(self.pool, self.official("val"))
        if folds > len(self.pool):
            raise UserError(
                f"data.folds={folds}, but there are {len(self.pool)} samples to divide",
                expected=f"2 to {len(self.pool)}",
            )
        # Dealt out like cards, stratum by stratum: each fold gets its share of each to one sample, and of all as well.
        shuffled = self.pool[np.lexsort((self._rank[self.pool], self._strata[self.pool]))]
        drawn: Array = np.sort(shuffled[number::folds])
        self.pool = np.setdiff1d(self.pool, drawn)
        return drawn

    def official(self, part: str) -> Array:
        """The units of an official part."""
        return np.empty(0, np.int64) if self._official is None else np.flatnonzero(self._official == part)

    def draw(self, part: str, share: Share) -> Array:
        """Take a share of what the pool held at first out of the pool."""
        if not share:
            return np.empty(0, np.int64)
        wanted = share if isinstance(share, int) else max(1, int(share * self._size + 0.5))
        if wanted >= len(self.pool):
            raise UserError(
                f"data.split.{part}={share} leaves no training samples: it takes {wanted} of {len(self.pool)}",
                expected="fractions that add up to less than 1, or smaller counts",
            )
        shuffled = self.pool[np.lexsort((self._rank[self.pool], self._strata[self.pool]))]  # within each stratum
        _, starts, counts = np.unique(self._strata[shuffled], return_index=True, return_counts=True)
        place_in_stratum = np.arange(len(shuffled)) - np.repeat(starts, counts)
        drawn: Array = shuffled[place_in_stratum < np.repeat(_largest_remainder(wanted, counts), counts)]
        self.pool = np.setdiff1d(self.pool, drawn)
        return drawn

    def samples(self, units: Array) -> Array:
        """The samples of some units, ascending."""
        return np.flatnonzero(np.isin(self._unit_of, units)).astype(np.int64)


def _largest_remainder(total: int, counts: Array) -> Array:
    """Whole numbers that add up to ``total`` in proportion to ``counts``; a tie goes to the first."""
    exact = total * counts  # over the sum of counts, kept as whole numbers to be exact
    quotas: Array = exact // counts.sum()
    remainders = exact % counts.sum()
    quotas[np.argsort(-remainders, kind="stable")[: total - quotas.sum()]] += 1
    return quotas


def _stratified(samples: Samples, stratify: bool | None) -> bool:
    if stratify and (samples.groups is not None or not samples.has_classes):
        reason = "samples come in groups" if samples.groups is not None else "targets are no classes"
        raise UserError(f"data.split.stratify=true, but {reason}", fix="data.split.stratify=null")
    return samples.has_classes and samples.groups is None if stratify is None else stratify


def _check_share(part: str, share: object) -> None:
    is_count = isinstance(share, int) and not isinstance(share, bool) and share >= 0
    is_fraction = isinstance(share, float) and 0 <= share < 1
    if not (is_count or is_fraction or (share is None and part == "test")):
        other = "null" if part == "test" else "test"
        raise UserError(
            f"data.split.{part}={share}",
            expected=f"a fraction from 0 to below 1, a whole number of samples, or {other}",
        )


def _check_classes(samples: Samples, divided: Split) -> None:
    if not samples.has_classes:
        return
    names = samples.class_names
    classes = np.arange(len(names)) if names else np.unique(samples.classes)
    lacking = [
        (part, str(names[number] if names else number))
        for part, indices in divided._asdict().items()
        if len(indices)
        for number in np.setdiff1d(classes, samples.classes[indices])
    ]
    if not lacking:
        return
    told = [f"{part} has no sample of class {name}" for part, name in lacking]
    official = [] if samples.official is None else [part for part in PARTS if part in samples.official]
    given = [f"data.split.{part}=0" for part in ("val", "test") if part in official and part in dict(lacking)]
    if given and "train" not in dict(lacking):
        fix = f"samples of the class there, or {' '.join(given)} to leave the part out"
    elif official:
        fix = "samples of the class in every part of the data that is there, or the class in none"
    else:
        fix = "larger data.split.val and data.split.test, data.split.stratify=true, or more samples of the class"
    raise UserError(
        "; ".join(told[:5]) + (f"; ... and {len(told) - 5} more" if len(told) > 5 else ""),
        expected="every class in every part",
        fix=fix,
    )
