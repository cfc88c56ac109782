"""``runner cache``: the decoded images that are kept on the disk, and removing them."""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from runner.errors import UserError

_DAY_S = 86400


def main(args: Sequence[str]) -> int:
    """List the caches, or remove them; give the exit code: 1 if one could not be removed."""
    parser = argparse.ArgumentParser(
        prog="runner cache",
        description="The decoded images that data.cache=disk keeps, the ones that were used last in front. "
        "All of them can be made again from the data.",
    )
    parser.add_argument("--clear", action="store_true", help="remove them, but for those that a process uses")
    parser.add_argument("--unused-for", type=float, metavar="DAYS", help="only those that were not used for so long")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="the folder; default: that of data.cache_dir=null")
    options = parser.parse_args(args)
    if options.unused_for is not None and not options.unused_for >= 0:
        raise UserError(f"--unused-for {options.unused_for}", expected="a number of days, 0 or more")

    from runner.data.cache import told
    from runner.data.cache_folders import caches_in
    from runner.data.disk_cache import default_root
    from runner.tracking.formatting import table

    root = options.dir or default_root()
    if options.dir is not None and not root.is_dir():
        raise UserError(f"--dir {root}: there is no such folder")
    days = options.unused_for
    found = [cache for cache in caches_in(root) if days is None or cache.used_at <= time.time() - days * _DAY_S]
    if not found:
        print(f"{root} has no decoded images" + (" that were not used for so long" if days else ""))
        return 0
    if options.clear:
        kept = [cache for cache in found if not cache.remove()]
        for cache in kept:
            print(f"kept: {cache.data or cache.path}, which a process uses", file=sys.stderr)
        freed = told(sum(cache.num_bytes for cache in found if cache not in kept))
        print(f"removed {len(found) - len(kept)} of {len(found)} in {root}: {freed}")
        return 1 if kept else 0
    rows = [
        (one.data or one.path.name, told(one.num_bytes), f"{datetime.fromtimestamp(one.used_at):%Y-%m-%d %H:%M}")
        for one in found
    ]
    print(*table(("decoded images of", "size", "last used"), rows), "", sep="\n")
    print(f"{told(sum(cache.num_bytes for cache in found))} in {root}; runner cache --clear removes them")
    return 0
