"""What CLAIM and TRIPOD+AI ask for: answered in this report, or yours to write.

The words are ours; the items are numbered as in Tejani et al., "Checklist for Artificial
Intelligence in Medical Imaging (CLAIM): 2024 update", Radiology: Artificial Intelligence 6
(2024) e240300, and in Collins et al., "TRIPOD+AI statement", BMJ 385 (2024) e078378.
"""

from ._document import Section, Table

# Number, what is asked, and the section that answers it.
_CLAIM = [
    ("1", "title names the study as one of AI, and the kind of it", None),
    ("2", "structured summary", None),
    ("3", "background, intended use", None),
    ("4", "aims and hypotheses", None),
    ("5", "prospective or retrospective", None),
    ("6", "goal of the study", None),
    ("7", "sources of data", None),
    ("8", "inclusion and exclusion", "flow"),
    ("9", "preprocessing", "recipe"),
    ("10", "selection of parts of the data", "flow"),
    ("11", "de-identification", None),
    ("12", "how missing data were handled", "recipe"),
    ("13", "how images were acquired", None),
    ("14", "reference standard", None),
    ("15", "why this reference standard", None),
    ("16", "who annotated", None),
    ("17", "annotation of the test set", None),
    ("18", "variability of annotators", None),
    ("19", "how data were parted", "recipe"),
    ("20", "level at which parts are disjoint, as of patients", "leakage"),
    ("21", "size of the test set, and how it was chosen", None),
    ("22", "model in detail", "recipe"),
    ("23", "software and versions", "recipe"),
    ("24", "initial parameters, transfer learning", "recipe"),
    ("25", "training in detail", "recipe"),
    ("26", "how the final model was chosen", None),
    ("27", "ensembles", None),
    ("28", "metrics", "rows"),
    ("29", "uncertainty", "rows"),
    ("30", "robustness or sensitivity", "sites"),
    ("31", "explanations", "gallery"),
    ("32", "evaluation on internal data", "rows"),
    ("33", "testing on external data", None),
    ("34", "registration of a trial", None),
    ("35", "numbers of patients, included and excluded", "flow"),
    ("36", "characteristics of patients, of each part of the data", "table_one"),
    ("37", "performance with uncertainty", "rows"),
    ("38", "diagnostic performance and its precision", "rows"),
    ("39", "analysis of failures", None),
    ("40", "limits of the study", None),
    ("41", "implications for practice", None),
    ("42", "where the full protocol is", None),
    ("43", "availability of code, model and data", None),
    ("44", "funding", None),
]
_TRIPOD = [
    ("1", "title", None),
    ("2", "abstract", None),
    ("3a", "context and rationale", None),
    ("3b", "target population, purpose, users", None),
    ("3c", "known inequalities", None),
    ("4", "objectives", None),
    ("5a", "sources of data", None),
    ("5b", "dates of accrual and follow-up", None),
    ("6a", "setting and places", None),
    ("6b", "who was eligible", "flow"),
    ("6c", "treatments", None),
    ("7", "preparation of data", "recipe"),
    ("8a", "outcome", None),
    ("8b", "who judged the outcome: qualifications", None),
    ("8c", "blinding of the outcome", None),
    ("9a", "choice of predictors", None),
    ("9b", "definition of predictors", None),
    ("9c", "who judged predictors: qualifications", None),
    ("10", "sample size, and why it suffices", None),
    ("11", "how missing data were handled, why data were left out", "recipe"),
    ("12a", "how data were used and parted", "recipe"),
    ("12b", "how predictors were handled", "recipe"),
    ("12c", "type of model, building, internal validation", "recipe"),
    ("12d", "differences between clusters", "sites"),
    ("12e", "measures of performance, and plots", "calibration"),
    ("12f", "updating of the model", None),
    ("12g", "how predictions were calculated", "recipe"),
    ("13", "what was done about class imbalance, and recalibration after", None),
    ("14", "what was done for fairness, and why", None),
    ("15", "output of the model, thresholds", "rows"),
    ("16", "differences of training and evaluation data", None),
    ("17", "ethical approval", None),
    ("18a", "funding", None),
    ("18b", "conflicts of interest", None),
    ("18c", "protocol", None),
    ("18d", "registration", None),
    ("18e", "sharing of data", None),
    ("18f", "sharing of code", None),
    ("19", "involvement of patients and the public", None),
    ("20a", "flow of participants, with and without the outcome", "flow"),
    ("20b", "characteristics of participants, and missing data", "table_one"),
    ("20c", "comparison with the development data", None),
    ("21", "numbers of participants and events in each analysis", "table_one"),
    ("22", "full model, and how it can be had", None),
    ("23a", "performance with intervals, subgroups", "subgroups"),
    ("23b", "differences between clusters", "sites"),
    ("24", "results of updating", None),
    ("25", "interpretation", None),
    ("26", "limits", None),
    ("27a", "poor or missing input at use", None),
    ("27b", "what users must do and know", None),
    ("27c", "next steps", None),
]


def checklists(sections):
    """Return both lists; an item is answered where its section had something to be filled with."""
    filled = {section.key: section.title for section in sections if section.given}
    found = []
    for key, title, items in (("claim", "CLAIM", _CLAIM), ("tripod", "TRIPOD+AI", _TRIPOD)):
        rows = [
            [n, asked, f"answered here: {filled[of]}" if of in filled else "yours to write"]
            for n, asked, of in items
        ]
        table = Table(key, f"Items of {title}, in our words", ["item", "asks for", ""], rows)
        section = Section(key, f"{title} items", tables=[table])
        section.paragraphs.append(
            '"answered here" means that figures or settings are there; the text of a paper, and '
            "whether they suffice, are yours."
        )
        found.append(section)
    return found
