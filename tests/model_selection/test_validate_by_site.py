import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from skosfusion import validate_by_site
from skosfusion.evaluation import clustered_auc
from skosfusion.model_selection._random_effects import pool


@pytest.fixture
def made():
    """Eighty patients with two samples each, at four sites."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(80), 2)
    y = np.repeat(rng.permutation(np.arange(80) % 2), 2)
    X = pd.DataFrame({"a": y + rng.normal(0, 1.2, 160), "b": rng.normal(0, 1, 160)})
    site = np.repeat(np.array(["A", "B", "C", "D"])[np.arange(80) % 4], 2)
    return X, y, site, patient


def validated(made, **options):
    X, y, site, patient = made
    given = {"X": X, "y": y, "site": site, "groups": patient} | options
    return validate_by_site(LogisticRegression(), **given)


class TestClusteredAUC:
    def test_the_auc_is_scikit_learns_with_ties(self, made):
        X, y, _, patient = made
        score = X["a"].round(0).to_numpy()
        assert clustered_auc(y == 1, score, patient).auc == pytest.approx(roc_auc_score(y, score))

    def test_with_one_image_a_patient_it_is_delongs(self, made):
        X, y, _, _ = made
        score = X["a"].to_numpy()
        above = (score[y == 1][:, None] > score[y == 0]).astype(float)
        of_positives, of_negatives = above.mean(axis=1), above.mean(axis=0)
        delong = (
            of_positives.var(ddof=1) / (y == 1).sum() + of_negatives.var(ddof=1) / (y == 0).sum()
        )
        found = clustered_auc(y == 1, score, np.arange(len(y)))
        assert found.standard_error == pytest.approx(np.sqrt(delong))

    def test_patients_repeated_to_the_bit_add_nothing(self, made):
        X, y, _, _ = made
        score, patient = X["a"].to_numpy(), np.arange(len(y))
        once = clustered_auc(y == 1, score, patient)
        thrice = clustered_auc(np.tile(y == 1, 3), np.tile(score, 3), np.tile(patient, 3))
        assert thrice[:2] == pytest.approx(once[:2])

    def test_it_covers_the_spread_of_aucs_where_patients_have_both_labels(self):
        rng = np.random.default_rng(0)
        found = []
        for _ in range(400):
            of_patient = np.repeat(rng.normal(0, 1, 60), 4)
            y = np.tile([True, False, True, False], 60)
            score = of_patient + y + rng.normal(0, 0.5, 240)
            found.append(clustered_auc(y, score, np.repeat(np.arange(60), 4))[:2])
        aucs, errors = np.array(found).T
        assert errors.mean() == pytest.approx(aucs.std(), rel=0.1)


class TestPooling:
    def test_equal_variances_have_reml_in_closed_form(self):
        values = np.array([0.3, 1.1, 2.0, 2.2, 0.7])
        found = pool(values, [0.2] * 5, level=0.95)
        assert found.mean == pytest.approx(values.mean())
        assert found.tau**2 == pytest.approx(values.var(ddof=1) - 0.2, abs=1e-6)
        # Hartung and Knapp is then the t interval of a plain mean.
        margin = 2.7764451 * np.sqrt(values.var(ddof=1) / 5)
        assert found.high - found.mean == pytest.approx(margin)
        expected = 3.1824463 * np.sqrt(found.tau**2 + values.var(ddof=1) / 5)
        assert found.prediction_high - found.mean == pytest.approx(expected, rel=1e-5)

    def test_sites_that_agree_by_chance_have_no_spread_but_their_own_errors(self):
        found = pool([1.0, 1.1, 0.9], [0.5] * 3, level=0.95)
        assert found.tau == 0
        assert found.high - found.mean == pytest.approx(4.3026527 * np.sqrt(0.5 / 3))

    def test_reml_solves_its_equation(self):
        values, variances = np.array([0.2, 1.5, 2.5, 0.9]), np.array([0.1, 0.3, 0.05, 0.6])
        found = pool(values, variances, level=0.95)
        weights = 1 / (variances + found.tau**2)
        squares = weights**2 * ((values - found.mean) ** 2 - variances)
        solved = squares.sum() / (weights**2).sum() + 1 / weights.sum()
        assert found.tau**2 == pytest.approx(solved, rel=1e-5)

    def test_too_few_sites(self):
        assert np.isnan(pool([], [], level=0.95).mean)
        one, two = pool([1.0], [0.1], level=0.95), pool([1.0, 2.0], [0.1, 0.1], level=0.95)
        assert one.mean == 1
        assert np.isnan(one.low)
        assert two.low < 1.5 < two.high
        assert np.isnan(two.prediction_low)


class TestSites:
    def test_each_site_is_tested_by_a_model_of_the_others(self, made):
        X, y, site, patient = made
        result = validated(made)
        table = result.table.set_index("site")
        for name in "ABCD":
            there = site == name
            score = LogisticRegression().fit(X[~there], y[~there]).decision_function(X[there])
            np.testing.assert_array_equal(result.scores.scores["model"][there, 0], score)
            found = clustered_auc(y[there] == 1, score, patient[there])
            line = table.loc[name]
            assert (line["auc"], line["se"]) == found[:2]
            assert line["auc"] == pytest.approx(roc_auc_score(y[there], score))
            margin = 1.959964 * line["se"] / (line["auc"] * (1 - line["auc"]))
            assert line["low"] == pytest.approx(expit(logit(line["auc"]) - margin))
            assert (line["n_patients"], line["n_images"]) == (20, 40)
            assert line["n_positive"] == y[there].sum()
        variances = (table["se"] / (table["auc"] * (1 - table["auc"]))) ** 2
        expected = pool(logit(table["auc"]), variances, level=0.95)
        pooled = result.pooled.loc["model"]
        assert pooled["auc"] == pytest.approx(expit(expected.mean))
        assert pooled["tau"] == pytest.approx(expected.tau)
        assert pooled["prediction_low"] <= pooled["low"] < pooled["auc"] < pooled["high"]
        assert pooled["n_sites"] == 4
        assert "LEAKS" not in result.DESCR

    def test_rows_stand_side_by_side(self, made):
        result = validated(made, ablations={"weak": {"C": 1e-4}, "strong": {}})
        assert list(result.pooled.index) == ["weak", "strong"]
        assert len(result.table) == 8

    def test_patients_at_two_sites_are_refused_unless_allowed(self, made):
        X, y, site, patient = made
        site = site.copy()
        site[9] = "B"
        with pytest.raises(
            ValueError, match=r"1 patients .* 2 rows \(8, 9\).*shared_patients=True"
        ):
            validated((X, y, site, patient))
        result = validated((X, y, site, patient), allow_shared_patients=True)
        assert "THIS LEAKS: 1 patients" in result.DESCR

    def test_a_site_with_one_class_has_no_figure_and_is_not_pooled(self, made):
        X, y, site, patient = made
        y = np.where(site == "B", 0, y)
        result = validated((X, y, site, patient))
        line = result.table.set_index("site").loc["B"]
        assert line[["auc", "se", "low", "high"]].isna().all()
        assert line["n_positive"] == 0
        assert result.pooled.loc["model", "n_sites"] == 3
        assert "model, site B: one class: no AUC" in result.DESCR

    def test_a_site_with_one_positive_patient_has_an_auc_but_no_error(self, made):
        X, y, site, patient = made
        first = patient[(site == "B") & (y == 1)][0]
        y = np.where((site == "B") & (patient != first), 0, y)
        result = validated((X, y, site, patient))
        line = result.table.set_index("site").loc["B"]
        assert 0 <= line["auc"] <= 1
        assert np.isnan(line["se"])
        assert result.pooled.loc["model", "n_sites"] == 3

    def test_a_perfect_site_is_pooled_with_half_a_patient(self, made):
        X, y, site, patient = made
        X = X.assign(a=np.where(site == "B", 9.0 * y, X["a"]), b=np.where(site == "B", 0, X["b"]))
        result = validated((X, y, site, patient))
        line = result.table.set_index("site").loc["B"]
        assert (line["auc"], line["se"]) == (1, 0)
        assert 0.5 < line["low"] < line["high"] < 1
        assert "half a patient" in line["note"]
        assert result.pooled.loc["model", "n_sites"] == 4
        assert np.isfinite(result.pooled.loc["model"].astype(float)).all()

    def test_sites_may_be_numbers_or_of_several_kinds(self, made):
        X, y, site, patient = made
        numbers = np.array([10, 9, 2, 1])[np.searchsorted(["A", "B", "C", "D"], site)]
        result = validated((X, y, numbers, patient))
        assert result.sites.tolist() == [1, 2, 9, 10]
        np.testing.assert_array_equal(result.sites[result.scores.fold[:, 0]], numbers)
        mixed = np.array(["x", 1, 2.5, "y"], dtype=object)[np.arange(80).repeat(2) % 4]
        assert validated((X, y, mixed, patient)).sites.tolist() == [1, 2.5, "x", "y"]

    def test_what_cannot_be_validated_is_refused(self, made):
        _, y, site, _ = made
        with pytest.raises(ValueError, match="the one site 'A'"):
            validated(made, site=np.full(160, "A"))
        with pytest.raises(ValueError, match="3 labels"):
            validated(made, y=np.arange(160) % 3)
        with pytest.raises(ValueError, match="no site in 1 of 160 rows, the first is row 3"):
            validated(made, site=np.where(np.arange(160) == 3, None, site))
        with pytest.raises(ValueError, match="without site 'A' all labels are 0"):
            validated(made, y=np.where(site == "A", y, 0))
        with pytest.raises(ValueError, match="allow_shared_patients='yes'"):
            validated(made, allow_shared_patients="yes")


def test_the_whole_method_runs_with_images(pipeline, cohort):
    pipeline.set_params(classifier__max_epochs=1)
    y, groups = cohort["diagnosis"].to_numpy(), cohort["patient_id"]
    site = np.where(pd.factorize(groups)[0] < 12, "north", "south")
    result = validate_by_site(
        pipeline, cohort, y, site=site, groups=groups, ablations={"Image": (), "ALP": ("alp",)}
    )
    assert result.table[["row", "site"]].to_numpy().tolist() == [
        ["Image", "north"], ["Image", "south"], ["ALP", "north"], ["ALP", "south"]
    ]  # fmt: skip
