import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from skosfusion.evaluation import evaluate_scores

N_PATIENTS = 80
GROUPS = np.repeat([f"KH-{7000 + n}" for n in range(N_PATIENTS)], 2)
Y = np.repeat(np.arange(N_PATIENTS) % 2, 2)
FOLD = np.repeat(np.arange(N_PATIENTS) // 2 % 5, 2)


@pytest.fixture(scope="session")
def evaluate():
    """Evaluate 80 patients of two images, whose rows are as far apart as `strength` says."""

    def call(strength=2.0, names=("Baseline", "All"), y=Y, **options):
        random = np.random.default_rng(0)
        noise = random.normal(size=len(Y))
        scores = {names[0]: 0.3 * Y + noise, names[1]: strength * Y + random.normal(size=len(Y))}
        options = {"baseline": names[0], "n_resamples": 200, "random_state": 0} | options
        return evaluate_scores(y, scores, groups=GROUPS, fold=FOLD, **options)

    return call


@pytest.fixture
def cohort():
    """The clinical values of these patients."""
    random = np.random.default_rng(1)
    patient = np.arange(N_PATIENTS)
    of_patient = pd.DataFrame(
        {
            "patient_id": GROUPS[::2],
            "gender": np.where(patient % 3 == 0, "F", "M"),
            "age": random.integers(5, 60, N_PATIENTS),
            "alp": random.normal(100, 10, N_PATIENTS) + 20 * (patient % 2),
            "alp_low": 40.0,
            "alp_high": 130.0,
        }
    )
    data = of_patient.loc[np.repeat(patient, 2)].reset_index(drop=True)
    data.insert(0, "image", [f"/clinic/Mueller/{n}.png" for n in range(len(data))])
    return Bunch(
        data=data, target=Y, groups=GROUPS, kits={"alp": ("alp", "alp_low", "alp_high")},
        target_names=["sprain", "sarcoma"], DESCR="A cohort.",
    )  # fmt: skip
