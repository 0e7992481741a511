"""Before a model is trained: does something beside the disease tell the label?"""

# %% A synthetic cohort, a test bed. Its files say nothing of the label.
import warnings
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from skosfusion import audit_shortcuts
from skosfusion.datasets import KeptColumn, exclude_rows, load_cohort, make_osteosarcoma_cohort
from skosfusion.exceptions import ShortcutWarning

cohort = make_osteosarcoma_cohort(n_patients=60)
audit = audit_shortcuts(cohort.frame, cohort.target, groups=cohort.groups, random_state=0)
print(audit.DESCR)

# %% A table as hospitals have them: tumors come from one site more often than from the other, and
# %% some images were taken after the treatment began. These columns are kept, and are no inputs.
rng = np.random.default_rng(0)
table = cohort.frame.copy()
folder = Path(table["image"][0]).parent
table["image"] = [Path(path).name for path in table["image"]]
stays = {patient: rng.random() < 0.2 for patient in table["patient_id"].unique()}
tumor = (cohort.target == 1) & ~table["patient_id"].map(stays)
table["hospital"] = np.where(tumor, "tumor center", "district")
table["day"] = rng.integers(-30, 3, len(table))
table["treated"] = 0
blurred = np.zeros(len(table), bool)
blurred[[4, 17]] = True
table = exclude_rows(table, blurred, "blurred")
loaded = load_cohort(
    table,
    image_folder=folder,
    columns={
        "site": KeptColumn("hospital"),
        "day": KeptColumn("day", kind="number"),
        "treated": KeptColumn("treated", kind="number"),
    },
)
print(loaded.flow.to_string())

# %% The same folds as the model's, if there is one. The site is named in a warning.
folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", ShortcutWarning)
    audit = audit_shortcuts(
        loaded.frame,
        loaded.target,
        groups=loaded.groups,
        cv=folds,
        times={"image": ("day", "treated")},
        random_state=0,
    )
print(*(one.message for one in caught), sep="\n")
print(audit.table[["what", "n", "auc", "low", "high", "warns"]].round(2).to_string())
print(audit.time.to_string())
