"""Whether a heatmap lies where a box says that the finding is."""

import numpy as np
from sklearn.utils import Bunch

from ..images import open_image
from ._fitted import unwrap_with_image


def localization_scores(heatmaps, boxes):
    """Compare heatmaps with boxes: the energy inside, and the pointing game.

    Parameters
    ----------
    heatmaps : array-like of shape (n_samples, height, width)
        Values of at least 0, such as those of `GradCAM.transform`.
    boxes : array-like of shape (n_samples, 4)
        Left, top, right and bottom in pixels of the heatmap, within it but for rounding; right and
        bottom are the edge, not the last pixel. NaN where there is none.

    Returns
    -------
    result : sklearn.utils.Bunch
        energy_share : ndarray of shape (n_samples,)
            Share of the heatmap's sum that lies inside the box [1]_, in [0, 1].
        hit : ndarray of shape (n_samples,)
            1.0 where the heatmap's largest value lies inside the box, else 0.0 [2]_; where several
            places share it, the share of them that does.
        chance : ndarray of shape (n_samples,)
            Share of the image that the box covers: what a heatmap would reach that knows nothing.
        is_flat : ndarray of shape (n_samples,), bool
            Whether the heatmap has one value everywhere. It points nowhere, and counts as chance.

        NaN in all of them, and False, where there is no box.

    Raises
    ------
    ValueError
        For arrays of other shapes, values that are negative or not finite, and boxes without area
        or outside of the heatmap.

    References
    ----------
    .. [1] H. Wang et al., "Score-CAM: Score-weighted visual explanations for convolutional neural
       networks", CVPR Workshops 2020, section 4.3 ("energy-based pointing game").
    .. [2] J. Zhang et al., "Top-down neural attention by excitation backprop", IJCV 126, 2018,
       section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> from skosfusion import localization_scores
    >>> heatmap = np.zeros((1, 4, 4))
    >>> heatmap[0, 0, 0], heatmap[0, 3, 3] = 3.0, 1.0
    >>> result = localization_scores(heatmap, [[0, 0, 2, 2]])
    >>> result.energy_share, result.hit, result.chance
    (array([0.75]), array([1.]), array([0.25]))
    """
    heatmaps, boxes = np.asarray(heatmaps), np.asarray(boxes, float)
    if heatmaps.ndim != 3 or boxes.shape != (len(heatmaps), 4):
        raise ValueError(
            f"heatmaps has shape {heatmaps.shape} and boxes {boxes.shape}; they must be "
            "(n_samples, height, width) and (n_samples, 4)"
        )
    scores = np.full((3, len(heatmaps)), np.nan)
    is_flat = np.zeros(len(heatmaps), bool)
    for row, (heatmap, box) in enumerate(zip(heatmaps, boxes, strict=True)):
        if np.isnan(box).any():
            continue
        cover = _cover(box, heatmap.shape, row)
        if not np.isfinite(heatmap).all() or heatmap.min() < 0:
            raise ValueError(f"heatmap {row} holds values that are negative or not finite")
        chance = cover.mean()
        is_flat[row] = heatmap.min() == heatmap.max()
        if is_flat[row]:
            scores[:, row] = chance
            continue
        energy = heatmap.astype(float)
        hit = (cover >= 0.5)[heatmap == heatmap.max()].mean()
        scores[:, row] = (energy * cover).sum() / energy.sum(), hit, chance
    return Bunch(energy_share=scores[0], hit=scores[1], chance=scores[2], is_flat=is_flat)


def _cover(box, shape, row):
    """Compute which part of each pixel a box covers."""
    left, top, right, bottom = box
    height, width = shape
    is_inside = -0.5 <= left < right <= width + 0.5 and -0.5 <= top < bottom <= height + 0.5
    if not is_inside:
        raise ValueError(
            f"box {row} is {box.tolist()} (left, top, right, bottom); it must have an area and lie "
            f"within the heatmap of {height} x {width} (height x width). scale_boxes turns "
            "pixels of the file into those of the heatmap"
        )
    rows, columns = np.arange(height), np.arange(width)
    down = np.clip(np.minimum(rows + 1, bottom) - np.maximum(rows, top), 0, 1)
    across = np.clip(np.minimum(columns + 1, right) - np.maximum(columns, left), 0, 1)
    cover = down[:, None] * across
    if not cover.any():
        raise ValueError(f"box {row} is {box.tolist()}, outside of the heatmap")
    return cover


def scale_boxes(estimator, X, boxes):
    """Turn boxes in pixels of the image files into pixels of the heatmaps.

    Parameters
    ----------
    estimator : FusionClassifier or Pipeline
        Fitted, with an image column: it knows how images are cropped and resized.
    X : DataFrame of shape (n_samples, n_features)
        As for ``estimator.predict``.
    boxes : array-like of shape (n_samples, 4)
        Left, top, right and bottom in pixels of the upright image; NaN where there is none.

    Returns
    -------
    ndarray of shape (n_samples, 4)
        The boxes in pixels of the heatmaps, cut at their edges; NaN where there is none, or nothing
        of it is left.

    Raises
    ------
    NotFittedError, TypeError
        As `GradCAM.transform`.
    ValueError
        For another number of boxes than rows, or a box without area.

    Examples
    --------
    >>> import tempfile
    >>> from skosfusion import scale_boxes, make_fusion_pipeline
    >>> from skosfusion.datasets import make_osteosarcoma_cohort
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cohort = make_osteosarcoma_cohort(n_patients=4, image_size=64, data_home=folder)
    ...     pipeline = make_fusion_pipeline(
    ...         weights=None, image_size=32, max_epochs=1, frozen_epochs="all", random_state=0
    ...     ).fit(cohort.data, cohort.target)
    ...     boxes = scale_boxes(pipeline, cohort.data, cohort.tumor_boxes)
    >>> bool((2 * boxes == cohort.tumor_boxes)[cohort.target == 1].all())
    True
    """
    fitted = unwrap_with_image(estimator)
    size, options = fitted.image_size, fitted.image_options
    paths = fitted.transform(X)[fitted.image_column].tolist()
    boxes = np.array(boxes, float)
    if boxes.shape != (len(paths), 4):
        raise ValueError(
            f"boxes has shape {boxes.shape}; with {len(paths)} rows it must be ({len(paths)}, 4)"
        )
    crop = options.get("crop_box")
    for row, path in enumerate(paths):
        if np.isnan(boxes[row]).any():
            boxes[row] = np.nan
            continue
        if not (boxes[row, :2] < boxes[row, 2:]).all():
            raise ValueError(f"box {row} is {boxes[row].tolist()}; right > left and bottom > top")
        if crop is None:
            corner = 0, 0
            shape = open_image(path, row=row, frame=options.get("frame")).size
        else:
            corner, shape = crop[:2], (crop[2] - crop[0], crop[3] - crop[1])
        scale = size / np.array([*shape, *shape])
        box = np.clip((boxes[row] - [*corner, *corner]) * scale, 0, size)
        boxes[row] = box if (box[:2] < box[2:]).all() else np.nan
    return boxes
