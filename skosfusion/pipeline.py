"""The whole method as one scikit-learn pipeline: made, saved and loaded."""

import io
import json
import zipfile

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .classifier import FusionClassifier
from .exceptions import ModelFileError
from .persistence import (
    check_trusted,
    describe,
    one_error,
    read_model_file,
    restore,
    write_model_file,
)
from .preprocessing import make_clinical_transformer
from .preprocessing._clinical import earlier_fit_kept

#: What a pipeline file may hold beside the types of scikit-learn and numpy that skops trusts.
TRUSTED_TYPES = (
    "numpy.dtype",
    "skosfusion.preprocessing._age.AgeScaler",
    "skosfusion.preprocessing._clinical._ClinicalTransformer",
    "skosfusion.preprocessing._clinical._MissingPolicy",
    "skosfusion.preprocessing._gender.GenderEncoder",
    "skosfusion.preprocessing._kit_range.KitRangeScaler",
)
_STEPS = "pipeline.steps"
# That of the paper's four inputs has 0.3 MB.
_MAX_SCHEMA_BYTES = 4 * 2**20


def make_fusion_pipeline(*, image="image", clinical=None, **params):
    """Make the paper's method: normalise the clinical columns, then fuse and classify.

    Parameters
    ----------
    image : str or None, default="image"
        Column with the paths of the image files; None for clinical values only.
    clinical : ColumnTransformer or None, default=None
        Transformer of the clinical columns; None takes
        ``make_clinical_transformer(image=image)``, the paper's four inputs.
    **params
        Parameters of `FusionClassifier`; its defaults are the paper's settings.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps "clinical" and "classifier". An input is switched off with
        ``set_params(clinical__alp="drop")``.

    See Also
    --------
    make_clinical_transformer : The first step.
    FusionClassifier : The second step.

    Examples
    --------
    >>> from skosfusion import make_fusion_pipeline
    >>> pipeline = make_fusion_pipeline(frozen_epochs="all", random_state=0)
    >>> list(pipeline.named_steps)
    ['clinical', 'classifier']
    """
    if clinical is None:
        clinical = make_clinical_transformer(image=image)
    classifier = FusionClassifier(image_column=image, **params)
    return _FusionPipeline([("clinical", clinical), ("classifier", classifier)])


class _FusionPipeline(Pipeline):
    """A pipeline whose transformers stay as they were where the classifier refuses its input."""

    def fit(self, X, y=None, **params):
        classifier = self.steps[-1][1]
        transformers = [
            part
            for part in self.get_params().values()
            if isinstance(part, BaseEstimator) and part is not classifier
        ]
        with earlier_fit_kept(self, *transformers):
            return super().fit(X, y, **params)


def save_pipeline(pipeline, path):
    """Write a fitted pipeline, its normalisation included, to one file without pickle.

    The classifier is written as `FusionClassifier.save` does; the steps before it ride along as
    an archive of skops [1]_. The file takes the place of an earlier one whole or not at all. The
    pipeline's own `memory` and `verbose` are not kept.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted; it ends in a `FusionClassifier`, such as that of `make_fusion_pipeline`.
    path : str or os.PathLike
        The file, such as ``"pipeline.safetensors"``, in a folder that exists.

    Raises
    ------
    TypeError
        For another kind of estimator.
    NotFittedError
        If it is not fitted.
    ValueError
        For what has no form in a file, such as a lambda that selects columns.
    OSError
        If the file cannot be written; an earlier one is left as it was.
    ImportError
        Without skops.

    See Also
    --------
    load_pipeline : Read it again, with an example.

    References
    ----------
    .. [1] skops, "Secure persistence with skops", https://skops.readthedocs.io.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from skosfusion import make_clinical_transformer, make_fusion_pipeline, save_pipeline
    >>> X = pd.DataFrame({"gender": ["F", "M"], "age": [14, 60]})
    >>> clinical = make_clinical_transformer(image=None, kits={})
    >>> pipeline = make_fusion_pipeline(image=None, clinical=clinical, max_epochs=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_pipeline(pipeline.fit(X, ["tumour", "none"]), f"{folder}/pipeline.safetensors")
    """
    skops = _import_skops()
    last = pipeline.steps[-1][1] if isinstance(pipeline, Pipeline) else None
    if not isinstance(last, FusionClassifier):
        raise TypeError(
            f"pipeline is a {type(pipeline).__name__}; allowed: a fitted Pipeline that ends in a "
            "FusionClassifier. Of a search pass search.best_estimator_; a classifier alone has a "
            "method save"
        )
    *steps, (name, classifier) = pipeline.steps
    check_is_fitted(classifier)
    description, tensors = describe(classifier)
    try:
        archive = skops.io.dumps(steps)
        unnamed = [kind for kind in skops.io.get_untrusted_types(data=archive) if "<" in kind]
        if unnamed:
            raise TypeError(f"nobody can name {unnamed[0]}")
    except Exception as error:
        raise ValueError(
            f"the steps before {name!r} cannot be saved: {error}; use transformers that skops "
            "knows, and functions that can be imported"
        ) from error
    description |= {"kind": "pipeline", "classifier_step": name}
    tensors[_STEPS] = torch.frombuffer(bytearray(archive), dtype=torch.uint8)
    write_model_file(path, description, tensors)


def load_pipeline(path, *, trusted=()):
    """Read a fitted pipeline from a file that `save_pipeline` has written.

    Nothing in the file is executed. Of the steps before the classifier only these types are made:
    those of scikit-learn and numpy that skops trusts, the transformers of this package, and those
    that you pass.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    trusted : iterable of type or str, default=()
        Classes of your own that the file may name; functions by name, such as
        ``"my_module.my_function"``.

    Returns
    -------
    Pipeline
        Fitted.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, cut off, no pipeline of skosfusion, or names what is not trusted.
    ImportError
        Without skops.

    Warns
    -----
    UserWarning
        If other versions wrote the file, or the device it was fitted on is not here: then the
        processor computes.

    See Also
    --------
    save_pipeline : Write it.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from skosfusion import load_pipeline, make_clinical_transformer, make_fusion_pipeline
    >>> from skosfusion import save_pipeline
    >>> X = pd.DataFrame({"gender": ["F", "M"], "age": [14, 60]})
    >>> clinical = make_clinical_transformer(image=None, kits={})
    >>> pipeline = make_fusion_pipeline(image=None, clinical=clinical, max_epochs=1)
    >>> pipeline = pipeline.fit(X, ["tumour", "none"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_pipeline(pipeline, f"{folder}/pipeline.safetensors")
    ...     loaded = load_pipeline(f"{folder}/pipeline.safetensors")
    >>> (loaded.predict_proba(X) == pipeline.predict_proba(X)).all()
    np.True_
    """
    skops = _import_skops()
    trusted = check_trusted(trusted, type, str)
    description, tensors = read_model_file(path)
    with one_error(path):
        if description["kind"] != "pipeline":
            raise ModelFileError(
                f"{str(path)!r} holds a {description['kind']!r:.50}, not a pipeline; read a "
                "classifier with FusionClassifier.load"
            )
        archive = tensors.pop(_STEPS).numpy().tobytes()
        steps = _unpack_steps(skops, archive, trusted)
        classifier = restore(FusionClassifier, description, tensors, trusted=trusted)
        name = description["classifier_step"]
        if not isinstance(name, str):
            raise TypeError(f"its classifier is called {name!r:.50}")
        return _FusionPipeline([*steps, (name, classifier)])


def _unpack_steps(skops, archive, trusted):
    _refuse_bombs(archive)
    names = {
        item if isinstance(item, str) else f"{item.__module__}.{item.__qualname__}"
        for item in trusted
    }
    names |= set(TRUSTED_TYPES)
    unknown = sorted(set(skops.io.get_untrusted_types(data=archive)) - names)
    if unknown:
        raise ValueError(
            f"its steps name {', '.join(unknown)!s:.300}, which is not trusted; if you know where "
            "the file comes from, pass it: trusted=[...]"
        )
    steps = skops.io.loads(archive, trusted=sorted(names))
    for name, step in steps:
        is_step = step is None or step == "passthrough" or hasattr(step, "transform")
        if not isinstance(name, str) or not is_step:
            raise TypeError(f"its step {name!r:.50} is no transformer")
    _leave_machine_alone(steps)
    return steps


def _leave_machine_alone(steps):
    """Switch off what a stranger's steps would do here: read cached pickles, start processes."""
    seen, nodes = set(), [steps]
    while nodes:
        node = nodes.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, BaseEstimator):
            for name in {"memory", "n_jobs"} & vars(node).keys():
                setattr(node, name, None)
            nodes.extend(vars(node).values())
        elif isinstance(node, dict):
            nodes.extend(node.values())
        elif isinstance(node, list | tuple | set):
            nodes.extend(node)
        elif isinstance(node, np.ndarray) and node.dtype == object:
            nodes.extend(node.ravel().tolist())


def _refuse_bombs(archive):
    """Refuse an archive that would unpack to more than it is: compressed, or read many times."""
    with zipfile.ZipFile(io.BytesIO(archive)) as archived:
        sizes = {entry.filename: entry.file_size for entry in archived.infolist()}
        if sum(sizes.values()) > len(archive):
            raise ValueError(f"its steps would unpack from {len(archive)} bytes to more")
        if sizes["schema.json"] > _MAX_SCHEMA_BYTES:
            raise ValueError(f"the description of its steps has {sizes['schema.json']} bytes")
        nodes = [json.loads(archived.read("schema.json"))]
    total = 0
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            total += sizes.get(str(node.get("file")), 0)
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)
    if total > 2 * len(archive):
        raise ValueError(f"its steps would unpack from {len(archive)} bytes to {total}")


def _import_skops():
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(
            "saving and loading a pipeline needs skops: pip install 'skosfusion[skops]'"
        ) from error
    return skops
