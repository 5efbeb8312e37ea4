"""Work on several cases at once: by threads, since unpacking and NumPy leave Python's lock."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool; whatever ends the block, Ctrl-C included, no further case is begun."""
    pool = ThreadPoolExecutor(max(1, workers))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
