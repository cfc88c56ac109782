"""The benchmark: ``make bench`` measures runner beside hand-written loops and its peers, and writes docs/benchmarks.md.

``__main__`` runs the comparisons one after the other and keeps torch out of its own process: what is timed runs in
processes of its own, in one of two environments (runner's, the peers'), with a pinned number of threads.
"""
