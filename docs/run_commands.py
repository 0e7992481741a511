"""Run every command of the README and of the pages in `docs/`, in a folder with small tables.

A comment above a block of commands says what is different here: ``<!-- in CI: add OPTIONS -->``
makes them small, ``<!-- in CI: skip, REASON -->`` leaves them out, and so do ``main job`` and
``tests``, which `.ci/run` has steps for. Setting up an environment is left out, too: the package
is that of the Python that runs this.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from skosfusion.datasets import make_osteosarcoma_cohort

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"(?:<!-- (?P<note>[^\n]*) -->\n)?```sh\n(?P<commands>.*?)```", re.DOTALL)
_ENVIRONMENT = re.compile(r"^python3 -m venv \.venv && \S+ -m pip install [^&]*&& ")
_HAS_OWN_STEP = {"main job": "the small ablation is this", "tests": "the first step is this"}
_N_PATIENTS = 60


def commands_of(page):
    """Return what a page tells its reader to run: (command, options to add, reason to skip)."""
    found = []
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        note = block["note"] or ""
        kind, _, rest = note.removeprefix("in CI: ").partition(" ")
        reason = _HAS_OWN_STEP.get(note) or (rest if kind == "skip," else None)
        text = re.sub(r"\\\n\s*", " ", block["commands"])
        lines = [re.sub(r"\s+# .*", "", line).strip() for line in text.splitlines()]
        found += [(line, rest if kind == "add" else "", reason) for line in lines if line]
    return found


def as_run(command, options):
    """Return a command for the Python that runs this."""
    command = _ENVIRONMENT.sub("", command)
    python = f"'{sys.executable}'"
    command = re.sub(r"(^|&& )(\.venv/bin/)?python(?= )", rf"\1{python}", command)
    command = re.sub(r"(^|&& )skosfusion(?= )", rf"\1{python} -m skosfusion", command)
    return f"{command} {options}".strip()


def make_tables(folder):
    """Write the tables and images that the pages speak of, from the synthetic cohort."""
    cohort = make_osteosarcoma_cohort(n_patients=_N_PATIENTS, image_size=96)
    frame = cohort.frame
    os.symlink(os.path.dirname(frame["image"].iloc[0]), folder / "radiographs")
    names = frame["image"].map(os.path.basename)
    said = pd.Series(cohort.target).map({0: "no finding", 1: "osteosarcoma"})
    images = pd.DataFrame({"image": names, "patient_id": frame["patient_id"], "diagnosis": said})
    images.to_csv(folder / "images.csv", index=False)
    records = frame.drop(columns=["image", "diagnosis"]).drop_duplicates("patient_id")
    records.to_csv(folder / "records.csv", index=False)
    frame.assign(image=names).drop(columns="diagnosis").to_csv(folder / "new.csv", index=False)


def main():
    """Run all commands; stop at the first that fails."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "work")
        folder.mkdir()
        for name in ("benchmarks", "tests", "examples", "docs"):
            os.symlink(ROOT / name, folder / name)
        shared = ROOT.parent / "shared"
        if shared.is_dir():
            os.symlink(shared, Path(place, "shared"))
        make_tables(folder)
        done_before = set()
        for page in PAGES:
            for command, options, reason in commands_of(page):
                if reason is None and "../shared/" in command and not shared.is_dir():
                    reason = "real radiographs are not here"
                if command in done_before:
                    reason = "it has run"
                done_before.add(command)
                if reason is not None:
                    print(f"{page.name}: not run ({reason}): {command}", flush=True)
                    continue
                print(f"{page.name}: {command} {options}", flush=True)
                started = time.monotonic()
                # The commands are those of our own pages.
                done = subprocess.run(  # noqa: S603
                    ["/bin/bash", "-euo", "pipefail", "-c", as_run(command, options)],
                    cwd=folder,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                if done.returncode:
                    sys.exit(f"{done.stdout[-4000:]}\nexit code {done.returncode}: {command}")
                print(f"    {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
