"""What an evaluation has found: a Bunch that a notebook shows as tables."""

from sklearn.utils import Bunch

from ._html import evaluation_html


class Evaluation(Bunch):
    """What `evaluate_scores` returns, a Bunch that notebooks show.

    A notebook shows the metrics with their intervals, the differences from the baseline with their
    verdicts, and the notes. It is the dictionary in all else.

    Parameters
    ----------
    **kwargs : dict
        What was found, such as `table` and `differences`.

    See Also
    --------
    evaluate_scores : Makes one.

    Examples
    --------
    >>> import numpy as np
    >>> from skosfusion.evaluation import evaluate_scores
    >>> y = np.arange(40) % 2
    >>> found = evaluate_scores(
    ...     y, y + np.arange(40) / 20 - 1, groups=None, fold=None, n_resamples=20, random_state=0)
    >>> "<table>" in found._repr_html_()
    True
    """

    def _repr_html_(self):
        """Return the evaluation as HTML, or None, for its text, where it is not what it was."""
        try:
            return evaluation_html(self)
        except Exception:  # noqa: BLE001 - users may change anything in it, and must still see it
            return None
