"""Cases 38 to 54 of the catalogue, but 39, 40 and 47: tables and labels, as a user meets them."""

import decimal
import os

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_validate

from skosfusion.datasets import TargetColumn, load_cohort
from skosfusion.preprocessing import AgeScaler, GenderEncoder, KitRangeScaler

from .refusals import ROW, no_epoch_begins

BOTH = ["fixed", "fitted_pipeline"]


@pytest.fixture(params=BOTH)
def either(request):
    """A fitted classifier and a fitted pipeline in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.png").touch()
    return tmp_path


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "image": ["a.png"] * 4,
            "patient_id": ["17", "17", "4", "9"],
            "age": [10, 10, 20, 30],
            "diagnosis": [0, 0, 1, 0],
        }
    )


# 38: patients with two labels


def test_case_38_patient_with_two_labels(folder, table):
    """One patient with two labels: ValueError with the record numbers, unless declared."""
    table["diagnosis"] = [0, 1, 1, 0]
    match = r"different labels, for 1 patient \(17\); .*TargetColumn\(label_conflicts='keep'\)"
    with pytest.raises(ValueError, match=match):
        load_cohort(table, image_folder=folder)
    columns = {"target": TargetColumn(label_conflicts="keep")}
    kept = load_cohort(table, image_folder=folder, columns=columns)
    assert kept.target.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("numbers", [[17, "17"], [17.0, "17 "], [decimal.Decimal("17.0"), 17]])
def test_case_38_record_number_in_two_forms(folder, table, numbers):
    """A record number once as text and once as number: the same patient."""
    table = table.astype({"patient_id": object})
    table.loc[[0, 1], "patient_id"] = pd.Series(numbers, dtype=object)
    with pytest.raises(ValueError, match=r"1 patient \(17\)"):
        load_cohort(table.assign(diagnosis=[0, 1, 1, 0]), image_folder=folder)


@pytest.mark.parametrize("cell", [b"17", ["17"], pd.Timestamp("2020"), 17j], ids=repr)
def test_case_38_record_number_of_another_type(folder, table, cell):
    """A record number that is neither text nor number: TypeError with column and row."""
    table["patient_id"] = pd.Series(["1", cell, "3", "4"], dtype=object)
    with pytest.raises(TypeError, match="column 'patient_id', row 1 must hold text or a number"):
        load_cohort(table, image_folder=folder)


# 41 to 46: labels


@pytest.mark.parametrize("label", [0, "a", True, 2.0])
def test_case_41_one_class(either, label):
    """Labels of one class: ValueError that says so."""
    y = np.full(len(either.X), label)
    either.refuses(either.X, ValueError, "one class only, .* two or more classes", y=y, predict=0)


@pytest.mark.parametrize("missing_class", [0, 1])
def test_case_42_fold_without_a_class(either, missing_class):
    """A fold whose training rows lack a class: ValueError before training."""
    kept, rest = (np.flatnonzero((either.y == missing_class) == is_rest) for is_rest in (0, 1))
    with pytest.raises(ValueError, match="one class only"), no_epoch_begins():
        cross_validate(either.estimator, either.X, either.y, cv=[(kept, rest)], error_score="raise")


def test_case_42_in_a_search(either):
    """A grid search with a fold that lacks a class: ValueError, no score is made up."""
    search = GridSearchCV(clone(either.estimator), {}, cv=LeaveOneGroupOut(), error_score="raise")
    with pytest.raises(ValueError, match="one class only"), no_epoch_begins():
        search.fit(either.X, either.y, groups=either.y)


LABELS = {
    "str": np.array(["ill", "well"]),
    "object": np.array(["ill", "well"], dtype=object),
    "bool": np.array([False, True]),
    "float": np.array([0.0, 1.0]),
    "int8": np.array([-1, 1], dtype=np.int8),
    "large": np.array([7, 2**60]),
    "category": pd.Categorical(["ill", "well"]),
    "string": pd.array(["ill", "well"], dtype="string"),
    "category of int": pd.Categorical([3, 5]),
    "boolean": pd.array([False, True], dtype="boolean"),
    "Int64": pd.array([3, 5], dtype="Int64"),
}


@pytest.mark.parametrize("kind", LABELS)
def test_case_43_labels_come_back(either, kind):
    """Labels as text, bool, category or float: come back as they went in."""
    two = LABELS[kind]
    values = np.asarray(two)
    estimator = clone(either.estimator).fit(either.X, two[either.y])
    assert estimator.classes_.tolist() == sorted(values.tolist())
    predicted = estimator.predict(either.X)
    assert predicted.dtype == values.dtype
    expected = either.estimator.predict(either.X)
    np.testing.assert_array_equal(predicted, values[expected])
    assert {type(label) for label in predicted.tolist()} == {type(values.tolist()[0])}


@pytest.mark.parametrize("cell", [None, np.nan, pd.NA, pd.NaT], ids=str)
def test_case_44_missing_label(either, cell):
    """A label that is None, NaN or NA: ValueError with the row."""
    y = pd.Series(either.y, dtype=object)
    y[ROW] = cell
    match = rf"NaN or None in 1 of 48 rows, the first is row {ROW}; leave rows without a label out"
    either.refuses(either.X, ValueError, match, y=y, predict=False)
    either.refuses(either.X, ValueError, match, y=y.tolist(), predict=False)


@pytest.mark.parametrize("cell", [None, np.nan, pd.NA, "", "NA", "?"], ids=repr)
def test_case_44_in_the_loader(folder, table, cell):
    """A missing label in a table to load: ValueError with column and row."""
    table["diagnosis"] = pd.Series(["ill", "ill", cell, "well"], dtype=object)
    with pytest.raises(ValueError, match=r"'diagnosis' of the image table is empty in 1 row \(2\)"):
        load_cohort(table, image_folder=folder, na_values=["?"])


@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize("cell", ["1", "ill"])
def test_case_45_mixed_labels(either, cell, as_list):
    """Labels as text and as numbers: ValueError with one of each."""
    y = pd.Series(either.y, dtype=object)
    y[ROW] = cell
    y = y.tolist() if as_list else y
    match = rf"y mixes strings with other labels, such as '{cell}' and"
    either.refuses(either.X, ValueError, match, y=y, predict=False)


def test_case_45_in_the_loader(folder, table):
    """Labels as text and as numbers in a table to load: ValueError with the types."""
    table["diagnosis"] = pd.Series([0, 0, "ill", 0], dtype=object)
    with pytest.raises(ValueError, match=r"labels mix the types \['int', 'str'\]"):
        load_cohort(table, image_folder=folder)


@pytest.mark.parametrize("cell", [[1], (1,), {"a": 1}, {1}, np.array([1, 2])], ids=repr)
def test_case_46_label_that_is_a_collection(folder, table, cell):
    """A label that is a list or the like: TypeError with column and row."""
    cells = np.empty(4, dtype=object)
    cells[:] = ["ill", "ill", "well", "ill"]
    cells[3] = cell
    for positive in (None, "1"):
        with pytest.raises(TypeError, match="column 'diagnosis', row 3: a label must be text or"):
            load_cohort(
                table.assign(diagnosis=pd.Series(cells)),
                image_folder=folder,
                columns={"target": TargetColumn(positive=positive)},
            )


@pytest.mark.parametrize("form", ["array", "frame", "floats"])
def test_case_46_one_hot_labels(either, form):
    """One-hot labels: ValueError."""
    y = np.eye(2)[either.y] if form == "floats" else np.eye(2, dtype=int)[either.y]
    y = pd.DataFrame(y) if form == "frame" else y
    either.refuses(either.X, ValueError, r"y should be a 1d array, .*48, 2", y=y, predict=False)


def test_case_46_continuous_labels(either):
    """Labels that are measurements: ValueError."""
    y = either.y + np.linspace(0, 0.9, len(either.y))
    either.refuses(either.X, ValueError, "Unknown label type: continuous", y=y, predict=False)


def test_case_46_infinite_label(either):
    """An infinite label: ValueError."""
    y = either.y.astype(float)
    y[ROW] = np.inf
    either.refuses(either.X, ValueError, "y contains infinity", y=y, predict=False)


# 48 to 54: the form of the table


def test_case_48_empty_frame(either):
    """A table without rows: ValueError, in fit and predict."""
    match = r"0 samples .* at least one row"
    either.refuses(either.X.iloc[:0], ValueError, match)


@pytest.mark.parametrize("source", ["frame", "csv", "parquet"])
def test_case_48_in_the_loader(folder, table, source):
    """A table without rows to load: ValueError that names the table."""
    empty = table.iloc[:0]
    if source == "csv":
        empty.to_csv(folder / "table.csv", index=False)
    elif source == "parquet":
        pytest.importorskip("pyarrow")
        empty.to_parquet(folder / "table.parquet")
    given = empty if source == "frame" else folder / f"table.{source}"
    with pytest.raises(ValueError, match=r"the image table.* has no rows"):
        load_cohort(given, image_folder=folder)


def test_case_48_table_without_columns(fitted_pipeline, folder):
    """A table of rows without columns: ValueError that names the first that is missing."""
    X = fitted_pipeline.X[[]]
    fitted_pipeline.refuses(X, ValueError, "X has no column 'image', .* make_clinical_transformer")
    with pytest.raises(ValueError, match="the image table has no columns"):
        load_cohort(pd.DataFrame(index=range(3)), image_folder=folder)


@pytest.mark.parametrize("column", ["image", "gender", "age", "alp", "ldh_high"])
def test_case_49_missing_column(fitted_pipeline, column):
    """A column that is missing: ValueError with its name, those that are there, and the remedy."""
    X = fitted_pipeline.X.rename(columns={column: f"{column}s"})
    remedy = column if column in ("image", "gender", "age") else "kits"
    match = rf"no column '{column}', .* did you mean '{column}s'\? .*transformer\({remedy}="
    fitted_pipeline.refuses(X, ValueError, match)


@pytest.mark.parametrize("column", ["image", "age"])
def test_case_49_missing_column_of_the_classifier(fitted, column):
    """A column that is missing at predict, without the transformer: ValueError with its name."""
    X = fitted.X.drop(columns=column)
    with pytest.raises(ValueError, match=rf"no column '{column}'|now missing:\n- {column}"):
        fitted.estimator.predict(X)


def test_case_49_missing_image_column(fitted):
    """An image column that is missing, without the transformer: ValueError, in fit too."""
    X = fitted.X.drop(columns="image")
    match = r"X has no column 'image' \(image_column\); its columns are 'age', 'alp'"
    fitted.refuses(X, ValueError, match)


def test_case_49_in_the_loader(folder, table):
    """A column that is missing in a table to load: ValueError with the nearest and the remedy."""
    table = table.rename(columns={"patient_id": "patientid"})
    with pytest.raises(
        ValueError, match=r"no column 'patient_id' .* did you mean 'patientid'\? .*colu"
    ):
        load_cohort(table, image_folder=folder)


@pytest.mark.parametrize("column", ["image", "age"])
def test_case_49_column_that_is_there_twice(fitted_pipeline, folder, table, column):
    """Two columns of one name: ValueError with the name."""
    X = fitted_pipeline.X
    twice = pd.concat([X, X[[column]]], axis=1)
    fitted_pipeline.refuses(twice, ValueError, f"2 columns named '{column}'; rename or drop")
    twice = pd.concat([table, table[[column]]], axis=1)
    with pytest.raises(ValueError, match=f"more than one column named '{column}'; rename one"):
        load_cohort(twice, image_folder=folder)


@pytest.mark.parametrize("names", ["numbers", "levels", "numpy"])
def test_case_49_column_names_that_are_no_text(fitted_pipeline, names):
    """Column names that are no text, such as numbers or levels: TypeError with the remedy."""
    X = fitted_pipeline.X
    columns = {
        "numbers": range(X.shape[1]),
        "levels": pd.MultiIndex.from_product([["table"], X.columns]),
        "numpy": pd.Index([np.str_(name) for name in X.columns], dtype=object),
    }
    X = X.set_axis(columns[names], axis=1)
    fitted_pipeline.refuses(X, TypeError, r"names must be str: X.columns = X.columns.map\(str\)")


def test_case_50_columns_in_another_order(fitted_pipeline):
    """Columns in another order: the same result through the transformer."""
    X = fitted_pipeline.X[fitted_pipeline.X.columns[::-1]]
    np.testing.assert_array_equal(
        fitted_pipeline.estimator.predict_proba(X), fitted_pipeline.probabilities
    )
    again = clone(fitted_pipeline.estimator).fit(X, fitted_pipeline.y)
    np.testing.assert_array_equal(again.predict_proba(X), fitted_pipeline.probabilities)


def test_case_50_columns_of_the_classifier_in_another_order(fitted):
    """Columns in another order, without the transformer: ValueError, they are never mixed up."""
    with pytest.raises(ValueError, match="same order"):
        fitted.estimator.predict(fitted.X[fitted.X.columns[::-1]])


@pytest.mark.parametrize("cell", ["x", np.inf, None, pd.Timestamp("2020")], ids=repr)
def test_case_51_extra_column_in_the_pipeline(fitted_pipeline, cell):
    """A further column of any content: ignored by the transformer."""
    X = fitted_pipeline.X.assign(note=cell)
    estimator = fitted_pipeline.estimator
    np.testing.assert_array_equal(estimator.predict_proba(X), fitted_pipeline.probabilities)
    again = clone(estimator).fit(X, fitted_pipeline.y)
    np.testing.assert_array_equal(again.predict_proba(X), fitted_pipeline.probabilities)


def test_case_51_extra_column_in_the_classifier(fitted):
    """A further column, without the transformer: ValueError with its name."""
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- note"):
        fitted.estimator.predict(fitted.X.assign(note=1.0))


@pytest.mark.parametrize(
    "dtype", ["float32", "int64", "Int64", "Float64", "object", "str", "arrow"]
)
def test_case_52_another_dtype_in_the_pipeline(fitted_pipeline, dtype):
    """Values in another dtype at predict: the same result through the transformer."""
    if dtype == "arrow":
        pyarrow = pytest.importorskip("pyarrow")
        dtype = pd.ArrowDtype(pyarrow.int32())
    X = fitted_pipeline.X
    whole = X.assign(age=X["age"].fillna(40), alp=X["alp"].fillna(90))
    columns = ["age", "alp", "alp_low", "ldh", "ldh_high"]
    cast = whole.astype(dict.fromkeys(columns, "int64")).astype(dict.fromkeys(columns, dtype))
    predict = fitted_pipeline.estimator.predict_proba
    np.testing.assert_array_equal(predict(cast), predict(whole))


@pytest.mark.parametrize("dtype", ["float32", "int16", "Int64", "object", "str", "category"])
def test_case_52_another_dtype_in_the_classifier(fitted, dtype):
    """Values in another dtype at predict, without the transformer: cast, or ValueError."""
    X = fitted.X.assign(age=fitted.X["age"].astype("int64").astype(dtype))
    if dtype in ("object", "str", "category"):
        with pytest.raises(ValueError, match=r"column 'age' .* must be numbers: put make_"):
            fitted.estimator.predict(X)
    else:
        np.testing.assert_array_equal(fitted.estimator.predict_proba(X), fitted.probabilities)


@pytest.mark.parametrize("kind", ["array", "list", "dict", "series", "None"])
def test_case_52_no_frame(either, kind):
    """Something else than a DataFrame: TypeError that asks for one."""
    X = {
        "array": either.X.to_numpy(),
        "list": either.X.to_numpy().tolist(),
        "dict": either.X.to_dict("list"),
        "series": either.X["age"],
        "None": None,
    }[kind]
    attempt = either.copy()
    for call in (attempt.predict, lambda X: attempt.fit(X, either.y)):
        with pytest.raises(TypeError, match="must be a pandas DataFrame"):
            call(X)
    either.check_whole_or_gone(attempt)


INDEXES = {
    "equal": [7] * 48,
    "reversed": range(47, -1, -1),
    "dates": pd.to_datetime(["2020"] * 48),
    "levels": pd.MultiIndex.from_product([["a"], [1] * 48]),
    "missing": [np.nan] * 48,
}


@pytest.mark.parametrize("kind", INDEXES)
def test_case_53_repeated_index_values(either, kind):
    """Index values that repeat or stand in any order: positions count, in X, y and errors."""
    X = either.X.set_axis(INDEXES[kind])
    np.testing.assert_array_equal(either.estimator.predict_proba(X), either.probabilities)
    y = pd.Series(either.y, index=[3] * len(either.y))
    again = clone(either.estimator).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), either.probabilities)
    bad = either.with_image("nowhere.png").set_axis(INDEXES[kind])
    either.refuses(bad, FileNotFoundError, f"row {ROW}")


@pytest.mark.parametrize("kind", INDEXES)
def test_case_53_errors_of_the_transformers_count_positions(fitted_pipeline, kind):
    """A bad value in a table with any index: the error names its position."""
    bad = fitted_pipeline.with_value("age", "six").set_axis(INDEXES[kind])
    fitted_pipeline.refuses(bad, ValueError, f"column 'age', row {ROW} ")


def test_case_53_in_the_loader(folder, table):
    """Index values that repeat in a table to load: positions count."""
    table = table.set_axis([5, 5, 1, 1])
    cohort = load_cohort(table, image_folder=folder)
    assert cohort.groups.tolist() == ["17", "17", "4", "9"]
    assert cohort.data.index.tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="column 'age', row 2"):
        load_cohort(table.assign(age=[1, 2, "six", 4]), image_folder=folder)


@pytest.mark.parametrize("n_labels", [0, 47, 49])
def test_case_54_lengths_that_differ(either, n_labels):
    """More or fewer labels than rows: ValueError with both numbers."""
    y = np.resize(either.y, n_labels)
    match = rf"inconsistent numbers of samples: \[48, {n_labels}\]" if n_labels else "sample"
    either.refuses(either.X, ValueError, match, y=y, predict=False)


def test_case_54_groups(either):
    """Fewer patients than rows: ValueError with both numbers."""
    step = "classifier__" if hasattr(either.estimator, "named_steps") else ""
    attempt = either.copy()
    with pytest.raises(ValueError, match=r"numbers of samples: \[48, 48, 47\]"):
        attempt.fit(either.X, either.y, **{f"{step}groups": either.y[:-1]})
    either.check_whole_or_gone(attempt)


# Nothing fitted before is lost


def test_a_refused_fit_leaves_the_transformer_of_a_pipeline(fitted_pipeline):
    X = fitted_pipeline.with_image("nowhere.png")
    X["alp"] = X["alp"] * 3  # another median, which would be imputed from now on
    fitted_pipeline.refuses(X, FileNotFoundError, "nowhere")


def test_a_refused_fit_leaves_a_transformer(fitted_pipeline):
    X = fitted_pipeline.X
    transformer = clone(fitted_pipeline.estimator.named_steps["clinical"]).fit(X)
    expected = transformer.transform(X)
    with pytest.raises(ValueError, match="row 3"):
        transformer.fit(fitted_pipeline.with_value("ldh", "six", row=3)[X.columns[::-1]])
    pd.testing.assert_frame_equal(transformer.transform(X), expected)
    assert transformer.feature_names_in_.tolist() == X.columns.tolist()


@pytest.mark.parametrize(
    "transformer", [GenderEncoder(), AgeScaler(), KitRangeScaler(), KitRangeScaler(0, 1)], ids=repr
)
@pytest.mark.parametrize("X", [None, 3, "abc", {"a": [1]}, [[1], [1, 2]], np.ones((2, 2, 2))])
def test_transformers_alone_refuse_what_is_no_table(transformer, X):
    with pytest.raises((ValueError, TypeError)):
        clone(transformer).fit(X)


def test_path_of_a_table_that_is_no_file(folder):
    for path in (folder, os.devnull, folder / "none.csv"):
        with pytest.raises((ValueError, FileNotFoundError), match="the image table '"):
            load_cohort(path, image_folder=folder)
