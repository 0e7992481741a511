"""positive= is looked for anywhere: 'non-malignant' counts as malignant, grade 10 as 1, 1.0 as '0'. Expected: refuse or warn where one label equals it and another only holds it."""
import os, sys, tempfile, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
HERE = tempfile.mkdtemp()

def done(fault, text):
    print(("FAULT: " if fault else "OK: ") + text)
    sys.exit(1 if fault else 0)

from skosfusion.datasets import TargetColumn, load_cohort
for n in "abcd":
    open(os.path.join(HERE, n + ".png"), "wb").close()
out = {}
for positive, labels in {"malignant": ["malignant", "non-malignant", "benign", "malignant"], "tumour": ["tumour", "no tumour", "normal", "tumour"],
                         "1": ["1", "10", "2", "0"], "0": [0.0, 1.0, 2.0, 3.0]}.items():
    t = pd.DataFrame({"image": [n + ".png" for n in "abcd"], "patient_id": list("1234"), "diagnosis": labels})
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            out[positive] = dict(zip(labels, load_cohort(t, image_folder=HERE, columns={"target": TargetColumn(positive=positive)}).target.tolist())), len(seen)
        except ValueError as error:
            out[positive] = {}, str(error)[:60]
done(any(sum(targets.values()) > 1 and not said for targets, said in out.values()), f"(label -> target, warnings): {out}")
