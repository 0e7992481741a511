"""'>1200': the error offers na_values=['>1200'], and the highest values become the median. Expected: an error that calls it a limit of the assay and names the remedy (the limit itself)."""
import os, sys, tempfile, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
HERE = tempfile.mkdtemp()

def done(fault, text):
    print(("FAULT: " if fault else "OK: ") + text)
    sys.exit(1 if fault else 0)

from skosfusion import make_clinical_transformer
from skosfusion.datasets import load_cohort
for i in range(10):
    open(os.path.join(HERE, f"{i}.png"), "wb").close()
t = pd.DataFrame({"image": [f"{i}.png" for i in range(10)], "patient_id": range(10), "gender": "F", "age": 14, "diagnosis": [1, 0] * 5, "LDH": [">1200", "180"] * 2 + ["200"] * 6})
kits, text = {"ldh": ("LDH", 120, 250)}, ""
try:
    load_cohort(t, image_folder=HERE, columns=kits)
except ValueError as error:
    text = str(error)
after = load_cohort(t, image_folder=HERE, columns=kits, na_values=[">1200"])
z = make_clinical_transformer(kits=after.kits).fit_transform(after.data).ldh
done("na_values=['>1200']" in text, f"{text!r}; after the advice, '>1200' is {z[0]:.3f} in kit units; the limit itself would be {(1200 - 120) / 130:.2f}")
