from itertools import permutations, product

import numpy as np

from medseg.phantoms.orientations import (
    CENTRES_MM,
    axis_orientations,
    centroids_mm,
    label_phantom,
    oblique_grids,
)


def test_the_48_orders_are_all_there_and_show_one_patient():
    grids = axis_orientations()
    assert len({grid.orientation for grid in grids}) == len(grids) == 48
    first = grids[0].corners
    for grid in grids:
        np.testing.assert_allclose(np.sort(grid.corners, axis=0), np.sort(first, axis=0), atol=1e-9)


def test_every_structure_is_where_it_is_said_to_be():
    for grid in [*axis_orientations(), *oblique_grids(3)]:
        found = centroids_mm(label_phantom(grid))
        assert set(found) == set(CENTRES_MM)
        for value, centre in CENTRES_MM.items():
            np.testing.assert_allclose(found[value], centre, atol=0.5)


def test_oblique_grids_are_of_all_kinds():
    grids = oblique_grids(3)
    assert len(grids) == 10
    assert sum(grid.sheared for grid in grids) == 5
    handedness = {np.sign(np.linalg.det(grid.affine[:3, :3])) for grid in grids}
    assert handedness == {-1.0, 1.0}


def test_no_turning_or_mirroring_hides_in_the_arrangement():
    # Fails if two axes or two sides could be swapped unseen.
    centres = np.array(list(CENTRES_MM.values()))
    for axes, signs in product(permutations(range(3)), product((-1, 1), repeat=3)):
        moved = centres[:, axes] * signs
        same = axes == (0, 1, 2) and signs == (1, 1, 1)
        assert same or np.abs(moved - centres).max() > 5
