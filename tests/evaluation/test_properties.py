"""What must not change a figure, for cohorts drawn at random."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skosfusion.evaluation import clustered_auc, evaluate_scores, patient_scores
from skosfusion.evaluation._differences import clustered_mcnemar

N_PATIENTS, N_FOLDS = 40, 4
few = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 2**32 - 1)
#: Rounded scores have ties.
decimals = st.sampled_from([0, 1, 12])


def draw(seed, decimals):
    """Draw a cohort whose patients have one to four images; a patient has one label."""
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(N_PATIENTS), random.integers(1, 5, N_PATIENTS))
    y = patient % 2
    common = random.normal(size=N_PATIENTS)[patient]
    scores = {
        name: (random.normal(common + shift * (2 * y - 1))).round(decimals) + 0.25
        for name, shift in (("Baseline", 0.5), ("All", 1.0))
    }
    return y, scores, patient, patient // 2 % N_FOLDS


def evaluate(y, scores, groups, fold, **more):
    return evaluate_scores(
        y, scores, groups=groups, fold=fold, baseline="Baseline", declared="All", n_resamples=5,
        random_state=0, **more,
    )  # fmt: skip


def check_same(one, other):
    for name in ("table", "differences"):
        first, second = getattr(one, name), getattr(other, name)
        words = first.select_dtypes(exclude="number")
        assert words.equals(second[words.columns])
        numbers = first.columns.difference(words.columns)
        np.testing.assert_allclose(first[numbers], second[numbers], rtol=1e-7, atol=1e-9)
    assert one.mcnemar == pytest.approx(other.mcnemar)


@few
@given(seed=seeds, decimals=decimals, unit=st.sampled_from(["patient", "image"]))
def test_order_of_rows_and_names_do_not_matter(seed, decimals, unit):
    y, scores, patient, fold = draw(seed, decimals)
    random = np.random.default_rng(seed)
    order = random.permutation(len(y))
    names = np.array([f"patient {i}" for i in random.permutation(N_PATIENTS)])[patient]
    folds = np.array([f"fold {i}" for i in random.permutation(N_FOLDS)])[fold]
    moved = {name: score[order] for name, score in scores.items()}
    check_same(
        evaluate(y, scores, patient, fold, unit=unit),
        evaluate(y[order], moved, names[order], folds[order], unit=unit),
    )


@few
@given(seed=seeds, unit=st.sampled_from(["patient", "image"]))
def test_every_image_twice_changes_nothing(seed, unit):
    y, scores, patient, fold = draw(seed, 12)
    twice = {name: np.repeat(score, 2) for name, score in scores.items()}
    check_same(
        evaluate(y, scores, patient, fold, unit=unit),
        evaluate(*(np.repeat(y, 2), twice, np.repeat(patient, 2), np.repeat(fold, 2)), unit=unit),
    )
    for score in (*scores.values(), scores["All"].round(1)):
        once = clustered_auc(y, score, patient, fold)
        doubled = clustered_auc(*(np.repeat(a, 2) for a in (y, score, patient, fold)))
        assert doubled[:2] == pytest.approx(once[:2])


def delong(y, score):
    """Return the AUC and its standard error from all pairs (DeLong 1988)."""
    positive, negative = score[y == 1, None], score[y == 0]
    won = (positive > negative) + 0.5 * (positive == negative)
    parts = [won.mean(axis=axis) for axis in (1, 0)]
    return won.mean(), np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts))


@few
@given(seed=seeds, decimals=decimals)
def test_patients_of_one_image_give_delong_and_mcnemar(seed, decimals):
    y, scores, patient, _ = draw(seed, decimals)
    joined = {name: patient_scores(score, patient)[1] for name, score in scores.items()}
    y = y[np.unique(patient, return_index=True)[1]]
    for score in joined.values():
        assert clustered_auc(y, score, np.arange(N_PATIENTS))[:2] == pytest.approx(delong(y, score))
    right = [(score > 0) == y for score in joined.values()]
    more, less = (int((a & ~b).sum()) for a, b in (right, right[::-1]))
    z = clustered_mcnemar(*right, np.arange(N_PATIENTS))["z"]
    assert z == pytest.approx((more - less) / np.sqrt(max(more + less, 1)))


@few
@given(seed=seeds, rule=st.sampled_from(["mean_logit", "mean", "max", "noisy_or"]))
def test_joined_scores_lie_where_they_must(seed, rule):
    _, scores, patient, _ = draw(seed, 12)
    score = scores["All"]
    names, joined = patient_scores(score, patient, rule=rule)
    highest = np.array([score[patient == name].max() for name in names])
    lowest = np.array([score[patient == name].min() for name in names])
    is_alone = np.bincount(patient) == 1
    np.testing.assert_allclose(joined[is_alone], highest[is_alone], rtol=1e-9)
    assert (joined >= lowest - 1e-9).all()
    if rule == "noisy_or":
        assert (joined >= highest - 1e-9).all()
    else:
        assert (joined <= highest + 1e-9).all()


def test_delong_counts_images_as_patients():
    y, scores, patient, _ = draw(0, 12)
    single, twice = (delong(np.repeat(y, n), np.repeat(scores["All"], n))[1] for n in (1, 2))
    assert 0.69 < twice / single < 0.71
    assert clustered_auc(y, scores["All"], patient).standard_error > single
