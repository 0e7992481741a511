"""Parts of estimators that several methods share."""

from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from skosfusion import make_clinical_transformer


def clinical_kits(task, *, image=None, with_values=True, **keywords):
    """Make our transformer of the inputs that a task knows."""
    inputs = task.inputs if with_values else ()
    return make_clinical_transformer(
        image=image,
        gender="gender" if "gender" in inputs else None,
        age="age" if "age" in inputs else None,
        kits={name: kit for name, kit in task.kits.items() if name in inputs},
        **keywords,
    )


def clinical(task):
    """Make numbers of the clinical values, with an indicator where they are missing."""
    return clinical_kits(task, missing="indicator")


def clinical_scaled(task):
    """Make z-scores of the same."""
    return make_pipeline(clinical(task), StandardScaler())


def columns(start):
    """Take the columns of which the name starts so."""
    return make_column_transformer(("passthrough", make_column_selector(f"^{start}")))


def side_by_side(*parts):
    """Put the columns of several transformers beside each other."""
    return make_union(*parts)
