"""Decision-level fusion: one model for the image, one for the clinical values, then a vote."""

# %% A synthetic cohort, a test bed; a third of the patients is held out.
from sklearn.compose import make_column_transformer
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skosfusion import ImageEncoder, make_clinical_transformer, make_fusion_pipeline
from skosfusion.datasets import make_osteosarcoma_cohort

cohort = make_osteosarcoma_cohort(n_patients=60)
splitter = GroupShuffleSplit(1, test_size=0.33, random_state=0)
train, test = next(splitter.split(cohort.data, cohort.target, cohort.groups))
X, y, patients = cohort.data.iloc[train], cohort.target[train], cohort.groups[train]

# %% Two models that know nothing of each other.
encoder = ImageEncoder(weights=None, image_size=64, random_state=0)
image = make_column_transformer((encoder, ["image"]))
image = make_pipeline(image, LogisticRegression(C=0.1, max_iter=5000))
clinical = make_clinical_transformer(image=None)
clinical = make_pipeline(clinical, StandardScaler(), LogisticRegression())

# %% The vote is learned from scores out of fold; the inner folds keep patients together, too.
inner = list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(X, y, patients))
stacked = StackingClassifier(
    [("image", image), ("clinical", clinical)], LogisticRegression(), cv=inner
).fit(X, y)
print("weights of the vote:", stacked.final_estimator_.coef_.round(2))

# %% Beside late fusion, where one head sees features and values together.
late = make_fusion_pipeline(
    weights=None, image_size=64, frozen_epochs="all", batch_size=16, random_state=0, verbose=0
).fit(X, y)
for name, model in (("image", image.fit(X, y)), ("decision level", stacked), ("late", late)):
    loss = log_loss(cohort.target[test], model.predict_proba(cohort.data.iloc[test]))
    print(f"{name}: log loss {loss:.3f}")
