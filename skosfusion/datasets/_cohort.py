"""A cohort: a Bunch that shows in a notebook what is in it."""

from sklearn.utils import Bunch

from ._html import cohort_html


class Cohort(Bunch):
    """What `load_cohort` and `make_osteosarcoma_cohort` return, a Bunch that notebooks show.

    A notebook shows counts, labels, the distribution of each input and how many images lack it, and
    up to six images in small; no record number. It is the dictionary in all else.

    Parameters
    ----------
    **kwargs : dict
        What the cohort holds, such as `data` and `target`.

    See Also
    --------
    load_cohort : Make one from tables of one's own.

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.datasets import Cohort
    >>> cohort = Cohort(data=pd.DataFrame({"age": [14.0, 15.0]}))
    >>> cohort.data is cohort["data"]
    True
    >>> "<svg" in cohort._repr_html_()
    True
    """

    def _repr_html_(self):
        """Return the cohort as HTML, or None, for its text, where it is not what it was."""
        try:
            return cohort_html(self)
        except Exception:  # noqa: BLE001 - users may change anything in it, and must still see it
            return None
