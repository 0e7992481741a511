"""A spline basis that model files can keep."""

import numbers

import numpy as np
from scipy.interpolate import BSpline
from sklearn.preprocessing import SplineTransformer

from .._utils.validation import check_parameter, is_integer

_MOST_KNOTS = 100
_LARGEST_DEGREE = 5
_MOST_COLUMNS = 10_000


class SplineBasis(SplineTransformer):
    """A basis of cubic splines, linear beyond the values in training.

    It is scikit-learn's SplineTransformer with uniform knots, linear extrapolation and without the
    last spline, which follows from the others. Its fitted state is numbers alone, so that model
    files can keep it, and are checked before compiled code reads them.

    Parameters
    ----------
    n_knots : int, default=4
        Number of knots, evenly spaced from the smallest to the largest value in `fit`; 2 to 100.
    degree : int, default=3
        Degree of the splines, 0 to 5.

    Attributes
    ----------
    bsplines_ : list of BSpline
        The splines, one a column.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X in `fit` was a DataFrame with names of type str.

    See Also
    --------
    make_clinical_transformer : Use it with ``encoding="spline"``.

    References
    ----------
    .. [1] P. Eilers, B. Marx, "Flexible smoothing with B-splines and penalties", Statistical
       Science 11 (1996).

    Examples
    --------
    >>> import numpy as np
    >>> from skosfusion.preprocessing import SplineBasis
    >>> SplineBasis().fit_transform(np.array([[0.0], [0.3], [1.0]])).shape
    (3, 5)
    """

    def __init__(self, n_knots=4, degree=3):
        super().__init__(
            n_knots, degree, knots="uniform", extrapolation="linear", include_bias=False
        )

    def fit(self, X, y=None, sample_weight=None):
        """Find the knots.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Only rows with a weight above 0 count.

        Returns
        -------
        self : SplineBasis
            The fitted transformer.

        Raises
        ------
        ValueError
            For a parameter out of its set, and for a column with one distinct number, on which no
            curve can stand.
        """
        self._check_parameters()
        values = X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X)
        # What is not a table of finite numbers is scikit-learn's to refuse.
        is_table = values.dtype.kind in "fiu" and values.ndim == 2
        if is_table and len(values) == 1:
            raise ValueError(
                "there is 1 sample to fit, and a spline needs two distinct numbers (SplineBasis); "
                "give more rows, or use encoding='paper'"
            )
        if is_table and len(values):
            for place in np.flatnonzero((values == values[0]).all(axis=0)):
                names = list(getattr(X, "columns", range(values.shape[1])))
                raise ValueError(
                    f"column {names[place]!r} has one distinct number in the {len(values)} rows to "
                    f"fit ({values[0, place]:.6g} after earlier steps), and a spline needs two; "
                    "leave this input out with 'drop', or use encoding='paper'"
                )
        return super().fit(X, y, sample_weight)

    def _check_parameters(self):
        for name, lowest, largest in (("n_knots", 2, _MOST_KNOTS), ("degree", 0, _LARGEST_DEGREE)):
            value = getattr(self, name)
            valid = is_integer(value, lowest) and value <= largest
            check_parameter(name, value, valid, f"an integer from {lowest} to {largest}")

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "bsplines_" in state:
            state["knots_"] = np.array([spline.t for spline in state.pop("bsplines_")])
        return state

    def __setstate__(self, state):
        state = dict(state)
        knots = state.pop("knots_", None)
        super().__setstate__(state)
        # What a file says of the rest does not count.
        SplineBasis.__init__(self, self.n_knots, self.degree)
        if knots is not None:
            self._build(np.asarray(knots))
        elif hasattr(self, "n_features_in_"):
            raise ValueError("a fitted SplineBasis has no knots")

    def _build(self, knots):
        """Make the splines of an untrusted array, or raise ValueError."""
        self._check_parameters()
        n_splines = self.n_knots + self.degree - 1
        n_columns = self.n_features_in_
        valid = (
            isinstance(n_columns, numbers.Integral)
            and 0 < n_columns <= _MOST_COLUMNS
            and knots.dtype == np.float64
            and knots.shape == (n_columns, n_splines + self.degree + 1)
            and np.isfinite(knots).all()
            and (np.diff(knots, axis=1) > 0).all()
        )
        if not valid:
            raise ValueError(
                f"knots of the shape {knots.shape} for {n_columns!r:.50} are not usable"
            )
        basis = np.eye(n_splines)
        self.bsplines_ = [BSpline(one, basis, self.degree, extrapolate=False) for one in knots]
        self.n_features_out_ = n_columns * (n_splines - 1)
