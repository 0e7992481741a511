import hashlib
import json
import os

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, StratifiedGroupKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skosfusion import (
    CLASS_WEIGHTED,
    CLINICAL_ONLY,
    ablation_param_grid,
    ablation_table,
    cross_val_scores,
)
from skosfusion.model_selection import _cross_val_scores
from skosfusion.model_selection._score_files import data_digest

from .._helpers import tiny

ROWS = {"Image": (), "ALP": ("alp",)}
METRICS = ["accuracy", "precision", "recall", "f1"]


@pytest.fixture
def labels(cohort):
    return cohort["diagnosis"].to_numpy()


@pytest.fixture
def folds(cohort, labels):
    return list(StratifiedGroupKFold(3).split(cohort, labels, cohort["patient_id"]))


@pytest.fixture
def numbers(cohort):
    return cohort[["age", "alp", "ldh"]]


@pytest.fixture
def own():
    """A logistic regression on its own columns."""
    columns = make_column_transformer((StandardScaler(), ["alp", "ldh"]))
    return make_pipeline(columns, LogisticRegression())


@pytest.fixture
def fits(monkeypatch):
    """Name the units that are fitted."""
    seen, fit_one = [], _cross_val_scores._fit_one

    def counted(unit, *arguments):
        seen.append(unit)
        return fit_one(unit, *arguments)

    monkeypatch.setattr(_cross_val_scores, "_fit_one", counted)
    return seen


def scores_of(estimator, X, y, rows=None, **options):
    options = {"groups": None, "cv": 3, "random_state": 0} | options
    return cross_val_scores(estimator, X, y, {"own": {}} if rows is None else rows, **options)


class TestScores:
    def test_they_are_those_of_models_that_have_not_seen_the_sample(
        self, pipeline, cohort, labels, folds
    ):
        result = cross_val_scores(
            pipeline, cohort, labels, ROWS, groups=cohort["patient_id"], cv=folds
        )
        for number, (train, test) in enumerate(folds):
            fitted = pipeline.set_params(clinical__alp="drop").fit(
                cohort.iloc[train], labels[train]
            )
            expected = fitted.decision_function(cohort.iloc[test])
            # The row "Image" drops what the rows name, here "alp".
            np.testing.assert_array_equal(result.scores["Image"][test, 0], expected)
            assert (result.fold[test, 0] == number).all()
        assert result.scores["ALP"].shape == (len(labels), 1)
        assert result.scores["ALP"].dtype == np.float64
        np.testing.assert_array_equal(result.groups, cohort["patient_id"])
        np.testing.assert_array_equal(result.y, labels)
        assert "No patient is in both" in result.DESCR

    def test_the_metrics_are_those_of_a_grid_search_to_the_bit(
        self, pipeline, cohort, labels, folds
    ):
        rows = ROWS | {"ALP & LDH": ("alp", "ldh")}
        search = GridSearchCV(
            pipeline, ablation_param_grid(rows), cv=folds, scoring=METRICS, refit=False
        )
        search.fit(cohort, labels)
        groups = cohort["patient_id"]
        result = cross_val_scores(pipeline, cohort, labels, rows, groups=groups, cv=folds)
        assert result.cv_results["params"] == search.cv_results_["params"]
        assert any((result.metrics[metric] % 1 != 0).any() for metric in METRICS)
        for name, values in result.cv_results.items():
            np.testing.assert_array_equal(values, search.cv_results_[name])
        pd.testing.assert_frame_equal(
            ablation_table(result.cv_results, rows, estimator=pipeline),
            ablation_table(search, rows)[["inputs", *_columns(METRICS)]],
        )

    def test_the_image_alone_the_values_alone_and_another_model_share_their_folds(
        self, pipeline, cohort, labels, folds, own
    ):
        pipeline.set_params(classifier__engine="eager")
        rows = {"Image": (), "Clinical": CLINICAL_ONLY, "Regression": own}
        result = cross_val_scores(
            pipeline, cohort, labels, rows, groups=cohort["patient_id"], cv=folds
        )
        train, test = folds[0]
        values = pipeline.set_params(**CLINICAL_ONLY).fit(cohort.iloc[train], labels[train])
        assert values["classifier"].n_features_in_ == 4
        expected = values.decision_function(cohort.iloc[test])
        np.testing.assert_array_equal(result.scores["Clinical"][test, 0], expected)
        own.fit(cohort.iloc[train], labels[train])
        expected = own.decision_function(cohort.iloc[test])
        np.testing.assert_array_equal(result.scores["Regression"][test, 0], expected)
        assert len(result.cv_results["params"]) == 1
        assert list(result.metrics["row"].unique()) == list(rows)
        assert result.settings["engine"] == "eager"

    def test_a_class_weighted_row_stands_beside_the_others(self, pipeline, cohort, labels, folds):
        # One class is four times as large as the other.
        rare = (labels == 0) | (cohort["patient_id"].rank(method="dense").to_numpy() % 8 == 0)
        X, y = cohort[rare].reset_index(drop=True), labels[rare]
        cv = list(StratifiedGroupKFold(3).split(X, y, X["patient_id"]))
        rows = {"All": {}, "All, class-weighted": CLASS_WEIGHTED}
        result = cross_val_scores(pipeline, X, y, rows, groups=X["patient_id"], cv=cv)
        train, test = cv[0]
        weighted = pipeline.set_params(classifier__class_weight="balanced")
        expected = weighted.fit(X.iloc[train], y[train]).decision_function(X.iloc[test])
        np.testing.assert_array_equal(result.scores["All, class-weighted"][test, 0], expected)
        assert result.scores["All, class-weighted"].mean() > result.scores["All"].mean()
        described = {"params": {"classifier__class_weight": "'balanced'"}}
        assert result.settings["rows"]["All, class-weighted"] == described

    def test_labels_of_three_classes_have_a_score_each(self, numbers, labels):
        y = np.array(["a", "b", "c"])[labels + (numbers["age"] > 50)]
        result = scores_of(LogisticRegression(max_iter=5000), numbers, y, n_repeats=2)
        assert result.scores["own"].shape == (len(y), 3, 2)
        assert result.classes.tolist() == ["a", "b", "c"]

    def test_text_labels_have_the_second_as_positive_class(self, numbers, labels):
        named = np.array(["benign", "malign"])[labels]
        by_name = scores_of(LogisticRegression(), numbers, named)
        by_number = scores_of(LogisticRegression(), numbers, labels)
        pd.testing.assert_frame_equal(by_name.metrics, by_number.metrics)
        np.testing.assert_array_equal(by_name.scores["own"], by_number.scores["own"])

    def test_without_decision_function_log_odds_of_probabilities_are_taken(self, numbers, labels):
        result = scores_of(GaussianNB(var_smoothing=1.0), numbers, labels)
        test = result.fold[:, 0] == 0
        model = GaussianNB(var_smoothing=1.0).fit(numbers[~test], labels[~test])
        expected = logit(model.predict_proba(numbers[test])[:, 1])
        np.testing.assert_allclose(result.scores["own"][test, 0], expected)
        assert "engine" not in result.settings

    def test_a_probability_of_0_is_raised_and_counted(self, numbers, labels):
        forest = RandomForestClassifier(3, random_state=0)
        result = scores_of(forest, numbers, labels)
        largest = -np.log(np.finfo(np.float64).eps)
        n_clipped = int((np.abs(result.scores["own"]) == largest).sum())
        assert n_clipped > 0
        assert result.settings["n_clipped"] == {"own": n_clipped}
        assert f"raised in {n_clipped} samples" in result.DESCR

    def test_parameters_of_fit_are_passed_but_not_to_other_estimators(self, numbers, labels):
        weights = np.where(np.arange(len(labels)) % 2, 1.0, 5.0)
        rows = {"weighted": {}, "plain": LogisticRegression()}
        result = scores_of(
            LogisticRegression(), numbers, labels, rows, params={"sample_weight": weights}
        )
        assert not np.allclose(result.scores["weighted"], result.scores["plain"])


def _columns(metrics):
    return [name for metric in metrics for name in (metric, f"{metric}_std")]


class TestFolds:
    def test_repeats_have_folds_of_their_own_and_keep_patients_together(
        self, cohort, numbers, labels
    ):
        groups = cohort["patient_id"]
        result = scores_of(LogisticRegression(), numbers, labels, groups=groups, n_repeats=3)
        assert result.fold.shape == (len(labels), 3)
        of_patients = pd.DataFrame(result.fold).assign(patient=groups.to_numpy())
        assert len(of_patients.drop_duplicates()) == groups.nunique()
        assert len({tuple(column) for column in result.fold.T}) == 3
        again = scores_of(LogisticRegression(), numbers, labels, groups=groups, n_repeats=3)
        np.testing.assert_array_equal(again.fold, result.fold)
        np.testing.assert_array_equal(again.scores["own"], result.scores["own"])
        assert len(result.metrics) == 9
        assert result.settings["n_folds"] == [3, 3, 3]

    def test_a_splitter_is_reshuffled_and_stays_as_it_is(self, numbers, labels):
        cv = KFold(4, shuffle=True, random_state=0)
        result = scores_of(LogisticRegression(), numbers, labels, cv=cv, n_repeats=2)
        assert (result.fold[:, 0] != result.fold[:, 1]).any()
        assert cv.random_state == 0

    @pytest.mark.parametrize("cv", [KFold(4), [([0, 1], [2])]])
    def test_folds_that_cannot_be_others_have_one_repeat(self, numbers, labels, cv):
        with pytest.raises(ValueError, match="gives the same folds each time"):
            scores_of(LogisticRegression(), numbers, labels, cv=cv, n_repeats=2)

    def test_a_sample_that_is_tested_twice_or_never_is_an_error(self, numbers, labels):
        with pytest.raises(ValueError, match="exactly once"):
            scores_of(LogisticRegression(), numbers, labels, cv=ShuffleSplit(3, random_state=0))
        rows = np.arange(len(labels))
        with pytest.raises(ValueError, match="row 4 is tested 0 times"):
            scores_of(LogisticRegression(), numbers, labels, cv=[(rows[4:], rows[:4])])
        with pytest.raises(ValueError, match="row 3 is both trained on and tested in fold 0"):
            scores_of(LogisticRegression(), numbers, labels, cv=[(rows[3:], rows[:4])])

    def test_folds_that_part_a_patient_are_refused_unless_allowed(self, cohort, numbers, labels):
        options = {"groups": cohort["patient_id"], "cv": KFold(3, shuffle=True, random_state=0)}
        with pytest.raises(
            ValueError, match=r"patients are in both .* row 2 in fold 0.*allow_leaks=True"
        ):
            scores_of(LogisticRegression(), numbers, labels, **options)
        result = scores_of(LogisticRegression(), numbers, labels, **options, allow_leaks=True)
        assert "THIS LEAKS" in result.DESCR
        assert result.settings["leaking_patients"] > 0

    def test_groups_must_be_said_and_none_takes_the_tables_own(self, cohort, numbers, labels, own):
        with pytest.raises(TypeError, match="groups"):
            cross_val_scores(LogisticRegression(), numbers, labels, {"own": {}})
        result = scores_of(own, cohort, labels)
        np.testing.assert_array_equal(result.groups, cohort["patient_id"])
        assert "may not be" in scores_of(LogisticRegression(), numbers, labels).DESCR

    def test_a_fold_without_a_class_is_an_error(self, numbers, labels):
        order = np.argsort(labels, kind="stable")
        half = len(order) // 2
        rest = order[half:]
        folds = [(order[:half], rest), (rest, order[:half])]
        with pytest.raises(ValueError, match="class"):
            scores_of(GaussianNB(), numbers, labels, cv=folds)


class TestRefusals:
    @pytest.mark.parametrize(
        ("rows", "error", "text"),
        [
            ({}, ValueError, "at least one name"),
            ({"a": "alp"}, TypeError, "a tuple of inputs"),
            ({"a": LogisticRegression}, TypeError, "not its class"),
            ({"a": {"CC": 1}}, ValueError, "did you mean 'C'"),
        ],
    )
    def test_rows(self, numbers, labels, rows, error, text):
        with pytest.raises(error, match=text):
            scores_of(LogisticRegression(), numbers, labels, rows)

    def test_an_input_that_is_not_there(self, pipeline, cohort, labels):
        with pytest.raises(ValueError, match="'blood', which is not an input"):
            scores_of(pipeline, cohort, labels, {"a": ("blood",)})

    @pytest.mark.parametrize("options", [{"n_repeats": 0}, {"allow_leaks": 1}, {"progress": "bar"}])
    def test_parameters(self, numbers, labels, options):
        with pytest.raises(ValueError, match=f"{next(iter(options))}=.*allowed"):
            scores_of(LogisticRegression(), numbers, labels, **options)

    def test_one_class_and_no_scores(self, numbers, labels):
        with pytest.raises(ValueError, match="the one label"):
            scores_of(LogisticRegression(), numbers, 0 * labels)

    def test_scores_that_are_not_finite_name_their_sample(self, numbers, labels):
        class Endless(LogisticRegression):
            def decision_function(self, X):
                return np.full(len(X), np.inf)

        with pytest.raises(ValueError, match=r"row 'own' .* not finite for sample \d+"):
            scores_of(Endless(), numbers, labels)


class TestResuming:
    @pytest.fixture
    def run(self, numbers, labels, tmp_path):
        def run(model=None, X=numbers, **options):
            model = LogisticRegression() if model is None else model
            return scores_of(model, X, labels, folder=tmp_path / "parts", **options)

        return run

    def test_what_is_done_is_not_done_again(self, run, fits, tmp_path):
        first, n_fits = run(), len(fits)
        second = run()
        assert (n_fits, len(fits)) == (3, 3)
        np.testing.assert_array_equal(first.scores["own"], second.scores["own"])
        pd.testing.assert_frame_equal(first.metrics, second.metrics)
        assert {path.suffix for path in (tmp_path / "parts").iterdir()} == {".json"}
        if os.name == "posix":
            assert {p.stat().st_mode & 0o777 for p in (tmp_path / "parts").iterdir()} == {0o600}

    def test_the_engine_is_kept_beside_the_scores(
        self, pipeline, cohort, labels, folds, fits, tmp_path
    ):
        pipeline.set_params(classifier__engine="eager")
        arguments = pipeline, cohort, labels, {"Image": ()}
        for _ in range(2):
            options = {"groups": cohort["patient_id"], "cv": folds, "folder": tmp_path}
            assert cross_val_scores(*arguments, **options).settings["engine"] == "eager"
        assert len(fits) == 3

    def test_other_data_settings_and_folds_are_done_anew(self, run, fits, numbers):
        run()
        for number, options in enumerate(
            [
                {"model": LogisticRegression(C=2.0)},
                {"X": numbers.assign(age=numbers["age"] + 1)},
                {"random_state": 1},
                {"params": {"sample_weight": np.arange(len(numbers)) % 2 + 1.0}},
            ],
            start=2,
        ):
            run(**options)
            assert len(fits) == 3 * number, options
        run(n_jobs=1)
        assert len(fits) == 15

    def test_a_further_row_leaves_the_others_done(self, run, fits):
        run()
        run(rows={"own": {}, "strong": {"C": 0.1}})
        assert len(fits) == 6

    def test_an_interrupted_run_goes_on(self, run, fits):
        class StopError(Exception):
            pass

        def stop(n_done, n_units):
            assert n_units == 3
            if n_done == 2:
                raise StopError

        with pytest.raises(StopError):
            run(progress=stop)
        assert len(fits) == 2
        run()
        assert len(fits) == len(set(fits)) == 3

    @pytest.mark.parametrize(
        "damage",
        [
            lambda text: text[:-9],
            lambda text: "",
            lambda text: "[" * 100_000,
            lambda text: text + " " * 100_000,
            lambda text: text.replace('"accuracy": ', '"accuracy": 1'),
            lambda text: damaged(text),
            lambda text: planted(text, accuracy=2.0),
            lambda text: planted(text, scores=[1.0]),
            lambda text: planted(text, scores=[float("nan")] * 16),
            lambda text: planted(text, scores=[10**400] * 16),
            lambda text: planted(text, name="0" * 64),
            lambda text: planted(text, n_clipped=-1),
        ],
    )
    def test_planted_and_damaged_parts_are_run_again(self, run, fits, tmp_path, damage):
        first = run()
        path = sorted((tmp_path / "parts").iterdir())[0]
        path.write_text(damage(path.read_text()))
        second = run()
        assert len(fits) == 4
        np.testing.assert_array_equal(first.scores["own"], second.scores["own"])

    def test_an_image_that_changed_in_place_counts(self, pipeline, tmp_path, fits):
        cohort = tiny.make_cohort(tmp_path, n_patients=6)
        y = cohort["diagnosis"].to_numpy()
        pipeline.set_params(classifier__max_epochs=1)
        for n_fits in (2, 2, 4):
            if n_fits == 4:
                os.replace(cohort["image"][0], cohort["image"][1])
                tiny.make_cohort(tmp_path, n_patients=6, seed=1)
            scores_of(pipeline, cohort, y, {"a": ()}, cv=2, folder=tmp_path / "parts")
            assert len(fits) == n_fits

    def test_a_function_that_cannot_be_told_is_refused(self, cohort, labels, pipeline, tmp_path):
        pipeline.set_params(classifier__predict_nonlinearity=np.random.default_rng(0).random)
        with pytest.raises(ValueError, match=r"folder: whether .* cannot be told"):
            scores_of(pipeline, cohort, labels, {"a": ()}, folder=tmp_path / "parts")


def test_two_processes_give_the_same(numbers, labels):
    one = scores_of(LogisticRegression(), numbers, labels)
    two = scores_of(LogisticRegression(), numbers, labels, n_jobs=2)
    np.testing.assert_array_equal(one.scores["own"], two.scores["own"])


def test_settings_are_plain_json(pipeline, cohort, labels, own):
    rows = {"Image": (), "Clinical": CLINICAL_ONLY, "Regression": own}
    pipeline.set_params(classifier__max_epochs=1)
    settings = scores_of(pipeline, cohort, labels, rows, cv=2).settings
    assert json.loads(json.dumps(settings)) == settings
    assert settings["rows"]["Image"] == {"inputs": []}
    assert settings["versions"]["scikit-learn"]


def damaged(text):
    """Change one score, and nothing else."""
    part = json.loads(text)
    part["part"]["scores"][0] += 0.5
    return json.dumps(part)


def planted(text, **changes):
    """Change a part, and give it the digest that goes with it."""
    body = json.loads(text)["part"] | changes
    content = json.dumps(body, sort_keys=True).encode()
    digest = hashlib.sha256(len(content).to_bytes(8, "little") + content).hexdigest()
    return json.dumps({"part": body, "sha256": digest})


@pytest.mark.parametrize("kind", ["arrays", "order of categories"])
def test_cells_that_their_text_does_not_tell_count(kind):
    if kind == "arrays":
        cells = [np.zeros(3000), np.zeros(3000)]
        changed = [np.zeros(3000), np.r_[np.zeros(1000), 1, np.zeros(1999)]]
        tables = [pd.DataFrame({"x": pd.Series(one, dtype=object)}) for one in (cells, changed)]
    else:
        tables = [
            pd.DataFrame({"x": pd.Categorical(["a", "b"], categories=order, ordered=True)})
            for order in (["a", "b"], ["b", "a"])
        ]
    digests = [data_digest(table, [0, 1]) for table in (*tables, tables[0])]
    assert digests[0] == digests[2] != digests[1]


def test_images_that_have_moved_are_the_same_and_changed_ones_are_not(tmp_path):
    digests = []
    for folder, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        path = tmp_path / folder / "knee.png"
        path.parent.mkdir()
        path.write_bytes(content)
        digests.append(data_digest(pd.DataFrame({"image": [str(path)]}), [0]))
    assert digests[0] == digests[1] != digests[2]
