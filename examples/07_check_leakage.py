"""A split is checked before anything is trained: patients and images in both sets."""

# %% A synthetic cohort, a test bed, with two or more images of most patients.
import shutil
import tempfile
from pathlib import Path

from sklearn.model_selection import KFold, StratifiedGroupKFold

from skosfusion import check_leakage
from skosfusion.datasets import make_osteosarcoma_cohort

cohort = make_osteosarcoma_cohort(n_patients=60)

# %% Folds of images put a patient into both the training and the test set. By default this is a
# warning.
by_image = KFold(3, shuffle=True, random_state=0)
found = check_leakage(cohort.frame, cohort.groups, by_image, on_leak="ignore")
print(found.DESCR)
print(found.patients_in_both.head(3).to_string())

# %% Folds of patients do not.
by_patient = StratifiedGroupKFold(3, shuffle=True, random_state=0)
print(check_leakage(cohort.frame, cohort.groups, by_patient, on_leak="error").DESCR)

# %% Unless one image came into the table twice, here under another name and as another patient's.
frame = cohort.frame.copy()
copy = Path(tempfile.mkdtemp()) / "export_17.png"
shutil.copy(frame.loc[0, "image"], copy)
frame.loc[frame.index[-1], "image"] = str(copy)
found = check_leakage(frame, cohort.groups, by_patient, on_leak="ignore")
columns = ["image_id", "row", "patient", "several_patients", "in_both"]
print(found.repeated_images[columns].to_string())
print("leaks:", found.leaks)
