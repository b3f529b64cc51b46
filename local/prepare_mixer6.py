"""Mixer 6 (LDC2013S03) on disk -> OUT/mx6, a data directory of telephone calls and, if there, of microphones.

ROOT holds mx6_speech/ or is it. Calls: data/ulaw_sphere/*_<call>.sph, both sides, by docs/mx6_calls.csv and
mx6_subjs.csv. Microphones: data/pcm_flac/CHnn/*.flac, between the times of docs/mx6_ivcomponents.csv; all of channel 02
and, of 04 to 13, which recorded the same, a fixed draw of 2,000. They are sampled at 16 kHz, the calls at 8.
ROOT/SYNTHETIC.txt goes into the set.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sphere_calls import CallSet, Recordings, digests, first_there, read_rows, recordings_below, require_root, write_set

from sv.cli import Parser, run
from sv.data.datadir import LABEL, shuffled
from sv.errors import DataError
from sv.records import Step

NEAR = "02"  # the subject's lapel; 01 is the interviewer's, 03 and 14 are often silent
FAR = tuple(f"{number:02d}" for number in range(4, 14))
NUM_FAR = 2000
GENDERS = ("m", "f")


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("root", type=Path, help="Mixer 6, the folder that holds mx6_speech/")
    parser.add_argument("out", type=Path, help="folder of the data directory")
    args = parser.parse_args()
    prepare(args.root, args.out / "mx6")


def prepare(root: Path, out: Path) -> None:
    """Write the set; DataError if the root or a table is missing or malformed, or no listed recording is there."""
    require_root(root, "Mixer 6", "mx6_speech/")
    docs = first_there("Mixer 6", root / "mx6_speech/docs", root / "docs")
    audio = docs.parent / "data"
    sphere = recordings_below(audio / "ulaw_sphere")
    microphones = recordings_below(
        *(audio / "pcm_flac" / f"CH{channel}" for channel in (NEAR, *FAR)), extension=".flac"
    )
    tables = [docs / name for name in ("mx6_subjs.csv", "mx6_calls.csv", "mx6_ivcomponents.csv")]
    step = Step("prepare_mixer6", out, inputs=[*tables, root / LABEL], digests=digests([sphere, microphones]))
    if step.skip():
        return
    calls = CallSet("mx6", joined(sphere, microphones))
    gender = {row[0]: row[1].lower() for _, row in read_rows(tables[0], "subject, gender") if row[1].lower() in GENDERS}
    if sphere.paths:
        add_calls(calls, tables[1], gender)
    else:
        print(f"{out}: without telephone calls, as {audio / 'ulaw_sphere'} holds none")
    if microphones.paths:
        add_microphones(calls, tables[2], microphones, gender)
    else:
        print(f"{out}: without microphones, as {audio / 'pcm_flac'} holds no CH{NEAR} or CH04 to CH13")
    write_set(step, calls, out, root)


def joined(sphere: Recordings, microphones: Recordings) -> Recordings:
    """The recordings of both kinds, calls under their numbers, which end the names of their files."""
    by_call: dict[str, str] = {}
    hidden = [*sphere.hidden, *microphones.hidden]
    for name, path in sphere.paths.items():
        if by_call.setdefault(name.rpartition("_")[2], path) != path:
            hidden.append(path)
    digest = hashlib.sha256(f"{sphere.digest} {microphones.digest}".encode()).hexdigest()
    return Recordings(by_call | microphones.paths, hidden, digest, [*sphere.folders, *microphones.folders[:1]])


def add_calls(calls: CallSet, table: Path, gender: dict[str, str]) -> None:
    """Both sides of every call; column 4 is the subject on side A, 12 that on B."""
    columns = ", ".join(["call", "date_time", *["…"] * 2, "subject A", *["…"] * 7, "subject B"])
    for _, row in read_rows(table, columns, is_header=lambda row: not row[0].isdecimal()):
        for side, subject in (("a", row[4]), ("b", row[12])):
            if subject:
                calls.add(f"{subject}-mx6-{row[0]}-{side}", subject, row[0], side, gender=gender.get(subject, ""))
            else:
                calls.drop(f"mx6-{row[0]}-{side}", f"{table.name} names no subject on side {side}")


def add_microphones(calls: CallSet, table: Path, microphones: Recordings, gender: dict[str, str]) -> None:
    """The lapel microphone in all sessions, and a draw of what the others have."""
    times: dict[str, tuple[float, float]] = {}
    columns = ", ".join(["session", *["…"] * 6, "start", "end"])
    for number, row in read_rows(table, columns, is_header=lambda row: row[0].count("_") != 3):
        try:
            times[row[0]] = float(row[7]), float(row[8])
        except ValueError:
            times[row[0]] = 0.0, 0.0
        if row[0].count("_") != 3:
            raise DataError(f"{table}:{number}: session {row[0]!r} is not DATE_TIME_ROOM_SUBJECT")
    far = [(session, channel) for session in times for channel in FAR if f"{session}_CH{channel}" in microphones.paths]
    for session, channel in [*((session, NEAR) for session in times), *shuffled(sorted(far), seed=0)[:NUM_FAR]]:
        date, time, _, subject = session.split("_")
        utt = f"{subject}-mx6-{date}_{time}-{channel}"
        start_s, end_s = times[session]
        if 0 <= start_s < end_s:
            calls.add(
                utt,
                subject,
                f"{session}_CH{channel}",
                "",
                gender=gender.get(subject, ""),
                session=f"mx6-{date}_{time}",
                start_s=start_s,
                end_s=end_s,
            )
        else:
            calls.drop(utt, f"{table.name} has no start and end of the session's part (columns 7 and 8)")


if __name__ == "__main__":
    run(main, __file__)
