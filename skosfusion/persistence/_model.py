"""A fitted model, classifier or pipeline, in one file without pickle."""

import os
from contextlib import contextmanager

import torch
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .. import __version__
from ..classifier import FusionClassifier
from ..evaluation import Recalibration
from ..exceptions import ModelFileError
from ..inspection import TrainingSummary
from ._classifier import describe, restore
from ._components import Decoder
from ._extras import describe_extras, take_extras
from ._file import read_model_file, write_model_file
from ._pipeline import import_skops, pack_steps, unpack_steps
from ._trusted import check_trusted

# Increase this when older versions could not read a file.
_FORMAT = 2
_STEPS = "pipeline.steps"


def save_model(estimator, path, *, summary=None, recalibration=None):
    """Write a fitted classifier, or a pipeline that ends in one, to one file without pickle.

    The file is safetensors with a description in JSON under one digest, which reveals any damage.
    It holds the network, the parameters of the fit but for `memory` and other settings of the
    machine, labels, columns, how images are read, the history of epochs (not of batches), and the
    versions of the software; types go by the names under which users import them. The steps before
    the classifier ride along as an archive of skops [1]_. What only further training would need,
    such as the state of the optimizer, is not kept, nor are the pipeline's own `memory` and
    `verbose`.

    The file is written beside `path` and then takes its place: a process that is killed leaves the
    last good file.

    Parameters
    ----------
    estimator : FusionClassifier or Pipeline
        Fitted; a pipeline ends in a `FusionClassifier`, such as that of `make_fusion_pipeline`.
    path : str or os.PathLike
        The file, such as ``"model.safetensors"``, in a folder that exists.
    summary : TrainingSummary or None, default=None
        What the model was trained on, of `summarize_training`; `load_summary` reads it again.
    recalibration : Recalibration or None, default=None
        What an evaluation has found; `load_recalibration` reads it again. `load_model` does not
        apply it.

    Raises
    ------
    TypeError
        For another kind of estimator, summary or recalibration.
    NotFittedError
        If it is not fitted.
    ValueError
        For what prediction needs and `load_model` could not read, such as a lambda that selects
        columns, or a tree; every such type is named. For a summary of other columns, and a
        recalibration of more than two classes.
    OSError
        If the file cannot be written; an earlier one is left as it was.
    ImportError
        For a pipeline, without skops.

    Warns
    -----
    UserWarning
        For parameters of training that have no form in a file, which are left out; for steps that
        `load_model` builds only if they are passed as `trusted`.

    See Also
    --------
    load_model : Read it again.
    load_summary : Read the summary of what it was trained on.
    load_recalibration : Read the recalibration.

    References
    ----------
    .. [1] skops, "Secure persistence with skops", https://skops.readthedocs.io.

    Examples
    --------
    >>> import tempfile
    >>> from skosfusion import FusionClassifier, load_model, save_model
    >>> classifier = FusionClassifier(max_epochs=1).fit([[0.0], [1.0]], [0, 1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(classifier, f"{folder}/model.safetensors")
    ...     loaded = load_model(f"{folder}/model.safetensors")
    >>> (loaded.predict_proba([[0.5]]) == classifier.predict_proba([[0.5]])).all()
    np.True_
    """
    steps = estimator.steps if isinstance(estimator, Pipeline) else [(None, estimator)]
    *steps, (name, classifier) = steps
    if not isinstance(classifier, FusionClassifier):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}; allowed: a fitted FusionClassifier, or a "
            "fitted Pipeline that ends in a FusionClassifier. For a search, pass "
            "search.best_estimator_"
        )
    if name is not None:
        import_skops()
    check_is_fitted(classifier)
    kept, arrays = describe_extras(classifier, summary, recalibration)
    description, tensors = describe(classifier)
    if name is not None:
        archive = pack_steps(steps, name)
        description["classifier_step"] = name
        tensors[_STEPS] = torch.frombuffer(bytearray(archive), dtype=torch.uint8)
    kind = "classifier" if name is None else "pipeline"
    description = {"format": _FORMAT, "kind": kind} | description | kept
    write_model_file(path, description, tensors | arrays)


def load_model(path, trusted=()):
    """Read a fitted model from a file that `save_model` has written.

    Nothing in the file is executed. It may name only types on this package's own list, such as its
    transformers and the harmless ones of scikit-learn, and those that you pass. skops by itself
    would trust all of scikit-learn, and planted values in some of it end the process at `predict`.

    The model gives the predictions of the one that was saved, to the bit on the same machine.
    `memory` and the numbers of loader processes are not in the file: set them again. Further
    training starts with a fresh optimizer, and says so.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    trusted : iterable of type, callable or str, default=()
        Classes of your own that the file may name, such as an encoder, and functions, which may be
        given by name: ``"my_module.my_function"``.

    Returns
    -------
    FusionClassifier or Pipeline
        Fitted; of the kind that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, cut off, not a model of skosfusion or one of an earlier format, or
        names what is not trusted.
    ImportError
        For a pipeline, without skops.

    Warns
    -----
    UserWarning
        If other versions wrote the file, or the device it was fitted on is not here: then the
        processor computes.

    See Also
    --------
    save_model : Write it.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from skosfusion import load_model, make_clinical_transformer, make_fusion_pipeline
    >>> from skosfusion import save_model
    >>> X = pd.DataFrame({"gender": ["F", "M"], "age": [14, 60]})
    >>> clinical = make_clinical_transformer(image=None, kits={})
    >>> pipeline = make_fusion_pipeline(image=None, clinical=clinical, max_epochs=1)
    >>> pipeline = pipeline.fit(X, ["tumor", "none"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(pipeline, f"{folder}/pipeline.safetensors")
    ...     loaded = load_model(f"{folder}/pipeline.safetensors")
    >>> (loaded.predict_proba(X) == pipeline.predict_proba(X)).all()
    np.True_
    """
    trusted = check_trusted(trusted)
    description, tensors = read_model_file(path)
    if description.get("kind") == "pipeline":
        import_skops()
    with _one_error(path):
        _refuse_other_formats(description)
        take_extras(tensors)
        kind = description["kind"]
        if kind not in ("classifier", "pipeline"):
            raise ValueError(f"it holds a {kind!r:.50}, not a classifier or a pipeline")
        if kind == "pipeline":
            name = description["classifier_step"]
            if not isinstance(name, str):
                raise TypeError(f"its classifier is called {name!r:.50}")
            steps = unpack_steps(tensors.pop(_STEPS).numpy().tobytes(), trusted)
        classifier = restore(description, tensors, Decoder(trusted))
        return classifier if kind == "classifier" else Pipeline([*steps, (name, classifier)])


def load_summary(path):
    """Read the summary of what a model was trained on from the file of the model.

    The model itself is not built, and nothing in the file is executed.

    Parameters
    ----------
    path : str or os.PathLike
        The file that `save_model` has written.

    Returns
    -------
    TrainingSummary or None
        None if the model was saved without one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, cut off, or not a model of skosfusion, or holds what is not a
        summary.

    See Also
    --------
    save_model : Write it.
    summarize_training : Make a summary.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skosfusion import FusionClassifier, load_summary, save_model, summarize_training
    >>> X = pd.DataFrame({"age": np.linspace(5, 20, 60)})
    >>> classifier = FusionClassifier(max_epochs=1, random_state=0).fit(X, np.arange(60) % 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/model.safetensors"
    ...     save_model(classifier, path, summary=summarize_training(classifier, X))
    ...     summary = load_summary(path)
    >>> summary.check(classifier, pd.DataFrame({"age": [70.0]}))["usual"].tolist()
    ['from 2.693 to 30.77']
    """
    description, tensors = read_model_file(path)
    with _one_error(path, "summary"):
        _refuse_other_formats(description)
        arrays = take_extras(tensors)
        if description.get("summary") is None:
            return None
        return TrainingSummary(description["summary"], arrays)


def load_recalibration(path):
    """Read the recalibration of a model from the file of the model.

    The model itself is not built, and nothing in the file is executed.

    Parameters
    ----------
    path : str or os.PathLike
        The file that `save_model` has written.

    Returns
    -------
    Recalibration or None
        To the bit that which was saved; None if the model was saved without one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, cut off, or not a model of skosfusion, or holds what is not a
        recalibration.

    See Also
    --------
    save_model : Write it.

    Examples
    --------
    >>> import tempfile
    >>> from skosfusion import FusionClassifier, Recalibration, load_recalibration, save_model
    >>> classifier = FusionClassifier(max_epochs=1).fit([[0.0], [1.0]], [0, 1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/model.safetensors"
    ...     save_model(classifier, path, recalibration=Recalibration(-0.5, 0.8))
    ...     load_recalibration(path)
    Recalibration(intercept=-0.5, slope=0.8)
    """
    description, _ = read_model_file(path)
    with _one_error(path, "recalibration"):
        _refuse_other_formats(description)
        kept = description.get("recalibration")
        return None if kept is None else Recalibration(**kept)


@contextmanager
def _one_error(path, what="model"):
    """Turn whatever an untrusted model file makes go wrong into one type of error."""
    try:
        yield
    except (ModelFileError, Warning):
        raise
    except Exception as error:
        raise ModelFileError(
            f"{os.fspath(path)!r} holds no usable {what}: {error!s:.500}"
        ) from error


def _refuse_other_formats(description):
    found = description["format"]
    if found != _FORMAT:
        writer = description["versions"]["skosfusion"]
        raise ValueError(
            f"it was saved by skosfusion {writer!r:.50} in the format {found!r:.50}, and this "
            f"version ({__version__}) reads the format {_FORMAT}; load it with the version that "
            "saved it, or fit the model again and save it with this one"
        )
