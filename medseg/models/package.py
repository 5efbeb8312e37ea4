"""A model package: a folder or zip of plan, weights and card, opened without running code."""

from __future__ import annotations

import hashlib
import json
import math
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedIOBase
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
from pydantic import Field, NonNegativeInt, ValidationError, model_validator

from medseg.errors import MedsegError, ModelRefused
from medseg.files import whole_file, whole_folder, write_json
from medseg.models.calibration import Calibration
from medseg.models.card import Card
from medseg.models.postprocessing import Evidence, Step
from medseg.plan import Frozen, Plan

RECORD, WEIGHTS = "model.json", "weights.safetensors"
FORMAT = 1
RECORD_LIMIT = 4 << 20  # bytes of model.json; a plan of 100 labels takes 40 kB
WEIGHTS_LIMIT = 4 << 30  # bytes; 2 milliard parameters
HEADER_LIMIT = 8 << 20  # bytes of names and shapes in the weights file
ENTRY_LIMIT = 16  # files in a package: three configurations of five folds, and the record
RATIO_LIMIT = 100  # unpacked to packed size in a zip; JSON packs 20 to 1, weights not at all
PLAIN_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
UNSAFE = {
    ".keras", ".h5", ".hdf5", ".pb", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib",
}  # fmt: skip
ITEM_BYTES = {"F16": 2, "F32": 4}

PlainName = Annotated[str, Field(pattern=PLAIN_NAME)]
Shapes = dict[str, tuple[NonNegativeInt, ...]]


class _File(Frozen):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: NonNegativeInt


class _Network(Frozen):
    """A further network of an ensemble; without a plan it has that of the record."""

    file: PlainName
    plan: Plan | None = None
    weights: Shapes


class _Record(Frozen):
    """The content of ``model.json``; what most packages lack stands last, with a default."""

    format: Literal[1] = 1  # FORMAT
    name: PlainName
    version: PlainName
    plan: Plan
    card: Card
    files: dict[PlainName, _File]
    weights: Shapes
    ensemble: tuple[_Network, ...] = ()
    postprocessing: tuple[Step, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    calibration: Calibration | None = None

    @model_validator(mode="after")
    def _networks_fit_together(self) -> _Record:
        for number, network in enumerate(self.ensemble, 2):
            plan = network.plan or self.plan
            if plan.labels != self.plan.labels or plan.outputs != self.plan.outputs:
                raise ValueError(f"network {number} of the ensemble has other labels")
            if [one.name for one in plan.channels] != [one.name for one in self.plan.channels]:
                raise ValueError(f"network {number} of the ensemble wants other channels")
        return self

    @model_validator(mode="after")
    def _steps_have_labels(self) -> _Record:
        known = {label.value for label in self.plan.labels}
        for step in self.postprocessing:
            if step.label is not None and step.label not in known:
                raise ValueError(f"post-processing names the label {step.label}, "
                                 "which the plan has not")  # fmt: skip
        return self


class _Array(Frozen):
    """One entry of a safetensors header."""

    dtype: Literal["F16", "F32"]
    shape: tuple[NonNegativeInt, ...]
    data_offsets: tuple[NonNegativeInt, NonNegativeInt]


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
    _files: dict[str, _File]
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
        sizes = _sizes(path)
        record, digest = _record(path, sizes)
        _check_files(path, sizes, record)
        package = cls(path, record.name, record.version, record.plan, record.card, digest,
                      _checked_shapes(path, WEIGHTS, sizes, record.weights), record.files,
                      postprocessing=record.postprocessing, evidence=record.evidence,
                      calibration=record.calibration
                      )  # fmt: skip
        others = []
        for network in record.ensemble:
            own = hashlib.sha256(f"{digest}/{network.file}".encode()).hexdigest()
            shapes = _checked_shapes(path, network.file, sizes, network.weights)
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

        with _stream(self.path, self.file) as stream:
            data = stream.read(self._files[self.file].size)
        if hashlib.sha256(data).hexdigest() != self._files[self.file].sha256:
            raise _damaged(self.file)
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
            _write_zip(aside, {**files, RECORD: json.dumps(record, indent=2).encode()})
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
        halves = _halves(weights)
        stored[file] = save(halves)
        shapes = {path: array.shape for path, array in sorted(halves.items())}
        parts.append({"file": file, "plan": None if plan == told["plan"] else plan,
                      "weights": shapes})  # fmt: skip
    sums = {file: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for file, data in stored.items()}  # fmt: skip
    first, *others = parts
    try:
        record = _Record(**told, files=sums, weights=first["weights"], ensemble=others)
    except ValidationError as error:
        raise ModelRefused("package-invalid", _first(error)) from error
    content = record.model_dump(mode="json")
    for name in (
        "ensemble",
        "postprocessing",
        "evidence",
        "calibration",
    ):  # an ordinary package lacks them
        if not content[name]:
            del content[name]
    return stored, content


def _halves(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    with np.errstate(over="ignore"):  # what does not fit becomes inf and is refused
        halves = {path: np.ascontiguousarray(a, dtype=np.float16) for path, a in weights.items()}
    check_finite(halves)
    return halves


def _write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            # a ZipInfo says 1980, not today: equal content gives equal bytes
            archive.writestr(zipfile.ZipInfo(name), files[name])


def check_finite(weights: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays with NaN or infinity: ``weights-not-finite``."""
    for path, array in weights.items():
        if not np.isfinite(array).all():
            raise ModelRefused(
                "weights-not-finite",
                f"The weights hold a value that is not a finite {array.dtype} number, in {path}",
                do="Training diverged: take an earlier state or a smaller learning rate",
            )


def _sizes(path: Path) -> dict[str, int]:
    """Return size in bytes of each file of a package, having refused what cannot be one."""
    if not path.exists():
        raise ModelRefused("package-missing", f"There is no model package at {path.name!r}")
    if path.is_dir():
        files = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        _check_names(sorted(entry.name for entry in files))
        for entry in files:
            if entry.is_symlink() or not entry.is_file():
                raise ModelRefused("package-unsafe",
                                   f"{entry.name!r} in the package is a link or a folder",
                                   do="A package holds plain files only")  # fmt: skip
        return {entry.name: entry.stat().st_size for entry in files}
    _refuse_code(path.name)
    if not zipfile.is_zipfile(path):
        raise ModelRefused(
            "package-foreign",
            f"{path.name!r} is neither a folder nor a zip",
            do="Give the folder or zip that medseg wrote, or the name of a shipped model",
        )
    with _archive(path) as archive:
        return _zip_sizes(archive.infolist())


def _zip_sizes(entries: list[zipfile.ZipInfo]) -> dict[str, int]:
    """Return the sizes a zip declares, having refused traversal, links and bombs."""
    _check_names([entry.filename for entry in entries])
    for entry in entries:
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ModelRefused("package-unsafe", f"{entry.filename!r} in the zip is a link",
                               do="A package holds plain files only")  # fmt: skip
        if entry.file_size > RATIO_LIMIT * max(entry.compress_size, 1):
            raise ModelRefused(
                "package-too-large",
                f"{entry.filename!r} unpacks to {entry.file_size} bytes from "
                f"{entry.compress_size}: made to fill the memory",
                do="Do not use this file",
            )
    if len({entry.filename for entry in entries}) < len(entries):
        raise ModelRefused("package-unsafe", "A name comes twice in the zip",
                           do="Do not use this file")  # fmt: skip
    return {entry.filename: entry.file_size for entry in entries}


def _check_names(names: list[str]) -> None:
    """Refuse too many files, names that lead out of the package and files that can run code."""
    if len(names) > ENTRY_LIMIT:
        raise ModelRefused("package-foreign", f"{len(names)} files are no model package",
                           do=f"A package holds {ENTRY_LIMIT} at most")  # fmt: skip
    for name in names:
        _refuse_code(name)
        if name in {"", ".", ".."} or any(mark in name for mark in "/\\:"):
            raise ModelRefused(
                "package-unsafe",
                f"The name {name[:80]!r} in the zip leads elsewhere",
                do="Zip the files of a package themselves, not the folder around them",
            )


def _refuse_code(name: str) -> None:
    kind = Path(name).suffix.lower()
    if kind in UNSAFE:
        raise ModelRefused(
            "package-unsafe",
            f"medseg never loads {kind} files: loading one can run code that it carries",
            do="Ask its maker for a model package, or train and write one with medseg",
        )


def _record(path: Path, sizes: Mapping[str, int]) -> tuple[_Record, str]:
    """Return the checked content of ``model.json``, and its hash."""
    if RECORD not in sizes:
        raise ModelRefused(
            "package-foreign",
            f"{path.name!r} holds no {RECORD}",
            do="Give the folder or zip that medseg wrote, or the name of a shipped model",
        )
    _check_size(RECORD, sizes[RECORD], RECORD_LIMIT)
    with _stream(path, RECORD) as stream:
        content = _parsed(stream.read(RECORD_LIMIT + 1), RECORD)
    version = content.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise ModelRefused(
            "package-newer",
            f"The package has format {version}, this medseg reads {FORMAT}",
            do="Update medseg",
        )
    try:
        record = _Record.model_validate(content)
    except ValidationError as error:
        raise ModelRefused("package-invalid", f"{RECORD}: {_first(error)}") from error
    except MedsegError as error:  # labels that contradict themselves
        raise ModelRefused("package-invalid", f"{RECORD}: {error.found}") from error
    canonical = json.dumps(content, sort_keys=True, allow_nan=False)
    return record, hashlib.sha256(canonical.encode()).hexdigest()


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'record'}: {first['msg']}"


def _parsed(data: bytes, name: str) -> dict[str, Any]:
    try:
        content = json.loads(data.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ModelRefused("package-invalid", f"{name} is not JSON that medseg reads") from error
    if not isinstance(content, dict):
        raise ModelRefused("package-invalid", f"{name} holds no record")
    return content


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _check_files(path: Path, sizes: Mapping[str, int], record: _Record) -> None:
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
        _check_size(name, sizes[name], WEIGHTS_LIMIT)
        if sizes[name] != file.size:
            raise _damaged(name)
        with _stream(path, name) as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != file.sha256:
                raise _damaged(name)


def _check_size(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise ModelRefused("package-too-large", f"{name} has {size} bytes, the limit is {limit}")


def _damaged(name: str) -> ModelRefused:
    return ModelRefused("package-damaged", f"{name} is not the file that was packed",
                        do="Copy or download the package again")  # fmt: skip


def _checked_shapes(path: Path, file: str, sizes: Mapping[str, int], wanted: Shapes) -> Shapes:
    """Return the shapes in a weights file, having compared them with those of the record."""
    with _stream(path, file) as stream:
        stored = _stored_shapes(stream, sizes[file])
    if stored != wanted:
        raise ModelRefused("weights-differ", difference(stored, wanted),
                           do="Get the package again from its maker")  # fmt: skip
    return stored


def _stored_shapes(stream: BufferedIOBase, size: int) -> Shapes:
    """Return the shape of each array in a safetensors file, having checked that they fill it.

    The format: eight bytes with the length of a JSON header, the header, the data
    (github.com/huggingface/safetensors, Format).
    """
    length = int.from_bytes(stream.read(8), "little")
    if size < 8 or length > min(HEADER_LIMIT, size - 8):
        raise _weights_invalid("its header is longer than the file")
    entries = _parsed(stream.read(length), WEIGHTS)
    entries.pop("__metadata__", None)
    try:
        arrays = {name: _Array.model_validate(entry) for name, entry in entries.items()}
    except ValidationError as error:
        raise _weights_invalid(_first(error)) from error
    end = 0
    for name, array in sorted(arrays.items(), key=lambda item: item[1].data_offsets):
        declared = math.prod(array.shape) * ITEM_BYTES[array.dtype]
        if array.data_offsets != (end, end + declared):
            raise _weights_invalid(f"{name} does not lie where its shape {array.shape} says")
        end += declared
    if end != size - 8 - length:
        raise _weights_invalid("it is longer or shorter than its arrays")
    return {name: array.shape for name, array in arrays.items()}


def _weights_invalid(why: str) -> ModelRefused:
    return ModelRefused("weights-invalid", f"{WEIGHTS} cannot be read: {why}",
                        do="Get the package again from its maker")  # fmt: skip


def difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Say in one sentence how the arrays of two weight lists differ."""
    for words, names in (
        ("The weights lack", wanted.keys() - found.keys()),
        ("The weights hold an unknown array,", found.keys() - wanted.keys()),
    ):
        if names:
            return f"{words} {min(names)} ({len(names)} in all)"
    name = next(name for name in wanted if found[name] != wanted[name])
    return f"{name} has shape {tuple(found[name])} in place of {tuple(wanted[name])}"


@contextmanager
def _stream(path: Path, name: str) -> Iterator[BufferedIOBase]:
    """Yield one file of a package for reading."""
    if path.is_dir():
        try:
            stream = (path / name).open("rb")
        except OSError as error:
            raise _damaged(name) from error
        with stream:
            yield stream
        return
    with _archive(path) as archive, archive.open(name) as member:
        yield cast(BufferedIOBase, member)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield an open zip; whatever is broken in it is a damaged package."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError,
            NotImplementedError) as error:  # fmt: skip
        raise _damaged(path.name) from error
