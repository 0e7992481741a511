"""Two models' heatmaps side by side, in galleries."""

from sklearn.utils import check_random_state

from ..._utils.validation import check_choice
from ...model_selection import patients_of
from .._comparison import (
    check_labels,
    check_models,
    check_shown,
    make_galleries,
    sort_into_galleries,
)
from .._out_of_fold import fit_both
from .._samples import shorten
from ._drawing import draw_color_bar, draw_sample, import_pyplot, make_axes, wrap

_TITLES = {
    "right": "right in {0} and {1}",
    "false_negatives": "false negatives of {0}",
    "false_positives": "false positives of {0}",
    "corrected": "wrong in {0}, right in {1}",
    "worsened": "right in {0}, wrong in {1}",
}
_N_PANELS = 3


class ComparisonDisplay:
    """What a second model puts right, and both models' heatmaps side by side [1]_.

    Make it with `from_estimators`.

    Parameters
    ----------
    samples : DataFrame of n_samples rows
        One row for each row of `X`: ``patient``, ``fold`` (in which it was held out; -1 for none),
        ``label``, for each model ``..._predicted`` and ``..._probability`` (of the positive class,
        in [0, 1]), and one column of bool a gallery.
    galleries : dict of str to Gallery
        What can be drawn: ``"right"``, ``"false_negatives"``, ``"false_positives"``,
        ``"corrected"``, ``"worsened"``. Each has ``rows`` (positions in `samples`), and for these
        ``images`` (pixels, uint8), ``heatmaps`` (those of both models, in [0, 1]), ``clinical``
        (list of str, parts of the caption) and ``boxes`` (in pixels of the heatmaps, or None).
    names : tuple of 2 str
        What to call the models.
    leaking_patients : int
        Patients in both the training and the test set of a fold; from 1 on, figures and captions
        say so.
    explained : str
        The class whose heatmaps are drawn.

    Attributes
    ----------
    axes_ : ndarray of Axes
        Where each sample of the gallery was drawn last.
    figure_ : matplotlib.figure.Figure
        The figure they are in.

    See Also
    --------
    GradCAMDisplay : The heatmaps of one model.

    References
    ----------
    .. [1] S. Wang, Y. Shen et al., "Osteosarcoma diagnosis by late fusion of radiographs,
       alkaline phosphatase and lactate dehydrogenase", Fig. 7 to 9.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.base import clone
    >>> from skosfusion import ComparisonDisplay, make_fusion_pipeline
    >>> from skosfusion.datasets import make_osteosarcoma_cohort
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cohort = make_osteosarcoma_cohort(n_patients=8, image_size=64, data_home=folder)
    ...     improved = make_fusion_pipeline(
    ...         weights=None, image_size=64, max_epochs=2, frozen_epochs="all", random_state=0
    ...     )
    ...     baseline = clone(improved).set_params(
    ...         clinical__gender="drop", clinical__age="drop", clinical__alp="drop",
    ...         clinical__ldh="drop",
    ...     )
    ...     display = ComparisonDisplay.from_estimators(
    ...         baseline, improved, cohort.data, cohort.target, cv=2, n_images=2
    ...     )
    >>> sorted(display.galleries)
    ['corrected', 'false_negatives', 'false_positives', 'right', 'worsened']
    """

    def __init__(self, samples, galleries, names, leaking_patients, explained):
        self.samples = samples
        self.galleries = galleries
        self.names = names
        self.leaking_patients = leaking_patients
        self.explained = explained

    @classmethod
    def from_estimators(
        cls,
        baseline,
        improved,
        X,
        y,
        *,
        groups=None,
        cv=None,
        params=None,
        explainer=None,
        pos_label=None,
        boxes=None,
        n_images=6,
        names=("Baseline", "All"),
        display_labels=None,
        random_state=0,
    ):
        """Sort rows by out-of-fold predictions, and explain examples by models new to them.

        Copies of both estimators are fitted on each fold, and each row is predicted and explained
        by those that have not been trained on it. The examples of each gallery are drawn at random,
        from different patients as far as possible, not picked.

        Parameters
        ----------
        baseline, improved : estimator or dict
            A FusionClassifier or a Pipeline that ends in one, fitted or not; copies are fitted. Or
            what ``cross_validate(..., return_estimator=True, return_indices=True)`` gave for it, on
            the same rows: then nothing is fitted.
        X : DataFrame of shape (n_samples, n_features)
            The table, with the image column.
        y : array-like of shape (n_samples,)
            Labels, of two classes.
        groups : array-like of shape (n_samples,) or None, default=None
            Patient of each row. None: column ``patient_id`` of `X` where there is one, else each
            row is a patient.
        cv : int, splitter, iterable or None, default=None
            How to split; a number, and None for 5, makes stratified folds that keep patients
            together. A splitter that does not is used as it is, and the figures say that it leaks.
        params : dict or None, default=None
            Further arguments of ``fit``, as in ``cross_validate``. A model with an inner validation
            split needs ``{"classifier__groups": groups}`` to keep patients together there, too.
        explainer : GradCAM or None, default=None
            How heatmaps are made: its parameters `layer`, `target` and `method` are used, its
            estimator is not. None stands for `GradCAM` as it comes. A `target` of None is the
            positive class here, so that both models' heatmaps answer one question.
        pos_label : label or None, default=None
            The positive class; None takes the larger label.
        boxes : array-like of shape (n_samples, 4) or None, default=None
            Left, top, right and bottom of a known finding in pixels of the image file; NaN for
            none.
        n_images : int, default=6
            Most examples in a gallery, 1 to 40.
        names : tuple of 2 str, default=("Baseline", "All")
            What to call the models.
        display_labels : list of str or None, default=None
            What to call the classes, in sorted order; None takes the labels.
        random_state : int, RandomState instance or None, default=0
            Decides which examples are shown.

        Returns
        -------
        ComparisonDisplay
            Not drawn yet.

        Raises
        ------
        TypeError, ValueError
            For other estimators or explainers, labels of more or fewer than two classes, arguments
            of the wrong length, and cross-validations that held out rows they trained on.

        Notes
        -----
        To fit in parallel, call it in ``joblib.parallel_config(n_jobs=...)``, or pass results of
        ``cross_validate(..., n_jobs=...)``.
        """
        check_shown(X, boxes, n_images, names)
        compared = check_labels(
            X, y, pos_label=pos_label, explainer=explainer, display_labels=display_labels
        )
        check_models(baseline, improved)
        patients = patients_of(X, groups)
        random = check_random_state(random_state)
        models = fit_both((baseline, improved), X, compared.y, patients, cv=cv, params=params)
        samples = sort_into_galleries(models, names, X, compared, patients)
        galleries = make_galleries(
            samples, models, X, compared, boxes=boxes, n_images=n_images, random=random
        )
        leaking = max(model.count_leaking(patients) for model in models)
        return cls(samples, galleries, tuple(names), leaking, compared.explained)

    def frame(self):
        """Return predictions and groups of all rows.

        Returns
        -------
        DataFrame
            A copy.
        """
        return self.samples.copy()

    def plot(self, gallery="corrected", ax=None):
        """Draw one gallery: the radiograph, and itself under both models' heatmaps.

        Parameters
        ----------
        gallery : {"right", "false_negatives", "false_positives", "corrected", "worsened"}, \
default="corrected"
            Which one.
        ax : matplotlib.axes.Axes, array-like of Axes or None, default=None
            Where to draw: one Axes a sample, or one that is divided; None makes a new figure.

        Returns
        -------
        ComparisonDisplay
            The display itself.

        Raises
        ------
        ValueError
            For an unknown or empty gallery, or another number of Axes than samples.
        ImportError
            If matplotlib is not installed.
        """
        plt = import_pyplot("ComparisonDisplay.plot")
        check_choice("gallery", gallery, tuple(self.galleries))
        names = [shorten(name) for name in self.names]
        shown, title = self.galleries[gallery], _TITLES[gallery].format(*names)
        if not len(shown.rows):
            raise ValueError(f"gallery {gallery!r} ({title}) is empty: no row belongs to it")
        leak = ""
        if self.leaking_patients:
            who = (
                "1 patient is"
                if self.leaking_patients == 1
                else f"{self.leaking_patients} patients are"
            )
            leak = f"LEAKS: {who} in both the training and the test set"
        captions = [
            self._caption(*sample, leak) for sample in zip(shown.rows, shown.clinical, strict=True)
        ]
        n_lines = max(caption.count("\n") + 1 for caption in captions)
        axes = make_axes(plt, ax, len(shown.rows), _N_PANELS, n_lines)
        for number, caption in enumerate(captions):
            heatmaps = [of_model[number] for of_model in shown.heatmaps]
            draw_sample(
                axes[number],
                shown.images[number],
                heatmaps,
                names=[
                    name if heatmap.any() else f"{name}: no place stands out"
                    for name, heatmap in zip(names, heatmaps, strict=True)
                ],
                box=None if shown.boxes is None else shown.boxes[number],
                caption=caption,
            )
        if ax is None:
            title += f": {len(shown.rows)} of {int(self.samples[gallery].sum())}"
            title += f"; {leak}" if leak else ""
            title += f"\nheatmaps for {shorten(self.explained)}"
            axes[0].figure.suptitle(title, fontsize=9, parse_math=False)
            draw_color_bar(plt, axes)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    def _caption(self, row, clinical, leak):
        sample = self.samples.iloc[row]
        said = [f"{shorten(name)} {sample[f'{name}_probability']:.2f}" for name in self.names]
        known = wrap([f"true: {shorten(sample['label'])}", *said, *clinical], _N_PANELS)
        return "\n".join(filter(None, [known, leak]))
