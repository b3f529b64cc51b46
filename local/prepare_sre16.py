"""NIST SRE 2016 on disk -> OUT/sre16_{eval,dev}_{enroll,test}, models and trials with them, OUT/sre16_{major,minor}.

ROOT is the evaluation (R149_0_1) or the later release that holds it (LDC2019S20, data/eval/R149_0_1 and
data/dev/R148_0_0). --dev is the development and unlabelled data (LDC2016E46), where ROOT does not hold them.

A model is a line of sre16_eval_enroll/models, its utterances behind it. The trials are in sre16_eval_test: all in
trials_pooled, those of a language of the test segment in trials_tgl and trials_yue; of the development part in
trials_dev, trials_ceb and trials_cmn. The tables name models, not people: models whose target trials or enrolment
share a segment are one speaker, who has the name of the first of them, with dev- before it in the development part,
whose models are numbered as the evaluation's and are other people. Unlabelled recordings are their own speakers.

Beside the trials stand the partitions that SRE16's figures are averaged over (`sv.equalised`): language of the test
segment, gender, number of the model's enrolment segments and, of target trials, whether the phone is that of the
enrolment. Gender and phone are columns of the key; without them there are none. As far as the key tells them, the
genders are in spk2gender of both sets, and whether the phone is the same, of target trials, in phone_numbers.

ROOT/SYNTHETIC.txt goes into every set.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sphere_calls import CallSet, Recordings, digests, read_rows, recordings_below, require_root, write_set

from sv.cli import Parser, run
from sv.data.datadir import LABEL
from sv.data.partitions import PARTITIONS, PHONE_NUMBERS, write_partitions
from sv.data.tables import read_lines, write_table
from sv.data.trials import Trials, trial_files
from sv.equalised import UNCOUNTED
from sv.errors import DataError
from sv.records import Step


class Part(NamedTuple):
    """The evaluation or the development part."""

    name: str
    folders: tuple[str, ...]  # below the root
    languages: tuple[str, ...]
    all_trials: str  # name of the list of all trials; scores are kept by list, so each part has its own
    prefix: str = ""  # of speakers


EVAL = Part("eval", (".", "data/eval/R149_0_1", "R149_0_1"), ("tgl", "yue"), "pooled")
DEV = Part("dev", (".", "data/dev/R148_0_0", "R148_0_0"), ("ceb", "cmn"), "dev", "dev-")
# Columns of the key by what they hold, as SRE16 or a later year spells them, and their values.
COLUMNS = {"gender": ("gender", "sex"), "phone": ("phone_num_match", "phone_number_match", "same_phone_number")}
VALUES = {
    "gender": {"m": "m", "male": "m", "f": "f", "female": "f"},
    "phone": {"y": "same", "yes": "same", "n": "other", "no": "other"},
}


class Listed(NamedTuple):
    """A line of the trial key."""

    model: str
    segment: str
    side: str
    is_target: bool
    gender: str = ""  # m or f, as far as the key tells
    phone: str = ""  # same or other


@dataclass
class Tables:
    """What a part's tables say."""

    models: dict[str, dict[str, str]]  # model -> segment -> side
    trials: list[Listed]
    call: dict[str, str]  # of segments
    language: dict[str, str]  # of calls


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--dev", type=Path, help="development and unlabelled data, where ROOT does not hold them")
    parser.add_argument("root", type=Path, help="the evaluation")
    parser.add_argument("out", type=Path, help="folder of the data directories")
    args = parser.parse_args()
    require_root(args.root, "SRE 2016", "data/ and docs/")
    if args.dev is not None:
        require_root(args.dev, "SRE 2016, development", "data/")
    prepare([args.root, *([args.dev] if args.dev is not None else [])], args.out)


def prepare(places: list[Path], out: Path) -> None:
    """Write all sets that the places hold; everything is read before the first is written.

    Raises DataError if the evaluation is in none of them, a table is missing or malformed, or no recording of a set
    is there.
    """
    looked = ", ".join(map(str, places))
    work = []
    for part in (EVAL, DEV):
        folder = folder_of(part, places)
        if folder is None:
            why = f"no docs/sre16_{part.name}_enrollment.tsv in {looked} (nor below {part.folders[1]})"
        else:
            why = next((f"no {table}" for table in needed(part, folder) if not table.exists()), "")
        if not why:
            work.append(planned(part, folder, out, places[0]))
        elif part is EVAL:
            raise DataError(f"SRE 2016: there is {why}")
        else:
            print(f"{out}: no development sets, as there is {why}")
    for kind in ("major", "minor"):
        folders = [place / folder / "data/unlabeled" / kind for place in places for folder in DEV.folders]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        if folder is not None:
            work.append(planned_unlabelled(kind, folder, out / f"sre16_{kind}", places[0]))
        else:
            print(f"{out}: no sre16_{kind}, as there is no data/unlabeled/{kind} in {looked}")
    for write in filter(None, work):
        write()


def folder_of(part: Part, places: Iterable[Path]) -> Path | None:
    """The folder that holds a part's docs/, if there is one."""
    folders = [place / folder for place in places for folder in part.folders]
    return next((folder for folder in folders if enrolment_tables(part, folder)), None)


def needed(part: Part, folder: Path) -> list[Path]:
    """The tables of a part: enrolment, trial key, calls of the test segments, languages of calls."""
    docs, name = folder / "docs", f"sre16_{part.name}"
    return [
        enrolment_tables(part, folder)[0],
        docs / f"{name}_trial_key.tsv",
        docs / f"{name}_segment_key.tsv",
        folder / "metadata/calls.tsv",
    ]


def enrolment_tables(part: Part, folder: Path) -> list[Path]:
    """The enrolment table, which is spelt in two ways, where it is there."""
    names = (f"sre16_{part.name}_enrollment.tsv", f"sre16_{part.name}_enrollments.tsv")
    return [path for name in names if (path := folder / "docs" / name).exists()]


def planned(part: Part, folder: Path, out: Path, root: Path) -> Callable[[], None] | None:
    """Read a part's tables; what then writes its two sets, or None if there is nothing to do."""
    enrolment, key, segments, calls = needed(part, folder)
    enrolment_segments = folder / f"docs/sre16_{part.name}_enrollment_segment_key.tsv"
    recordings = [recordings_below(folder / "data" / kind) for kind in ("enrollment", "test")]
    step = Step(
        f"prepare_sre16_{part.name}",
        out,
        inputs=[enrolment, key, segments, enrolment_segments, calls, root / LABEL],
        digests=digests(recordings),
        version=3,
    )
    if step.skip():
        return None
    tables = read_tables(enrolment, key, segments, enrolment_segments, calls)
    lists = trial_lists(part, tables, segments)
    cells = partitions(tables, out / f"sre16_{part.name}_test", key)
    speaker_of = {name: part.prefix + speaker for name, speaker in speakers(tables, key).items()}
    enrol_sides = {segment: side for model in tables.models.values() for segment, side in model.items()}
    test_sides = {trial.segment: trial.side for trial in tables.trials}
    gender_of = genders(tables.trials, speaker_of)
    enrol_set = segments_of(enrol_sides, speaker_of, gender_of, tables, recordings[0])
    test_set = segments_of(test_sides, speaker_of, gender_of, tables, recordings[1])
    enrol_set.check()
    test_set.check()

    def write() -> None:
        step.begin()
        enrol, test = (out / f"sre16_{part.name}_{kind}" for kind in ("enroll", "test"))
        made = [*enrol_set.write(enrol, root), write_models(enrol / "models", tables.models, speaker_of)]
        for old in trial_files(test).values():
            old.unlink()
        made += test_set.write(test, root)
        made += [
            write_trials(test / f"trials_{name}", trials, speaker_of, test_set.dropped)
            for name, trials in lists.items()
        ]
        pairs = [(trial.model, utterance(trial.segment, speaker_of)) for trial in tables.trials]
        phones = [trial.phone if trial.is_target else "" for trial in tables.trials]
        for file, told in ((PARTITIONS, cells), (PHONE_NUMBERS, phones)):
            (test / file).unlink(missing_ok=True)
            if any(told):
                write_partitions(test / file, ((*pair, cell) for pair, cell in zip(pairs, told, strict=True) if cell))
                made.append(test / file)
        counts = {"enrol": len(enrol_set.utterances), "test": len(test_set.utterances), "trials": len(tables.trials)}
        step.done(made, **counts)

    return write


def write_models(path: Path, models: dict[str, dict[str, str]], speaker_of: dict[str, str]) -> Path:
    """Write the utterances of every model."""
    write_table(path, {m: " ".join(f"{speaker_of[m]}-{s}" for s in sorted(models[m])) for m in models})
    print(f"{path}: {len(models)} models, {sum(len(segments) > 1 for segments in models.values())} of several segments")
    return path


def write_trials(path: Path, trials: list[Listed], speaker_of: dict[str, str], dropped: Collection[str]) -> Path:
    """Write a list and say what it is."""
    utts = [utterance(trial.segment, speaker_of) for trial in trials]
    Trials([trial.model for trial in trials], utts, np.array([trial.is_target for trial in trials])).write(path)
    absent = sum(utt in dropped for utt in utts)
    print(
        f"{path}: {len(trials)} trials ({sum(trial.is_target for trial in trials)} target)"
        + (f", {absent} of them with a segment that is left out" if absent else "")
    )
    return path


def planned_unlabelled(kind: str, folder: Path, out: Path, root: Path) -> Callable[[], None] | None:
    """Look at recordings of unknown speakers; what then writes their set, or None if there is nothing to do."""
    recordings = recordings_below(folder)
    step = Step("prepare_sre16_unlabelled", out, inputs=[root / LABEL], digests=digests([recordings]))
    if step.skip():
        return None
    calls = CallSet(f"sre16_{kind}", recordings)
    for name in recordings.paths:
        calls.add(name, name, name, "")
    calls.check()
    return lambda: write_set(step, calls, out, root)


def read_tables(enrolment: Path, key: Path, segments: Path, enrolment_segments: Path, calls: Path) -> Tables:
    """Read a part's tables, of which that of the enrolment segments' calls may be missing; DataError for the rest."""

    def is_header(row: list[str]) -> bool:
        return row[0] in ("modelid", "segment", "call_id")

    models: dict[str, dict[str, str]] = {}
    for _, (model, segment, side, *_) in read_rows(enrolment, "modelid, segment, side", None, is_header):
        models.setdefault(model, {})[segment] = side.lower()
    trials = []
    for number, (model, segment, side, kind, *more) in key_rows(key, is_header):
        if kind not in ("target", "nontarget"):
            raise DataError(f"{key}:{number}: {kind!r} is neither target nor nontarget")
        if model not in models:
            raise DataError(f"{key}:{number}: model {model} is not in {enrolment}")
        trials.append(Listed(model, segment, side.lower(), kind == "target", *more))
    call = {}
    for table in (segments, enrolment_segments):
        if table == segments or table.exists():
            call |= {row[0]: row[1] for _, row in read_rows(table, "segment, call_id", None, is_header)}
    language = {row[0]: row[1].lower() for _, row in read_rows(calls, "call_id, language", None, is_header)}
    return Tables(models, trials, call, language)


def key_rows(key: Path, is_header: Callable[[list[str]], bool]) -> Iterator[tuple[int, list[str]]]:
    """The rows of a trial key with their line numbers: model, segment, side, type, gender, phone.

    The last two are "" where the key has no such column, or a trial none of its values.
    """
    first = next(read_lines(key, errors="replace"), "")
    separator = "\t" if "\t" in first else None  # where tabs separate, a cell may be empty
    header = [name.strip().lower() for name in first.split(separator)]
    place = {what: header.index(name) for what, names in COLUMNS.items() for name in names if name in header}
    for number, row in read_rows(key, "modelid, segment, side, targettype", separator, is_header):
        found = row[:4]
        for what in COLUMNS:
            said = row[place[what]] if what in place and place[what] < len(row) else ""
            found.append(VALUES[what].get(said.lower(), ""))
        yield number, found


def partitions(tables: Tables, out: Path, key: Path) -> list[str]:
    """The partition of every trial, if the key tells those of all target trials; else none, and a line says so.

    A non-target trial from the same phone, which is a shared phone or an error, is in none: NIST leaves it out.
    """
    cells = []
    for trial in tables.trials:
        if not trial.gender or (trial.is_target and not trial.phone):
            lacks = f"no {'phone_num_match (Y or N)' if trial.gender else 'gender (m or f)'}"
            print(
                f"{out}: no partitions, so no equalised figures, as {key} has {lacks} of {trial.model} {trial.segment}"
            )
            return []
        language = tables.language[tables.call[trial.segment]]
        cell = f"{language}-{trial.gender}-{len(tables.models[trial.model])}"
        if trial.is_target:
            cell += f"-{trial.phone}"
        elif trial.phone == "same":
            cell = UNCOUNTED
        cells.append(cell)
    return cells


def trial_lists(part: Part, tables: Tables, segments: Path) -> dict[str, list[Listed]]:
    """All trials, and those of each language of the test segment, by the list's name."""
    lists: dict[str, list[Listed]] = {part.all_trials: tables.trials}
    for trial in tables.trials:
        language = tables.language.get(tables.call.get(trial.segment, ""), "")
        if language not in part.languages:
            known = f"is in {language!r}" if language else "has no call with a language"
            raise DataError(
                f"{segments}: test segment {trial.segment} {known}; expected {' or '.join(part.languages)}"
                " by its call in calls.tsv"
            )
        lists.setdefault(language, []).append(trial)
    return lists


def speakers(tables: Tables, key: Path) -> dict[str, str]:
    """The speaker of every model and segment, but for test segments without a target trial, which are nobody's.

    Models that share an enrolment segment, or a test segment in target trials, are of one speaker, who has the name
    of the first of them. Raises DataError if that makes a non-target trial one of a speaker with itself.
    """
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while (higher := above.get(name, name)) != name:
            above[name] = name = above.get(higher, higher)
        return name

    pairs = [(model, segment) for model, segments in tables.models.items() for segment in segments]
    pairs += [(trial.model, trial.segment) for trial in tables.trials if trial.is_target]
    for model, segment in pairs:
        one, other = top(model), top(segment)
        if one != other:
            first, second = sorted((one, other), key=lambda name: (name not in tables.models, name))
            above[second] = first
    speaker_of = {name: top(name) for pair in pairs for name in pair}
    for trial in tables.trials:
        if not trial.is_target and speaker_of[trial.model] == speaker_of.get(trial.segment):
            raise DataError(
                f"{key}: {trial.model} {trial.segment} is a nontarget trial, while target trials make both the same"
                f" speaker, {speaker_of[trial.model]}"
            )
    return speaker_of


def utterance(segment: str, speaker_of: dict[str, str]) -> str:
    """A segment's id behind its speaker's; the segment's own where it is nobody's."""
    return f"{speaker_of[segment]}-{segment}" if segment in speaker_of else segment


def genders(trials: Iterable[Listed], speaker_of: dict[str, str]) -> dict[str, str]:
    """The gender of speakers and of nobody's segments, as far as the key tells; of target trials first."""
    found: dict[str, str] = {}
    for trial in sorted(trials, key=lambda trial: not trial.is_target):
        for i in (trial.model, trial.segment) if trial.gender else ():  # SRE16's trials are within a gender
            found.setdefault(speaker_of.get(i, i), trial.gender)
    return found


def segments_of(
    sides: dict[str, str],
    speaker_of: dict[str, str],
    gender_of: dict[str, str],
    tables: Tables,
    recordings: Recordings,
) -> CallSet:
    """The set of some segments."""
    calls = CallSet("sre16", recordings)
    language = {}
    for segment, side in sides.items():
        utt, call = utterance(segment, speaker_of), tables.call.get(segment, "")
        # a recording of one channel is the side that is listed, whichever that is
        side = side if calls.num_channels(segment) > 1 else ""
        speaker = speaker_of.get(segment, segment)
        calls.add(utt, speaker, segment, side, gender=gender_of.get(speaker, ""), session=call)
        if call in tables.language:
            language[utt] = tables.language[call]
    calls.set_table("utt2lang", language)
    return calls


if __name__ == "__main__":
    run(main, __file__)
