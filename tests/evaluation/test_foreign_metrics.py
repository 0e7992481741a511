"""Metrics of scikit-learn and of users: labels, thresholds, and what is refused."""

import numpy as np
import pytest
from sklearn.metrics import fbeta_score, make_scorer, recall_score

from skosfusion import evaluate_scores

N = 120
CODES = np.arange(N) % 2
FOLD = np.arange(N) // 2 % 4


@pytest.fixture
def score():
    return np.random.default_rng(0).normal(CODES - 0.5)


def evaluated(y, score, **options):
    return evaluate_scores(
        y, score, groups=None, fold=FOLD, n_resamples=50, random_state=0, **options
    ).table.loc["model"]


@pytest.mark.parametrize("threshold", [0.5, 0.8, "youden"])
@pytest.mark.parametrize("labels", [(0, 1), ("benign", "sarcoma"), (1, 2), (False, True)])
def test_scorers_of_labels_follow_threshold_and_positive_class(score, labels, threshold):
    y = np.array(labels)[CODES]
    line = evaluated(
        y, score, metrics=["recall", "jaccard", "sensitivity", "auc"], threshold=threshold
    )
    assert line["recall"] == line["sensitivity"]
    as_numbers = evaluated(CODES, score, metrics=["jaccard"], threshold=threshold)
    assert line["jaccard"] == as_numbers["jaccard"]


def test_scorers_of_scores_do_not_depend_on_names_of_labels(score):
    names = ["roc_auc", "neg_log_loss", "neg_brier_score", "average_precision"]
    y = np.array(["benign", "sarcoma"])[CODES]
    assert evaluated(y, score, metrics=names).equals(evaluated(CODES, score, metrics=names))


def test_a_scorer_that_names_its_class_sees_it(score):
    y = np.array(["benign", "sarcoma"])[CODES]
    scorer = make_scorer(recall_score, pos_label="benign")
    line = evaluated(y, score, metrics=[scorer, "specificity"], threshold=0.7)
    assert line["recall_score"] == line["specificity"]


def test_callables_see_0_and_1(score):
    def share(y, score, sample_weight):
        return np.average(y, weights=sample_weight)

    y = np.array(["benign", "sarcoma"])[CODES]
    assert evaluated(y, score, metrics=share)["share"] == 0.5


def test_several_classes_by_number():
    random, y = np.random.default_rng(0), np.arange(N) % 3
    scores = random.normal(size=(N, 3)) + 2 * np.eye(3)[y]
    metrics = ["accuracy", "f1_macro", "roc_auc_ovr"]
    named = evaluated(np.array(["a", "b", "c"])[y], scores, metrics=metrics)
    assert named.equals(evaluated(y, scores, metrics=metrics))


def without_weights(y, score):
    return 1.0


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (3, "metrics=3 is not allowed; allowed: None, or one metric or more"),
        ([3], "metrics=3 is not allowed; allowed: names and callables"),
        (["rand_score"], "metrics: 'rand_score' takes no sample_weight"),
        ([without_weights], "metrics: 'without_weights' takes no sample_weight.*metric\\(y, score"),
        ([lambda y, score: 1.0], "metrics: '<lambda>' takes no sample_weight"),
    ],
)
def test_metrics_that_cannot_be_had_are_named(score, metrics, message):
    with pytest.raises(ValueError, match=message):
        evaluated(CODES, score, metrics=metrics)


def test_options_of_a_scorer_are_kept(score):
    line = evaluated(CODES, score, metrics=[make_scorer(fbeta_score, beta=2)])
    expected = fbeta_score(CODES, score > 0, beta=2)
    assert line["fbeta_score"] == pytest.approx(expected)


def test_a_rule_for_patients_is_refused_by_the_name_of_its_parameter(score):
    with pytest.raises(ValueError, match=r"patient_rule='meen'.*did you mean 'mean'\?"):
        evaluated(CODES, score, patient_rule="meen")
