"""The model packages that come with medseg, and finding one by name or place."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from medseg.errors import ModelRefused
from medseg.models.container import RECORD
from medseg.models.package import ModelPackage


def home() -> Path:
    """Return the folder of the packages that come with medseg."""
    return Path(str(resources.files("medseg"))) / "shipped"


def shipped() -> list[str]:
    """Return the names of the packages that come with medseg, sorted."""
    return sorted(record.parent.name for record in home().glob(f"*/{RECORD}"))


def find(name: str | Path) -> ModelPackage:
    """Open a model package by the name of a shipped one, or by its folder or zip.

    A shipped name comes first; write ``./name`` for a folder that is called the same.

    Raises
    ------
    ModelRefused
        ``model-unknown``: neither a name nor a place; ``package-unreadable``: permission or
        disk. Others as :meth:`ModelPackage.open`.
    """
    names = shipped()
    if str(name) in names:
        return ModelPackage.open(home() / str(name))
    try:
        if Path(name).exists():
            return ModelPackage.open(name)
    except OSError as error:
        raise ModelRefused(
            "package-unreadable",
            f"The model may not be read: {(error.strerror or type(error).__name__).lower()}",
            do="Ask for access to its folder, or check the disk",
        ) from error
    near = get_close_matches(str(name), names, n=3)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    raise ModelRefused(
        "model-unknown",
        f"There is no model {Path(name).name!r}, neither shipped with medseg nor on disk",
        do=f"{meant}Shipped are: {', '.join(names) or 'none'}. Or give the folder or zip of one",
    )
