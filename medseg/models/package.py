"""A model package: a folder or zip of plan, weights and card, opened without running code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from medseg.errors import ModelRefused
from medseg.files import whole_file, whole_folder, write_json
from medseg.models.arrays import as_halves, check_finite, checked_shapes
from medseg.models.calibration import Calibration
from medseg.models.card import Card
from medseg.models.container import (
    RECORD,
    WEIGHTS,
    check_size,
    damaged,
    open_file,
    sizes_in,
    write_zip,
)  # fmt: skip
from medseg.models.postprocessing import Evidence, Step
from medseg.models.record import Record, Shapes, StoredFile, first_fault, record_in
from medseg.plan import Plan

WEIGHTS_LIMIT = 4 << 30  # bytes; 2 milliard parameters


@dataclass(frozen=True, eq=False, slots=True)
class ModelPackage:
    """A model that was checked: every file whole, the plan valid, the weights as described.

    Attributes
    ----------
    path : Path
        Its folder or zip.
    name, version : str
        As its maker called it.
    plan : Plan
        What the network is and wants.
    card : Card
        What a person should know.
    hash : str
        SHA-256 in hex over the record, which holds the hash of every file.
    shapes : dict
        Shape of each array of the weights by its Keras path, ``encoder_0_0_conv/kernel``.
    file : str
        Where the weights lie in the package.
    others : tuple of ModelPackage
        The further networks of an ensemble, each as a package of one network: a plan, weights
        and a hash of its own; all with the labels of this one.
    postprocessing : tuple of Step
        What is done to a finished mask.
    evidence : tuple of Evidence
        What led to the choice of networks and of post-processing.
    calibration : Calibration or None
        Of a classifier: what its probabilities are worth; None where nothing was held out.
    """

    path: Path
    name: str
    version: str
    plan: Plan
    card: Card
    hash: str
    shapes: Shapes
    _files: dict[str, StoredFile]
    file: str = WEIGHTS
    others: tuple[ModelPackage, ...] = ()
    postprocessing: tuple[Step, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    calibration: Calibration | None = None

    @property
    def networks(self) -> tuple[ModelPackage, ...]:
        """Every network, each as a package of one; of an ordinary package itself alone."""
        return (self, *self.others)

    @property
    def weights_hash(self) -> str:
        """SHA-256 of the file of this network's weights, in hex."""
        return self._files[self.file].sha256

    @classmethod
    def open(cls, path: str | Path) -> ModelPackage:
        """Check a package and return it; Keras is not loaded, nothing is unpacked to disk.

        Parameters
        ----------
        path : str or Path
            Folder or zip with ``model.json`` and ``weights.safetensors``.

        Raises
        ------
        ModelRefused
            ``package-missing``, ``package-foreign``, ``package-unsafe``, ``package-damaged``,
            ``package-incomplete``, ``package-too-large``, ``package-newer``,
            ``package-invalid``, ``weights-invalid``, ``weights-differ``.
        """
        path = Path(path)
        sizes = sizes_in(path)
        record, digest = record_in(path, sizes)
        _check_files(path, sizes, record)
        package = cls(path, record.name, record.version, record.plan, record.card, digest,
                      checked_shapes(path, WEIGHTS, sizes, record.weights), record.files,
                      postprocessing=record.postprocessing, evidence=record.evidence,
                      calibration=record.calibration
                      )  # fmt: skip
        others = []
        for network in record.ensemble:
            own = hashlib.sha256(f"{digest}/{network.file}".encode()).hexdigest()
            shapes = checked_shapes(path, network.file, sizes, network.weights)
            others.append(replace(package, plan=network.plan or record.plan, hash=own,
                                  shapes=shapes, file=network.file))  # fmt: skip
        return replace(package, others=tuple(others))

    def weights(self) -> dict[str, np.ndarray]:
        """Return the weights by their Keras path, float32.

        Raises
        ------
        ModelRefused
            ``package-damaged``: the file changed since the package was opened.
            ``weights-not-finite``: an array holds NaN or infinity.
        """
        from safetensors.numpy import load

        with open_file(self.path, self.file) as stream:
            data = stream.read(self._files[self.file].size)
        if hashlib.sha256(data).hexdigest() != self._files[self.file].sha256:
            raise damaged(self.file)
        weights = {name: array.astype(np.float32) for name, array in load(data).items()}
        check_finite(weights)
        return weights


def write_package(
    path: str | Path,
    *,
    name: str,
    version: str,
    plan: Plan,
    card: Card,
    weights: Mapping[str, np.ndarray],
    others: Iterable[tuple[Plan, Mapping[str, np.ndarray]]] = (),
    postprocessing: Sequence[Step] = (),
    evidence: Sequence[Evidence] = (),
    calibration: Calibration | None = None,
) -> ModelPackage:
    """Write a package, open it again as a check, and return it.

    Parameters
    ----------
    path : str or Path
        A zip where the name ends in ``.zip``, a folder otherwise. An older package there is
        replaced, in one step; what dies on the way leaves the older one.
    name, version : str
        Letters, digits, dots, hyphens and underscores.
    plan, card : Plan, Card
        What the network wants, and what a person should know.
    weights : mapping
        Arrays by Keras path, as :func:`medseg.models.weights.weights_of` gives them; kept as
        float16, which moves logits by less than a hundredth.
    others : iterable of (Plan, mapping)
        Plan and weights of the further networks of an ensemble; taken one after the other.
    postprocessing, evidence : sequences of Step and Evidence
        What is done to finished masks, and what led to that.
    calibration : Calibration, optional
        Of a classifier.

    Raises
    ------
    ModelRefused
        ``package-occupied``: something else lies there. ``weights-not-finite``: an array
        holds NaN, infinity or more than float16 can. ``package-invalid``: the name is not
        plain, or the networks of an ensemble do not fit together.
    OutputFailed
        ``write-failed``.
    """
    path = Path(path)
    told = {"name": name, "version": version, "plan": plan, "card": card,
            "postprocessing": postprocessing, "evidence": evidence,
            "calibration": calibration}  # fmt: skip
    files, record = _contents(told, chain([(plan, weights)], others))
    if path.suffix == ".zip":
        with whole_file(path) as aside:
            write_zip(aside, {**files, RECORD: json.dumps(record, indent=2).encode()})
            package = ModelPackage.open(aside)
    else:
        if path.exists() and not (path / RECORD).exists() and (
            not path.is_dir() or any(path.iterdir())
        ):  # fmt: skip
            raise ModelRefused("package-occupied", f"{path.name} exists and is no model package",
                               do="Choose another folder, or delete it yourself")  # fmt: skip
        with whole_folder(path) as aside:
            for file, data in files.items():
                with whole_file(aside / file) as part:
                    part.write_bytes(data)
            write_json(aside / RECORD, record)
            package = ModelPackage.open(aside)
    further = tuple(replace(network, path=path) for network in package.others)
    return replace(package, path=path, others=further)


def _contents(
    told: dict[str, Any], networks: Iterable[tuple[Plan, Mapping[str, np.ndarray]]]
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the files beside the record, and the record."""
    from safetensors.numpy import save

    stored, parts = {}, []
    for number, (plan, weights) in enumerate(networks):
        file = WEIGHTS if not number else f"weights-{number + 1}.safetensors"
        halves = as_halves(weights)
        stored[file] = save(halves)
        shapes = {path: array.shape for path, array in sorted(halves.items())}
        parts.append({"file": file, "plan": None if plan == told["plan"] else plan,
                      "weights": shapes})  # fmt: skip
    sums = {file: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for file, data in stored.items()}  # fmt: skip
    first, *others = parts
    try:
        record = Record(**told, files=sums, weights=first["weights"], ensemble=others)
    except ValidationError as error:
        raise ModelRefused("package-invalid", first_fault(error)) from error
    content = record.model_dump(mode="json")
    for name in ("ensemble", "postprocessing", "evidence", "calibration"):
        if not content[name]:  # an ordinary package lacks them
            del content[name]
    return stored, content


def _check_files(path: Path, sizes: Mapping[str, int], record: Record) -> None:
    """Compare every file with what the record says of it: there, size, hash."""
    files, needed = record.files, {WEIGHTS, *(network.file for network in record.ensemble)}
    absent = sorted({*files, *needed} - sizes.keys()) or sorted(needed - files.keys())
    if absent:
        raise ModelRefused("package-incomplete", f"The package lacks {', '.join(absent)}",
                           do="Get the package again from its maker")  # fmt: skip
    foreign = sorted(sizes.keys() - files.keys() - {RECORD})
    if foreign:
        raise ModelRefused("package-unsafe", f"{RECORD} does not know {foreign[0]!r}",
                           do="Move files that are not the package's out of it")  # fmt: skip
    for name, file in files.items():
        check_size(name, sizes[name], WEIGHTS_LIMIT)
        if sizes[name] != file.size:
            raise damaged(name)
        with open_file(path, name) as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != file.sha256:
                raise damaged(name)
