"""`riskpo`: dispatches to a verb. Errors of this package end as one line, not as a traceback."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from riskpo import __version__
from riskpo.cli import audit, compare, doctor, eval, report, tasks, train
from riskpo.errors import RiskPOError
from riskpo.extras import missing_engine

VERBS = {
    "train": train,
    "compare": compare,
    "report": report,
    "audit": audit,
    "eval": eval,
    "doctor": doctor,
    "tasks": tasks,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns the exit status: 0, 1 by --fail-on, 2 for an error the user can mend, 130 if stopped."""
    parser = argparse.ArgumentParser(
        prog="riskpo",
        description="Risk-sensitive post-training of language models with verifiable rewards.",
        epilog="Start here: riskpo train quickstart",
    )
    parser.add_argument("--version", action="version", version=f"riskpo {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, module in VERBS.items():
        module.add_parser(verbs, name)
    # Flags that a verb does not know are the engine's: the verb checks them against the engine's own names. What stands
    # behind `--` is passed on as it is; versions of argparse differ in what they make of it.
    words = list(sys.argv[1:] if argv is None else argv)
    behind = words.index("--") if "--" in words else len(words)
    options, rest = parser.parse_known_args(words[:behind])
    rest += words[behind:]
    try:
        status: int = VERBS[options.verb].run(options, rest)
        return status
    except RiskPOError as error:
        print(f"riskpo: error: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        missing = missing_engine(error)
        if missing is None:
            raise
        print(f"riskpo: error: {missing}", file=sys.stderr)
        return 2
    except OSError as error:  # a disk that is full, a file that is gone: nothing that a traceback would say better
        place = f" ({error.filename})" if error.filename else ""
        print(f"riskpo: error: {error.strerror or error}{place}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nriskpo: stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
