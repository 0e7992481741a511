"""The one place where the command writes: words for people, or one JSON object for scripts."""

import json
import sys


class Output:
    """What is said on the way, and the result.

    Parameters
    ----------
    as_json : bool, default=False
        Whether standard output is for one JSON object alone, and words go to standard error.
    """

    def __init__(self, *, as_json=False):
        self.as_json = as_json

    def say(self, text=""):
        """Say something on the way."""
        self._write(sys.stderr if self.as_json else sys.stdout, text)

    def warn(self, text):
        """Say what may be wrong."""
        self._write(sys.stderr, f"warning: {text}")

    def error(self, text):
        """Say what went wrong."""
        self._write(sys.stderr, text)

    def finish(self, record):
        """Write the record of a command for scripts; people have read it already."""
        if self.as_json:
            self._write(sys.stdout, json.dumps(record, default=str))

    @staticmethod
    def _write(stream, text):
        # A terminal need not have all the letters that a table has.
        encoding = getattr(stream, "encoding", None) or "utf-8"
        text = str(text).encode(encoding, errors="backslashreplace").decode(encoding)
        stream.write(text + "\n")
        stream.flush()
