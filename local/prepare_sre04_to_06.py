"""NIST SRE of 2004, 2005 or 2006 on disk -> OUT/sre20YY, a data directory of all sides whose speaker is known.

Takes any trees of .sph. Speakers come from the published reference list (openslr.org/15, `speaker_list`), lines
'speaker gender sre20YY segment A|B'. ROOT/SYNTHETIC.txt of the first root goes into the set.
"""

from __future__ import annotations

from pathlib import Path

from sphere_calls import CallSet, Recordings, digests, read_rows, recordings_below, require_root, write_set

from sv.cli import Parser, run
from sv.data.datadir import LABEL
from sv.errors import DataError
from sv.records import Step

YEARS = ("2004", "2005", "2006")


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--year", choices=YEARS, required=True, help="of the evaluation")
    parser.add_argument("--speakers", type=Path, required=True, help="the reference list, or the folder that holds it")
    parser.add_argument("root", type=Path, nargs="+", help="the LDC releases of that year's recordings")
    parser.add_argument("out", type=Path, help="folder of the data directory")
    args = parser.parse_args()
    speakers = args.speakers / "speaker_list" if args.speakers.is_dir() else args.speakers
    prepare(args.root, args.out / f"sre{args.year}", args.year, speakers)


def prepare(roots: list[Path], out: Path, year: str, speakers: Path) -> None:
    """Write the set; DataError if a root or the list is missing or malformed, or no listed recording is there."""
    for root in roots:
        require_root(root, f"SRE {year}", ".sph files, at any depth")
    recordings = recordings_below(*roots)
    step = Step("prepare_sre04_to_06", out, inputs=[speakers, roots[0] / LABEL], digests=digests([recordings]))
    if step.skip():
        return
    calls = listed_calls(speakers, year, recordings)
    write_set(step, calls, out, roots[0])


def listed_calls(speakers: Path, year: str, recordings: Recordings) -> CallSet:
    """The sides that the reference list has of a year."""
    calls = CallSet(f"sre{year[2:]}", recordings)
    num_listed = 0
    for number, row in read_rows(speakers, "speaker, gender, sre20YY, segment, channel", separator=None):
        speaker, gender, source, segment, side = (*row[:4], row[4].lower())
        if gender.lower() not in ("m", "f"):
            raise DataError(f"{speakers}:{number}: gender {gender!r} is neither m nor f")
        if source == f"sre{year}":
            num_listed += 1
            calls.add(f"{speaker}-sre{year[2:]}-{segment}-{side}", speaker, segment, side, gender=gender.lower())
    if not num_listed:
        raise DataError(f"{speakers}: has no line of sre{year}; it is not the reference list of these evaluations")
    return calls


if __name__ == "__main__":
    run(main, __file__)
