"""A classifier that is loaded once and says of one image after the other what it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import medseg
from medseg.errors import EngineFailed, ModelRefused
from medseg.findings import Finding
from medseg.inference.engines import Device, Engine, EngineName, Precision, choose
from medseg.models import ModelPackage, find
from medseg.preparing.appearance import appearance
from medseg.preparing.whole import prepare_whole
from medseg.volume import Volume


@dataclass(frozen=True, eq=False, slots=True)
class Classified:
    """What a classifier says of an image.

    Attributes
    ----------
    label : str
        The most probable class.
    probabilities : dict of float
        Of each class; calibrated where the model is.
    prediction_set : tuple of str or None
        Classes that cannot be ruled out: the truth is among them in ``coverage`` of cases that
        are like those the model was calibrated on. Several or none: not sure. None where the
        model is not calibrated.
    coverage : float or None
    calibrated_on : str
        Which cases; empty where the model is not calibrated.
    in_domain : bool or None
        Whether the image looks like those of the training, see
        :class:`medseg.models.Domain`; None where the model does not know.
    strangeness : float or None
        Its distance from the training's images over the largest that counts as in domain.
    findings : tuple of Finding
    timings : dict
        Seconds of ``prepare`` and ``predict``.
    provenance : dict
    """

    label: str
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...] | None = None
    coverage: float | None = None
    calibrated_on: str = ""
    in_domain: bool | None = None
    strangeness: float | None = None
    findings: tuple[Finding, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def sure(self) -> bool | None:
        """Whether one class is left and the image is in domain; None where nothing is known."""
        if self.prediction_set is None:
            return None
        return len(self.prediction_set) == 1 and self.in_domain is not False

    def as_json(self) -> dict[str, Any]:
        """Return plain values for ``result.json``."""
        return {
            "label": self.label,
            "probability": round(self.probabilities[self.label], 6),
            "probabilities": {name: round(p, 6) for name, p in self.probabilities.items()},
            "prediction_set": None if self.prediction_set is None else list(self.prediction_set),
            "coverage": self.coverage,
            "calibrated_on": self.calibrated_on,
            "in_domain": self.in_domain,
            "strangeness": None if self.strangeness is None else round(self.strangeness, 3),
            "sure": self.sure,
        }


@dataclass(frozen=True, eq=False, slots=True)
class Classifier:
    """A model package for whole images in an engine.

    Attributes
    ----------
    package : ModelPackage
    engine : Engine
    findings : tuple of Finding
        What loading found odd; part of every result.
    """

    package: ModelPackage
    engine: Engine
    findings: tuple[Finding, ...] = ()

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        engine: EngineName = "auto",
        device: Device = "auto",
        precision: Precision = "f32",
        cache: Path | None = None,
    ) -> Classifier:
        """Find a model and make it ready to compute; as :meth:`medseg.Segmenter.load`.

        Raises
        ------
        ModelRefused
            ``task-differs``: the model segments. Others, PlanRefused and EngineFailed as
            :func:`medseg.models.find` and :func:`medseg.inference.engines.choose`.
        """
        package = find(name)
        if package.plan.task != "classify":
            raise ModelRefused("task-differs", f"{package.name} segments, it does not classify",
                               do="Use medseg segment, or give a classifier")  # fmt: skip
        loaded, findings = choose(
            package, engine=engine, device=device, precision=precision, cache=cache
        )
        return cls(package, loaded, findings)

    def logits(self, volume: Volume) -> np.ndarray:
        """Return what the network says of an image, before any calibration, ``(C,)``.

        Raises
        ------
        InputRefused
            ``channels-differ``, ``size-differs``.
        EngineFailed
            ``logits-not-finite``, ``classes-differ``.
        """
        return self._computed(prepare_whole(volume, self.package.plan))

    def _computed(self, prepared: np.ndarray) -> np.ndarray:
        image = prepared[0] if prepared.shape[0] == 1 else prepared
        out = np.asarray(self.engine(image[np.newaxis]), np.float32)
        classes = len(self.package.plan.classes)
        if out.shape != (1, classes):
            raise EngineFailed("classes-differ", f"The network gave {out.shape[1:]} values, its "
                                                 f"plan names {classes} classes")  # fmt: skip
        if not np.isfinite(out).all():
            raise EngineFailed("logits-not-finite",
                               "The network gave a value that is not a number",
                               do="Try --precision f32; if it stays, the weights do not fit this "
                                  "kind of image")  # fmt: skip
        logits: np.ndarray = out[0].astype(np.float64)
        return logits

    def predict(self, volume: Volume) -> Classified:
        """Classify an image; it is not changed.

        Raises
        ------
        InputRefused, EngineFailed
            As :meth:`logits`.
        """
        from medseg.metrics.conformal import prediction_sets

        plan, calibration = self.package.plan, self.package.calibration
        started = perf_counter()
        prepared = prepare_whole(volume, plan)
        ready = perf_counter()
        logits = self._computed(prepared)
        timings = {"prepare": ready - started, "predict": perf_counter() - ready}
        shares = softmax(logits[np.newaxis] / (calibration.temperature if calibration else 1.0))
        told: dict[str, Any] = {}
        findings = [*volume.findings, *self.findings, *self._modality(volume)]
        if calibration is None:
            findings.append(Finding("warning", "not-calibrated", "The model was not calibrated: "
                                    "its probabilities say only which class leads"))  # fmt: skip
        else:
            chosen = prediction_sets(shares, calibration.threshold)[0]
            told = {
                "prediction_set": tuple(name for name, inside
                                        in zip(plan.classes, chosen, strict=True) if inside),
                "coverage": round(1 - calibration.alpha, 6),
                "calibrated_on": calibration.measured_on,
            }  # fmt: skip
            if calibration.domain is not None:
                away = calibration.domain.distance(appearance(volume.array, prepared))
                told["strangeness"] = away / calibration.domain.limit
                told["in_domain"] = told["strangeness"] <= 1
                if not told["in_domain"]:
                    findings.append(_out_of_domain(told["strangeness"]))
        return Classified(
            label=plan.classes[int(shares[0].argmax())],
            probabilities=dict(zip(plan.classes, shares[0].tolist(), strict=True)),
            findings=tuple(findings),
            timings=timings,
            provenance=self.provenance,
            **told,
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """What is needed to compute the same again, plain enough for JSON."""
        package, engine = self.package, self.engine
        return {
            "model": {"name": package.name, "version": package.version, "hash": package.hash},
            "plan": package.plan.hash,
            "classes": list(package.plan.classes),
            "engine": engine.name,
            "precision": engine.precision,
            "device": engine.device,
            "versions": {
                "medseg": medseg.__version__, "numpy": np.__version__, **engine.versions,
            },
        }  # fmt: skip

    def _modality(self, volume: Volume) -> list[Finding]:
        wanted = sorted({channel.modality for channel in self.package.plan.channels} - {""})
        if not wanted or not volume.modality or volume.modality in wanted:
            return []
        words = (f"THE CLASS IS MOST LIKELY WRONG: this image is {volume.modality}, the model was "
                 f"trained on {' or '.join(wanted)}")  # fmt: skip
        return [Finding("warning", "modality-differs", words)]


def _out_of_domain(strangeness: float) -> Finding:
    return Finding("warning", "out-of-domain", f"This image does not look like those of the "
                   f"training ({strangeness:.1f} times as far from them as 99 of 100 of themselves)"
                   ": what the model says of it is a guess")  # fmt: skip


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities ``(N, C)`` of logits, float64.

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
