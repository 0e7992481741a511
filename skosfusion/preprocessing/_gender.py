"""Gender as a number."""

import decimal
import numbers
import shlex
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._utils.cells import MISSING, is_missing, shown_cell, spelling, whole_text
from .._utils.validation import check_choice, check_parameter
from ._cells import column_names, count_missing, read_table
from ._gender_words import FEMALE, MALE, WORDS_OF_GENDER, refuse_two_meanings

_SHOWN_CHARACTERS = 40
_UNKNOWN = {"missing": np.nan, "zero": 0.0}


class GenderEncoder(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Encode gender as +0.5 (female) and -0.5 (male).

    Spellings are compared without regard to case and surrounding white space. None, NaN, NA and
    the texts "", "NA", "N/A", "NaN", "None" and "null" are missing values, never a gender.

    Parameters
    ----------
    missing : {"nan", "error"}, default="nan"
        What becomes of a missing value: NaN in the output, or a ValueError.
    unknown : {"error", "missing", "zero"}, default="error"
        What becomes of any other value: a ValueError, NaN, or 0.0 (half way between the two).
    female : sequence of str or int, or None, default=None
        Spellings or codes of female; a code may be given as number or text, 2 and "2" are the same.
        None takes "f", "female" and the usual words of German, French, Spanish, Italian, Turkish
        and Chinese, such as "weiblich", "femme" and "女"; "w" is not among them.
    male : sequence of str or int, or None, default=None
        Spellings or codes of male. None takes "m", "male", "h" and the usual words, as above.

    Attributes
    ----------
    n_missing_ : ndarray of shape (n_features_in_,)
        Number of NaN in each encoded column of the data given to `fit`.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X in `fit` was a DataFrame with names of type str.

    See Also
    --------
    make_clinical_transformer : Normalize all clinical columns of a table.

    Notes
    -----
    The two values are those of the paper, section "Integration of basic information".

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.preprocessing import GenderEncoder
    >>> X = pd.DataFrame({"gender": ["F", "male ", None]})
    >>> GenderEncoder().fit_transform(X)
    array([[ 0.5],
           [-0.5],
           [ nan]], dtype=float32)
    """

    def __init__(self, *, missing="nan", unknown="error", female=None, male=None):
        self.missing = missing
        self.unknown = unknown
        self.female = female
        self.male = male

    def fit(self, X, y=None):
        """Check the values and count those that are missing.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Genders.
        y : None
            Ignored.

        Returns
        -------
        self : GenderEncoder
            The fitted encoder.

        Raises
        ------
        ValueError
            For a parameter out of its set, an unknown or missing value where that is an error, a
            column without any value, and one that holds both "m" and a Spanish word for a man,
            such as "h", where "m" may stand for "mujer".
        TypeError
            For a cell that is neither text nor number.
        """
        encoded = self._encode(X, reset=True)
        self.n_missing_ = count_missing(encoded, column_names(self))
        return self

    def transform(self, X):
        """Encode the values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Genders.

        Returns
        -------
        encoded : ndarray of shape (n_samples, n_features), float32
            0.5, -0.5, NaN where missing, or 0.0 for an unknown value with ``unknown="zero"``.

        Raises
        ------
        ValueError
            For an unknown or missing value where that is an error.
        TypeError
            For a cell that is neither text nor number.
        """
        check_is_fitted(self)
        return self._encode(X, reset=False).astype(np.float32)

    def _encode(self, X, *, reset):
        check_choice("missing", self.missing, ("nan", "error"))
        check_choice("unknown", self.unknown, ("error", *_UNKNOWN))
        codes = self._codes()

        def read_column(cells, column):
            male = [text for text, code in codes.items() if code < 0]
            refuse_two_meanings(cells, column, male, partial(_say_which, column))
            return [self._code(cell, codes, column, row) for row, cell in enumerate(cells)]

        return read_table(self, X, read_column, reset=reset)

    def _codes(self):
        own = {"female": self.female, "male": self.male}
        for name, spellings in own.items():
            valid = spellings is None or (
                not isinstance(spellings, str) and np.iterable(spellings) and len(spellings) > 0
            )
            allowed = "a sequence of spellings, such as ('f',), or None"
            check_parameter(name, spellings, valid, allowed)
        codes = {spelling(text): 0.5 for text in (FEMALE if self.female is None else self.female)}
        for text in MALE if self.male is None else self.male:
            valid = spelling(text) not in codes
            check_parameter("male", self.male, valid, "spellings that are not in female")
            codes[spelling(text)] = -0.5
        return codes

    def _code(self, cell, codes, column, row):
        shown, where = shown_cell(cell), f"column {column!r}, row {row}"
        if is_missing(cell, MISSING - codes.keys()):
            if self.missing == "error":
                raise ValueError(
                    f"missing gender {shown} in {where}; fill it in, or use missing='nan'"
                )
            return np.nan
        if not isinstance(cell, str | numbers.Real | decimal.Decimal | np.bool_):
            raise TypeError(
                f"argument must be a string or a number, got {shown} ({type(cell).__name__}) "
                f"in {where}; give text, such as 'f', or a declared code"
            )
        if spelling(cell) in codes:
            return codes[spelling(cell)]
        if self.unknown == "error":
            raise ValueError(
                f"unknown gender {shown} in {where}; allowed are {_shown_codes(codes)}, in any "
                "case; say what it is when the table is loaded, as in load_cohort(..., columns="
                f"{{'gender': GenderColumn({column!r}, values={{{shown}: 'female'}})}}), on the "
                f"command line --gender-value {_as_option(cell)}=female; or name further spellings "
                "in female= or male= (of make_clinical_transformer: "
                f"gender_spellings={{{shown}: 'female'}}), or use unknown='missing' or 'zero'"
            )
        return _UNKNOWN[self.unknown]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "nan"
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _shown_codes(codes):
    """Return the allowed spellings as errors show them: in other words where they are many."""
    words = {spelling(word) for word in (*FEMALE, *MALE)}
    if not words <= codes.keys():
        return f"{sorted(codes)}"
    own = "".join(f", {text!r}" for text in sorted(codes.keys() - words))
    return WORDS_OF_GENDER + own


def _as_option(cell):
    """Return a cell as one types it on a command line."""
    return shlex.quote(whole_text(cell)[:_SHOWN_CHARACTERS])


def _say_which(column, man):
    """Return what to do where one letter may mean either gender."""
    return (
        "say which when the table is loaded, as in load_cohort(..., columns={'gender': "
        f"GenderColumn({column!r}, values={{{man!r}: 'male', 'm': 'female'}})}}), on the command "
        f"line --gender-value {man}=male --gender-value m=female"
    )
