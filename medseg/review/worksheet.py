"""The reader's page: every case of a folder of results, most doubtful first, in one file."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.errors import OutputFailed
from medseg.files import whole_file
from medseg.review.doubts import Doubt, Measures, doubts_of, order
from medseg.review.results import Case, Missing, results_of

PAGE = "worksheet.html"
PICTURES_BYTES = 40_000_000  # of all pictures; as text in the page they take a third more
LARGEST_PICTURE = 300_000  # a sheet at the best quality is not larger
SMALLEST_PICTURE = 20_000  # below it nothing is to be seen; thousands of cases grow the page
QUALITIES = (90, 80, 70, 55)
SHRINK = 0.8  # of width and height, when the least quality is still too large

REASONS = ("Parts are missing", "Marks what is not the structure", "The outline is off",
           "Structures or sides mixed up", "The image is too poor")  # fmt: skip

Progress = Callable[[int, int, str], None]
"""Called with cases done, all cases, and the case at work."""


def silent(done: int, total: int, case: str) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A contact sheet as WebP; width and height in pixels."""

    data: bytes
    width: int
    height: int

    @property
    def url(self) -> str:
        """The picture itself as an address, so that the page needs no other file."""
        return "data:image/webp;base64," + base64.b64encode(self.data).decode("ascii")


@dataclass(frozen=True, slots=True)
class Row:
    """A label in the table of a case."""

    name: str
    ml: float
    diameters_mm: tuple[float, float] | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A case as the page shows it."""

    case: Case
    doubts: tuple[Doubt, ...]
    rows: tuple[Row, ...]
    picture: Picture | None
    identity: dict[str, str]


@dataclass(frozen=True, slots=True)
class Worksheet:
    """A page that was written.

    Attributes
    ----------
    path : Path
    entries : tuple of Entry
        In the order of the page.
    missing : tuple of Missing
        Cases without a mask to judge, listed at its end.
    damaged : int
        How many of these were segmented, but are no longer what was written.
    """

    path: Path
    entries: tuple[Entry, ...]
    missing: tuple[Missing, ...]
    damaged: int

    @property
    def exit_status(self) -> int:
        """0, or 6 when results were changed or lost since the run."""
        return 6 if self.damaged else 0


def worksheet(
    out: str | Path,
    *,
    show_phi: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Worksheet:
    """Write the reader's page of a folder of results: ``out/worksheet.html``.

    One file that opens without a network or a server. Cases stand in the order of doubt, see
    :func:`medseg.review.doubts.order`; the contact sheets are compressed so that 300 cases
    stay below 60 MB. Decisions are made in the browser and saved there as ``decisions.json``,
    for :func:`medseg.review.apply`.

    Parameters
    ----------
    out : str or Path
        What :func:`medseg.segment` wrote to.
    show_phi : bool
        Show patient id, study date and description, from the DICOM SEG of each case.
    overwrite : bool
        Replace an earlier page.
    progress : callable

    Raises
    ------
    InputRefused
        ``no-results``, ``record-damaged``.
    OutputFailed
        ``output-exists``, ``write-failed``.
    """
    out = Path(out)
    results = results_of(out)
    path = out / PAGE
    if path.exists() and not overwrite:
        raise OutputFailed("output-exists", f"There is a {PAGE} already",
                           do="Use --overwrite to replace it; decisions are not in it")  # fmt: skip
    cases = results.cases
    room = PICTURES_BYTES // max(1, len(cases))
    largest = min(LARGEST_PICTURE, max(SMALLEST_PICTURE, room))
    measures: list[Measures] = []
    pictures: list[Picture | None] = []
    for number, case in enumerate(cases):
        progress(number, len(cases), case.name)
        measures.append(_measured(case))
        sheet = case.file("png")
        pictures.append(compressed(sheet, largest) if sheet else None)
    doubts = doubts_of(cases, measures)
    entries = tuple(
        Entry(
            cases[n],
            tuple(doubts[n]),
            _rows(cases[n], measures[n]),
            pictures[n],
            _identity(cases[n]) if show_phi else {},
        )
        for n in order(doubts, measures, cases)
    )
    _write(path, entries, results.missing, show_phi=show_phi)
    progress(len(cases), len(cases), "")
    return Worksheet(path, entries, results.missing, results.damaged)


def _measured(case: Case) -> Measures:
    from medseg.review.measuring import measured

    return measured(case)


def _identity(case: Case) -> dict[str, str]:
    from medseg.reading.identity import identity

    path = case.file("seg")
    return identity(path) if path else {}


def _rows(case: Case, measures: Measures) -> tuple[Row, ...]:
    return tuple(
        Row(name, ml, measures.diameters_mm.get(name), measures.confidence.get(name))
        for name, ml in case.record.volumes_ml.items()
    )


def compressed(sheet: Path, largest: int) -> Picture | None:
    """Return a contact sheet as WebP of at most so many bytes; None if it is no picture.

    Quality gives way first, then size.
    """
    from PIL import Image

    try:
        with Image.open(sheet) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    while True:
        for quality in QUALITIES:
            packed = io.BytesIO()
            picture.save(packed, "WEBP", quality=quality, method=2)  # 4 takes twice as long
            if packed.tell() <= largest:
                return Picture(packed.getvalue(), *picture.size)
        width, height = (max(1, int(side * SHRINK)) for side in picture.size)
        if min(width, height) < 8:
            return None
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)


def _write(
    path: Path, entries: Sequence[Entry], missing: Sequence[Missing], *, show_phi: bool
) -> None:
    """Fill the template; every text from a file is escaped by it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = pages.get_template(f"{PAGE}.j2").stream(
        entries=entries,
        missing=missing,
        show_phi=show_phi,
        reasons=REASONS,
        run=_fingerprint(entries),
    )
    with whole_file(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(page)


def _fingerprint(entries: Sequence[Entry]) -> str:
    """Return a hash of what is judged: the browser keeps decisions under it."""
    judged = sorted(f"{entry.case.name}\0{entry.case.mask_sha256}" for entry in entries)
    return hashlib.sha256("\0".join(judged).encode()).hexdigest()
