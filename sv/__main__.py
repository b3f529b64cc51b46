"""A trained system at work: `python -m sv embed|enroll|verify|threshold RUN …`, each with --help, of `sv.cli`."""

import sys
from importlib import import_module

from sv.cli import run

COMMANDS = ("embed", "enroll", "verify", "threshold")


def main() -> None:
    """The command that the first word names."""
    if sys.argv[1:2] in (["--help"], ["-h"]):
        print(f"usage: python -m sv {'|'.join(COMMANDS)} RUN …; python -m sv COMMAND --help says all")
        return
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"sv: the first word is {', '.join(COMMANDS[:-1])} or {COMMANDS[-1]}; see python -m sv verify --help")
    module = import_module(f"sv.cli.{sys.argv.pop(1)}")
    run(module.main, module.__file__)


if __name__ == "__main__":
    main()
