"""The normalization of a whole clinical table."""

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from .._utils.cells import spelling
from .._utils.validation import check_choice, check_parameter
from ._age import AgeScaler
from ._categories import CategoryEncoder
from ._clinical_transformer import ClinicalTransformer
from ._gender import GenderEncoder
from ._gender_words import FEMALE, MALE, gender_of_words
from ._kit_range import KitRangeScaler
from ._kits import PAPER_KITS, check_kits, has_fixed_limits
from ._limits import Clipper
from ._missing_values import POLICIES, MissingValues
from ._numbers import NumberReader
from ._spline import SplineBasis

ENCODINGS = ("paper", "spline")
_OURS = ("image", "gender", "age")
_GENDERS = ("female", "male")


def make_clinical_transformer(
    *,
    image="image",
    gender="gender",
    age="age",
    kits=None,
    numbers=(),
    categories=(),
    encoding="paper",
    missing=None,
    censored="error",
    unknown_category="error",
    gender_spellings=None,
):
    """Make the transformer that normalizes the clinical columns and lets image paths through.

    Its steps, which are also the names of its output columns, are ``gender``, ``age`` and one for
    each kit, number and category; the step ``image`` comes first and leaves its column and the
    column's name as they are. ``set_params(alp="drop")`` leaves an input out, with all that was
    made of it. Columns are found by name: their order is free, and further columns are ignored.

    Parameters
    ----------
    image : str or None, default="image"
        Column of the image paths. None leaves this step out, here and below.
    gender : str or None, default="gender"
        Column of the genders, see :class:`GenderEncoder`.
    age : str or None, default="age"
        Column of the ages in years, see :class:`AgeScaler`.
    kits : dict or None, default=None
        Laboratory values, see :class:`KitRangeScaler`: name of the step to ``(value, low, high)``,
        where value is a column and low and high are both columns or both numbers, or one is a
        number and the other None, as in ``("crp", None, 5)``. None takes those of the paper,
        ``{"alp": ("alp", "alp_low", "alp_high"), "ldh": ("ldh", "ldh_low", "ldh_high")}``; ``{}``
        takes none.
    numbers : list of str or dict, default=()
        Further columns of numbers, such as a body mass index: columns, or name of the step to
        column. They become z-scores, by mean and deviation of the rows given to `fit`; the paper
        has none.
    categories : list of str or dict, default=()
        Columns of categories: columns, or name of the step to column. Each category of the rows
        given to `fit` becomes a column of 0 and 1, see :class:`CategoryEncoder`.
    encoding : {"paper", "spline"}, default="paper"
        What the network gets. "paper": the normalized values. "spline": after that, ages, kits and
        numbers as their inverse hyperbolic sine, which tames large values, beside a basis of
        cubic splines of it, so that a line over these is a curve over the value; then everything
        as z-scores, by mean and deviation of the rows given to `fit`, between -4 and 4. The columns
        of ``alp`` are ``alp``, ``alp_sp_0`` to ``alp_sp_4`` and ``alp_missing``.
    missing : {"impute", "indicator", "error"} or None, default=None
        What becomes of missing clinical values; None is "impute" with the encoding "paper", and
        "indicator" with "spline". "impute": they are filled in with the most frequent
        gender (male where both are as frequent) or the median of the other normalized values, both
        from the rows given to `fit`. "indicator": they are filled in, and each input gets a second
        column such as ``alp_missing``, 1.0 where the value was missing, else 0.0. "error": a
        ValueError. Missing image paths are left to the classifier.
    censored : {"error", "limit"}, default="error"
        What becomes of laboratory values beyond the limits of their assay, see
        :class:`KitRangeScaler`.
    unknown_category : {"error", "ignore"}, default="error"
        What becomes of a category that was not in the rows given to `fit`: a ValueError, or 0 in
        all its columns.
    gender_spellings : dict or None, default=None
        Further spellings of "female" and "male", such as ``{"w": "female", "2": "female"}``.

    Returns
    -------
    transformer : ClinicalTransformer
        Unfitted; takes a DataFrame and gives a DataFrame, in float32 but for the image paths. How
        many values were missing in `fit` is kept in
        ``transformer.named_transformers_["alp"]["scale"].n_missing_``.

    Raises
    ------
    ValueError
        For an argument out of its set. The transformer raises it for a missing or repeated column,
        a table without rows, a column without any value in `fit`, and whatever its steps refuse.
    TypeError
        The transformer raises it for what is not a DataFrame, and for column names that are not
        str.

    See Also
    --------
    ClinicalTransformer : What this makes.
    skosfusion.datasets.load_cohort : Load a table that this takes.

    Notes
    -----
    The normalizations are those of the paper, Eq. 2 and section "Integration of basic information".
    The spline basis is that of Eilers and Marx [1]_. Its parts are steps of scikit-learn's that one
    can see and change: ``transformer.set_params(alp__basis__spline__n_knots=6)``.

    References
    ----------
    .. [1] P. Eilers, B. Marx, "Flexible smoothing with B-splines and penalties", Statistical
       Science 11 (1996).

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.preprocessing import make_clinical_transformer
    >>> X = pd.DataFrame({
    ...     "image": ["a.png", "b.png"], "gender": ["F", "M"], "age": [14, None],
    ...     "alp": [150, 460], "alp_low": [40, 60], "alp_high": [150, 260],
    ... })
    >>> kits = {"alp": ("alp", "alp_low", "alp_high")}
    >>> make_clinical_transformer(kits=kits).fit_transform(X)
       image  gender   age  alp
    0  a.png     0.5  0.14  1.0
    1  b.png    -0.5  0.14  2.0
    """
    check_choice("encoding", encoding, ENCODINGS)
    if missing is None:
        missing = "impute" if encoding == "paper" else "indicator"
    check_choice("missing", missing, POLICIES)
    check_choice("censored", censored, ("error", "limit"))
    check_choice("unknown_category", unknown_category, ("error", "ignore"))
    for name, column in (("image", image), ("gender", gender), ("age", age)):
        valid = column is None or isinstance(column, str)
        check_parameter(name, column, valid, "the name of a column, or None")
    kits = check_kits(PAPER_KITS if kits is None else kits)
    numbers, categories = _named("numbers", numbers), _named("categories", categories)
    inputs = {"kits": kits, "numbers": numbers, "categories": categories}
    _refuse_repeated(inputs)
    _refuse_names_of_outputs(inputs, is_spline=encoding == "spline", missing=missing)

    def fill_in(name, strategy="median"):
        return "missing", MissingValues(name=name, strategy=strategy, missing=missing)

    is_spline = encoding == "spline"
    curve, scores = (_curve, _scores) if is_spline else (list, list)
    steps = []
    if image is not None:
        steps.append(("image", "passthrough", [image]))
    if gender is not None:
        parts = [("scale", _gender_encoder(gender_spellings)), fill_in("gender", "most_frequent")]
        steps.append(("gender", Pipeline([*parts, *scores()]), [gender]))
    if age is not None:
        parts = [("scale", AgeScaler()), fill_in("age")]
        steps.append(("age", Pipeline([*parts, *curve()]), [age]))
    for name, kit in kits.items():
        limits = kit[1:] if has_fixed_limits(kit) else ()
        parts = [("scale", KitRangeScaler(*limits, censored=censored)), fill_in(name)]
        columns = [kit[0]] if has_fixed_limits(kit) else list(kit)
        steps.append((name, Pipeline([*parts, *curve()]), columns))
    for name, column in numbers.items():
        parts = [("read", NumberReader()), ("scale", StandardScaler()), fill_in(name)]
        steps.append((name, Pipeline([*parts, *curve()]), [column]))
    for name, column in categories.items():
        encoder = CategoryEncoder(name=name, unknown=unknown_category, missing=missing)
        steps.append((name, Pipeline([("categories", encoder), *scores()]), [column]))
    if not steps:
        raise ValueError(
            "image, gender, age, kits, numbers and categories are all left out; give at least one "
            "of them"
        )

    transformer = ClinicalTransformer(steps)
    return transformer.set_output(transform="pandas")


def _curve():
    """Make the steps that put a spline basis beside the first column, and leave an indicator."""
    asinh = FunctionTransformer(np.arcsinh, feature_names_out="one-to-one")
    basis = ColumnTransformer(
        [("linear", "passthrough", [0]), ("spline", SplineBasis(), [0])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return [("asinh", asinh), ("basis", basis), *_scores()]


def _scores():
    """Make the steps that turn columns into z-scores, none far from 0."""
    return [("zscore", StandardScaler()), ("clip", Clipper())]


def _gender_encoder(spellings):
    """Make an encoder that knows further spellings."""
    spellings = {} if spellings is None else spellings
    allowed = f"a dict of spelling to one of {_GENDERS}, or None"
    valid = isinstance(spellings, dict) and all(
        isinstance(value, str) and value in _GENDERS for value in spellings.values()
    )
    check_parameter("gender_spellings", spellings, valid, allowed)
    own = {
        gender: tuple(spelling for spelling, value in spellings.items() if value == gender)
        for gender in _GENDERS
    }
    usual = gender_of_words()
    usual = {spelling(text): gender for text, gender in usual.items()}
    for text, gender in spellings.items():
        check_parameter(
            f"gender_spellings[{text!r}]",
            gender,
            usual.setdefault(spelling(text), gender) == gender,
            f"{usual[spelling(text)]!r}, which {text!r} stands for already",
        )
    return GenderEncoder(
        female=(*FEMALE, *own["female"]) if own["female"] else None,
        male=(*MALE, *own["male"]) if own["male"] else None,
    )


def _named(parameter, columns):
    """Return columns by the name of their step, or raise ValueError."""
    is_list = isinstance(columns, list | tuple) and all(isinstance(c, str) for c in columns)
    if is_list and len(set(columns)) == len(columns):
        columns = {column: column for column in columns}
    valid = isinstance(columns, dict) and all(
        isinstance(name, str) and isinstance(column, str) for name, column in columns.items()
    )
    check_parameter(
        parameter, columns, valid, "a list of different columns, or a dict of name: column"
    )
    for name in columns:
        valid = name not in ("", *_OURS) and "__" not in name
        allowed = (
            f"names other than {', '.join(_OURS)}, without '__'; rename it with a dict of name: "
            "column"
        )
        check_parameter(f"name in {parameter}", name, valid, allowed)
    return columns


def _refuse_names_of_outputs(inputs, *, is_spline, missing):
    """Raise ValueError where an input bears the name of a column that is made of another."""
    own = {name: parameter for parameter, names in inputs.items() for name in names}
    for name, parameter in own.items():
        start, indicator, rest = name.rpartition("_missing")
        is_taken = indicator and not rest and missing == "indicator" and start in (*own, *_OURS)
        if is_spline and not is_taken:
            start, basis, number = name.rpartition("_sp_")
            is_taken = basis and number.isdecimal() and start in (*own, "age")
        if is_taken:
            raise ValueError(
                f"{name!r} in {parameter} is the name of a column that is made of {start!r}; give "
                f"it another name, as in {parameter}={{'number_of_{name}': {name!r}}}"
            )


def _refuse_repeated(inputs):
    """Raise ValueError where two inputs have one name."""
    seen = {}
    for parameter, names in inputs.items():
        for name in names:
            if name in seen:
                raise ValueError(
                    f"{name!r} is in both {seen[name]} and {parameter}; give one of them another "
                    f"name, as in {parameter}={{'{name}_2': {name!r}}}, or leave it out"
                )
            seen[name] = parameter
