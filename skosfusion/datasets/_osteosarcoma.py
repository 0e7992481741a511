"""The embedded synthetic cohort of knee radiographs with clinical values."""

import hashlib
import io
import json
from numbers import Integral

import joblib
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.utils import check_scalar

from .._utils.files import sweep_temporary_files, write_atomically
from .._utils.kept_columns import KEPT
from .._utils.progress import progress_bar
from ..preprocessing import PAPER_KITS
from ._cohort import Cohort
from ._data_home import get_data_home
from ._flow import as_table, describe_flow, first_step, next_step
from ._synthetic import _cohort_plan
from ._synthetic._knee import draw_knee
from ._tables import FLOW

# Increase this when other knees are drawn or planned: an older folder is then left alone.
COHORT_FORMAT = 1
TARGET_NAMES = ["non-tumor", "osteosarcoma"]

DESCR = """\
Synthetic osteosarcoma cohort
=============================

Everything here is SYNTHETIC. No image shows a person and no value was measured. The cohort is a
test bed for software; nothing medical may be concluded from it.

It has the shape of a published cohort that is private: by default 848 patients aged 4 to 81 years
(454 with a knee injury, 394 with osteosarcoma), 2608 radiographs (1432 and 1176), and one clinical
record per patient: gender, age, alkaline phosphatase (ALP) and lactate dehydrogenase (LDH) in U/L
with the limits of the kit that measured them.

The radiographs are drawn: attenuation of soft tissue, bones and lesions, then a film curve.
Osteosarcomas show cloud-like and sunburst new bone, Codman's triangle, destruction and a
soft-tissue mass, from hidden to unmistakable. Many controls, and some patients with a tumor, have
benign findings, some of which look like a tumor.

The kits print limits for adults, whoever the patient is: growing children exceed those of ALP in
both classes.

Ages, sexes and enzyme activities follow, rounded:
- age and sex in osteosarcoma: Mirabello et al., Cancer 115 (2009) 1531; Cole et al., Cancer 128
  (2022) 2107
- knee injuries: Majewski et al., The Knee 13 (2006) 184
- reference intervals by age and sex: Colantonio et al., Clin Chem 58 (2012) 854 (CALIPER);
  Rustad et al., Scand J Clin Lab Invest 64 (2004) 271; WS/T 404-2012; older methods: Thomas,
  Clinical Laboratory Diagnostics (1998)
- raised ALP and LDH in osteosarcoma: Bacci et al., J Pediatr Hematol Oncol 24 (2002) 27; ESMO
  Congress 2022, abstract 1508P
- tumor sites: Ottaviani, Jaffe, Cancer Treat Res 152 (2009) 3
- benign findings: Seo et al., Clin Orthop Surg 6 (2014) 305; Karaca, Balaban, J Ankara Univ Fac
  Med 75 (2022) 268
"""


def make_osteosarcoma_cohort(
    *,
    n_patients=848,
    n_images=None,
    image_size=256,
    random_state=0,
    data_home=None,
    n_jobs=None,
):
    """Make a synthetic cohort of knee radiographs with clinical values.

    The images are drawn once and kept on disk; later calls find them there. An interrupted call
    goes on where it stopped, and an image that is missing or cut short is drawn anew. The same
    parameters give the same values and, with the same versions of NumPy, SciPy and Pillow, the same
    files byte for byte, whatever `n_jobs` is.

    Parameters
    ----------
    n_patients : int, default=848
        Number of patients, at least 2. The classes keep the proportions of the paper (454 to 394).
    n_images : int or None, default=None
        Number of images, at least `n_patients`; each patient has at least one. None: as many per
        patient as in the paper, 2608 for 848 patients.
    image_size : int, default=256
        Height and width of the images in pixels, 64 to 1024.
    random_state : int, default=0
        Seed, 0 or greater. Only an int, because it names the folder on disk.
    data_home : str, path-like or None, default=None
        Folder under which the images are kept. None: the environment variable
        ``SKOSFUSION_DATA``, else ``~/.cache/skosfusion``.
    n_jobs : int or None, default=None
        Number of processes that draw, as in joblib. None: one.

    Returns
    -------
    cohort : Cohort
        A Bunch, of which notebooks show a summary.

        data : DataFrame of shape (n_images, 10)
            One row per image: `image` (absolute path), `patient_id`, `gender` ("F" or "M"), `age`
            (whole years, 4 to 81), `alp`, `alp_low`, `alp_high`, `ldh`, `ldh_low`, `ldh_high`
            (activity and the kit's limits of normal for adults; U/L).
        target : ndarray of shape (n_images,), int64
            1 for osteosarcoma, 0 for non-tumor.
        groups : ndarray of shape (n_images,), object
            The patient of each image.
        frame : DataFrame of shape (n_images, 11)
            `data` and the column `diagnosis`, one of `target_names`.
        kept : DataFrame of shape (n_images, 0)
            Columns that are no inputs, as of :func:`load_cohort`; there are none.
        flow : DataFrame
            Counts of images and patients, as of :func:`load_cohort`; nothing is left out.
        target_names : list of str
            ``["non-tumor", "osteosarcoma"]``.
        DESCR : str
            Description and sources.
        tumor_boxes : ndarray of shape (n_images, 4), float64
            Left, top, right and bottom of the drawn tumor in pixels; NaN without tumor.
        kits : dict of str to tuple of str
            For each enzyme its columns: value, lower and upper limit.
        numbers, categories : dict
            Further inputs; none.
        inputs : dict
            All inputs, as :func:`load_cohort` returns them.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not of its type or out of its range.
    OSError
        If the folder cannot be written.

    See Also
    --------
    sklearn.model_selection.StratifiedGroupKFold : Folds that keep a patient's images together.

    Notes
    -----
    The cohort is a test bed for software; nothing medical may be concluded from it.

    Examples
    --------
    >>> import tempfile
    >>> from skosfusion.datasets import make_osteosarcoma_cohort
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cohort = make_osteosarcoma_cohort(n_patients=4, image_size=64, data_home=folder)
    >>> cohort.data.shape, cohort.target_names
    ((12, 10), ['non-tumor', 'osteosarcoma'])
    """
    _check_parameters(n_patients, n_images, image_size, random_state)
    n_images = sum(_cohort_plan.class_counts(n_patients, n_images)[1])
    patients = _cohort_plan.plan_cohort(n_patients, n_images, int(random_state))
    parameters = {
        "format": COHORT_FORMAT,
        "n_patients": int(n_patients),
        "n_images": int(n_images),
        "image_size": int(image_size),
        "random_state": int(random_state),
        "visibility": _cohort_plan.VISIBILITY_BETA,
        "look_alikes": _cohort_plan.LOOK_ALIKE_SHARE,
    }
    text = json.dumps(parameters, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    folder = get_data_home(data_home) / f"osteosarcoma-v{COHORT_FORMAT}-{digest}"
    try:
        images = _provide_images(folder, patients, int(image_size), parameters, n_jobs)
    except OSError as error:
        raise OSError(
            f"the cohort cannot be kept in folder {str(folder)!r} ({error}); give a folder that "
            "can be written with data_home=..., or set the environment variable SKOSFUSION_DATA"
        ) from error
    return _as_bunch(folder, patients, images)


def _check_parameters(n_patients, n_images, image_size, random_state):
    check_scalar(n_patients, "n_patients", Integral, min_val=2)
    if n_images is not None:
        check_scalar(n_images, "n_images", Integral, min_val=n_patients)
    check_scalar(image_size, "image_size", Integral, min_val=64, max_val=1024)
    check_scalar(random_state, "random_state", Integral, min_val=0)


def _provide_images(folder, patients, image_size, parameters, n_jobs):
    """Return name -> {size, sha256, box} of all images, drawing those that are not there."""
    manifest = folder / "manifest.json"
    known = _read_json(manifest).get("images")
    complete = isinstance(known, dict)
    known = known if complete else {}
    notes = folder / "unfinished"
    if not complete:
        # One note per finished patient lets an interrupted call go on.
        for patient in patients:
            known.update(_read_json(notes / f"{patient.patient_id}.json"))
    missing = [patient for patient in patients if not _is_there(folder, patient, known)]
    if missing:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        notes.mkdir(exist_ok=True)
        tasks = (joblib.delayed(_draw_patient)(folder, p, image_size) for p in missing)
        total = sum(len(patient.views) for patient in missing)
        with progress_bar(total=total, desc="drawing", unit="image", shown=None) as bar:
            for drawn in joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(tasks):
                known.update(drawn)
                bar.update(len(drawn))
    if missing or not complete:
        images = {name: known[name] for patient in patients for name in patient.file_names}
        content = {"parameters": parameters, "images": images}
        write_atomically(manifest, json.dumps(content, indent=1).encode())
        sweep_temporary_files(folder / "images")
        for patient in patients:
            (notes / f"{patient.patient_id}.json").unlink(missing_ok=True)
    return known


def _read_json(path):
    """Return the content of a JSON object file; empty where there is none or it is damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_there(folder, patient, known):
    """Return whether all images of a patient are on disk in the size that was noted."""
    for name in patient.file_names:
        try:
            if (folder / "images" / name).stat().st_size != known[name]["size"]:
                return False
        except (KeyError, TypeError, FileNotFoundError):
            return False
    return True


def _draw_patient(folder, patient, image_size):
    """Draw and write the images of one patient; return what the manifest says of them."""
    drawn = {}
    for name, view, seed in zip(patient.file_names, patient.views, patient.seeds, strict=True):
        pixels, box = draw_knee(patient.subject, view, np.random.default_rng(seed), image_size)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        content = buffer.getvalue()
        write_atomically(folder / "images" / name, content)
        digest = hashlib.sha256(content).hexdigest()
        drawn[name] = {"size": len(content), "sha256": digest, "box": box}
    note = folder / "unfinished" / f"{patient.patient_id}.json"
    write_atomically(note, json.dumps(drawn).encode())
    return drawn


def _as_bunch(folder, patients, images):
    rows, target, boxes = [], [], []
    for patient in patients:
        for name in patient.file_names:
            path = str(folder / "images" / name)
            rows.append({"image": path, "patient_id": patient.patient_id, **patient.record})
            target.append(int(patient.has_tumor))
            boxes.append(images[name]["box"] or [np.nan] * 4)
    data = pd.DataFrame(rows)
    target = np.array(target, dtype=np.int64)
    kept = pd.DataFrame(index=data.index)
    frame = data.assign(diagnosis=np.array(TARGET_NAMES)[target])
    inputs = {"gender": "gender", "age": "age", "kits": dict(PAPER_KITS)}
    inputs |= {"numbers": {}, "categories": {}}
    counts = len(data), len(patients)
    steps = [first_step("make_osteosarcoma_cohort", "images drawn", *counts)]
    steps.append(next_step(steps[0], "make_osteosarcoma_cohort", "rows of the cohort", *counts))
    frame.attrs = {KEPT: [], FLOW: steps}
    flow = as_table(steps)
    return Cohort(
        data=data,
        target=target,
        groups=data["patient_id"].to_numpy(dtype=object),
        kept=kept,
        frame=frame,
        flow=flow,
        target_names=list(TARGET_NAMES),
        DESCR=f"{DESCR}\n{describe_flow(flow)}\n",
        tumor_boxes=np.array(boxes, dtype=np.float64),
        inputs=inputs,
        kits=inputs["kits"],
        numbers={},
        categories={},
    )
