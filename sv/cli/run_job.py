"""Run one job of an array that a wrapper was given, with its log; the exit code is the job's."""

from __future__ import annotations

import sys
from pathlib import Path

from sv.cli import Parser, run
from sv.launch.job_log import run_logged
from sv.launch.wrapper import read_listed_job


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--attempt", type=int, default=1, help="which attempt at the job this is")
    parser.add_argument("listing", type=Path, help="the array's jobs, as the launcher wrote them")
    parser.add_argument("job", type=int, help="place of the job in that list, from 1")
    args = parser.parse_args()
    sys.exit(run_logged(read_listed_job(args.listing, args.job), args.attempt))


if __name__ == "__main__":
    run(main, __file__)
