import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from skosfusion import (
    FusionClassifier,
    GradCAMDisplay,
    make_clinical_transformer,
    make_fusion_pipeline,
    modality_importance,
)
from skosfusion.inspection._modality_importance import _donor_rows, _rows_by_patient


@pytest.fixture(scope="module")
def decisive():
    """A model that decides by column `a`, and hears nothing in `b`."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    y = (X["a"] > 0).to_numpy()
    classifier = FusionClassifier(max_epochs=30, random_state=0, verbose=0).fit(X, y)
    return classifier, X, y


MODALITIES = {"decisive": ["a"], "idle": ["b"], "both": ["a", "b"]}


def test_what_decides_is_lost_and_what_does_not_is_not(decisive):
    result = modality_importance(*decisive, modalities=MODALITIES, n_repeats=10, random_state=0)
    assert result.score > 0.97
    assert result.modality_names == ["decisive", "idle", "both"]
    assert result.importances.shape == (3, 10)
    np.testing.assert_allclose(result.importances_mean, result.importances.mean(axis=1))
    np.testing.assert_allclose(result.importances_std, result.importances.std(axis=1))
    # Half of the permuted rows keep their class by chance.
    assert 0.4 < result.importances_mean[0] < 0.6
    assert abs(result.importances_mean[1]) < 0.02
    np.testing.assert_allclose(result.importances[2], result.importances[0], atol=0.03)


def test_the_seed_decides(decisive):
    first, same, other = (
        modality_importance(*decisive, modalities=MODALITIES, random_state=seed).importances
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_the_table_is_not_changed(decisive):
    classifier, X, y = decisive
    before = X.copy()
    modality_importance(classifier, X, y, random_state=0)
    pd.testing.assert_frame_equal(X, before)


def test_rows_of_a_patient_do_not_help_each_other():
    # The class is the patient's; a row permuted within its patient would lose nothing.
    patients = np.repeat(np.arange(4), 50)
    value = np.where(patients % 2 == 0, -1.0, 1.0)
    X = pd.DataFrame({"a": value, "b": 0.0})
    y = value > 0
    classifier = FusionClassifier(max_epochs=20, random_state=0, verbose=0).fit(X, y)
    options = {"modalities": {"a": ["a"]}, "n_repeats": 200, "random_state": 0}
    grouped = modality_importance(classifier, X, y, groups=patients, **options)
    # Each patient gets another one's value: whole patients fail, or none.
    assert set(np.unique(grouped.importances)) <= {0.0, 0.5, 1.0}
    assert 0.4 < grouped.importances_mean[0] < 0.6
    rows = modality_importance(classifier, X, y, **options)
    assert 0.4 < rows.importances_mean[0] < 0.6
    assert rows.importances_std[0] < 0.1 < grouped.importances_std[0]


@given(st.lists(st.integers(0, 5), min_size=2, max_size=40).filter(lambda p: len(set(p)) > 1))
def test_all_rows_of_a_patient_get_rows_of_one_other(patients):
    patients = np.array(patients)
    donors = _donor_rows(_rows_by_patient(patients), np.random.RandomState(0))
    given_by = {}
    for row, donor in enumerate(donors):
        assert given_by.setdefault(patients[row], patients[donor]) == patients[donor]
    assert sorted(given_by.values()) == sorted(given_by)
    for patient, donor in given_by.items():
        rows = donors[patients == patient]
        available = (patients == donor).sum()
        # All of the donor's rows are used before one is used twice.
        assert len(set(rows)) == min(len(rows), available)


def test_a_pipelines_modalities_are_image_laboratory_and_demographics(pipeline, cohort):
    pipeline.fit(cohort, cohort.diagnosis)
    groups = cohort.patient_id
    result = modality_importance(pipeline, cohort, cohort.diagnosis, groups=groups, n_repeats=2)
    assert result.modality_names == ["image", "demographics", "laboratory"]
    assert result.importances.shape == (3, 2)


def test_inputs_that_are_dropped_are_no_modality(pipeline, cohort):
    pipeline.set_params(clinical__gender="drop", clinical__age="drop", clinical__alp="drop")
    pipeline.fit(cohort, cohort.diagnosis)
    result = modality_importance(pipeline, cohort, cohort.diagnosis, n_repeats=1)
    assert result.modality_names == ["image", "laboratory"]


def test_the_columns_of_a_kit_move_together(pipeline, cohort, monkeypatch):
    seen = []
    pipeline.fit(cohort, cohort.diagnosis)

    def remember(estimator, X, y):
        seen.append(X)
        return 0.0

    modality_importance(pipeline, cohort, cohort.diagnosis, scoring=remember, n_repeats=1)
    original, *_, laboratory = seen
    columns = ["alp", "alp_low", "alp_high", "ldh", "ldh_low", "ldh_high"]
    rows = set(map(tuple, cohort[columns].to_numpy()))
    assert original[columns].equals(cohort[columns])
    assert not laboratory[columns].equals(cohort[columns])
    assert set(map(tuple, laboratory[columns].to_numpy())) <= rows
    assert laboratory[["image", "age"]].equals(cohort[["image", "age"]])


def test_without_a_column_transformer_all_else_is_clinical(classifier, cohort):
    X = pd.DataFrame({"image": cohort.image, "age": cohort.age / 100, "alp": cohort.alp / 100})
    classifier.fit(X, cohort.diagnosis)
    result = modality_importance(classifier, X, cohort.diagnosis, n_repeats=1)
    assert result.modality_names == ["image", "clinical"]


def test_kits_with_fixed_limits_are_laboratory(image_options, cohort):
    clinical = make_clinical_transformer(kits={"alp": ("alp", 40, 130)}, gender=None)
    options = {name: value for name, value in image_options.items() if name != "image_column"}
    pipeline = make_fusion_pipeline(clinical=clinical, **options).fit(cohort, cohort.diagnosis)
    result = modality_importance(pipeline, cohort, cohort.diagnosis, n_repeats=1)
    assert result.modality_names == ["image", "demographics", "laboratory"]


def test_the_index_of_the_table_does_not_matter(decisive):
    classifier, X, y = decisive
    expected = modality_importance(classifier, X, y, random_state=0).importances
    shuffled = X.set_axis(np.arange(len(X))[::-1] + 7)
    result = modality_importance(classifier, shuffled, y, random_state=0).importances
    np.testing.assert_array_equal(result, expected)
    twice = X.set_axis([0] * len(X))
    result = modality_importance(classifier, twice, y, random_state=0).importances
    np.testing.assert_array_equal(result, expected)


def test_bad_input_is_refused(decisive, classifier, cohort):
    fitted, X, y = decisive
    with pytest.raises(NotFittedError):
        modality_importance(classifier, cohort, cohort.diagnosis)
    with pytest.raises(TypeError, match="ndarray; it must be a pandas DataFrame"):
        modality_importance(fitted, X.to_numpy(), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        modality_importance(fitted, X, y[1:])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        modality_importance(fitted, X, y, groups=[1, 2])
    for n_repeats in (0, 1.5, True):
        with pytest.raises(ValueError, match=f"n_repeats={n_repeats}"):
            modality_importance(fitted, X, y, n_repeats=n_repeats)
    with pytest.raises(ValueError, match=r"modalities\['m'\] names 'c'.*'a', 'b'"):
        modality_importance(fitted, X, y, modalities={"m": ["a", "c"]})
    for columns in ("a", []):
        with pytest.raises(ValueError, match="must be a list of columns"):
            modality_importance(fitted, X, y, modalities={"m": columns})
    with pytest.raises(ValueError, match="at least two"):
        modality_importance(fitted, X, y, groups=["p1"] * len(X))
    with pytest.raises(ValueError, match="no patient in 50 of 200 rows, the first is row 3"):
        modality_importance(fitted, X, y, groups=[1, 2, 3, None] * 50)


@pytest.mark.parametrize(
    "columns",
    [
        ["age", "alp"], ("age", "alp"), np.array(["age", "alp"]), pd.Index(["age", "alp"]),
        slice("age", "alp"), [3, 4], slice(3, 5),
        np.isin(np.arange(11), [3, 4]),
    ],
    ids=str,
)  # fmt: skip
def test_columns_may_be_named_in_any_way(image_options, cohort, columns):
    clinical = ColumnTransformer(
        [("image", "passthrough", ["image", "ldh"]), ("both", StandardScaler(), columns)],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    assert list(cohort.columns[[3, 4]]) == ["age", "alp"]
    assert cohort.shape[1] == 11
    options = {name: value for name, value in image_options.items() if name != "image_column"}
    pipeline = make_fusion_pipeline(clinical=clinical, **options).fit(cohort, cohort.diagnosis)
    seen = []

    def remember(estimator, X, y):
        seen.append(X)
        return 0.0

    result = modality_importance(
        pipeline, cohort, cohort.diagnosis, scoring=remember, n_repeats=1, random_state=0
    )
    assert result.modality_names == ["image", "clinical"]
    changed = [name for name in cohort if not seen[2][name].equals(cohort[name])]
    assert changed == ["age", "alp", "ldh"]
    captions = GradCAMDisplay.from_estimator(pipeline, cohort.iloc[:1]).frame()["clinical"].iloc[0]
    row = cohort.iloc[0]
    assert captions == [f"image {row.ldh:.6g}", f"both {row.age} {row.alp:.6g}"]


def test_the_patients_of_the_table_are_permuted_by_default(pipeline, cohort):
    pipeline.fit(cohort, cohort.diagnosis)
    options = {"n_repeats": 3, "random_state": 0}
    default = modality_importance(pipeline, cohort, cohort.diagnosis, **options)
    named = modality_importance(
        pipeline, cohort, cohort.diagnosis, groups=cohort.patient_id, **options
    )
    np.testing.assert_array_equal(default.importances, named.importances)
