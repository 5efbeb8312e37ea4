"""What a recipe must know about a patch: its grid, its flat axis, what mirroring does to it."""

from __future__ import annotations

from dataclasses import dataclass

Patch = tuple[int, int, int]
Triple = tuple[float, float, float]

FLAT = 3  # times longer than thick: nnU-Net's threshold for turning a patch in its plane only
OBLONG = 1.5  # in-plane sides: above, a 2-D patch turned far would show mostly what is outside
UPRIGHT, HALF_TURN, TILT = 15.0, 180.0, 30.0  # degrees: nnU-Net's largest angles


@dataclass(frozen=True, slots=True)
class Frame:
    """A patch on the network's grid.

    Attributes
    ----------
    spacing : (float, float, float)
        Voxel size along the axes of the plan, mm.
    patch : (int, int, int)
        Voxels; ``(1, J, K)`` for a 2-D network.
    mirror_axes : tuple of int
        Axes on which patches may be mirrored.
    side_axis : int or None
        The axis from right to left, on which mirroring swaps classes.
    swap : tuple of (int, int)
        Class numbers that change places then.
    """

    spacing: Triple
    patch: Patch
    mirror_axes: tuple[int, ...] = ()
    side_axis: int | None = None
    swap: tuple[tuple[int, int], ...] = ()

    @property
    def flat(self) -> bool:
        """Whether the first axis stays as it is: 2-D, or more than three times longer than thick.

        The first axis of a plan's orientation is the one across slices, so it is the one that
        decides, as in nnU-Net.
        """
        return self.patch[0] == 1 or max(self.patch) > FLAT * self.patch[0]

    @property
    def degrees(self) -> float:
        """Largest angle that nnU-Net turns: 30, in a plane 180, in an oblong 2-D patch 15."""
        if not self.flat:
            return TILT
        j, k = self.patch[1:]
        oblong = self.patch[0] == 1 and max(j, k) > OBLONG * min(j, k)
        return UPRIGHT if oblong else HALF_TURN
