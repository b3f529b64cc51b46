"""Put the tables of reports into a recipe's RESULTS.md, each in its place, so that nobody copies figures by hand.

A place is `<!-- results: NAME -->` and a line `<!-- end of NAME -->` below it; a report that has none gets a section at
the end. With --check nothing is written: it fails if figures were changed by hand.
"""

import argparse
from pathlib import Path

from sv.cli import Parser, run
from sv.data.atomic import atomic_write
from sv.errors import ConfigError, DataError
from sv.records import record_of, require_whole
from sv.report.results_file import DEFINED, body_of, changed_by_hand, with_reports


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--check", action="store_true", help="only look whether figures were changed by hand")
    parser.add_argument("file", type=Path, help="recipes/RECIPE/RESULTS.md")
    parser.add_argument(
        "reports", nargs="*", metavar="NAME=REPORT", help="a report's folder, EXP/report, and its place"
    )
    args = parser.parse_args()
    text = args.file.read_text() if args.file.exists() else ""
    bodies = {} if args.check else {name: body_of(report) for name, report in named(args.reports).items()}
    try:
        if args.check:
            check(args, text)
            return
        new = with_reports(text, bodies)
    except DataError as error:
        raise DataError(f"{args.file}: {error}") from None
    if new != text:
        with atomic_write(args.file) as out:
            out.write(new)
    print(f"{args.file}: {'written' if new != text else 'unchanged'}")


def check(args: argparse.Namespace, text: str) -> None:
    """Say whether all figures are as they were written; DataError if not."""
    if changed := changed_by_hand(text):
        raise DataError(f"changed by hand: {', '.join(changed)}")
    print(f"{args.file}: as it was written")


def named(reports: list[str]) -> dict[str, Path]:
    """Reports by name; a UserError if one is not NAME=REPORT, is named twice, or is not whole."""
    found: dict[str, Path] = {}
    for text in reports:
        name, equals, folder = text.partition("=")
        if not equals or len(name.split()) != 1 or name in (*found, DEFINED):
            raise ConfigError(f"{text}: reports are NAME=FOLDER, each name a word and given once, not {DEFINED}")
        found[name] = Path(folder)
        require_whole(record_of("report", found[name]))
    if not found:
        raise ConfigError("no report is named: NAME=FOLDER")
    return found


if __name__ == "__main__":
    run(main, __file__)
