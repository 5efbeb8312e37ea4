"""Fingerprints of data sets that nobody has to read."""

from medseg.planning.fingerprint import CaseFacts, Fingerprint, Intensities


def make_fingerprint(
    shape=(48, 96, 80), spacing=(1.0, 1.0, 1.0), *, cases=20, channels=("CT",),
    labels=("Liver", "Tumour"), spacings=None,
) -> Fingerprint:  # fmt: skip
    """Return a data set of equal cases, or of one spacing each."""
    seen = Intensities(low=-100, median=50, high=200, mean=40, deviation=30, smallest=-1000,
                       largest=3000)  # fmt: skip
    facts = [
        CaseFacts(name=f"case_{n}", shape=shape, cropped=shape, spacing=one,
                  volumes_ml=dict.fromkeys(labels, 10.0))
        for n, one in enumerate(spacings or [spacing] * cases)
    ]  # fmt: skip
    return Fingerprint(
        name="Made up", channels=channels, labels=labels, cases=tuple(facts),
        intensities=(seen,) * len(channels),
    )  # fmt: skip
