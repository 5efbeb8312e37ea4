"""A series: what a scan found of it, whether it can be read, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medseg.errors import InputRefused
from medseg.findings import Finding
from medseg.geometry import Geometry
from medseg.reading.headers import Slice
from medseg.volume import Source, Volume

_BY_NUMBER = {"several-volumes"}  # errors that asking for one volume resolves


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Series:
    """One volume, or one reason why there is none, found by :func:`medseg.reading.scan`.

    Attributes
    ----------
    case : str
        Name for folders and logs: a file stem, or a pseudonym made of hashes for DICOM.
    form : {"dicom", "nifti", "nrrd", "metaimage", "mgh"}
        What kind of files these are.
    modality : str
        DICOM modality code; empty for other forms.
    number : int or None
        Series Number.
    description : str
        Series Description. It may name a person: match on it, do not print it.
    files : tuple of Path
        The files it is made of.
    images : int
        Slices along k, or images that could not be stacked.
    geometry : Geometry or None
        The grid, where the headers suffice to know it.
    findings : tuple of Finding
        What is odd; an error says why it cannot be read.
    thickness : float or None
        Slice thickness in mm; the spacing along k where no header says.
    do : str
        What to do about the error.
    body_part : str
        Body Part Examined, where the header has it.
    scan : bool
        Whether this is an image series at all, usable or not; False for reports,
        segmentations, localizers and damaged files.
    slices : tuple of Slice
        For DICOM: each slice in array order along k.
    uid, identity : str
        Series Instance UID, and with it what tells this volume from all others; private.
    keeps : object
        What the files need to stay, such as the folder that an archive was unpacked to.
    """

    case: str
    form: str
    modality: str
    number: int | None
    description: str
    files: tuple[Path, ...]
    images: int
    geometry: Geometry | None
    findings: tuple[Finding, ...] = ()
    thickness: float | None = None
    do: str = ""
    body_part: str = ""
    scan: bool = True
    slices: tuple[Slice, ...] = ()
    uid: str = ""
    identity: str = ""
    keeps: object = None

    def __repr__(self) -> str:
        return f"Series({self.case!r}, {self.form!r}, {self.modality!r}, {self.images} images)"

    @property
    def usable(self) -> bool:
        """Whether it can be read: there is no finding of level error."""
        return not any(finding.level == "error" for finding in self.findings)

    def refusal(self) -> InputRefused | None:
        """Return what :meth:`read` would raise, or None when it is usable."""
        for finding in self.findings:
            if finding.level == "error":
                return InputRefused(finding.code, finding.words, do=self.do)
        return None

    def read(self, volume: int | None = None) -> Volume:
        """Return the scan: float32, in the scanner's units, axes in file order.

        Parameters
        ----------
        volume : int, optional
            Which one along the fourth axis of a 4-D file, counted from 0.

        Raises
        ------
        InputRefused
            What :meth:`refusal` says; ``volume-invalid``; and what only the pixels show, such
            as ``pixels-undecodable``, ``file-truncated``, ``file-unreadable``, ``not-finite``.
        """
        refusal = self.refusal()
        if refusal and not (volume is not None and refusal.code in _BY_NUMBER):
            raise refusal
        return self._read_dicom(volume) if self.form == "dicom" else self._read_file(volume)

    def _read_dicom(self, volume: int | None) -> Volume:
        from medseg.reading.pixels import read_pixels

        if volume not in (None, 0):
            raise InputRefused("volume-invalid", f"There is no volume {volume} in one DICOM series")
        assert self.geometry is not None  # a usable series has been stacked
        array, findings = read_pixels(self.slices)
        frames = tuple((one.header.path, one.frame) for one in self.slices)
        files = tuple(dict.fromkeys(path for path, _ in frames))
        source = Source(self.case, "dicom", files, frames, keeps=self.keeps)
        return Volume(array, self.geometry, self.modality, source, (*self.findings, *findings))

    def _read_file(self, volume: int | None) -> Volume:
        from medseg.reading.forms import opened
        from medseg.reading.image_file import scan_values

        image = opened(self.files[0])
        array, findings = scan_values(image, volume)
        source = Source(self.case, self.form, self.files, header=image.header, keeps=self.keeps)
        kept = tuple(one for one in self.findings if one.level != "error")
        return Volume(array, image.geometry, "", source, (*kept, *findings))
