"""One scan from a path: found, chosen if need be, and read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medseg.errors import InputRefused
from medseg.reading.rules import parse_rule, select
from medseg.reading.scan import Found, scan
from medseg.reading.series import Series
from medseg.volume import Volume

_LISTED = 20  # series that a refusal lists; a whole archive would hide the sentence


def read(path: str | Path, series: str | None = None, *, volume: int | None = None) -> Volume:
    """Return the one scan at a path.

    Parameters
    ----------
    path : str or Path
        A DICOM folder or file, or a NIfTI (``.nii``, ``.nii.gz``, ``.hdr`` with ``.img``), NRRD
        (``.nrrd``, ``.nhdr``), MetaImage (``.mha``, ``.mhd``) or MGH (``.mgh``, ``.mgz``) file,
        or a zip, a tar or a DICOMDIR of these, see :func:`medseg.scan`.
    series : str, optional
        A rule that chooses among several: ``"modality=CT,thickness<=3"``; see
        :func:`medseg.reading.parse_rule`.
    volume : int, optional
        Which volume, counted from 0: along the fourth axis of a 4-D file, or among those
        that one DICOM series was divided into.

    Returns
    -------
    Volume
        float32 ``(I, J, K)`` in the scanner's units. For DICOM i runs along the columns of
        the image, j along its rows, k along the slice normal.

    Raises
    ------
    InputRefused
        ``no-images``, ``no-scan``, ``rule-matches-none``, ``rule-invalid``, ``path-missing``;
        ``several-series`` lists what there is to choose from; and what
        :meth:`Series.read` raises.
    """
    if series is not None:
        parse_rule(series)  # a typing error should not cost a walk
    found = scan(path)
    try:
        return _read(found, series, volume)
    except BaseException:
        found.close()
        raise


def _read(found: Found, series: str | None, volume: int | None) -> Volume:
    chosen = found if series is None else select(found, series)
    if not chosen:
        raise _nothing(found)
    scans = [one for one in chosen if one.scan]
    if len(scans or chosen) == 1:
        return (scans or chosen)[0].read(volume)
    if not scans:
        raise InputRefused("no-scan", f"None of {len(chosen)} series is a scan: {_listing(chosen)}",
                           do="Give the folder of a scan")  # fmt: skip
    if volume is not None and _divided(scans):
        if not 0 <= volume < len(scans):
            raise InputRefused("volume-invalid", f"There is no volume {volume}: they run from 0 "
                                                 f"to {len(scans) - 1}")  # fmt: skip
        return scans[volume].read()
    raise _several(scans)


def _divided(series: Sequence[Series]) -> bool:
    """Return whether all these come from one DICOM series."""
    return len({one.uid for one in series}) == 1 and bool(series[0].uid)


def _nothing(found: Found) -> InputRefused:
    if found:
        return InputRefused("rule-matches-none", f"None of {_counted(len(found))} meets the rule",
                            do=f"Choose one of: {_listing(found)}")  # fmt: skip
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(found.skipped.items()))
    words = f"There is no image here ({reasons or 'empty'})"
    return InputRefused("no-images", words, do="Give the folder or file of a scan")


def _several(series: Sequence[Series]) -> InputRefused:
    causes = [finding.words for one in series for finding in one.findings
              if finding.code in ("series-divided", "series-mixed")]  # fmt: skip
    cause = f" ({causes[0]})" if causes else ""
    number = ", or a volume by its number" if _divided(series) else ""
    return InputRefused(
        "several-series",
        f"There is more than one volume to read: {_counted(len(series))}{cause}",
        do=f"Choose one by a rule such as case=...{number}: {_listing(series)}",
    )


def _counted(count: int) -> str:
    return f"{count} series" if count > 1 else "one series"


def _listing(series: Sequence[Series]) -> str:
    lines = [_line(one) for one in series[:_LISTED]]
    return "; ".join(lines) + (
        f"; and {len(series) - _LISTED} more" if len(series) > _LISTED else ""
    )


def _line(series: Series) -> str:
    """Say what a series is without its description, which may name a person."""
    number = "" if series.number is None else f"number {series.number}"
    parts = [series.case, series.modality, number]
    if series.geometry:
        parts.append(" x ".join(map(str, series.geometry.shape)))
        parts.append(" x ".join(f"{size:.3g}" for size in series.geometry.spacing) + " mm")
    own = [one.words for one in series.findings if one.code == "volume-of-series"]
    refusal = series.refusal()
    return ", ".join(
        [*filter(None, parts), *own, *([f"refused: {refusal.found}"] if refusal else [])]
    )
