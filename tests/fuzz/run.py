"""Read damaged files by the hundred, in a process that may die, and say what came of each."""

from __future__ import annotations

import faulthandler
import json
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

LIMIT_S = 5.0  # for one file
LIMIT_BYTES = 1 << 30  # of address space above what the process has at its start
LONGEST = 2000  # characters of a line of words
SERIES_SHARE = 0.2  # of the cases damage one slice of six
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one damaged file; ``problem`` is empty when it is as it should be."""

    case: int
    file: str
    ways: str
    result: str
    seconds: float
    problem: str = ""


class TooSlow(BaseException):
    """Raised by the alarm; no ``except Exception`` may take it for damage."""


def outcomes(count: int, seed: int, first: int = 0) -> Iterator[Outcome]:
    """Yield what comes of each damaged file; one that kills its process counts as a crash."""
    while first < count:
        last = first - 1
        command = [sys.executable, "-m", "tests.fuzz.run", str(first), str(count), str(seed)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                outcome = Outcome(**json.loads(line))
                last = outcome.case
                yield outcome
        if child.returncode and last < first:
            raise RuntimeError("no file could be examined; see the words above")
        if child.returncode:
            problem = f"the process ended with {child.returncode}"
            yield Outcome(last + 1, "", "", "crash", 0.0, problem)
        first = last + 1 + bool(child.returncode)


def summary(found: Sequence[Outcome]) -> str:
    """Return a table: how many were read or refused with which code, and the slowest."""
    counts = Counter(one.result for one in found)
    lines = [f"{result:24} {count:6}" for result, count in counts.most_common()]
    slowest = max(found, key=lambda one: one.seconds)
    lines += [f"slowest: {slowest.seconds:.2f} s ({slowest.file}, {slowest.ways})"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    lines += [f"peak memory of the process: {peak:.0f} MB"]
    problems = [one for one in found if one.problem]
    lines += [f"case {one.case} {one.file} {one.ways}: {one.problem}" for one in problems]
    return "\n".join([*lines, f"{len(problems)} problems in {len(found)} files"])


def damaged(case: int, seed: int, folder: Path) -> tuple[str, str]:
    """Write the damaged file of a case, alone or among good slices; return its name and ways."""
    from tests.fuzz.good import GOOD, ct
    from tests.fuzz.mutations import mutated

    rng = random.Random(f"{seed} {case}")
    name = rng.choice(list(GOOD))
    data = _good(name)
    if rng.random() < SERIES_SHARE:
        name = "series.dcm"
        slices = [_good(f"slice {k}", lambda k=k: ct(k)) for k in range(6)]
        data = slices.pop(rng.randrange(6))
        for n, one in enumerate(slices):
            (folder / f"good{n}.dcm").write_bytes(one)
    ways, data = mutated(name, data, rng)
    (folder / name).write_bytes(data)
    return name, ways


def _good(name: str, make=None, known: dict[str, bytes] = {}) -> bytes:  # noqa: B006
    from tests.fuzz.good import GOOD

    if name not in known:
        known[name] = (make or GOOD[name])()
    return known[name]


def examined(folder: Path) -> tuple[str, list[str]]:
    """Scan and read a folder in every way; return the result and all problems with it."""
    from medseg.errors import MedsegError
    from medseg.reading import read, read_labels, scan
    from tests.fuzz.good import SCAN

    said, results, problems = [], [], []
    found = scan(folder)
    said += [repr(found), repr(found.skipped)]
    for one in found:
        said += [repr(one), *map(repr, one.slices[:2]), *map(str, one.findings)]
    actions = [lambda: read(folder), lambda: read(folder, volume=0), lambda: read_labels(folder)]
    actions += [one.read for one in found]
    if any(one.modality == "RTSTRUCT" for one in found):
        actions.append(lambda: read_labels(folder, onto=SCAN, only=1))
    for action in actions:
        try:
            result = action()
        except MedsegError as refusal:
            said += ["".join(traceback.format_exception(refusal)), str(refusal), repr(refusal)]
            results.append(refusal.code)
            problems += _wrong_refusal(refusal)
        else:
            said += [repr(result.geometry), *map(str, getattr(result, "findings", ()))]
            said += [repr(getattr(result, "source", "")), getattr(result, "modality", "")]
            results.append("read")
            problems += _wrong_volume(result)
    problems += _private(said)
    return ("read" if "read" in results else results[0]), problems


def _wrong_refusal(refusal: Exception) -> Iterator[str]:
    words = str(refusal)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", getattr(refusal, "code", "")):
        yield f"no code: {refusal!r}"
    if "\n" in words or not words.isprintable() or len(words) > LONGEST:
        yield f"not one line of words: {words!r}"
    cause: BaseException | None = refusal
    while cause is not None:
        if isinstance(cause, MemoryError) or "MemoryError" in words:
            yield f"memory was asked for before it was refused: {words}"
            return
        cause = cause.__cause__ or cause.__context__


def _wrong_volume(volume) -> Iterator[str]:
    import numpy as np

    if volume.array.shape != volume.geometry.shape:
        yield f"shape {volume.array.shape} on a grid of {volume.geometry.shape}"
    if not hasattr(volume, "labels") and volume.array.dtype != np.float32:
        yield f"values of type {volume.array.dtype}"
    if not np.isfinite(volume.array).all():
        yield "values that are not finite"
    inverse = np.linalg.inv(volume.geometry.affine)
    if not (np.isfinite(volume.geometry.affine).all() and np.isfinite(inverse).all()):
        yield "an affine that cannot be inverted"


def _private(said: Sequence[str]) -> Iterator[str]:
    from tests.fuzz.good import MARKER

    sources = str(Path(__file__).parents[2])  # tracebacks name them, wherever they lie
    for words in (one.replace(sources, "") for one in said):
        for private in (MARKER, "SECRET", "2.25.", tempfile.gettempdir()):
            if private in words:
                yield f"private words {private}: {words[-300:]!r}"
                return


def _main(first: int, count: int, seed: int) -> None:
    """Print the outcome of each case as a line of JSON, under limits of time and memory."""

    def stop(*_) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, stop)
    folder = Path(tempfile.mkdtemp()) / "ZZPHIZZ"
    _warm_up(folder)
    _limit_memory()
    for case in range(first, count):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with warnings.catch_warnings(action="ignore"):
            file, ways = damaged(case, seed, folder)
        faulthandler.dump_traceback_later(3 * LIMIT_S, exit=True)  # a decoder hears no alarm
        signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
        start = time.perf_counter()
        try:
            with warnings.catch_warnings(record=True) as escaped:
                warnings.simplefilter("always")
                result, problems = examined(folder)
            problems += [f"a warning escaped: {one.message}" for one in escaped]
        except TooSlow:
            result, problems = "slow", [f"took more than {LIMIT_S} s"]
        except Exception:
            lines = traceback.format_exc().splitlines()
            result, problems = "raised", [f"{lines[-1]} at {lines[-3].strip()}"]
        signal.setitimer(signal.ITIMER_REAL, 0)
        seconds = time.perf_counter() - start
        outcome = Outcome(case, file, ways, result, seconds, "; ".join(problems))
        print(json.dumps(asdict(outcome)), flush=True)
    faulthandler.cancel_dump_traceback_later()
    shutil.rmtree(folder.parent)


def _warm_up(folder: Path) -> None:
    """Load every library and decoder, so that what they take is not counted with a file."""
    from tests.fuzz.good import GOOD

    for name in GOOD:
        folder.mkdir()
        (folder / name).write_bytes(_good(name))
        examined(folder)
        shutil.rmtree(folder)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
