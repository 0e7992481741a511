"""Options, progress, counts and the record of a stress script."""

import sys
import time
from pathlib import Path

from benchmarks._common import files, options

_PROGRESS_SECONDS = 5.0


def make_parser(name, description):
    """Make a parser with the options that all stress scripts share."""
    return options.make_parser(
        description,
        out=f"stress-results/{name}.json",
        quick="the short form, as CI runs it",
        seed="what is drawn follows from it",
    )


class Progress:
    """A line every few seconds, on standard error."""

    def __init__(self):
        self._started = time.monotonic()
        self._last = -_PROGRESS_SECONDS

    def show(self, text, *, always=False):
        """Print a line, unless the last one was a moment ago."""
        seconds = time.monotonic() - self._started
        if always or seconds - self._last >= _PROGRESS_SECONDS:
            self._last = seconds
            print(f"{seconds:6.0f} s  {text}", file=sys.stderr, flush=True)


class Report:
    """What was tried, what came out, and what was wrong."""

    def __init__(self, title, options):
        self.title = title
        self.settings = {
            name: value for name, value in vars(options).items() if not isinstance(value, Path)
        }
        self.lines, self.figures, self.wrong = [], {}, []
        self._started = time.monotonic()

    def count(self, what, right, total, *, must_be_all=True):
        """Add a line "right of total"."""
        self.lines.append(f"{what}: {right} of {total}")
        self.figures[what] = {"right": right, "total": total, "must be all": must_be_all}
        if must_be_all and (right != total or total == 0):
            self.wrong.append(f"{what}: {right} of {total}")

    def figure(self, what, value, unit=""):
        """Add a figure that decides nothing."""
        text = value
        if isinstance(value, dict):
            text = ", ".join(f"{name} {number}" for name, number in value.items()) or "none"
        elif isinstance(value, float):
            text = f"{value:.3g}"
        self.lines.append(f"{what}: {text} {unit}".rstrip())
        self.figures[what] = value

    def fail(self, text):
        """Note one trial that went wrong; the first few are printed."""
        self.wrong.append(text)

    def finish(self, path):
        """Print everything, write the record, and give the exit status."""
        # torch is loaded late, so that children may be started before.
        from benchmarks._common import machine

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
        files.write_record(path, record)
        print(f"written: {path}", file=sys.stderr)
        return 1 if self.wrong else 0
