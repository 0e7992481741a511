"""Count which modules of skosfusion a call enters, and how often it moves from room to room.

A room is a folder of the package, or a module beside them; `_utils` and `exceptions` are not
counted. A move is a call from code of one room to code of another, whatever lies between (scikit-
learn and skorch are looked through); the same pair of functions counts once.

    python benchmarks/trace_rooms.py
"""

import argparse
import json
import sys
import tempfile
import threading
from pathlib import Path

import skosfusion
from skosfusion import GradCAM, make_fusion_pipeline
from skosfusion.datasets import make_osteosarcoma_cohort

PACKAGE = Path(skosfusion.__file__).parent
NOT_COUNTED = {"_utils", "exceptions", "files", "__init__"}


class Tracer:
    """Modules entered and moves between rooms, of all calls in the block."""

    def __init__(self):
        self.modules, self.moves, self.moves_inside = set(), {}, {}

    def __enter__(self):
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *exception):
        sys.setprofile(None)
        threading.setprofile(None)

    def _profile(self, frame, event, argument):
        here = place(frame)
        if event != "call" or here is None:
            return
        self.modules.add(here[0])
        caller = frame.f_back
        while caller is not None and place(caller) is None:
            caller = caller.f_back
        if caller is None or place(caller)[0] == here[0]:
            return
        move = place(caller), here
        is_inside = room(move[0]) == room(move[1])
        moves = self.moves_inside if is_inside else self.moves
        moves[move] = moves.get(move, 0) + 1


def place(frame):
    """Return module and function of a frame, None outside the rooms that count."""
    path = Path(frame.f_code.co_filename)
    if not path.is_relative_to(PACKAGE):
        return None
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[0] in NOT_COUNTED or parts[-1] == "__init__":
        return None
    return "/".join(parts), frame.f_code.co_qualname


def room(where):
    """Return the room of a module and function."""
    return where[0].split("/")[0]


def main(arguments=None):
    """Trace a pipeline's fit (fixed encoder, cold), `predict_proba` and `GradCAM.transform`.

    Parameters
    ----------
    arguments : list of str or None, default=None
        Command line without the program's name; None takes the real one.
    """
    parser = argparse.ArgumentParser(description=main.__doc__.splitlines()[0])
    parser.add_argument("--verbose", action="store_true", help="list modules and moves")
    parser.add_argument("--out", type=Path, help="JSON file for the counts")
    options = parser.parse_args(arguments)
    counts = {}
    with tempfile.TemporaryDirectory() as folder:
        cohort = make_osteosarcoma_cohort(n_patients=8, image_size=64, data_home=folder)
        pipeline = make_fusion_pipeline(
            weights=None,
            image_size=64,
            frozen_epochs="all",
            max_epochs=2,
            random_state=0,
            verbose=0,
        )
        calls = {
            "fit": lambda: pipeline.fit(cohort.data, cohort.target),
            "predict_proba": lambda: pipeline.predict_proba(cohort.data),
            "GradCAM.transform": lambda: GradCAM(pipeline, target=1).transform(cohort.data),
        }
        for name, call in calls.items():
            with Tracer() as tracer:
                call()
            rooms = {room((module, "")) for module in tracer.modules}
            counts[name] = {
                "rooms": len(rooms),
                "modules": len(tracer.modules),
                "moves": len(tracer.moves),
                "calls across rooms": sum(tracer.moves.values()),
                "calls between files of the classifier": sum(
                    n
                    for (_, callee), n in tracer.moves_inside.items()
                    if room(callee) == "classifier"
                ),
            }
            print(f"{name}: " + ", ".join(f"{what} {n}" for what, n in counts[name].items()))
            if options.verbose:
                print("\n".join(f"  {module}" for module in sorted(tracer.modules)))
                for (caller, callee), n in sorted((tracer.moves | tracer.moves_inside).items()):
                    print(f"  {caller[0]}:{caller[1]} -> {callee[0]}:{callee[1]} ({n})")
    if options.out:
        options.out.write_text(json.dumps(counts, indent=1) + "\n")


if __name__ == "__main__":
    main()
