"""Radiographs with their heatmaps."""

from sklearn.utils import check_consistent_length

from .._fitted import unwrap_with_image
from .._gradcam import GradCAM
from .._localization import scale_boxes
from .._samples import describe_samples, read_images, shorten
from ._drawing import (
    check_number_of_images,
    draw_color_bar,
    draw_sample,
    import_pyplot,
    make_axes,
    wrap,
)

_N_PANELS = 2


class GradCAMDisplay:
    """Each radiograph beside itself under its heatmap, with what the model knows and says.

    Make it with `from_estimator`.

    Parameters
    ----------
    images : list of ndarray of shape (height, width) or (height, width, 3)
        Pixels as the network sees them, uint8.
    heatmaps : ndarray of shape (n_samples, height, width)
        Values in [0, 1], see `GradCAM`.
    samples : DataFrame of n_samples rows
        Columns ``target`` (the class explained), ``probability`` (of that class, in [0, 1]),
        ``predicted`` (class), ``label`` (true class; optional) and ``clinical`` (list of str,
        parts of the caption).
    boxes : ndarray of shape (n_samples, 4) or None, default=None
        Left, top, right and bottom of a known finding in pixels of the heatmaps; NaN for none.

    Attributes
    ----------
    axes_ : ndarray of shape (n_samples,)
        Where each sample was drawn.
    figure_ : matplotlib.figure.Figure
        The figure they are in.

    See Also
    --------
    GradCAM : The heatmaps as arrays.
    ComparisonDisplay : Two models side by side.

    Examples
    --------
    >>> import tempfile
    >>> from skosfusion import GradCAMDisplay, make_fusion_pipeline
    >>> from skosfusion.datasets import make_osteosarcoma_cohort
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cohort = make_osteosarcoma_cohort(n_patients=4, image_size=64, data_home=folder)
    ...     pipeline = make_fusion_pipeline(
    ...         weights=None, image_size=64, max_epochs=1, frozen_epochs="all", random_state=0
    ...     ).fit(cohort.data, cohort.target)
    ...     display = GradCAMDisplay.from_estimator(
    ...         pipeline, cohort.data[:2], cohort.target[:2], target=1,
    ...         display_labels=cohort.target_names,
    ...     )
    >>> list(display.frame()["target"])
    ['osteosarcoma', 'osteosarcoma']
    """

    def __init__(self, images, heatmaps, samples, *, boxes=None):
        self.images = images
        self.heatmaps = heatmaps
        self.samples = samples
        self.boxes = boxes

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        layer=None,
        target=None,
        method="gradcam",
        boxes=None,
        display_labels=None,
    ):
        """Make the heatmaps of at most 40 images.

        Parameters
        ----------
        estimator : FusionClassifier or Pipeline
            Fitted, with an image column.
        X : DataFrame of shape (n_samples, n_features)
            As for ``estimator.predict``, 1 to 40 rows.
        y : array-like of shape (n_samples,) or None, default=None
            True labels, for the captions.
        layer : str or None, default=None
            As in `GradCAM`.
        target : label, "predicted", array-like of shape (n_samples,) or None, default=None
            As in `GradCAM`.
        method : {"gradcam", "gradcam++", "hirescam", "ablationcam"}, default="gradcam"
            As in `GradCAM`.
        boxes : array-like of shape (n_samples, 4) or None, default=None
            Left, top, right and bottom of a known finding in pixels of the image file, such as
            ``cohort.tumor_boxes``; NaN for none.
        display_labels : list of str or None, default=None
            What to call the classes, in the order of ``classes_``; None takes the labels.

        Returns
        -------
        GradCAMDisplay
            Not drawn yet.

        Raises
        ------
        TypeError, NotFittedError, ValueError, FileNotFoundError, ImageError
            As `GradCAM.transform`; ValueError also for more than 40 rows, and for `y`, `boxes` or
            `display_labels` of another length.
        """
        fitted = unwrap_with_image(estimator)
        check_consistent_length(X, y, boxes)
        check_number_of_images(len(X))
        heatmaps = GradCAM(estimator, layer=layer, target=target, method=method).transform(X)
        boxes = None if boxes is None else scale_boxes(estimator, X, boxes)
        samples = describe_samples(fitted, X, y, target, display_labels)
        return cls(read_images(fitted, X), heatmaps, samples, boxes=boxes)

    def frame(self):
        """Return what the captions say.

        Returns
        -------
        DataFrame
            A copy, one row for each image.
        """
        return self.samples.copy()

    def plot(self, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, array-like of Axes or None, default=None
            Where to draw: one Axes an image, or one that is divided; None makes a new figure.

        Returns
        -------
        GradCAMDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `ax` holds another number of Axes than there are images.
        ImportError
            If matplotlib is not installed.
        """
        plt = import_pyplot("GradCAMDisplay.plot")
        samples = self.samples.to_dict("records")
        captions = [_caption(*pair) for pair in zip(samples, self.heatmaps, strict=True)]
        n_lines = max(caption.count("\n") + 1 for caption in captions)
        axes = make_axes(plt, ax, len(captions), _N_PANELS, n_lines)
        for number, caption in enumerate(captions):
            draw_sample(
                axes[number],
                self.images[number],
                [self.heatmaps[number]],
                box=None if self.boxes is None else self.boxes[number],
                caption=caption,
            )
        if ax is None:
            draw_color_bar(plt, axes)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self


def _caption(sample, heatmap):
    says = [f"{shorten(sample['target'])}: {sample['probability']:.2f}"]
    if "label" in sample:
        says[0] += f" (true: {shorten(sample['label'])})"
    if not heatmap.any():
        says.append("no place stands out")
    return "\n".join(filter(None, [wrap(says, _N_PANELS), wrap(sample["clinical"], _N_PANELS)]))
