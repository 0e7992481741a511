"""Two models' heatmaps side by side, in galleries."""

from typing import NamedTuple

import numpy as np

from ._drawing import draw_colour_bar, draw_sample, import_pyplot, make_axes, shorten

#: The paper's galleries (Fig. 7, 8 and 9), and those that the improved model gets wrong instead.
GALLERIES = {
    "right": "right in {0} and {1}",
    "false_negatives": "false negatives of {0}",
    "false_positives": "false positives of {0}",
    "corrected": "wrong in {0}, right in {1}",
    "worsened": "right in {0}, wrong in {1}",
}
N_PICTURES = 3


class Gallery(NamedTuple):
    """Some rows of one group, with what is drawn of them."""

    rows: np.ndarray
    images: list
    heatmaps: tuple
    captions: list
    boxes: np.ndarray | None


class ComparisonDisplay:
    """Two models' heatmaps side by side, in the galleries of the paper.

    Make it with `compare_explanations`.

    Parameters
    ----------
    samples : DataFrame of n_samples rows
        One row a row of `X`: ``patient``, ``fold`` (in which it was held out; -1 for none),
        ``label``, for each model ``..._predicted`` and ``..._probability`` (of the positive class,
        in [0, 1]), and one column of bool a gallery.
    galleries : dict of str to Gallery
        What can be drawn: ``"right"``, ``"false_negatives"``, ``"false_positives"``,
        ``"corrected"``, ``"worsened"``.
    names : tuple of 2 str
        What to call the models.
    leaking_patients : int
        Patients who stand on both sides of a split; from 1 on, figures and captions say so.
    explained : str
        The class whose heatmaps are drawn.

    Attributes
    ----------
    axes_ : ndarray of Axes
        Where each sample of the gallery was drawn last.
    figure_ : matplotlib.figure.Figure
        The figure they are in.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skosfusion.inspection import ComparisonDisplay
    >>> display = ComparisonDisplay(pd.DataFrame({"right": [True, False]}), {}, ("A", "B"), 0, "1")
    >>> int(display.frame()["right"].sum())
    1
    """

    def __init__(self, samples, galleries, names, leaking_patients, explained):
        self.samples = samples
        self.galleries = galleries
        self.names = names
        self.leaking_patients = leaking_patients
        self.explained = explained

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
        if gallery not in self.galleries:
            raise ValueError(
                f"gallery={gallery!r} is unknown; allowed: {', '.join(self.galleries)}"
            )
        names = [shorten(name) for name in self.names]
        shown, title = self.galleries[gallery], GALLERIES[gallery].format(*names)
        if not len(shown.rows):
            raise ValueError(f"gallery {gallery!r} ({title}) is empty: no row belongs to it")
        captions, leak = shown.captions, ""
        if self.leaking_patients:
            leak = f"LEAKS: {self.leaking_patients} patients are on both sides of a split"
            captions = [f"{caption}\n{leak}" for caption in captions]
        n_lines = max(caption.count("\n") + 1 for caption in captions)
        axes = make_axes(plt, ax, len(shown.rows), N_PICTURES, n_lines)
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
            draw_colour_bar(plt, axes)
        self.axes_, self.figure_ = axes, axes[0].figure
        return self
