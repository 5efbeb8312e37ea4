"""A walk over files, folders and archives: every series there, and what was passed over."""

from __future__ import annotations

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medseg.dicom.private import VOLUME_DIGITS, digest, folder_name
from medseg.dicom.require import quiet
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.reading.archive import Progress, Unpacked, kind_of, unpack
from medseg.reading.assembling import Member, assembled
from medseg.reading.dicomdir import directory
from medseg.reading.forms import form_of, head_of, opened, stem_of
from medseg.reading.headers import DICOMDIR, read_header
from medseg.reading.image_file import ImageFile, several_volumes
from medseg.reading.series import Series

_MAYBE_IMAGE = ("", ".dcm", ".dic", ".dicom", ".ima", ".img", ".gz")  # when a file is empty
_ARCHIVE = "archive (give it by itself)"


class Found(list[Series]):
    """The series of a scan in a stable order; ``skipped`` counts other files by reason.

    ``root`` is the folder that was looked into; for an archive the one it was unpacked to. That
    one vanishes with the last series or volume, or when Python ends; :meth:`close`, or leaving a
    ``with`` block, removes it at once.
    """

    def __init__(
        self,
        series: Iterable[Series] = (),
        skipped: dict[str, int] | None = None,
        root: Path = Path(),
    ) -> None:
        super().__init__(series)
        self.skipped = skipped or {}
        self.root = root

    def __enter__(self) -> Found:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what an archive was unpacked to; its series cannot be read any more."""
        for one in self:
            if isinstance(one.keeps, Unpacked):
                one.keeps.remove()


@dataclass(slots=True)
class _Walk:
    """What the files of a scan turned out to be."""

    root: Path
    dicom: dict[tuple[str, str], list[Member]] = field(default_factory=lambda: defaultdict(list))
    others: list[Series] = field(default_factory=list)
    damaged: dict[tuple[Path, str], list[Path]] = field(default_factory=lambda: defaultdict(list))
    reasons: dict[str, InputRefused] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    absent: int = 0  # files that a DICOMDIR names

    def name_of(self, path: Path) -> str:
        """Return a path below the root: the same wherever an archive was unpacked."""
        return path.relative_to(self.root).as_posix()


def scan(
    path: str | Path, *, progress: Progress | None = None, unpacking: Progress | None = None
) -> Found:
    """Return every series in a file, a folder tree or an archive, or the reason why there is none.

    Files are told by their content; only headers are read. DICOM images are grouped by their
    UIDs, told apart into volumes and checked as stacks; each NIfTI, NRRD, MetaImage or MGH file
    is a series. Nothing in a file stops the scan: what is damaged is listed with an error.

    Parameters
    ----------
    path : str or Path
        A file, or a folder that is walked with all below it. Links to folders are not
        followed, hidden files are passed over. A zip or a tar (plain, gz, bz2, xz) is
        unpacked into a temporary folder, which vanishes with the last series or volume that
        was found in it; archives inside are only counted. Of a DICOMDIR the files that it
        names are scanned, and no others.
    progress : callable, optional
        Called with the files done and the files in all.
    unpacking : callable, optional
        Called while an archive is unpacked with the bytes done and the bytes in all.

    Returns
    -------
    Found
        A list of :class:`Series`, sorted, with ``skipped``: a count by reason of the files
        that are no images.

    Raises
    ------
    InputRefused
        ``path-missing``: there is nothing at the path. ``file-unreadable``. For an archive
        the codes of :func:`medseg.reading.archive.unpack`.
    """
    path = Path(path)
    try:
        unpacked = unpack(path, unpacking) if path.is_file() and kind_of(path) else None
    except OSError as error:
        raise _not_readable(error) from None
    if unpacked is None:
        return _scanned(path, progress)
    try:
        found = _scanned(unpacked.folder, progress)
    except BaseException:
        unpacked.remove()
        raise
    kept = (replace(one, keeps=unpacked) for one in found)
    return Found(kept, found.skipped, found.root)


def _scanned(path: Path, progress: Progress | None) -> Found:
    with quiet():
        walk = _Walk(path if path.is_dir() else path.parent)
        files = _files_at(path, walk)
        for done, file in enumerate(files, start=1):
            _sort_in(file, walk)
            if progress:
                progress(done, len(files))
        found = [one for members in _series_of(walk) for one in assembled(members)]
    dicom = _with_neighbours(sorted(found, key=_place), walk)
    others = sorted(walk.others, key=_place)
    named = [*_named(dicom), *_named([*others, *_damaged_series(walk)])]
    return Found(named, dict(walk.skipped), walk.root)


def _files_at(root: Path, walk: _Walk) -> list[Path]:
    try:
        if not root.exists():
            raise InputRefused("path-missing", "There is no file or folder at this path",
                               do="Check how it is written, or mount its disk")  # fmt: skip
        if root.is_dir():
            return sorted(_files(root, walk))
    except OSError as error:
        raise _not_readable(error) from None
    if (named := directory(root)) is not None:
        walk.skipped.update(named.absent)
        walk.absent = named.absent.total()
        return list(named.files)
    return [head_of(root) or root]  # of a pair either file may be named


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
        elif (form := form_of(path)) and not _is_dicom(path):
            walk.others.append(_file_series(path, form, walk))
        elif head := head_of(path):
            walk.skipped[f"data of a {head.suffix} file"] += 1
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
        walk.skipped[_ARCHIVE if kind_of(path) else "no image"] += 1
    elif member[0].sop_class == DICOMDIR:
        walk.skipped["DICOMDIR"] += 1
    else:
        walk.dicom[member[0].study, member[0].series].append(member)


def _is_dicom(path: Path) -> bool:
    """Return whether a file begins as DICOM does, whatever its name."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _note_empty(path: Path, walk: _Walk) -> None:
    suffix = path.suffix.lower()
    if not (suffix in _MAYBE_IMAGE or suffix[1:].isdigit() or form_of(path)):
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
    if form := form_of(path):
        walk.others.append(_file_refused(path, form, reason, walk))
    else:
        walk.damaged[path.parent, reason.code].append(path)


def _series_of(walk: _Walk) -> list[list[Member]]:
    """Return the DICOM files by series; one series UID in two studies is one, to be refused."""
    by_series: dict[str, list[Member]] = defaultdict(list)
    for (_, series), members in walk.dicom.items():
        by_series[series].extend(members)
    return list(by_series.values())


def _file_series(path: Path, form: str, walk: _Walk) -> Series:
    image = opened(path)
    findings = list(image.findings)
    if image.volumes > 1:
        findings.append(Finding("error", *several_volumes(image.volumes)))
    do = "Ask for one of them by its number"
    return _file_listed(path, form, image, findings, do, walk.name_of(path))


def _file_refused(path: Path, form: str, reason: InputRefused, walk: _Walk) -> Series:
    findings = [Finding("error", reason.code, reason.found)]
    return _file_listed(path, form, None, findings, reason.do, walk.name_of(path))


def _file_listed(
    path: Path,
    form: str,
    image: ImageFile | None,
    findings: Sequence[Finding],
    do: str,
    identity: str,
) -> Series:
    return Series(
        case=folder_name(stem_of(path)),
        form=form,
        modality="",
        number=None,
        description="",
        files=image.files if image else (path,),
        images=image.geometry.shape[2] if image else 0,
        geometry=image.geometry if image else None,
        findings=tuple(findings),
        thickness=image.geometry.spacing[2] if image else None,
        do=do,
        identity=identity,
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
            identity=f"{walk.name_of(folder)}/{code}",
        )
        for (folder, code), paths in sorted(walk.damaged.items())
    ]


def _with_neighbours(series: list[Series], walk: _Walk) -> list[Series]:
    """Warn where a slice at an end may lie among damaged files beside, or be absent."""
    beside: Counter[Path] = Counter()
    for (folder, _), paths in walk.damaged.items():
        beside[folder] += len(paths)
    marked = []
    for one in series:
        notes = []
        if count := sum(beside[folder] for folder in {file.parent for file in one.files}):
            words = f"{count} damaged file(s) lie beside these images and may belong to them"
            notes.append(Finding("warning", "damaged-beside", words))
        if walk.absent:
            words = (
                f"{walk.absent} file(s) that the DICOMDIR names are not here: slices may be lost"
            )
            notes.append(Finding("warning", "dicomdir-incomplete", words))
        marked.append(_noted(one, notes) if notes and one.scan else one)
    return marked


def _noted(series: Series, notes: Sequence[Finding]) -> Series:
    """Add notes to a series; its refusal says them too, as one of them may be the cause."""
    words = "; ".join(note.words for note in notes)
    said = [replace(one, words=f"{one.words}; {words}") if one.level == "error" else one
            for one in series.findings]  # fmt: skip
    return replace(series, findings=(*said, *notes))


def _place(series: Series) -> tuple[str, float, str, str]:
    """Return what series are sorted by: study, number, series; volumes keep their order."""
    number = float("inf") if series.number is None else float(series.number)
    study = series.case.split("-")[0] if series.form == "dicom" else series.case
    return (study, number, series.uid, "" if series.form == "dicom" else str(series.files[0]))


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
