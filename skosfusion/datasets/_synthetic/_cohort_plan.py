"""Who is in the synthetic cohort, and what each image is to show; nothing is drawn here."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from ._clinical_statistics import draw_activity, draw_person, measure
from ._knee import VIEWS, Subject
from ._knee_findings import Finding
from ._knee_tumor import Tumor

# The cohort of the paper: patients and images of the two classes, non-tumor first.
PAPER_PATIENTS = (454, 394)
PAPER_IMAGES = (1432, 1176)

# How hard the images are. Visibility of the tumors (0 hidden, 1 unmistakable) is drawn from a
# Beta distribution; a share of the patients of each class has a finding that may pass for a tumor.
VISIBILITY_BETA = (2.6, 1.0)
LOOK_ALIKE_SHARE = (0.40, 0.12)
BURDEN_VISIBILITY_CORRELATION = 0.5

# Share of osteosarcomas about the knee, and where along the bone they sit (mean, spread; mm).
# Femur to tibia as in G. Ottaviani, N. Jaffe, Cancer Treat Res 152 (2009) 3: 42 % to 19 %.
TUMOR_SITES = {
    "femur": (0.63, -60.0, 9.0),
    "tibia": (0.29, 38.0, 7.0),
    "fibula": (0.08, 38.0, 6.0),
}
# After S. G. Seo et al., Clin Orthop Surg 6 (2014) 305 and M. O. Karaca, K. Balaban, J Ankara Univ
# Fac Med 75 (2022) 268, with what injuries and their treatment leave behind; shares rounded.
LOOK_ALIKES_YOUNG = {"fibrous_defect": 0.4, "osteochondroma": 0.15, "bone_island": 0.1,
                     "callus": 0.2, "myositis": 0.15}  # fmt: skip
LOOK_ALIKES_ADULT = {"bone_island": 0.2, "infarct": 0.2, "callus": 0.25, "myositis": 0.15,
                     "screw": 0.15, "osteochondroma": 0.05}  # fmt: skip


@dataclass(frozen=True)
class Patient:
    """One patient: clinical record, what the images show, and a view and a seed for each."""

    patient_id: str
    has_tumor: bool
    record: dict
    subject: Subject
    views: tuple[str, ...]
    seeds: tuple[np.random.SeedSequence, ...]

    @property
    def file_names(self):
        """Names of the image files, which tell nothing of the diagnosis."""
        return [f"{self.patient_id}_{number}.png" for number in range(1, len(self.views) + 1)]


def class_counts(n_patients, n_images=None):
    """Return the numbers of patients and of images, each (non-tumor, tumor), as in the paper."""
    share = PAPER_PATIENTS[1] / sum(PAPER_PATIENTS)
    tumors = min(max(round(n_patients * share), 1), n_patients - 1)
    patients = (n_patients - tumors, tumors)
    wanted = [n * i / p for n, i, p in zip(patients, PAPER_IMAGES, PAPER_PATIENTS, strict=True)]
    if n_images is None:
        return patients, (round(wanted[0]), round(wanted[1]))
    images = round(n_images * wanted[1] / sum(wanted))
    images = min(max(images, tumors), n_images - patients[0])
    return patients, (n_images - images, images)


def plan_cohort(n_patients, n_images, random_state):
    """Draw all patients of a cohort, in random order; the same arguments give the same patients."""
    first, *seeds = np.random.SeedSequence(random_state).spawn(n_patients + 1)
    rng = np.random.default_rng(first)
    patients, images = class_counts(n_patients, n_images)
    labels = rng.permutation(np.repeat([0, 1], patients))
    n_views = np.ones(n_patients, dtype=int)
    for label in (0, 1):
        extra, n = images[label] - patients[label], patients[label]
        n_views[labels == label] += rng.multinomial(extra, np.full(n, 1 / n))
    digits = max(4, len(str(n_patients)))
    return [
        _plan_patient(f"P{number:0{digits}d}", bool(label), int(count), seed)
        for number, (label, count, seed) in enumerate(zip(labels, n_views, seeds, strict=True), 1)
    ]


def _plan_patient(patient_id, has_tumor, n_views, seed):
    own, *image_seeds = seed.spawn(1 + n_views)
    rng = np.random.default_rng(own)
    is_female, age = draw_person(rng, has_tumor)
    burden = float(rng.normal()) if has_tumor else None
    record = {"gender": "F" if is_female else "M", "age": age}
    for analyte in ("alp", "ldh"):
        activity = draw_activity(rng, analyte, age, is_female, burden)
        names = (analyte, f"{analyte}_low", f"{analyte}_high")
        record.update(zip(names, measure(rng, analyte, activity), strict=True))
    tumor = _plan_tumor(rng, burden) if has_tumor else None
    findings = _plan_findings(rng, age, has_tumor)
    subject = Subject(age + rng.random(), is_female, _seed(rng), tumor, findings)
    # A first image from the front or side, then the other, then any.
    views = [*rng.permutation(VIEWS[:2]), VIEWS[2], *rng.choice(VIEWS, size=n_views)][:n_views]
    views = tuple(map(str, views))
    return Patient(patient_id, has_tumor, record, subject, views, tuple(image_seeds))


def _seed(rng):
    return int(rng.integers(2**63))


def _plan_tumor(rng, burden):
    correlation = BURDEN_VISIBILITY_CORRELATION
    score = correlation * burden + np.sqrt(1.0 - correlation**2) * rng.normal()
    visibility = float(special.betaincinv(*VISIBILITY_BETA, special.ndtr(score)))
    site = str(rng.choice(list(TUMOR_SITES), p=[share for share, *_ in TUMOR_SITES.values()]))
    _, mean, spread = TUMOR_SITES[site]
    return Tumor(
        bone=site,
        # Near enough to the joint that every image of the knee holds the middle of the tumor.
        level=mean + spread * float(np.clip(rng.normal(), -1.5, 1.5)),
        half_length=float(rng.uniform(12.0, 26.0) + 10.0 * visibility),
        azimuth=float(rng.uniform(0.0, 2 * np.pi)),
        visibility=visibility,
        blastic=float(rng.beta(2.0, 1.1)),
        seed=_seed(rng),
    )


def _plan_findings(rng, age, has_tumor):
    kinds = []
    if rng.random() < LOOK_ALIKE_SHARE[has_tumor]:
        shares = LOOK_ALIKES_YOUNG if age < 20 else LOOK_ALIKES_ADULT
        kinds.append(str(rng.choice(list(shares), p=list(shares.values()))))
    chances = {
        "osteoarthritis": 0.85 * special.expit((age - 58) / 6),
        "vascular": 0.5 * special.expit((age - 70) / 5),
        "effusion": 0.15 if has_tumor else 0.3,
        "tubercle": 0.12 if 10 <= age <= 17 else 0.0,
    }
    kinds += [kind for kind, chance in chances.items() if rng.random() < chance]
    return tuple(_plan_finding(rng, kind) for kind in kinds)


def _plan_finding(rng, kind):
    bone = "femur" if rng.random() < 0.6 else "tibia"
    level = rng.normal(-62.0, 12.0) if bone == "femur" else rng.normal(42.0, 9.0)
    return Finding(
        kind=kind,
        bone=bone,
        level=float(level),
        azimuth=float(rng.uniform(0.0, 2 * np.pi)),
        extent=float(rng.beta(1.5, 2.0)),
        strength=float(rng.uniform(0.2, 1.0)),
        seed=_seed(rng),
    )
