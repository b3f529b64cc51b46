"""A small corpus of generated, speech-like recordings in a real corpus's layout, for trying the recipes on.

    PYTHONPATH=. python local/generate_mini.py corpora/mini

leaves `corpora/mini/{dev,test}/wav/idNNNNN/<11 characters>/<nnnnn>.wav`, `vox1_meta.csv`, `veri_test2.txt`
and `SYNTHETIC.txt`, which says what made it. No person speaks in it: numbers from it are synthetic.
With `--layout sre16` it leaves telephone calls in the trees and tables of LDC's corpora (see `mini_sre16.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import string
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import mini_sre16
import numpy as np
from mini_channel import draw_channel, record
from mini_speech import RATE, draw_mood, draw_voice, generator, utterance
from mini_trials import Design, Recording

from sv.cli import Parser, run
from sv.errors import UserError
from sv.records import dry_run

VERSION = 1  # raise it with any change that alters the recordings or the lists
LABEL = "SYNTHETIC.txt"
DEV, TEST = 0, 1  # parts
PARTS = ("dev", "test")
FIRST_ID = {DEV: 70001, TEST: 90001}  # beyond VoxCeleb1's and 2's
MOST_SPEAKERS = {DEV: 19999, TEST: 9999}  # ids keep five digits
NAME, UTTERANCE = 2, 3  # fifth part of an address; 0 is the mood, 1 the channel
DURATION_S = (3.0, 6.0)
USUAL_TRIALS = 4000
SHAPING = ("seed", "dev_speakers", "test_speakers", "sessions", "utts_per_session", "trials")
DEFAULTS = {"seed": 0, "dev_speakers": 200, "test_speakers": 50, "sessions": 5, "utts_per_session": 2}


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        given = {name: getattr(args, name, None) for name in SHAPING}
        if args.layout == "sre16":
            generate_sre16(args.out, given, args.nj)
        else:
            generate(
                args.out,
                {name: DEFAULTS.get(name) if given[name] is None else given[name] for name in SHAPING},
                args.nj,
            )
    except UserError as error:
        print(f"generate_mini: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        __file__,
        "Generate a small synthetic corpus in VoxCeleb1's or SRE 2016's layout: source-filter voices, two parts (dev, "
        "test) without a common speaker, metadata and a trial list. The same options give the same bytes; in "
        "VoxCeleb1's, more speakers, sessions or utterances leave the recordings of a smaller corpus as they were.",
    )
    add = parser.add_argument
    add("out", type=Path, metavar="DIR", help="folder to make; nothing in an existing one is overwritten")
    add("--layout", choices=("voxceleb1", "sre16"), default="voxceleb1", help="whose folders and tables")

    def shaping(flag: str, name: str, what: str) -> None:
        usual = ", sre16: ".join(str(d[name]) for d in (DEFAULTS, mini_sre16.DEFAULTS) if name in d)
        add(flag, type=int, default=argparse.SUPPRESS, metavar="N", help=f"{what} (default: {usual})")

    shaping("--dev-speakers", "dev_speakers", "speakers to train on")
    shaping("--test-speakers", "test_speakers", "speakers to test on, at least 4")
    shaping("--sessions", "sessions", "sessions, or calls, a speaker, at least 2; in sre16 of those to train on")
    shaping("--utts-per-session", "utts_per_session", "recordings (3 to 6 s) a session; not in sre16")
    add(
        "--trials",
        type=int,
        default=argparse.SUPPRESS,
        metavar="N",
        help=f"trials, half of them target trials (default: {USUAL_TRIALS}, or as many as there are); not in sre16",
    )
    shaping("--seed", "seed", "another seed gives other speakers")
    add("--nj", type=int, default=os.cpu_count() or 1, metavar="N", help="processes; changes no byte")
    return parser


def generate(out: Path, options: dict[str, int | None], nj: int = 1) -> None:
    """Make the corpus at `out`, whole or not at all; do nothing if it is there already.

    Args:
        options: a value for each name in SHAPING; trials may be None, for the usual number or what there is.
        nj: number of processes.
    Raises:
        UserError: impossible options, or something else is at `out`.
    """
    options = _checked(options, nj)
    if _is_done(out, options):
        return
    if dry_run():
        print(f"generate_mini {out}: would run: not done yet")
        return
    started = time.monotonic()
    with _building(out, options) as partial:
        if partial is None:  # another run made it while we waited
            return
        speakers = [(part, i) for part in (DEV, TEST) for i in range(options[f"{PARTS[part]}_speakers"])]
        sizes = (options["seed"], options["sessions"], options["utts_per_session"])
        seconds = _in_processes(_write_speaker, [(partial, *sizes, part, i) for part, i in speakers], nj)
        (partial / "vox1_meta.csv").write_text("".join(_meta(speakers)), encoding="utf-8")
        trials = _design(options).draw(options["trials"], options["seed"])
        lines = [f"{int(target)} {_file(one, options)} {_file(two, options)}\n" for target, one, two in trials]
        (partial / "veri_test2.txt").write_text("".join(lines), encoding="utf-8")
    recordings = len(speakers) * options["sessions"] * options["utts_per_session"]
    print(
        f"generate_mini: {out}: {recordings} synthetic recordings ({sum(seconds) / 3600:.2f} h) of "
        f"{options['dev_speakers']} + {options['test_speakers']} speakers, {len(trials)} trials, "
        f"in {time.monotonic() - started:.0f} s"
    )


def generate_sre16(out: Path, given: dict[str, int | None], nj: int = 1) -> None:
    """As `generate`, in the layout of SRE 2016 and its training corpora.

    Args:
        given: options by name, None for the usual value.
        nj: number of processes.
    Raises:
        UserError: impossible options, or something else is at `out`.
    """
    options = {name: value for name, value in given.items() if value is not None}
    for name, value in options.items():
        if name not in mini_sre16.DEFAULTS:
            raise UserError(f"{_flag(name)} is not for --layout sre16")
        if not mini_sre16.LEAST.get(name, 0) <= value <= mini_sre16.MOST[name]:
            least, most = mini_sre16.LEAST.get(name, 0), mini_sre16.MOST[name]
            raise UserError(f"{_flag(name)} must be from {least} to {most} with --layout sre16, not {value}")
    if nj < 1:
        raise UserError(f"--nj must be at least 1, not {nj}")
    options = mini_sre16.DEFAULTS | options
    label = {"version": mini_sre16.VERSION, "layout": "sre16"} | options
    if _is_done(out, label):
        return
    if dry_run():
        print(f"generate_mini {out}: would run: not done yet")
        return
    started = time.monotonic()
    with _building(out, label) as partial:
        if partial is None:
            return
        calls = mini_sre16.recordings(options)
        jobs = [(partial, options["seed"], call) for call in calls]
        seconds = _in_processes(mini_sre16.write_recording, jobs, nj)
        said = mini_sre16.write_tables(partial, options)
    print(
        f"generate_mini: {out}: {len(calls)} synthetic telephone recordings ({sum(seconds) / 3600:.2f} h) of {said}, "
        f"in {time.monotonic() - started:.0f} s"
    )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _checked(options: dict[str, int | None], nj: int) -> dict[str, int]:
    least = {
        "seed": 0,
        "dev_speakers": 1,
        "test_speakers": 4,
        "sessions": 2,
        "utts_per_session": 1,
        "trials": 4,
    }
    most = {"seed": 2**32 - 2, "dev_speakers": MOST_SPEAKERS[DEV], "test_speakers": MOST_SPEAKERS[TEST]}
    most |= {"sessions": 999, "utts_per_session": 999}
    for name, value in [*options.items(), ("nj", nj)]:
        if value is None:
            continue
        flag = _flag(name)
        if value < least.get(name, 1):
            raise UserError(f"{flag} must be at least {least.get(name, 1)}, not {value}")
        if value > most.get(name, value):
            raise UserError(f"{flag} must be at most {most[name]}, not {value}")
    room = _design(options).most_trials()
    if options["trials"] is None:
        return options | {"trials": min(USUAL_TRIALS, room)}
    if options["trials"] > room:
        raise UserError(
            f"--trials {options['trials']} is more than the {room} that these test speakers and sessions allow; "
            "ask for fewer, or for more --test-speakers, --sessions or --utts-per-session"
        )
    return options


def _design(options: dict[str, int]) -> Design:
    return Design(options["test_speakers"], options["sessions"], options["utts_per_session"])


# ---- the folder ------------------------------------------------------------------------------------------


def _label(options: dict[str, int | str]) -> str:
    """The text of SYNTHETIC.txt: for people, and with one line of JSON by which we know our own work."""
    return (
        "These recordings are SYNTHETIC: generated by local/generate_mini.py, random syllables from a\n"
        "source-filter model of speech. No person speaks in them, and figures measured on them are synthetic.\n"
        f"generate_mini {json.dumps({'version': VERSION, **options})}\n"
    )


def _read_label(folder: Path) -> str | None:
    """The label in a folder of ours, else None."""
    try:
        text = (folder / LABEL).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return text if "\ngenerate_mini {" in text else None


def _is_done(out: Path, options: dict[str, int | str]) -> bool:
    """Whether `out` holds this very corpus; an error if it holds anything else."""
    if not out.exists():
        return False
    if not out.is_dir():
        raise UserError(f"{out} is a file; name a folder")
    label = _read_label(out)
    if label == _label(options):
        version = options.get("version", VERSION)
        print(f"generate_mini: {out} already holds this synthetic corpus, version {version}; nothing to do")
        return True
    if label is not None:
        found = label.split("\ngenerate_mini ", 1)[1].strip()
        raise UserError(f"{out} holds a generated corpus of other options, {found}; remove it or name another folder")
    if any(out.iterdir()):
        raise UserError(f"{out} is not empty and was not generated by this program; name another folder")
    return False


@contextlib.contextmanager
def _building(out: Path, options: dict[str, int | str]) -> Iterator[Path | None]:
    """A folder beside `out` to build in, renamed to `out` when the block ends well and removed when it does not.

    What a killed run left there is removed first. A lock on the folder around it lets one run build at a
    time; None if, after waiting for another, the corpus is there.
    """
    final = Path(os.path.realpath(out))
    partial = final.with_name(final.name + ".partial")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{out} cannot be made: {final.parent} is not a folder") from None
    with _alone(final.parent):
        if _is_done(out, options):
            yield None
            return
        if partial.exists():
            if not partial.is_dir() or (_read_label(partial) is None and any(partial.iterdir())):
                raise UserError(f"{partial} is in the way and was not generated by this program; move it")
            _remove(partial)
        partial.mkdir()
        (partial / LABEL).write_text(_label(options), encoding="utf-8")
        try:
            yield partial
            partial.rename(final)  # onto nothing, or onto an empty folder
        except BaseException:
            _remove(partial)
            raise


def _remove(partial: Path) -> None:
    """Remove a folder of ours, its label last, so that a half-removed one is still known as ours."""
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LABEL:
            path.unlink()
    (partial / LABEL).unlink(missing_ok=True)
    partial.rmdir()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder; our processes hold it too, so a killed run has it until the last of them ends."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"generate_mini: waiting for another run in {folder}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


# ---- processes -------------------------------------------------------------------------------------------


def _in_processes(work: Callable[[tuple], float], jobs: list[tuple], nj: int) -> list[float]:
    if nj == 1:
        return [work(job) for job in jobs]
    try:
        fork = multiprocessing.get_context("fork")  # so that the parent is the parent
        with ProcessPoolExecutor(min(nj, len(jobs)), fork, _begin_process, (os.getpid(),)) as pool:
            return list(pool.map(work, jobs))
    except BrokenProcessPool:
        raise UserError("a process was killed, perhaps for want of memory; try a smaller --nj") from None


def _begin_process(parent: int) -> None:
    """Leave an interrupt to the parent, and end when it ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# ---- recordings ------------------------------------------------------------------------------------------


def gender(speaker: int) -> str:
    """Men and women by turns, so that any number of speakers is balanced."""
    return "mf"[speaker % 2]


def speaker_id(part: int, speaker: int) -> str:
    return f"id{FIRST_ID[part] + speaker}"


def session_id(seed: int, part: int, speaker: int, session: int) -> str:
    """Eleven characters like YouTube's, `-` and `_` included; the first three say that it is none."""
    alphabet = string.ascii_letters + string.digits + "-_"
    return "syn" + "".join(alphabet[i] for i in generator(seed, part, speaker, session, NAME).integers(64, size=8))


def _file(recording: Recording, options: dict[str, int]) -> str:
    """A test recording as a trial list names it."""
    speaker, session, number = recording
    return f"{speaker_id(TEST, speaker)}/{session_id(options['seed'], TEST, speaker, session)}/{number + 1:05d}.wav"


def _write_speaker(job: tuple[Path, int, int, int, int, int]) -> float:
    """All recordings of one speaker; returns their length in seconds."""
    root, seed, sessions, utts, part, speaker = job
    voice = draw_voice(gender(speaker), seed, part, speaker)
    samples = 0
    for i in range(sessions):
        mood = draw_mood(seed, part, speaker, i)
        channel = draw_channel(seed, part, speaker, i)
        folder = root / PARTS[part] / "wav" / speaker_id(part, speaker) / session_id(seed, part, speaker, i)
        folder.mkdir(parents=True)
        for j in range(utts):
            rng = generator(seed, part, speaker, i, UTTERANCE, j)
            speech, active = utterance(voice, mood, DURATION_S, rng)
            sound = record(speech, active, channel, rng)
            _write_wav(folder / f"{j + 1:05d}.wav", sound)
            samples += len(sound)
    return samples / RATE


def _write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def _meta(speakers: list[tuple[int, int]]) -> Iterator[str]:
    yield "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    for part, i in speakers:
        name = speaker_id(part, i)
        yield f"{name}\tSynthetic_{name[2:]}\t{gender(i)}\tSynthetic\t{PARTS[part]}\n"


if __name__ == "__main__":
    run(lambda: sys.exit(main()), __file__)
