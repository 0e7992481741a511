"""Options, progress, counts and the record of a stress script."""

import argparse
import json
import sys
import time
from pathlib import Path

_PROGRESS_SECONDS = 5.0


def make_parser(name, description):
    """Make a parser with the options that all stress scripts share.

    Parameters
    ----------
    name : str
        The script's name; the record is ``stress-results/<name>.json`` unless told otherwise.
    description : str
        What the script does.

    Returns
    -------
    argparse.ArgumentParser
        The parser.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the short form, as CI runs it")
    parser.add_argument("--seed", type=int, default=0, help="what is drawn follows from it")
    parser.add_argument("--out", type=Path, default=Path("stress-results") / f"{name}.json")
    return parser


class Progress:
    """A line every few seconds, on standard error."""

    def __init__(self):
        self._started = time.monotonic()
        self._last = -_PROGRESS_SECONDS

    def show(self, text, *, always=False):
        """Print a line, unless the last one was a moment ago.

        Parameters
        ----------
        text : str
            What is going on.
        always : bool, default=False
            Whether to print it in any case.
        """
        seconds = time.monotonic() - self._started
        if always or seconds - self._last >= _PROGRESS_SECONDS:
            self._last = seconds
            print(f"{seconds:6.0f} s  {text}", file=sys.stderr, flush=True)


class Report:
    """What was tried, what came out, and what was wrong.

    Parameters
    ----------
    title : str
        The claim that the script tries to break.
    options : argparse.Namespace
        The options; no path of them is recorded.
    """

    def __init__(self, title, options):
        self.title = title
        self.settings = {
            name: value for name, value in vars(options).items() if not isinstance(value, Path)
        }
        self.lines, self.figures, self.wrong = [], {}, []
        self._started = time.monotonic()

    def count(self, what, right, total, *, must_be_all=True):
        """Add a line "right of total".

        Parameters
        ----------
        what : str
            What was tried.
        right : int
            Trials as they should be.
        total : int
            Trials.
        must_be_all : bool, default=True
            Whether one less makes the script fail; False where a figure is only measured.
        """
        self.lines.append(f"{what}: {right} of {total}")
        self.figures[what] = {"right": right, "total": total, "must be all": must_be_all}
        if must_be_all and (right != total or total == 0):
            self.wrong.append(f"{what}: {right} of {total}")

    def figure(self, what, value, unit=""):
        """Add a figure that decides nothing.

        Parameters
        ----------
        what : str
            What was measured.
        value : float, int, str or dict
            The figure, or several by name.
        unit : str, default=""
            Its unit.
        """
        text = value
        if isinstance(value, dict):
            text = ", ".join(f"{name} {number}" for name, number in value.items()) or "none"
        elif isinstance(value, float):
            text = f"{value:.3g}"
        self.lines.append(f"{what}: {text} {unit}".rstrip())
        self.figures[what] = value

    def fail(self, text):
        """Note one trial that went wrong; the first few are printed.

        Parameters
        ----------
        text : str
            What happened, with what it takes to see it again.
        """
        self.wrong.append(text)

    def finish(self, path):
        """Print everything, write the record, and give the exit status.

        Parameters
        ----------
        path : pathlib.Path
            The JSON file.

        Returns
        -------
        int
            0 if nothing was wrong, else 1.
        """
        # torch is loaded late, so that children may be started before.
        from bench_support import machine

        seconds = time.monotonic() - self._started
        print(f"# {self.title}\n")
        print("\n".join(f"- {line}" for line in self.lines))
        for text in self.wrong[:20]:
            print(f"WRONG: {text}")
        print(f"{len(self.wrong)} wrong; {seconds:.0f} s", flush=True)
        record = {
            "title": self.title,
            "settings": self.settings,
            "seconds": round(seconds, 1),
            "figures": self.figures,
            "wrong": self.wrong,
            "machine": machine.facts(),
            "versions": machine.versions(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(f"written: {path}", file=sys.stderr)
        return 1 if self.wrong else 0
