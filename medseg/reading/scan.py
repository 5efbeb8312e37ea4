"""A walk over files and folders: every series in them, and what was passed over."""

from __future__ import annotations

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medseg.dicom.private import VOLUME_DIGITS, digest, folder_name
from medseg.dicom.require import quiet
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.reading.assembling import Member, assembled
from medseg.reading.headers import DICOMDIR, read_header
from medseg.reading.nifti import SUFFIXES, Nifti, is_nifti, opened, several_volumes
from medseg.reading.series import Series

Progress = Callable[[int, int], None]
_MAYBE_IMAGE = ("", ".dcm", ".dic", ".dicom", ".ima", *SUFFIXES, ".gz")  # when a file is empty


class Found(list[Series]):
    """The series of a scan in a stable order; ``skipped`` counts other files by reason."""

    def __init__(self, series: Iterable[Series] = (), skipped: dict[str, int] | None = None):
        super().__init__(series)
        self.skipped = skipped or {}


@dataclass(slots=True)
class _Walk:
    """What the files of a scan turned out to be."""

    dicom: dict[tuple[str, str], list[Member]] = field(default_factory=lambda: defaultdict(list))
    nifti: list[Series] = field(default_factory=list)
    damaged: dict[tuple[Path, str], list[Path]] = field(default_factory=lambda: defaultdict(list))
    reasons: dict[str, InputRefused] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)


def scan(path: str | Path, *, progress: Progress | None = None) -> Found:
    """Return every series in a file or a folder tree, usable or with the reason why not.

    Files are told by their content; only headers are read. DICOM images are grouped by their
    UIDs, told apart into volumes and checked as stacks; each NIfTI file is a series. Nothing
    in a file stops the scan: what is damaged is listed with an error.

    Parameters
    ----------
    path : str or Path
        A file, or a folder that is walked with all below it. Links to folders are not
        followed, hidden files are passed over.
    progress : callable, optional
        Called with the files done and the files in all.

    Returns
    -------
    Found
        A list of :class:`Series`, sorted, with ``skipped``: a count by reason of the files
        that are no images.

    Raises
    ------
    InputRefused
        ``path-missing``: there is nothing at the path.
    """
    root, walk = Path(path), _Walk()
    files = _files_at(root, walk)
    with quiet():
        for done, file in enumerate(files, start=1):
            _sort_in(file, walk)
            if progress:
                progress(done, len(files))
        found = [one for members in _series_of(walk) for one in assembled(members)]
    dicom = _with_neighbours(sorted(found, key=_place), walk)
    nifti = sorted(walk.nifti, key=_place)
    return Found([*_named(dicom), *_named([*nifti, *_damaged_series(walk)])], dict(walk.skipped))


def _files_at(root: Path, walk: _Walk) -> list[Path]:
    try:
        if not root.exists():
            raise InputRefused("path-missing", "There is no file or folder at this path",
                               do="Check how it is written, or mount its disk")  # fmt: skip
        if root.is_dir():
            return sorted(_files(root, walk))
    except OSError as error:
        raise _not_readable(error) from None
    head = root.with_suffix(".hdr")  # of a pair either file may be named
    return [head if root.suffix.lower() == ".img" and head.exists() else root]


def _files(root: Path, walk: _Walk) -> Iterable[Path]:
    def unreadable(error: OSError) -> None:
        _note_damaged(Path(error.filename or root), _not_readable(error), walk)

    for folder, subfolders, names in os.walk(root, onerror=unreadable):
        if links := sum(Path(folder, one).is_symlink() for one in subfolders):
            walk.skipped["linked folder"] += links
        subfolders[:] = sorted(one for one in subfolders if not one.startswith("."))
        for name in names:
            if name.startswith("."):
                walk.skipped["hidden file"] += 1
            else:
                yield Path(folder, name)


def _sort_in(path: Path, walk: _Walk) -> None:
    """File a path under what it is; damage of any kind becomes a reason."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            walk.skipped["no regular file"] += 1
        elif status.st_size == 0:
            _note_empty(path, walk)
        elif is_nifti(path) and not _is_dicom(path):
            walk.nifti.append(_nifti_series(path))
        elif path.suffix.lower() == ".img" and path.with_suffix(".hdr").exists():
            walk.skipped["data of a .hdr file"] += 1
        else:
            _sort_in_dicom(path, walk)
    except InputRefused as refusal:
        _note_damaged(path, refusal, walk)
    except OSError as error:
        _note_damaged(path, _not_readable(error), walk)
    except Exception as error:  # a damaged header raises whatever its parser happens to
        reason = InputRefused("file-damaged", f"The header is damaged ({type(error).__name__})",
                              do="Copy or export the file again")  # fmt: skip
        _note_damaged(path, reason, walk)


def _sort_in_dicom(path: Path, walk: _Walk) -> None:
    member = read_header(path)
    if member is None:
        walk.skipped["no image"] += 1
    elif member[0].sop_class == DICOMDIR:
        walk.skipped["DICOMDIR"] += 1
    else:
        walk.dicom[member[0].study, member[0].series].append(member)


def _is_dicom(path: Path) -> bool:
    """Return whether a file begins as DICOM does, whatever its name."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _note_empty(path: Path, walk: _Walk) -> None:
    if path.suffix.lower() not in _MAYBE_IMAGE and not path.suffix[1:].isdigit():
        walk.skipped["empty file"] += 1
        return
    reason = InputRefused("file-empty", "The file is empty", do="Copy or export it again")
    _note_damaged(path, reason, walk)


def _not_readable(error: OSError) -> InputRefused:
    words = error.strerror or type(error).__name__
    return InputRefused("file-unreadable", f"The file may not be read: {words.lower()}",
                        do="Ask for access to it, or check the disk")  # fmt: skip


def _note_damaged(path: Path, reason: InputRefused, walk: _Walk) -> None:
    walk.reasons[reason.code] = reason
    if is_nifti(path):
        walk.nifti.append(_nifti_refused(path, reason))
    else:
        walk.damaged[path.parent, reason.code].append(path)


def _series_of(walk: _Walk) -> list[list[Member]]:
    """Return the DICOM files by series; one series UID in two studies is one, to be refused."""
    by_series: dict[str, list[Member]] = defaultdict(list)
    for (_, series), members in walk.dicom.items():
        by_series[series].extend(members)
    return list(by_series.values())


def _nifti_series(path: Path) -> Series:
    nifti = opened(path)
    findings = list(nifti.findings)
    if nifti.volumes > 1:
        findings.append(Finding("error", *several_volumes(nifti.volumes)))
    return _nifti_listed(path, nifti, findings, do="Ask for one of them by its number")


def _nifti_refused(path: Path, reason: InputRefused) -> Series:
    return _nifti_listed(path, None, [Finding("error", reason.code, reason.found)], do=reason.do)


def _nifti_listed(path: Path, nifti: Nifti | None, findings: Sequence[Finding], do: str) -> Series:
    stem = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    return Series(
        case=folder_name(stem),
        form="nifti",
        modality="",
        number=None,
        description="",
        files=(path,),
        images=nifti.shape[2] if nifti else 0,
        geometry=nifti.geometry if nifti else None,
        findings=tuple(findings),
        thickness=nifti.geometry.spacing[2] if nifti else None,
        do=do,
        identity=str(path),
    )


def _damaged_series(walk: _Walk) -> list[Series]:
    """List damaged files, one entry for each folder and reason."""
    return [
        Series(
            case="damaged",
            form="dicom",
            modality="",
            number=None,
            description="",
            files=tuple(paths),
            images=0,
            geometry=None,
            findings=(
                Finding("error", code, f"{walk.reasons[code].found} ({len(paths)} file(s))"),
            ),
            do=walk.reasons[code].do,
            scan=False,
            identity=f"{folder}/{code}",
        )
        for (folder, code), paths in sorted(walk.damaged.items())
    ]


def _with_neighbours(series: list[Series], walk: _Walk) -> list[Series]:
    """Warn on images that lie beside damaged files: a slice at an end may be among those."""
    beside: Counter[Path] = Counter()
    for (folder, _), paths in walk.damaged.items():
        beside[folder] += len(paths)
    marked = []
    for one in series:
        count = sum(beside[folder] for folder in {file.parent for file in one.files})
        if not (count and one.scan):
            marked.append(one)
            continue
        words = f"{count} damaged file(s) lie beside these images and may belong to them"
        finding = Finding("warning", "damaged-beside", words)
        said = [replace(error, words=f"{error.words}; {words}") if error.level == "error" else error
                for error in one.findings]  # fmt: skip
        marked.append(replace(one, findings=(*said, finding)))
    return marked


def _place(series: Series) -> tuple[str, float, str, str]:
    """Return what series are sorted by: study, number, series; volumes keep their order."""
    number = float("inf") if series.number is None else float(series.number)
    study = series.case.split("-")[0] if series.form == "dicom" else series.case
    return (study, number, series.uid, str(series.files[0]) if series.form == "nifti" else "")


def _named(series: Sequence[Series]) -> list[Series]:
    """Give each series a name of its own, with more of its hash where names would clash."""
    digits = VOLUME_DIGITS
    names = [one.case for one in series]
    clash = Counter(one.case for one in series if one.scan)
    alone = [clash[one.case] == 1 and not (one.uid and one.number is None) for one in series]
    needy = {n for n, one in enumerate(series) if not (one.scan and alone[n])}
    while needy:
        for n in needy:
            names[n] = f"{series[n].case}-{digest(series[n].identity, digits)}"
        again = Counter(names)
        needy = {n for n in needy if again[names[n]] > 1}
        digits *= 2
        if digits > 64:
            break
    return [replace(one, case=name) for one, name in zip(series, names, strict=True)]
