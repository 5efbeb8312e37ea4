"""The anatomy of a made-up patient: the solids of an abdomen, drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from medseg.phantoms.solids import (
    LONG_MM,
    Lump,
    Solid,
    along,
    ellipsoid,
    rotation,
    sphere,
)

AIR_HU, FAT_HU, MUSCLE_HU = -1000.0, -100.0, 58.0
RAYS = 100  # on which a lesion is checked to lie inside the liver
CLEAR = 1.06  # by how much larger it is taken to be in that check
TRIES = 300  # places drawn for a lesion before it is made smaller


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """A solid of one tissue, drawn over what was drawn before.

    Attributes
    ----------
    solid : Solid
        Its shape.
    hu : float
        Mean value of the tissue.
    grain : float
        Amplitude of its texture in HU.
    within : Solid or None
        Only what lies inside this one too is drawn.
    outside : Solid or None
        What lies inside this one is spared.
    """

    solid: Solid
    hu: float
    grain: float = 0.0
    within: Solid | None = None
    outside: Solid | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Anatomy:
    """Everything in one patient, in the order of drawing, and the tumour, drawn last."""

    parts: tuple[Part, ...]
    tumour: Solid
    noise_hu: float
    lobes: tuple[Part, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Trunk:
    """The walls that organs are placed between; x to the right, y to the front, z to the head.

    ``half_width`` and ``half_depth`` are those of the skin in mm.
    """

    half_width: float
    half_depth: float
    skin: Solid
    fascia: Solid
    cavity: Solid
    spine: np.ndarray


def anatomy(seed: int) -> Anatomy:
    """Return the patient that belongs to a seed: build, organs, distractors and tumour."""
    rng = np.random.default_rng(seed)
    trunk = _trunk(rng)
    liver_hu = rng.uniform(95, 118)
    liver = _liver(rng, trunk)
    cyst_sizes = rng.uniform(5, 13, rng.integers(1, 4)).tolist()
    bladder = _gallbladder(rng, trunk)
    tumour = _lesion(rng, rng.uniform(11, 31), liver, trunk.cavity, bladder)
    lobes = tuple(Part(lobe, liver_hu, 5, within=trunk.cavity) for lobe in liver)
    cysts = [_lesion(rng, size, liver, trunk.cavity, tumour, uneven=0.3) for size in cyst_sizes]
    parts = [
        *_wall(trunk),
        *_bones(rng, trunk),
        *_chest(rng, trunk),
        *_left_side(rng, trunk),
        *_behind(rng, trunk),
        *_bowel(rng, trunk),
        *lobes,
        *_liver_vessels(rng, trunk, liver, liver_hu),
        Part(bladder.scaled(1.1), 70, within=trunk.cavity),
        Part(bladder, rng.uniform(2, 16), within=trunk.cavity),
        *(Part(cyst, rng.uniform(0, 14)) for cyst in cysts),
        *_tumour_parts(rng, tumour, liver_hu),
    ]
    return Anatomy(tuple(parts), tumour, noise_hu=rng.uniform(15, 24), lobes=lobes)


def _lumps(rng: np.random.Generator, height: float, degrees: tuple[int, ...]) -> tuple[Lump, ...]:
    """Return unevenness in random directions, lower where it is finer."""
    return tuple(
        Lump(degree, _direction(rng), height * rng.uniform(0.5, 1) / degree) for degree in degrees
    )


def _in_ball(rng: np.random.Generator) -> np.ndarray:
    """Return a point drawn evenly from the unit ball, its very middle left out."""
    while True:
        drawn = rng.uniform(-1, 1, 3)
        if 0.01 < (drawn * drawn).sum() < 1:
            return drawn


def _direction(rng: np.random.Generator) -> np.ndarray:
    """Return a unit vector drawn evenly from all directions."""
    drawn = _in_ball(rng)
    unit: np.ndarray = drawn / np.sqrt((drawn * drawn).sum())
    return unit


def _tilt(rng: np.random.Generator, most: float) -> np.ndarray:
    """Return a rotation by up to about twice ``most`` radians about any axis."""
    x, y, z = (most * _in_ball(rng)).tolist()
    return rotation(x, y, z)


def _near(rng: np.random.Generator, place: tuple[float, float, float], most: float) -> np.ndarray:
    """Return a place drawn within ``most`` mm of another along each axis."""
    return np.asarray(place) + rng.uniform(-most, most, 3)


def _trunk(rng: np.random.Generator) -> Trunk:
    """Return skin, fat, muscle and the cavity, of a slim to a stout patient."""
    half_width, half_depth = rng.uniform(132, 152), rng.uniform(92, 112)
    fat, muscle = rng.uniform(6, 20), rng.uniform(10, 15)
    lumps = (
        Lump(4, np.array([1.0, 0, 0]), -rng.uniform(0.03, 0.06)),  # boxier than an ellipse
        Lump(3, np.array([0, 1.0, 0]), rng.uniform(-0.02, 0.02)),
    )

    def shell(depth: float, forward: float = 0.0) -> Solid:
        radii = (half_width - depth, half_depth - depth - forward, LONG_MM)
        return ellipsoid((0, forward, 0), radii, lumps=lumps)

    return Trunk(
        half_width,
        half_depth,
        skin=shell(0),
        fascia=shell(fat),
        cavity=shell(fat + muscle, forward=10),
        spine=np.array([0, -0.52 * half_depth, 0]),
    )


def _wall(trunk: Trunk) -> Iterator[Part]:
    """Yield the table, the skin and the layers of the wall."""
    below = -trunk.half_depth - 14
    table = ellipsoid((0, below, 0), (200, 12, LONG_MM), square=True)
    yield Part(table, 40)
    yield Part(ellipsoid((0, below, 0), (197, 10, LONG_MM), square=True), -930)
    yield Part(trunk.skin, 15)
    yield Part(trunk.skin.scaled(0.985), FAT_HU, 6)
    yield Part(trunk.fascia, MUSCLE_HU, 9)
    yield Part(trunk.cavity, FAT_HU - 3, 9)


def _bones(rng: np.random.Generator, trunk: Trunk) -> Iterator[Part]:
    """Yield the ribs, the vertebrae with their discs, and the muscles along them."""
    outer, inner = trunk.cavity.scaled(1.075), trunk.cavity.scaled(1.015)
    pitch, phase = rng.uniform(25, 29), rng.uniform(0, 1)
    slope = rng.uniform(0.35, 0.5)
    for n in range(-2, 8):
        front = 25.0 if n < 0 else 92.0  # the last ribs end at the flank
        frame = np.diag([1 / LONG_MM, 1 / front, 1 / 6])
        frame[2, 1] = slope / 6  # the front end lies lower
        centre = np.array([0, 0.45 * (front - 100), pitch * (n + phase) - 0.45 * (front - 100)])
        yield Part(Solid(centre, frame, square=True), 330, 40, within=outer, outside=inner)

    x, y, _ = trunk.spine.tolist()
    for side in (-1, 1):
        back = ellipsoid((30 * side, y - 24, 0), (26, 19, LONG_MM))
        yield Part(back, MUSCLE_HU, 8, within=trunk.fascia)
        psoas = ellipsoid((32 * side, y + 2, -110), (17, 19, 105), rotation(0, 0.06 * side, 0))
        yield Part(psoas, MUSCLE_HU + 4, 6)
    yield Part(ellipsoid((x, y, 0), (19, 15, LONG_MM)), 85)  # discs
    height, start = rng.uniform(28, 33), rng.uniform(0, 1)
    for n in range(-7, 8):
        z = height * (n + start)
        vertebra = ellipsoid((x, y, z), (22, 17, 0.42 * height), square=True)
        yield Part(vertebra, 480)
        yield Part(vertebra.scaled(0.87), 190, 30)
        arch = ellipsoid((x, y - 24, z), (17, 13, 0.36 * height))
        yield Part(arch, 420)
        process = ellipsoid((x, y - 40, z - 6), (4.5, 16, 0.28 * height), rotation(-0.15, 0, 0))
        yield Part(process, 380)
        for side in (-1, 1):
            wing = ellipsoid((x + 27 * side, y - 20, z), (15, 5, 6), rotation(0, 0, -0.1 * side))
            yield Part(wing, 330)
    yield Part(ellipsoid((x, y - 23, 0), (9.5, 8, LONG_MM)), 30)  # the canal


def _chest(rng: np.random.Generator, trunk: Trunk) -> Iterator[Part]:
    """Yield the lungs with their vessels, and the heart."""
    width, depth = trunk.half_width, trunk.half_depth
    chest = trunk.cavity.scaled(1.01)
    base = rng.uniform(28, 42)
    for side in (-1, 1):
        centre = _near(rng, (0.5 * width * side, -4, base + 110), 4)
        radii = (0.44 * width, 0.92 * depth, rng.uniform(112, 124))
        lung = ellipsoid(centre, radii, lumps=_lumps(rng, 0.08, (2, 3)))
        yield Part(lung, -850, 22, within=chest)
        for _ in range(14):
            start = centre + 0.75 * np.asarray(radii) * _in_ball(rng)
            branch = ellipsoid(start, (1.9, 1.9, rng.uniform(10, 24)), along(_direction(rng)))
            yield Part(branch, 20, within=lung)
    heart = _near(rng, (-24, 26, base + 72), 5)
    turned = rotation(0.1, -0.3, 0.2)
    yield Part(ellipsoid(heart, (60, 46, 44), turned, _lumps(rng, 0.12, (2, 3))), 70, 6)
    yield Part(ellipsoid(heart - (12, 2, 4), (30, 22, 24), turned), 140, 6)


def _liver(rng: np.random.Generator, trunk: Trunk) -> tuple[Solid, Solid]:
    """Return the right and the left lobe; the cavity bounds both."""
    width, depth = trunk.half_width, trunk.half_depth
    right = ellipsoid(
        _near(rng, (0.44 * width, 0.02 * depth, 8), 6),
        (0.52 * width, 0.76 * depth, rng.uniform(70, 86)),
        _tilt(rng, 0.08),
        _lumps(rng, 0.13, (2, 3, 3, 4)),
    )
    left = ellipsoid(
        _near(rng, (0.02 * width, 0.42 * depth, 20), 5),
        (0.46 * width, 0.32 * depth, rng.uniform(34, 44)),
        _tilt(rng, 0.1) @ rotation(0, 0.12, 0),
        _lumps(rng, 0.13, (2, 3, 3)),
    )
    return right, left


def _left_side(rng: np.random.Generator, trunk: Trunk) -> Iterator[Part]:
    """Yield the spleen, and the stomach with its fluid and its bubble of air."""
    width, depth = trunk.half_width, trunk.half_depth
    wall = _near(rng, (-0.4 * width, 0.18 * depth, 22), 6)
    size = np.array([0.3 * width, 0.36 * depth, rng.uniform(36, 48)])
    stomach = ellipsoid(wall, size, rotation(0.1, 0.15, -0.2), _lumps(rng, 0.15, (2, 3)))
    yield Part(stomach, 72, 5, within=trunk.cavity)
    lumen = stomach.scaled(0.86)
    yield Part(lumen, rng.uniform(8, 40), 8, within=trunk.cavity)
    surface = wall[1] + rng.uniform(0.1, 0.5) * size[1]  # supine: air rises to the front
    air = ellipsoid((wall[0], surface + 100, wall[2]), (200, 100, 200), square=True)
    yield Part(lumen, AIR_HU + 40, within=air)
    yield Part(
        ellipsoid(
            _near(rng, (-0.68 * width, -0.26 * depth, 18), 5),
            (27, 47, rng.uniform(44, 58)),
            rotation(0.1, 0, 0.22),
            _lumps(rng, 0.14, (2, 3, 3)),
        ),
        rng.uniform(108, 128),
        5,
        within=trunk.cavity,
    )


def _behind(rng: np.random.Generator, trunk: Trunk) -> Iterator[Part]:
    """Yield the great vessels, the kidneys, one with a cyst, and the pancreas."""
    width = trunk.half_width
    y = trunk.spine[1]
    lean = rotation(rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03), 0)
    yield Part(ellipsoid((-11, y + 27, 0), (11, 11, LONG_MM), lean), rng.uniform(145, 175), 4)
    yield Part(ellipsoid((20, y + 31, 0), (14, 10, LONG_MM), lean), rng.uniform(115, 140), 6)
    cortex = rng.uniform(160, 190)
    kidneys = []
    for side in (-1, 1):
        middle = _near(rng, (0.47 * width * side, y + 4, -48 - 8 * side), 5)
        turn = rotation(0.06, -0.12 * side, 0.25 * side)
        kidney = ellipsoid(middle, (27, 30, 54), turn, _lumps(rng, 0.1, (2, 3)))
        kidneys.append(kidney)
        yield Part(kidney, cortex, 10)
        yield Part(kidney.scaled(0.66), cortex - 35, 14)
        sinus = ellipsoid(middle - np.array([13.0 * side, -6, 0]), (15, 9, 24), turn)
        yield Part(sinus, -40, 20)
    chosen = kidneys[int(rng.integers(2))]
    place = chosen.surface(_direction(rng)[None])[0]
    yield Part(ellipsoid(place, [rng.uniform(7, 14)] * 3), rng.uniform(0, 12))
    pancreas = _near(rng, (-14, y + 62, -24), 4)
    turn = rotation(0, 0.18, 0.12)
    yield Part(ellipsoid(pancreas, (52, 12, 15), turn, _lumps(rng, 0.3, (3, 4, 5))), 92, 10)


def _bowel(rng: np.random.Generator, trunk: Trunk) -> Iterator[Part]:
    """Yield loops of bowel below the liver: fluid, gas or contrast within a wall."""
    width, depth = trunk.half_width, trunk.half_depth
    for _ in range(34):
        across = rng.uniform(-0.72, 0.66)
        place = (across * width, rng.uniform(-0.1, 0.72) * depth, rng.uniform(-190, -48))
        size = rng.uniform(12, 20)
        loop = ellipsoid(
            place,
            (size, size, size * rng.uniform(1.2, 2.4)),
            along(_direction(rng)),
            _lumps(rng, 0.25, (3, 4)),
        )
        yield Part(loop, rng.uniform(60, 95), 6, within=trunk.cavity)
        filled = rng.choice([18.0, 35.0, -820.0, 230.0], p=[0.4, 0.3, 0.2, 0.1])
        yield Part(loop.scaled(0.8), float(filled), 14, within=trunk.cavity)


def _liver_vessels(
    rng: np.random.Generator, trunk: Trunk, liver: tuple[Solid, Solid], liver_hu: float
) -> Iterator[Part]:
    """Yield portal branches from the hilum, and hepatic veins towards the vena cava."""
    for hub, count in (((24, 4, -10), 6), ((22, -22, 48), 3)):
        start = _near(rng, hub, 5)
        for _ in range(count):
            stop = liver[0].centre + _in_ball(rng) * (46, 42, 46)
            middle = (start + stop) / 2 + rng.uniform(-8, 8, 3)
            thick = rng.uniform(3.5, 5.5)
            for a, b, radius in ((start, middle, thick), (middle, stop, 0.7 * thick)):
                length = 0.58 * np.sqrt(((b - a) ** 2).sum()) + 2
                tube = ellipsoid((a + b) / 2, (radius, radius, length), along(b - a))
                yield Part(tube, liver_hu + rng.uniform(38, 62), within=liver[0])
    trunk_of_vein = ellipsoid(_near(rng, (14, 0, -22), 4), (8, 8, 34), along((0.7, 0.2, 0.6)))
    yield Part(trunk_of_vein, liver_hu + 45, within=trunk.cavity)


def _gallbladder(rng: np.random.Generator, trunk: Trunk) -> Solid:
    """Return the gallbladder under the right lobe, about as large as a tumour."""
    place = _near(rng, (0.27 * trunk.half_width, 0.36 * trunk.half_depth, -42), 6)
    size = (rng.uniform(13, 18), rng.uniform(13, 18), rng.uniform(24, 36))
    return ellipsoid(place, size, rotation(0.3, 0.1, 0), _lumps(rng, 0.12, (2, 3)))


def _lesion(
    rng: np.random.Generator,
    radius: float,
    liver: tuple[Solid, Solid],
    cavity: Solid,
    spared: Solid,
    *,
    uneven: float = 0.75,
) -> Solid:
    """Return a lumpy ball of about this radius wholly inside one lobe, clear of ``spared``."""
    rays = sphere(RAYS)
    around = spared.scaled(CLEAR).surface(rays)
    while True:
        radii = radius * rng.uniform(0.82, 1.18, 3)
        lumps = _lumps(rng, 0.3 * uneven, (2, 3, 3, 4, 5))
        ball = ellipsoid((0, 0, 0), radii, _tilt(rng, 1.0), lumps)
        for _ in range(TRIES):
            lobe = liver[0] if rng.uniform() < 0.8 else liver[1]
            place = lobe.centre + np.linalg.inv(lobe.frame) @ _in_ball(rng)
            placed = replace(ball, centre=place)
            edge = placed.scaled(CLEAR).surface(rays)
            kept = lobe.contains(edge).all() and cavity.contains(edge).all()
            if kept and not (spared.contains(edge).any() or placed.contains(around).any()):
                return placed
        radius *= 0.9


def _tumour_parts(rng: np.random.Generator, tumour: Solid, liver_hu: float) -> Iterator[Part]:
    """Yield the tumour: darker than the liver, often with a bright rim or a necrotic core."""
    dark = liver_hu - rng.uniform(38, 60)
    kind = rng.choice(["plain", "rim", "core"])
    if kind == "rim":
        yield Part(tumour, liver_hu + rng.uniform(18, 32), 6)
        yield Part(tumour.scaled(rng.uniform(0.78, 0.86)), dark, 9)
        return
    yield Part(tumour, dark, 10)
    if kind == "core":
        yield Part(tumour.scaled(rng.uniform(0.4, 0.6)), dark - rng.uniform(12, 24), 6)
