"""Frames of an enhanced object: each has its own geometry, in its functional groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

_GROUPS = {  # keyword: the functional group it stands in (PS3.3 C.7.6.16), and its name there
    "ImagePositionPatient": ("PlanePositionSequence", "ImagePositionPatient"),
    "ImageOrientationPatient": ("PlaneOrientationSequence", "ImageOrientationPatient"),
    "PixelSpacing": ("PixelMeasuresSequence", "PixelSpacing"),
    "SliceThickness": ("PixelMeasuresSequence", "SliceThickness"),
    "RescaleSlope": ("PixelValueTransformationSequence", "RescaleSlope"),
    "RescaleIntercept": ("PixelValueTransformationSequence", "RescaleIntercept"),
    "RescaleType": ("PixelValueTransformationSequence", "RescaleType"),
    "StackID": ("FrameContentSequence", "StackID"),
    "TemporalPositionIdentifier": ("FrameContentSequence", "TemporalPositionIndex"),
    "AcquisitionNumber": ("FrameContentSequence", "FrameAcquisitionNumber"),
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "TriggerTime": ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    "DiffusionBValue": ("MRDiffusionSequence", "DiffusionBValue"),
    "InversionTime": ("MRModifierSequence", "InversionTimes"),
    "FlipAngle": ("MRTimingAndRelatedParametersSequence", "FlipAngle"),
    "ConvolutionKernel": ("CTReconstructionSequence", "ConvolutionKernel"),
    "ReconstructionDiameter": ("CTReconstructionSequence", "ReconstructionDiameter"),
}
_FRAME_TYPES = (
    "CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence",
)  # fmt: skip
_NOT_OF_A_FRAME = {"InstanceNumber"}  # counts objects, so says nothing of frames


def has_groups(dataset: Dataset) -> bool:
    """Return whether an object keeps its geometry in functional groups."""
    return "PerFrameFunctionalGroupsSequence" in dataset or (
        "SharedFunctionalGroupsSequence" in dataset
    )


class FrameView:
    """The attributes of one frame, read like those of a single image.

    What belongs to a functional group is looked up in the frame's own groups, then in the
    shared ones, and never at the top level; everything else is the object's.
    """

    def __init__(self, dataset: Dataset, frame: int) -> None:
        self.dataset = dataset
        own = dataset.get("PerFrameFunctionalGroupsSequence") or []
        shared = dataset.get("SharedFunctionalGroupsSequence") or []
        self.groups = [*own[frame : frame + 1], *shared[:1]]

    def get(self, keyword: Any, /) -> Any:
        """Return the value of an attribute for this frame, or None."""
        if keyword == "FrameType":
            found = (self._grouped(name, "FrameType") for name in _FRAME_TYPES)
            return next((one for one in found if one is not None), None)
        if keyword == "DiffusionGradientOrientation":
            items = self._grouped("MRDiffusionSequence", "DiffusionGradientDirectionSequence")
            return items[0].get(keyword) if items else None
        if keyword in _GROUPS:
            return self._grouped(*_GROUPS[keyword])
        return None if keyword in _NOT_OF_A_FRAME else self.dataset.get(keyword)

    def _grouped(self, group: str, keyword: str) -> Any:
        for groups in self.groups:
            items = groups.get(group)
            if items and items[0].get(keyword) is not None:
                return items[0].get(keyword)
        return None
