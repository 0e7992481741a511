"""Cases 26 to 37 of the catalogue: clinical values, as a user of the whole pipeline meets them."""

import datetime
import decimal
import fractions
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skosfusion.datasets import load_cohort, make_osteosarcoma_cohort
from skosfusion.preprocessing import (
    AgeScaler,
    GenderEncoder,
    KitRangeScaler,
    make_clinical_transformer,
)

from .refusals import ROW

NUMBERS = ["age", "alp", "alp_low", "alp_high"]
MISSING = [None, np.nan, pd.NA, pd.NaT, "", "  ", "NA", "n/a", "NaN", "null", "None", "<NA>"]
MISSING += [decimal.Decimal("NaN"), decimal.Decimal("sNaN"), np.float32("nan")]


def place(column):
    return rf"column '{column}', row {ROW}\b"


@pytest.fixture
def clinical(fitted_pipeline):
    """An unfitted transformer of the clinical columns."""
    return clone(fitted_pipeline.estimator.named_steps["clinical"])


def load(tmp_path, **columns):
    """Load a table of three rows with these columns; the images are not decoded."""
    (tmp_path / "a.png").touch()
    table = {"image": ["a.png"] * 3, "patient_id": ["1", "2", "3"], "diagnosis": [0, 1, 0]}
    table |= {name: pd.Series(cells, dtype=object) for name, cells in columns.items()}
    return load_cohort(pd.DataFrame(table), image_folder=tmp_path, na_values=["?"])


# 26 and 27: missing values


@pytest.mark.parametrize("cell", MISSING, ids=repr)
def test_case_26_missing_laboratory_value(fitted_pipeline, clinical, cell):
    """A missing laboratory value: imputed with the median, the count is kept."""
    X = fitted_pipeline.with_value("alp", cell)
    out = clinical.fit_transform(X)["alp"]
    steps = clinical.named_transformers_["alp"]
    n_missing = 1 + fitted_pipeline.X["alp"].isna().drop(ROW).sum()
    assert steps["scale"].n_missing_ == n_missing
    known = (X["alp"].drop(ROW).astype(float) - 40) / 90
    assert out[ROW] == pytest.approx(known.median(), abs=1e-6)
    fitted_pipeline.estimator.predict(X)


def test_case_26_is_imputed_from_the_rows_of_the_fit(fitted_pipeline):
    """Values missing at predict: imputed from the rows of the fit, even if all are missing."""
    X = fitted_pipeline.X
    clinical = fitted_pipeline.estimator.named_steps["clinical"]
    out = clinical.transform(X.assign(alp=np.nan, ldh=None, age="", gender="NA"))
    known = ((X["alp"] - 40) / 90).median()
    assert out["alp"].tolist() == pytest.approx([known] * len(X), abs=1e-6)
    assert not out.isna().any(axis=None)


def test_case_26_is_refused_where_that_is_declared(fitted_pipeline):
    """A missing value with `missing="error"`: ValueError with the column and the row."""
    clinical = make_clinical_transformer(missing="error")
    X = fitted_pipeline.X.assign(age=30.0, alp=60.0)
    with pytest.raises(ValueError, match=r"column 'alp' is missing in 1 of 48 rows, first in row"):
        clinical.fit(X.assign(alp=X["alp"].where(X.index != ROW)))


@pytest.mark.parametrize("column", ["gender", "age", "alp"])
@pytest.mark.parametrize("cell", [None, np.nan, "NA", ""], ids=repr)
def test_case_27_column_without_values(fitted_pipeline, column, cell):
    """A column without any value to fit: ValueError that names the column."""
    X = fitted_pipeline.X.assign(**{column: cell})
    match = f"column '{column}' has no value in any of the 48 rows to fit; leave this input out"
    fitted_pipeline.refuses(X, ValueError, match, predict=False)


# 28 to 32: laboratory values and their limits


@pytest.mark.parametrize("column", NUMBERS)
@pytest.mark.parametrize(
    "cell",
    [np.inf, -np.inf, "1e400", decimal.Decimal("Infinity"), np.float16("inf"), 10**400],
    ids=["inf", "-inf", "1e400", "Decimal", "float16", "integer"],
)
def test_case_28_infinity(fitted_pipeline, column, cell):
    """An infinite value, or one that no float holds: ValueError with value, column and row."""
    X = fitted_pipeline.with_value(column, cell)
    fitted_pipeline.refuses(X, ValueError, rf"infinite value \S+ in {place(column)}")


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "+INF"])
def test_case_28_infinity_as_text(fitted_pipeline, cell):
    """The text "inf": ValueError, it is never read as a number."""
    X = fitted_pipeline.with_value("alp", cell)
    fitted_pipeline.refuses(X, ValueError, rf"cannot read '{cell[:1]}.* in {place('alp')}")


def test_case_28_value_beyond_float32(fitted_pipeline):
    """A finite value that float32 cannot hold: ValueError, never an infinity."""
    X = fitted_pipeline.with_value("alp", 1e39)
    fitted_pipeline.refuses(X, ValueError, rf"too large a value 1e\+39 in {place('alp')}")


@pytest.mark.parametrize("dtype", ["float64", "Float64", "double[pyarrow]"])
def test_case_28_infinity_in_any_dtype(fitted_pipeline, dtype):
    """Infinity in a nullable or Arrow column: ValueError with column and row."""
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    X = fitted_pipeline.X.assign(ldh=fitted_pipeline.X["ldh"].astype(dtype))
    X.loc[ROW, "ldh"] = np.inf
    fitted_pipeline.refuses(X, ValueError, f"infinite value inf in {place('ldh')}")


@pytest.mark.parametrize("high", [40, "40", 39.5, 40 - 1e-12])
def test_case_29_upper_limit_not_above_the_lower(fitted_pipeline, high):
    """A normal range with H <= L: ValueError with row, L and H."""
    X = fitted_pipeline.with_value("alp_high", high)
    match = rf"column 'alp', row {ROW} has L=40 .* and H={float(high):.15g} .* H must be above L"
    fitted_pipeline.refuses(X, ValueError, match)


def test_case_29_even_where_the_value_is_missing(fitted_pipeline):
    """A normal range with H <= L beside a missing value: ValueError all the same."""
    X = fitted_pipeline.with_value("alp", None).assign(alp_high=30.0)
    fitted_pipeline.refuses(X, ValueError, "row 0 has L=40 .* and H=30")


@pytest.mark.parametrize("limits", [(150, 40), (40, 40)])
def test_case_29_fixed_limits(limits):
    """A fixed normal range with H <= L: ValueError when the transformer is made."""
    with pytest.raises(ValueError, match=r"kits\['alp'\]=.* low < high"):
        make_clinical_transformer(kits={"alp": ("alp", *limits)})
    with pytest.raises(ValueError, match=r"\(low, high\)=.* low < high"):
        KitRangeScaler(*limits).fit([[60.0]])


def test_case_30_swapped_range(fitted_pipeline):
    """The two limits swapped: ValueError, they are never swapped for the user."""
    X = fitted_pipeline.X.rename(columns={"alp_low": "alp_high", "alp_high": "alp_low"})
    match = r"row 0 has L=130 .* and H=40 .* correct the limits, they are never swapped for you"
    fitted_pipeline.refuses(X, ValueError, match)


@pytest.mark.parametrize("limit", ["alp_low", "alp_high"])
def test_case_30_value_without_its_limit(fitted_pipeline, limit):
    """A value without one of its limits: ValueError with value, limit and row."""
    X = fitted_pipeline.with_value("alp", 61.5)
    X.loc[ROW, limit] = np.nan
    match = rf"'alp', row {ROW} has the value 61.5, but its limit in column '{limit}' is missing"
    fitted_pipeline.refuses(X, ValueError, match)


@pytest.mark.parametrize("cell", [-2, "-0.5", -1e-300, decimal.Decimal("-3")], ids=str)
def test_case_31_negative_value(fitted_pipeline, cell):
    """A negative laboratory value: ValueError with value, column and row, unless allowed."""
    X = fitted_pipeline.with_value("ldh", cell)
    match = rf"Negative values in data: -\S+ in {place('ldh')}; .*allow_negative=True"
    fitted_pipeline.refuses(X, ValueError, match)
    allowed = clone(fitted_pipeline.estimator.named_steps["clinical"])
    allowed.set_params(ldh__scale__allow_negative=True)
    assert np.isfinite(allowed.fit_transform(X)["ldh"]).all()


@pytest.mark.parametrize("cell", [0, -0.0, "0.0"])
def test_case_31_zero_is_not_negative(fitted_pipeline, cell):
    """A laboratory value of zero: taken."""
    fitted_pipeline.estimator.predict(fitted_pipeline.with_value("ldh", cell))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return make_osteosarcoma_cohort(
        n_patients=40, n_images=40, image_size=64, data_home=folder
    ).data


@pytest.mark.parametrize("factor", [10, 100, 1000, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("column", ["alp", "ldh"])
def test_case_32_wrong_unit(drawn, column, factor):
    """A column 10 or 1000 times off its normal range: a warning with column and ratio."""
    X = drawn.assign(**{column: drawn[column] * factor})
    match = rf"median of column '{column}' is \S+ times .* about {factor:g}: .* the same unit\?"
    with pytest.warns(UserWarning, match=match) as caught:
        make_clinical_transformer().fit(X)
    assert len(caught) == 1


@pytest.mark.parametrize("share", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("factor", [10, 0.1])
def test_case_32_wrong_unit_of_normal_values(share, factor):
    """Healthy values ten times off, in the lower or upper half of their range: a warning."""
    values = share * 95 * np.linspace(0.8, 1.2, 21)
    with pytest.warns(UserWarning, match="times the middle of its normal range"):
        KitRangeScaler(low=40, high=150).fit(values[:, None] * factor)


def test_case_32_right_unit(drawn):
    """A cohort in the right unit, half of it ill: no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_clinical_transformer().fit(drawn)


@pytest.mark.parametrize("share", [0.3, 4])
def test_case_32_values_of_the_ill(share):
    """Lowered or raised values of the ill in the right unit: no warning."""
    values = share * 95 * np.linspace(0.8, 1.2, 21)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        KitRangeScaler(low=40, high=150).fit(values[:, None])


# 33 and 34: gender


GENDERS = ["divers", "x", "\uff26", "female?", 1, 0.0, True, np.True_, decimal.Decimal(2), 10**400]


@pytest.mark.parametrize("cell", GENDERS, ids=lambda cell: repr(cell)[:20])
def test_case_33_unknown_gender(fitted_pipeline, cell):
    """An unknown gender, a number or a truth value too: ValueError with value, column and row."""
    X = fitted_pipeline.with_value("gender", cell)
    match = rf"unknown gender .* in {place('gender')}; allowed are .*'female'.*unknown='missing'"
    error = fitted_pipeline.refuses(X, ValueError, match)
    assert repr(cell.item() if isinstance(cell, np.generic) else cell)[:60] in str(error)


def test_case_33_column_of_truth_values(fitted_pipeline):
    """A gender column of dtype bool: ValueError, unless the two are declared."""
    is_female = fitted_pipeline.X["gender"] == "F"
    for dtype in ("bool", "boolean", "object"):
        X = fitted_pipeline.X.assign(gender=is_female.astype(dtype))
        fitted_pipeline.refuses(X, ValueError, r"unknown gender (True|False) in column 'gender'")
        declared = GenderEncoder(female=(True,), male=(False,))
        np.testing.assert_array_equal(declared.fit_transform(X[["gender"]])[:, 0], is_female - 0.5)


@pytest.mark.parametrize("cell", [b"F", ["F"], {"F"}, datetime.date(2020, 1, 1), 1j], ids=repr)
def test_case_33_gender_of_another_type(fitted_pipeline, cell):
    """A gender that is neither text nor number: TypeError with value, column and row."""
    X = fitted_pipeline.with_value("gender", cell)
    fitted_pipeline.refuses(X, TypeError, rf"got .* in {place('gender')}; give text")


@pytest.mark.parametrize(("policy", "code"), [("missing", 0.5), ("zero", 0.0)])
def test_case_33_declared_policy(fitted_pipeline, clinical, policy, code):
    """An unknown gender with a declared policy: missing, or half way between the two."""
    X = fitted_pipeline.with_value("gender", "divers").assign()
    X.loc[X.index != ROW, "gender"] = "F"
    clinical.set_params(gender__scale__unknown=policy)
    assert clinical.fit_transform(X)["gender"][ROW] == code


@pytest.mark.parametrize("cell", MISSING, ids=repr)
def test_case_34_missing_gender(fitted_pipeline, clinical, cell):
    """The text "NA", or what pandas makes of it: a missing value, not a gender."""
    clinical.fit(fitted_pipeline.with_value("gender", cell))
    assert clinical.named_transformers_["gender"]["scale"].n_missing_ == 1


def test_case_34_in_a_file(tmp_path):
    """A CSV with NA among the genders: a missing value in what is loaded."""
    (tmp_path / "a.png").touch()
    path = tmp_path / "table.csv"
    path.write_text("image,patient_id,gender,diagnosis\na.png,1,F,0\na.png,2,NA,1\n")
    genders = load_cohort(path).data["gender"]
    assert genders.isna().tolist() == [False, True]


# 35 and 36: age


@pytest.mark.parametrize("cell", [-1, -0.001, 120.5, 121, "130", 120 + 1e-9], ids=str)
def test_case_35_age_out_of_range(fitted_pipeline, cell):
    """An age below 0 or above 120: ValueError with age, column, row and the range."""
    X = fitted_pipeline.with_value("age", cell)
    error = fitted_pipeline.refuses(X, ValueError, rf"age \S+ in {place('age')} is outside .* 120")
    assert f"age {float(cell):.15g} in" in str(error)
    assert "months" not in str(error)


@pytest.mark.parametrize("cell", [0, -0.0, 120, 120.0, "120.0", "0", np.float32(120)], ids=repr)
def test_case_35_age_at_the_limits(fitted_pipeline, cell):
    """An age of 0 or 120: taken."""
    fitted_pipeline.estimator.predict(fitted_pipeline.with_value("age", cell))


@pytest.mark.parametrize(("factor", "unit"), [(12, "months"), (365.25, "days")])
def test_case_36_age_in_months(fitted_pipeline, factor, unit):
    """Ages in months or days: ValueError with the hint what to divide by."""
    X = fitted_pipeline.X.assign(age=fitted_pipeline.X["age"] * factor)
    match = rf"look like ages in {unit}: divide them by {factor}"
    fitted_pipeline.refuses(X, ValueError, match)


def test_case_36_one_patient_in_months(fitted_pipeline):
    """A single patient at predict, aged in months: ValueError with the hint."""
    with pytest.raises(ValueError, match="ages in months"):
        fitted_pipeline.estimator.predict(fitted_pipeline.X.iloc[[1]].assign(age=180))


# 37: numbers as text


@pytest.mark.parametrize("dtype", ["str", "string[python]", "category", "object", "pyarrow"])
def test_case_37_numeric_text(fitted_pipeline, dtype):
    """Numbers as text, in any text or category dtype: the same result as numbers."""
    if dtype == "pyarrow":
        pyarrow = pytest.importorskip("pyarrow")
        dtype = pd.ArrowDtype(pyarrow.string())
    X = fitted_pipeline.X
    as_text = {name: [None if pd.isna(v) else str(v) for v in X[name]] for name in NUMBERS}
    X = X.assign(**{name: pd.Series(cells, dtype=dtype) for name, cells in as_text.items()})
    np.testing.assert_array_equal(
        fitted_pipeline.estimator.predict_proba(X), fitted_pipeline.probabilities
    )


FORMS = [("60", 60), (" 60.5 ", 60.5), ("+6e1", 60), (".5", 0.5), ("60\xa0", 60)]
FORMS += [(fractions.Fraction(121, 2), 60.5), (decimal.Decimal("60.5"), 60.5), (np.str_("60"), 60)]


@pytest.mark.parametrize(("cell", "value"), FORMS)
def test_case_37_forms_of_a_number(cell, value):
    """A decimal number in any usual form, also Decimal and Fraction: that number."""
    X = pd.DataFrame({"age": pd.Series([cell, 10], dtype=object)})
    assert AgeScaler().fit_transform(X)[0, 0] == np.float32(value / 100)


TEXTS = ["six", "?", "\uff11\uff12", "\u0663", "1_0", "0x1A", "1e", "--5", "5-6", "12\0", "½"]
TEXTS += ["five", "True", "1/2", "#N/A"]
NOTATIONS = {"3,5": "decimal=','", "1,200.5": "decimal='.'", "1.200,5": "decimal=','"}
NOTATIONS |= {"1'200": "decimal=", "12 years": "unit='years'", "5 U/L": "unit='U/L'"}
NOTATIONS |= {"<5": "censored='limit'", ">120": "censored='limit'"}


@pytest.mark.parametrize("column", ["age", "alp_low"])
@pytest.mark.parametrize("cell", TEXTS)
def test_case_37_text_that_is_no_number(fitted_pipeline, column, cell):
    """Text such as "six", "?" or "5-6": ValueError with text, column, row and remedy."""
    X = fitted_pipeline.with_value(column, cell)
    error = fitted_pipeline.refuses(X, ValueError, rf"in {place(column)} as a number; .*na_values=")
    assert repr(cell) in str(error)


@pytest.mark.parametrize("column", ["age", "alp_low"])
@pytest.mark.parametrize("cell", NOTATIONS)
def test_case_37_number_in_another_notation(fitted_pipeline, column, cell):
    """Text such as "3,5", "12 years" or "<5": ValueError that says what it is, and the remedy."""
    X = fitted_pipeline.with_value(column, cell)
    remedy = NOTATIONS[cell]
    if column == "alp_low" and "censored" in remedy:
        remedy = "one number; write it without"  # the limit of a range is never beyond one
    match = rf"in {place(column)} as a number: it .*{remedy}"
    error = fitted_pipeline.refuses(X, ValueError, match)
    assert repr(cell) in str(error)


def test_case_37_endless_text_is_cut_in_the_message(fitted_pipeline):
    """A cell of a million characters: ValueError with the beginning of it."""
    X = fitted_pipeline.with_value("age", "x" * 10**6)
    error = fitted_pipeline.refuses(X, ValueError, r"cannot read 'xxx.*\.\.\. in column 'age'")
    assert len(str(error)) < 1000


NO_NUMBERS = [True, b"12", [12], (12,), {"a": 12}, {12}, np.array([1.0]), object]
NO_NUMBERS += [datetime.date(2020, 1, 1), pd.Timestamp("2020"), pd.Timedelta(days=3)]


@pytest.mark.parametrize("column", ["age", "alp"])
@pytest.mark.parametrize("cell", NO_NUMBERS, ids=lambda cell: type(cell).__name__)
def test_case_37_cell_of_another_type(fitted_pipeline, column, cell):
    """A truth value, date, list or the like for a number: TypeError with value, column, row."""
    X = fitted_pipeline.with_value(column, cell)
    match = rf"got (.|\n)* \({type(cell).__name__}\) in {place(column)}; give numbers"
    fitted_pipeline.refuses(X, TypeError, match)


@pytest.mark.parametrize("cell", [1j, np.complex64(2)], ids=repr)
def test_case_37_complex_number(fitted_pipeline, cell):
    """A complex number: ValueError with value, column and row."""
    X = fitted_pipeline.with_value("alp", cell)
    fitted_pipeline.refuses(X, ValueError, f"Complex data not supported: .* in {place('alp')}")


COLUMNS = {
    "bool": [True] * 48,
    "boolean": pd.array([True] * 48, dtype="boolean"),
    "datetime64[ns]": pd.to_datetime(["2020"] * 48),
    "timedelta64[ns]": pd.to_timedelta([3] * 48, unit="D"),
    "period": pd.period_range("2020", periods=48),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_case_37_column_of_another_type(fitted_pipeline, kind):
    """A whole column of truth values, dates or durations: TypeError with column and row."""
    X = fitted_pipeline.X.assign(age=COLUMNS[kind])
    fitted_pipeline.refuses(X, TypeError, "in column 'age', row 0; give numbers")


def test_case_37_declared_as_missing(tmp_path):
    """Text that is declared in `na_values`: a missing value."""
    ages = load(tmp_path, age=["12", " ? ", 3]).data["age"]
    np.testing.assert_array_equal(ages, [12, np.nan, 3])


@pytest.mark.parametrize("cell", ["six", "3,5", "inf", "1e400", 10**400, True, [1]], ids=repr)
def test_case_37_in_the_loader(tmp_path, cell):
    """What is no number, in a table to load: ValueError or TypeError with column and row."""
    with pytest.raises((ValueError, TypeError), match="column 'age', row 1"):
        load(tmp_path, age=[12, cell, 3])


@pytest.mark.parametrize("limits", [("40", "150"), ("40", 150), (None, "150"), (True, 150)])
def test_case_37_fixed_limits_as_text(limits):
    """Fixed limits that are no numbers: ValueError, for as text they would name columns."""
    with pytest.raises(ValueError, match=r"\(low, high\)=.* is not allowed; allowed: two finite"):
        KitRangeScaler(*limits).fit([[60.0]])
