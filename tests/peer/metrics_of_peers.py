"""Score pairs of masks with other programs; run by their own Python, prints JSON.

Arguments: an .npz file with truth_N, predicted_N (bool) and spacing_N for N from 0 on.
"""

import json
import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")


def deepmind(truth, predicted, spacing):
    import surface_distance

    far = surface_distance.compute_surface_distances(truth, predicted, spacing)
    ours, theirs = far["surfel_areas_gt"], far["surfel_areas_pred"]
    away = far["distances_gt_to_pred"] @ ours + far["distances_pred_to_gt"] @ theirs
    return {
        "area_mm2": ours.sum(),
        "hd_mm": surface_distance.compute_robust_hausdorff(far, 100),
        "hd95_mm": surface_distance.compute_robust_hausdorff(far, 95),
        "assd_mm": away / (ours.sum() + theirs.sum()),
        "nsd_1mm": surface_distance.compute_surface_dice_at_tolerance(far, 1),
        "nsd_2mm": surface_distance.compute_surface_dice_at_tolerance(far, 2),
    }


def monai(truth, predicted, spacing):
    import torch
    from monai import metrics

    ours, theirs = (torch.from_numpy(one)[None, None].float() for one in (truth, predicted))
    near = {"include_background": True, "spacing": spacing}
    found = {
        "dice": metrics.compute_dice(theirs, ours),
        "iou": metrics.compute_iou(theirs, ours),
        "hd_mm": metrics.compute_hausdorff_distance(theirs, ours, **near),
        "hd95_mm": metrics.compute_hausdorff_distance(theirs, ours, percentile=95, **near),
        "assd_mm": metrics.compute_average_surface_distance(theirs, ours, symmetric=True, **near),
        "nsd_1mm": metrics.compute_surface_dice(theirs, ours, [1.0], use_subvoxels=True, **near),
        "nsd_1mm_voxels": metrics.compute_surface_dice(theirs, ours, [1.0], **near),
    }
    return {name: value.item() for name, value in found.items()}


def medpy(truth, predicted, spacing):
    from medpy.metric import binary

    near = {"voxelspacing": spacing}
    return {
        "dice": binary.dc(predicted, truth),
        "iou": binary.jc(predicted, truth),
        "sensitivity": binary.sensitivity(predicted, truth),
        "precision": binary.precision(predicted, truth),
        "specificity": binary.specificity(predicted, truth),
        "volume_error": binary.ravd(predicted, truth),
        "hd_mm": binary.hd(predicted, truth, **near),
        "hd95_mm": binary.hd95(predicted, truth, **near),
        "assd_mm": binary.assd(predicted, truth, **near),
    }


def simpleitk(truth, predicted, spacing):
    import SimpleITK

    images = [SimpleITK.GetImageFromArray(one.astype(np.uint8)) for one in (truth, predicted)]
    overlap = SimpleITK.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    components = SimpleITK.ConnectedComponentImageFilter()
    components.FullyConnectedOn()
    components.Execute(images[1])
    return {
        "dice": overlap.GetDiceCoefficient(),
        "iou": overlap.GetJaccardCoefficient(),
        "lesions": components.GetObjectCount(),
    }


def main():
    rows = []
    with np.load(sys.argv[1]) as pairs:
        for number in range(len(pairs.files) // 3):
            truth, predicted = pairs[f"truth_{number}"], pairs[f"predicted_{number}"]
            pair = truth, predicted, pairs[f"spacing_{number}"].astype(float).tolist()
            row = {"areas_of_codes": areas(pair[2])}
            for peer in (deepmind, monai, medpy, simpleitk):
                found = peer(*pair)
                row[peer.__name__] = {name: float(value) for name, value in found.items()}
            rows.append(row)
    print(json.dumps(rows))


def areas(spacing):
    """Areas of surface-distance for all codes; its kernel gives the first corner the top bit."""
    from surface_distance import lookup_tables

    if len(spacing) == 2:
        return lookup_tables.create_table_neighbour_code_to_contour_length(spacing).tolist()
    return lookup_tables.create_table_neighbour_code_to_surface_area(spacing).tolist()


if __name__ == "__main__":
    main()
