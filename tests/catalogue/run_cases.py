"""Run the small programs of `cases`, each in a process of its own, and say which show their fault.

`python tests/catalogue/run_cases.py` prints one line for each and exits with 1 if one is not OK.
The processes are forked from this one after it has imported what most of them need, since that
takes most of the time of such a program.
"""

import os
import runpy
import signal
import sys
import tempfile
from pathlib import Path

_CASES = Path(__file__).parent / "cases"
_MOST_SECONDS = 300


def run_case(path, said):
    """Become one program, in a folder of its own and with a file for what it says."""
    signal.alarm(_MOST_SECONDS)
    os.dup2(said.fileno(), 1)
    os.dup2(said.fileno(), 2)
    os.chdir(tempfile.mkdtemp())
    sys.argv = [str(path)]
    runpy.run_path(str(path), run_name="__main__")


def line_of(path, said, status):
    """Return the line that says how a program ended."""
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    code = os.waitstatus_to_exitcode(status)
    return f"{'OK' if code == 0 else f'FAULT ({code})':12} {path.name}: {lines[-1:]}"[:200]


def run_cases(paths, at_a_time):
    """Run programs, print a line for each, and return those that show their fault."""
    waiting, running, faults = list(paths), {}, []
    while waiting or running:
        while waiting and len(running) < at_a_time:
            path, said = waiting.pop(0), tempfile.TemporaryFile()  # noqa: SIM115
            child = os.fork()
            if not child:
                run_case(path, said)
                sys.exit()
            running[child] = path, said
        child, status = os.wait()
        path, said = running.pop(child)
        print(line_of(path, said, status), flush=True)
        faults += [path] if status else []
    return faults


def main():
    """Run all programs, as many at a time as there are cores."""
    import skosfusion.classifier
    import skosfusion.datasets
    import skosfusion.inspection  # noqa: F401

    cases = sorted(_CASES.glob("*.py"))
    faults = run_cases(cases, os.cpu_count())
    # Some measure time, in which others are in their way.
    faults = run_cases(faults, 1)
    print(f"{len(cases) - len(faults)} of {len(cases)}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
