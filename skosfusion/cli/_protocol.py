"""From the options to data, folds and a pipeline that is ready to be fitted."""

import textwrap

from sklearn.utils import Bunch

from ..datasets import get_data_home
from ..exceptions import WeightsError
from ._cohort import choose_rows, find_leaks, make_clinical, make_folds, unseen_categories
from ._errors import data_problems
from ._output import Output
from ._tables import load, source_of


def prepare(options, output=None):
    """Load, check and split the data, find the encoder, and encode the images once."""
    output = Output() if output is None else output
    embedded = is_embedded(options)
    output.say("drawing the cohort" if embedded else "reading the tables")
    with data_problems():
        cohort = load(options, output)
        rows = choose_rows(options.rows, cohort)
        folds = make_folds(options, cohort)
        clinical = make_clinical(cohort, rows, folds, options)
    source = describe_cohort(cohort, options, output)
    with data_problems():
        leakage = find_leaks(options, cohort, folds, output)
    for text in unseen_categories(cohort, folds):
        output.warn(text)
    split = f"{options.folds} folds by patient"
    if options.image_wise:
        split = (
            f"{options.folds} folds by image, LEAKING: {leakage.n_leaking_patients} patients are "
            "in both the training and the test set, so the scores are too good"
        )
    output.say(split)

    # What is wrong with the tables is said before torch is loaded, which takes seconds.
    from ..pipeline import make_fusion_pipeline
    from ._model import model_of

    chosen, model = model_of(options, output)
    memory = get_data_home(options.data_home) / "memory"
    engine = "eager"
    if model["frozen_epochs"] != 0:
        engine = encode(cohort, memory, model, output)
    two_stages = "encoder fixed throughout"
    if options.frozen_epochs != "all":
        two_stages = f"encoder fixed for {options.frozen_epochs} epochs, then trained"
    size = options.image_size
    pixels = "" if size is None else f", images of {size} x {size} pixels"
    recipe = "" if options.recipe == "paper" else f"recipe {options.recipe}, "
    encoding = f"{chosen.description}{pixels}, {two_stages}, {recipe}{options.optimizer}"
    pipeline = make_fusion_pipeline(
        recipe=options.recipe, clinical=clinical, memory=memory, verbose=0, **model
    )
    return Bunch(
        cohort=cohort,
        rows=rows,
        folds=folds,
        leakage=leakage,
        model=model,
        memory=memory,
        pipeline=pipeline,
        settings=settings_of(options, chosen, model),
        title=f"{source}\n{encoding}; {split}",
        weights=chosen.description,
        engine=engine,
    )


def settings_of(options, chosen, model):
    """Return what decides the scores of a run beside the data."""
    from ._machine import versions
    from ._units import weights_digest

    recipe = {} if options.recipe == "paper" else {"recipe": options.recipe}
    others = {
        "optimizer": options.optimizer,
        "weights_file": weights_digest(chosen.weights),
        "versions": versions(),
    }
    return model | recipe | others


def is_embedded(options):
    """Return whether the embedded cohort is asked for."""
    return options.image_table is None and not options.folders


def describe_cohort(cohort, options, output):
    """Say what was loaded, and return its name."""
    n_patients, n_images = len(set(cohort.groups)), len(cohort.data)
    embedded = is_embedded(options)
    source = "embedded SYNTHETIC cohort" if embedded else source_of(options)
    output.say(f"{source}: {n_patients} patients, {n_images} images, {_positive(cohort)}")
    if not embedded:
        output.say(textwrap.indent(cohort.DESCR.strip(), "    "))
    return source


def _positive(cohort):
    labels = set(cohort.target.tolist())
    return f"{int(cohort.target.sum())} positive" if labels <= {0, 1} else f"{len(labels)} labels"


def encode(cohort, memory, model, output):
    """Fit one epoch on everything, which encodes each image once; return the engine that did it.

    All fits find the features.
    """
    from ..classifier import FusionClassifier, shared_feature_cache

    output.say("encoding the images")
    options = model | {"max_epochs": 1, "frozen_epochs": "all"}
    first = FusionClassifier(image_column="image", memory=memory, **options)
    try:
        first.fit(cohort.data[["image"]], cohort.target)
    except WeightsError:
        raise
    except OSError:
        with data_problems():
            raise
    info = shared_feature_cache().info()
    output.say(
        f"features: {info.misses} computed, {info.folder_hits} found in {memory}, "
        f"{info.n_bytes / 2**20:.1f} MB, engine {first.module_.engine}"
    )
    return first.module_.engine
