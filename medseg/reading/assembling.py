"""Series made of the headers that share a Series Instance UID."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from medseg.dicom.opening import is_damage, opened
from medseg.dicom.private import case_name
from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.reading.dividing import Part, divided
from medseg.reading.headers import SCANS, Header, Slice
from medseg.reading.series import Series

Member = tuple[Header, tuple[Slice, ...]]


def assembled(members: Sequence[Member]) -> list[Series]:
    """Return the series that DICOM files of one Series Instance UID make.

    One for each volume; one refused with its cause when images are no volume; one refused for
    each kind of object that is no scan (reports, segmentations, doses, screen captures).
    """
    scans = [member for member in members if member[0].sop_class in SCANS]
    others: dict[str, list[Header]] = defaultdict(list)
    for header, _ in members:
        if header.sop_class not in SCANS:
            others[header.sop_class].append(header)
    found = [_no_scan(headers) for _, headers in sorted(others.items())]
    return [*found, *(_scans(scans) if scans else [])]


def _no_scan(headers: Sequence[Header]) -> Series:
    from pydicom.uid import UID

    uid = UID(headers[0].sop_class)
    kind = headers[0].modality if uid.name == uid else uid.name.replace(" Storage", "")
    words = f"{len(headers)} file(s) of the kind {kind or 'unknown'} are no scan"
    reason = InputRefused("not-a-scan", words, do="Give the CT, MR or PET series itself")
    return _refused(headers, reason, images=len(headers), scan=False)


def _scans(members: Sequence[Member]) -> list[Series]:
    findings: list[Finding] = []
    all_headers = [header for header, _ in members]
    try:
        _check_one_patient(all_headers)
        members, findings = _without_copies(members)
        headers = [header for header, _ in members]
        if all(header.scout for header in headers):
            return [_localizer(headers)]
        members, left_out = _images_only(members)
        headers = [header for header, _ in members]
        slices = [one for _, images in members for one in images]
        _check_readable(headers)
        _check_placed(slices)
        findings += [*left_out, *_notes(headers), *_count_notes(headers, slices)]
        parts = divided(slices)
    except InputRefused as refusal:
        return [_refused(all_headers, refusal, images=len(all_headers), findings=findings)]
    return [_usable(part, findings) for part in parts]


def _usable(part: Part, findings: Sequence[Finding]) -> Series:
    slices, header = part.stack.slices, part.stack.slices[0].header
    return Series(
        case=case_name(header.study, header.number),
        form="dicom",
        modality=header.modality,
        number=header.number,
        description=header.description,
        body_part=header.body_part,
        files=tuple(dict.fromkeys(one.header.path for one in slices)),
        images=len(slices),
        geometry=part.stack.geometry,
        findings=(*_named(part), *findings, *part.stack.findings),
        thickness=slices[0].thickness or part.stack.geometry.spacing[2],
        slices=slices,
        uid=header.series,
        identity=header.series + part.key,
    )


def _named(part: Part) -> list[Finding]:
    return [Finding("info", "volume-of-series", f"This volume: {part.key}")] if part.key else []


def _refused(
    headers: Sequence[Header],
    reason: InputRefused,
    images: int,
    scan: bool = True,
    findings: Sequence[Finding] = (),
) -> Series:
    first = headers[0]
    return Series(
        case=case_name(first.study, first.number),
        form="dicom",
        modality=first.modality,
        number=first.number,
        description=first.description,
        body_part=first.body_part,
        files=tuple(header.path for header in headers),
        images=images,
        geometry=None,
        findings=(Finding("error", reason.code, reason.found), *findings),
        do=reason.do,
        scan=scan,
        uid=first.series,
        identity=first.series if scan else first.series + first.sop_class,
    )


def _localizer(headers: Sequence[Header]) -> Series:
    reason = InputRefused("localizer", f"A localizer of {len(headers)} image(s) is no volume",
                          do="Give the series that was planned on it")  # fmt: skip
    return _refused(headers, reason, images=len(headers), scan=False)


def _without_copies(members: Sequence[Member]) -> tuple[list[Member], list[Finding]]:
    """Keep one of each SOP instance; the same UID on another image is refused."""
    kept: dict[str, Member] = {}
    copies = 0
    for member in members:
        known = kept.setdefault(member[0].instance or str(member[0].path), member)
        if known is member:
            continue
        if not _same_image(known, member):
            raise InputRefused(
                "instance-repeated",
                "duplicate SOPInstanceUID with different content: two images claim to be one",
                do="Find out which is the true one, or export the series again",
            )
        copies += 1
    notes = [Finding("info", "copies-dropped", f"{copies} exact copies of images were left out")]
    return list(kept.values()), notes if copies else []


def _same_image(one: Member, other: Member) -> bool:
    places = [[(s.position, s.orientation, s.pixel_spacing) for s in member[1]]
              for member in (one, other)]  # fmt: skip
    if places[0] != places[1]:
        return False
    if one[0].syntax == other[0].syntax and _encoded(one[0]) == _encoded(other[0]):
        return True
    first, second = _decoded(one[0]), _decoded(other[0])
    return first is not None and second is not None and np.array_equal(first, second)


def _encoded(header: Header) -> bytes:
    with header.path.open("rb") as stream:
        stream.seek(header.pixels_at)
        return stream.read()


def _decoded(header: Header) -> np.ndarray | None:
    from pydicom import dcmread

    try:
        with opened(header.path) as stream:
            return np.asarray(dcmread(stream, force=True).pixel_array)
    except BaseException as error:  # of whatever kind: then nobody can say that the two are alike
        if not is_damage(error):
            raise
        return None


def _check_one_patient(headers: Sequence[Header]) -> None:
    for what, values in (
        ("patients", [header.patient for header in headers]),
        ("studies", [header.study for header in headers]),
    ):
        counts = Counter(values)
        if len(counts) > 1:
            sizes = " + ".join(str(n) for n in sorted(counts.values(), reverse=True))
            raise InputRefused(
                "patients-mixed",
                f"Images of {len(counts)} {what} carry one series UID: {sizes} images",
                do=f"Separate the {what}; the UID was copied from one to another",
            )


def _images_only(members: Sequence[Member]) -> tuple[list[Member], list[Finding]]:
    """Leave localizers and colour pages out of a series that has other images."""
    findings = []
    kept = [member for member in members if not member[0].scout]
    if scouts := len(members) - len(kept):
        words = f"{scouts} localizer image(s) of {len(members)} images are left out"
        findings.append(Finding("warning", "localizer-left-out", words))
    grey = [member for member in kept if not member[0].colour]
    if grey and len(grey) < len(kept):
        words = f"{len(kept) - len(grey)} colour image(s) of {len(members)} images are left out"
        findings.append(Finding("warning", "colour-left-out", words))
    return grey or kept, findings


def _check_readable(headers: Sequence[Header]) -> None:
    if headers[0].colour:
        raise InputRefused("colour", f"All {len(headers)} image(s) are in colour, which no "
                                     "scanner's volume is")  # fmt: skip
    faults = [header.fault for header in headers if header.fault]
    if faults:
        found = f"{faults[0].found} ({len(faults)} of {len(headers)} files)"
        raise InputRefused(faults[0].code, found, do=faults[0].do)


def _check_placed(slices: Sequence[Slice]) -> None:
    lost = [one for one in slices
            if one.position is None or one.orientation is None or not _sized(one)]  # fmt: skip
    if not lost:
        return
    checked = ("position", "orientation", "pixel_spacing")
    missing = [
        name.replace("_", " ") for name in checked if any(not getattr(one, name) for one in lost)
    ]
    raise InputRefused(
        "geometry-missing",
        f"no {' and no '.join(missing) or 'pixel spacing above 0'}: {len(lost)} of {len(slices)} "
        "images do not say where they lie in the patient",
        do="Give the original series; screen captures and secondary images have lost it",
    )


def _sized(one: Slice) -> bool:
    return one.pixel_spacing is not None and min(one.pixel_spacing) > 0


def _notes(headers: Sequence[Header]) -> list[Finding]:
    notes = []
    if inverted := sum(header.photometric == "MONOCHROME1" for header in headers):
        words = f"{inverted} image(s) are MONOCHROME1: shown inverted, but their values are not"
        notes.append(Finding("info", "monochrome1", words))
    if lossy := sum(header.lossy for header in headers):
        notes.append(Finding("info", "lossy", f"{lossy} image(s) have been compressed with loss"))
    if mosaics := sum(header.mosaic for header in headers):
        words = (
            f"{mosaics} image(s) are mosaics: the distance of their tiles is Spacing Between Slices"
        )
        notes.append(Finding("info", "mosaic-unfolded", words))
    return notes


def _count_notes(headers: Sequence[Header], slices: Sequence[Slice]) -> list[Finding]:
    """Tell what hints at images missing at the ends, where they leave no gap."""
    notes = []
    numbers = sorted({one.number for one in slices if one.number is not None})
    if len(numbers) == len(slices) > 1:
        holes = numbers[-1] - numbers[0] + 1 - len(numbers)
        if holes > 0 or numbers[0] > 1:
            words = f"{len(numbers)} images are numbered from {numbers[0]} to {numbers[-1]}"
            notes.append(Finding("info", "numbers-missing", words))
    expected = max((header.expected_images or 0 for header in headers), default=0)
    if len(slices) < expected:
        words = f"{len(slices)} images are here; the headers speak of {expected}"
        notes.append(Finding("warning", "images-fewer", words))
    return notes
