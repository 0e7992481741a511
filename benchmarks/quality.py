"""Compare how well methods predict, on real and on synthetic data, with paired intervals.

Run it with ``--help`` for the options.
"""

import json
import sys
import time

from _quality.options import parse


def main(arguments=None):
    """Run the comparison."""
    options = parse(arguments)
    started = time.monotonic()
    # Loading torch takes seconds, and nothing here is silent for long.
    print("loading skosfusion", flush=True)
    from _quality import report, scoring
    from _quality.methods import METHODS

    if options.list:
        print("\n".join(f"{name:20} {one.sees}: {one.words}" for name, one in METHODS.items()))
        return None
    if options.table:
        record = json.loads(options.table.read_text())
        record["reference"] = options.reference or record["reference"]
    else:
        record = scoring.score_all(options)
    for name, one in record["data_sets"].items():
        if record["reference"] not in one["scores"]:
            sys.exit(
                f"--reference {record['reference']!r} was not scored on {name}; there are "
                f"{', '.join(one['scores'])}"
            )
    found = report.tables(record)
    files = [] if options.table else report.write(options.out, record, found)
    print("\n" + report.as_text(record, found))
    print("\n".join(f"written: {file}" for file in files))
    print(f"{time.monotonic() - started:.0f} s in all")
    return found


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; --join the quality.json that is there goes on from here")
