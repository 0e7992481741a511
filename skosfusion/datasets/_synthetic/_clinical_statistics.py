"""Age, sex and serum enzymes of osteosarcoma patients and of controls with a knee injury.

The numbers follow published statistics, rounded; single patients are drawn from them at random.

References
----------
.. [1] L. Mirabello, R. J. Troisi, S. A. Savage, "Osteosarcoma incidence and survival rates from
   1973 to 2004", Cancer 115 (2009) 1531. Two age peaks; over all sites 53 %, 28 % and 19 % of cases
   below 25, at 25 to 59 and from 60 years, the elderly less often in the long bones of the leg.
.. [2] S. Cole, D. M. Gianferante, B. Zhu, L. Mirabello, "Osteosarcoma: a Surveillance,
   Epidemiology, and End Results program-based analysis from 1975 to 2017", Cancer 128 (2022) 2107.
   Sexes alike below 10 years, more males later.
.. [3] M. Majewski, S. Habelt, K. Steinbrück, "Epidemiology of athletic knee injuries: a 10-year
   study", The Knee 13 (2006) 184. 68 % men, 43 % between 20 and 29 years. Meniscus tears from
   outside sport are added as an older tail.
.. [4] D. A. Colantonio et al., "Closing the gaps in pediatric laboratory reference intervals: a
   CALIPER database of 40 biochemical markers", Clinical Chemistry 58 (2012) 854. Alkaline
   phosphatase and lactate dehydrogenase by age and sex.
.. [5] "Pre-treatment high serum alkaline phosphatase level as a prognostic factor for patients with
   localized extremity osteosarcoma", ESMO Congress 2022, abstract 1508P. ALP raised in 42.5 %, LDH
   in 43.1 % of 153 patients.
.. [6] G. Bacci et al., "High-grade osteosarcoma of the extremity: differences between localized and
   metastatic tumors at presentation", J Pediatr Hematol Oncol 24 (2002) 27. Raised ALP in about
   half, raised LDH in about a third of the patients; both go with tumor burden.
.. [7] P. Rustad et al., "The Nordic Reference Interval Project 2000", Scand J Clin Lab Invest 64
   (2004) 271, and WS/T 404-2012, "Reference intervals for common clinical biochemistry tests",
   National Health Commission of China. Ranges of adults.
.. [8] L. Thomas, "Clinical Laboratory Diagnostics" (1998). Ranges of the older German standard
   methods (diethanolamine buffer; pyruvate to lactate), which read about twice as high.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Kit:
    """A reagent kit with the limits of normal that it prints for adults, in U/L."""

    method: str
    low: float
    high: float
    share: float  # of samples measured with it

    def measure(self, standard):
        """Read a standardized activity (0 lower, 1 upper limit of adults) in this kit's U/L."""
        return float(np.rint(self.low + standard * (self.high - self.low)))


# Method and limits: package inserts of the makers' systems, [7]_ and [8]_. The shares are ours.
KITS = {
    "alp": (
        Kit("IFCC, AMP buffer, Chinese standard WS/T 404.1", 45, 125, 0.35),
        Kit("IFCC, AMP buffer, Roche cobas", 40, 129, 0.25),
        Kit("AMP buffer, Beckman Coulter AU", 30, 120, 0.15),
        Kit("AMP buffer, Abbott Architect", 40, 150, 0.1),
        Kit("DGKC, diethanolamine buffer, 37 C", 98, 279, 0.15),
    ),
    "ldh": (
        Kit("IFCC, lactate to pyruvate, Chinese standard WS/T 404.7", 120, 250, 0.35),
        Kit("IFCC, lactate to pyruvate, Roche cobas", 135, 225, 0.2),
        Kit("IFCC, lactate to pyruvate, Abbott Architect", 125, 220, 0.2),
        Kit("DGKC, pyruvate to lactate, 37 C", 240, 480, 0.15),
        Kit("pyruvate to lactate, Ortho Vitros slide", 313, 618, 0.1),
    ),
}
# Central 95 % in U/L of an IFCC method by age (years, middle of the band), after [4]_ and [7]_.
_AGES = (5.5, 11.5, 14.0, 16.0, 18.0, 20.0)
REFERENCE_LIMITS = {
    ("alp", False): (_AGES, (156, 141, 127, 89, 59, 45), (369, 460, 517, 365, 164, 125)),
    ("alp", True): (_AGES, (156, 141, 62, 54, 48, 45), (369, 460, 280, 128, 100, 125)),
    ("ldh", False): (_AGES, (192, 170, 160, 130, 130, 120), (321, 283, 275, 250, 250, 250)),
    ("ldh", True): (_AGES, (192, 157, 145, 130, 130, 120), (321, 272, 260, 250, 250, 250)),
}
ADULT_LIMITS = {"alp": (45.0, 125.0), "ldh": (120.0, 250.0)}

# Age bands [from, to) in years with their share of patients.
OSTEOSARCOMA_AGES = {  # [1]_, [2]_; girls fall ill about two years earlier than boys
    False: ((4, 10, 0.07), (10, 15, 0.24), (15, 20, 0.32), (20, 25, 0.10), (25, 40, 0.12),
            (40, 60, 0.08), (60, 82, 0.07)),
    True: ((4, 10, 0.10), (10, 15, 0.33), (15, 20, 0.20), (20, 25, 0.07), (25, 40, 0.12),
           (40, 60, 0.09), (60, 82, 0.09)),
}  # fmt: skip
INJURY_AGES = ((4, 10, 0.02), (10, 15, 0.07), (15, 20, 0.13), (20, 30, 0.34), (30, 40, 0.20),
               (40, 50, 0.12), (50, 60, 0.07), (60, 82, 0.05))  # fmt: skip
MALE_SHARE_OSTEOSARCOMA = 1.3 / 2.3  # male to female 1.3 : 1, [1]_, [2]_
MALE_SHARE_INJURY = 0.66  # [3]_

# Rise of the logarithm of the activity by a tumor: mean and spread of a normal distribution cut at
# 0, and its correlation with the burden of disease. They raise ALP above the limit for age and sex
# in about 45 % and LDH in about 35 % of patients: [5]_, [6]_.
TUMOR_RISE = {"alp": (0.48, 0.65), "ldh": (0.15, 0.45)}
BURDEN_CORRELATION = 0.45


def draw_person(rng, has_tumor):
    """Draw whether a patient is female, and the age in whole years, 4 to 81."""
    male_share = MALE_SHARE_OSTEOSARCOMA if has_tumor else MALE_SHARE_INJURY
    is_female = bool(rng.random() >= male_share)
    bands = OSTEOSARCOMA_AGES[is_female] if has_tumor else INJURY_AGES
    low, high, _ = bands[rng.choice(len(bands), p=[share for *_, share in bands])]
    return is_female, int(rng.integers(low, high))


def reference_limits(analyte, age, is_female):
    """Limits in U/L of the central 95 % of healthy people of an age and sex (IFCC method)."""
    ages, lows, highs = REFERENCE_LIMITS[analyte, is_female]
    return float(np.interp(age, ages, lows)), float(np.interp(age, ages, highs))


def draw_activity(rng, analyte, age, is_female, burden=None):
    """Draw a serum enzyme activity in U/L (IFCC); `burden` is a tumor's standard normal score."""
    low, high = np.log(reference_limits(analyte, age, is_female))
    activity = (low + high) / 2 + (high - low) / (2 * 1.96) * rng.normal()
    if burden is not None:
        mean, spread = TUMOR_RISE[analyte]
        own = np.sqrt(1.0 - BURDEN_CORRELATION**2) * rng.normal()
        activity += max(0.0, mean + spread * (BURDEN_CORRELATION * burden + own))
    return float(np.exp(activity))


def measure(rng, analyte, activity):
    """Measure an activity with a kit drawn at random: value, lower and upper limit in its U/L."""
    kits = KITS[analyte]
    kit = kits[rng.choice(len(kits), p=[kit.share for kit in kits])]
    low, high = ADULT_LIMITS[analyte]
    return kit.measure((activity - low) / (high - low)), float(kit.low), float(kit.high)
