"""The command `fit`: a model of all rows, kept in a file."""

from pathlib import Path

from ..datasets import get_data_home
from ..inspection import summarize_training
from ..persistence import import_skops, save_model
from ..pipeline import make_fusion_pipeline
from ._cohort import clinical_transformer, inputs_of
from ._errors import UsageError, data_problems
from ._model import model_of
from ._protocol import describe_cohort, encode, is_embedded, settings_of
from ._recalibrate import check_same_run, choose_row, read_ablation, recalibration_of
from ._tables import load


def run(options, output):
    """Fit and save a model, and return the record for scripts."""
    path = Path(options.model)
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--model {path}: there is no folder {str(path.absolute().parent)!r}")
    import_skops()  # what saving needs is missed now, and not after the training
    ablation, requested = None, options.inputs
    if options.ablation is not None:
        ablation = read_ablation(options.ablation)
        row = choose_row(ablation, options.row)
        requested = _inputs_of_row(ablation, row, requested)
    output.say("drawing the cohort" if is_embedded(options) else "reading the tables")
    with data_problems():
        cohort = load(options, output)
        clinical = clinical_transformer(cohort.inputs, options)
        used = _choose_inputs(requested, cohort)
        unused = {name: "drop" for name, *_ in clinical.transformers if name not in used}
        clinical.set_params(**unused)
    source = describe_cohort(cohort, options, output)
    chosen, model = model_of(options, output)
    recalibration = None
    if ablation is not None:
        check_same_run(ablation, options, settings_of(options, chosen, model), cohort)
        recalibration = recalibration_of(ablation, row, cohort, options)
        output.say(
            f"recalibrated by row {row!r} of {options.ablation}: intercept "
            f"{recalibration.intercept:.3f}, slope {recalibration.slope:.3f}"
        )
    memory = get_data_home(options.data_home) / "memory"
    if model["frozen_epochs"] != 0:
        encode(cohort, memory, model, output)
    pipeline = make_fusion_pipeline(
        recipe=options.recipe, clinical=clinical, memory=memory, verbose=0, **model
    )
    output.say(f"fitting: {chosen.description}, inputs {', '.join(used)}")
    pipeline.fit(cohort.data, cohort.target)
    summary = summarize_training(pipeline, cohort.data, groups=cohort.groups)
    save_model(pipeline, path, summary=summary, recalibration=recalibration)
    output.say(f"written: {path}")
    classes = pipeline.classes_.tolist()
    if len(classes) == 2:
        output.say(f"its probabilities are those of {classes[1]!r} ({cohort.target_names[1]})")
    return {
        "model": str(path),
        "source": source,
        "inputs": used,
        "classes": classes,
        "n_patients": len(set(cohort.groups)),
        "n_images": len(cohort.data),
        "recalibration": None if recalibration is None else vars(recalibration),
        "configuration": options.configuration,
    }


def _inputs_of_row(ablation, row, requested):
    """Return the inputs of a row; others that are asked for are refused."""
    inputs = ablation["rows"][row] or ["none"]
    if requested is not None and set(requested) != set(inputs):
        raise UsageError(
            f"--inputs {' '.join(requested)} are not those of row {row!r}, {', '.join(inputs)}; "
            "leave --inputs out, or name another --row"
        )
    return inputs


def _choose_inputs(requested, cohort):
    """Return the steps to keep, the image first."""
    inputs = inputs_of(cohort)
    if requested is None:
        return ["image", *inputs]
    requested = [] if requested == ["none"] else requested
    unknown = [name for name in requested if name not in inputs]
    if unknown:
        raise UsageError(f"--inputs {unknown[0]!r} is none of {', '.join(inputs) or 'none'}")
    return ["image", *(name for name in inputs if name in requested)]
