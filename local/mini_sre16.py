"""The layout `sre16` of `local/generate_mini.py`: telephone calls in the trees and tables of LDC's corpora.

    sre04/ sre08_train/ sre08/ sre10/ mixer6/     English-like calls of two sides, each with its own kind of key;
    swbd_cellular1/ swbd2_phase1/                 speaker_list/ has that of sre04
    sre16/                                        the evaluation: two languages, models of one and three segments
    sre16_dev/                                    the development part: the same of other languages and speakers;
    sre16_dev/data/unlabeled/major/               calls in the evaluation's languages, of yet others, unlabelled

Below, a side is who speaks on one channel of a call; a model's and a test's segments are sides by themselves. A third
of a speaker's tested calls come from the phone, that is, the line, of an enrolled one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mini_channel import record
from mini_languages import LANGUAGES
from mini_speech import HOP, RATE, draw_mood, draw_voice, generator, utterance
from mini_telephone import at_8_khz, draw_line, write_sphere

VERSION = 2  # raise it with any change that alters the recordings or the tables
TRAIN, EVAL, UNLABELLED, DEV = 10, 11, 12, 13  # parts of addresses; 0 and 1 are the other layout's
CHANNEL, TURNS, SPEECH = 1, 2, 3  # fifth part of an address; 0 is the mood
DEFAULTS = {"seed": 0, "dev_speakers": 120, "test_speakers": 48, "sessions": 6}
LEAST = {"dev_speakers": 12, "test_speakers": 8, "sessions": 2}
MOST = {"seed": 2**32 - 2, "dev_speakers": 9999, "test_speakers": 999, "sessions": 99}
# The training corpora: the part of the speakers that each has, and its lines.
CORPORA = {
    "sre04": (0.25, "land"),
    "sre08": (0.15, "land"),
    "sre10": (0.1, "land"),
    "mixer6": (0.1, "land"),
    "swbd_cellular1": (0.2, "cellular"),
    "swbd2_phase1": (0.2, "land"),
}
FIRST_TESTED = 3  # session; those before it are enrolled
TESTS = (3, 2)  # calls of a speaker of the evaluation that are tested, and segments of each
SECONDS = {"call": (18.0, 26.0), "enrolment": (16.0, 24.0), "test": (8.0, 20.0), "unlabelled": (8.0, 20.0)}
KEYS_08 = "data/keys/NIST_SRE08_KEYS.v0.1"


class Part(NamedTuple):
    """The evaluation or the development part: its part of addresses, name, folder and languages."""

    address: int
    name: str
    folder: str
    languages: tuple[str, str]

    def speakers(self, options: dict[str, int]) -> range:
        """Of the development part half as many as of the evaluation, and of either both sorts of models."""
        tested = options["test_speakers"]
        return range(tested if self.address == EVAL else max(LEAST["test_speakers"], tested // 2))


PARTS = (Part(EVAL, "eval", "sre16", ("tgl", "yue")), Part(DEV, "dev", "sre16_dev", ("ceb", "cmn")))


class Side(NamedTuple):
    """Who speaks: part, number and session make up the addresses of what is drawn; `number` is the segment's."""

    part: int
    speaker: int
    session: int
    language: str
    number: int = 0

    @property
    def phone(self) -> int:
        """The session in which this phone was first used: a tested one's is the first enrolled one's."""
        return 0 if self.part in (EVAL, DEV) and self.session == FIRST_TESTED else self.session


class Call(NamedTuple):
    """A recording to make."""

    path: str
    sides: tuple[Side, ...]
    line: str
    kind: str  # of SECONDS


class TrainingCall(NamedTuple):
    """A call of a training corpus: its number and its two speakers, A's and B's."""

    number: int
    speakers: tuple[int, int]


def gender(speaker: int) -> str:
    """Men and women by turns."""
    return "mf"[speaker % 2]


# ---- recordings ------------------------------------------------------------------------------------------


def recordings(options: dict[str, int]) -> list[Call]:
    """All recordings of the corpus."""
    calls = [
        Call(place(corpus, call), tuple(Side(TRAIN, s, call.number % 100, "eng") for s in call.speakers), line, "call")
        for corpus, (_, line) in CORPORA.items()
        for call in training_calls(corpus, options)
    ]
    for part in PARTS:
        for segment, side, _ in enrolment(part, options):
            calls.append(Call(f"{part.folder}/data/enrollment/{segment}.sph", (side,), "abroad", "enrolment"))
        for segment, side, _ in tests(part, options):
            calls.append(Call(f"{part.folder}/data/test/{segment}.sph", (side,), "abroad", "test"))
    for number in range(unlabelled(options)):
        side = Side(UNLABELLED, number // 4, number % 4, language_of(number // 4, PARTS[0]))
        path = f"sre16_dev/data/unlabeled/major/sre16_major_{number + 1:04d}.sph"
        calls.append(Call(path, (side,), "abroad", "unlabelled"))
    return calls


def write_recording(job: tuple[Path, int, Call]) -> float:
    """Make one recording; returns its length in seconds."""
    root, seed, call = job
    first = call.sides[0]
    rng = generator(seed, first.part, first.speaker, first.session, TURNS, first.number)
    blocks = int(rng.uniform(*SECONDS[call.kind]) * RATE / HOP) // 2 * 2
    turns = list(_turns(blocks, len(call.sides), rng))
    waves = [_side(seed, side, call.line, blocks, turns[i :: len(call.sides)]) for i, side in enumerate(call.sides)]
    write_sphere(root / call.path, waves)
    return blocks * HOP / RATE


def _turns(blocks: int, sides: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Who speaks when, first and last block of HOP samples: sides by turns, or one side with pauses between."""
    start = int(rng.uniform(0.1, 0.6) * RATE / HOP)
    while start < blocks:
        end = min(start + int(rng.uniform(2, 4) * RATE / HOP), blocks)
        if end - start > RATE // HOP:
            yield start, end
        start = end + int(rng.uniform(0, 0.4 if sides == 2 else 1.2) * RATE / HOP)


def _side(seed: int, side: Side, line: str, blocks: int, turns: list[tuple[int, int]]) -> np.ndarray:
    """What comes out of the line of one side, int16 (T,) at 8 kHz."""
    address = (seed, side.part, side.speaker, side.session)
    language = LANGUAGES[side.language]
    voice = draw_voice(gender(side.speaker), seed, side.part, side.speaker)
    voice = replace(voice, formant_habit=voice.formant_habit * language.formants())
    rng = generator(*address, SPEECH, side.number)
    speech_T = np.zeros(blocks * HOP, np.float32)
    active = 0.0
    for start, end in turns:
        length_s = ((end - start) * HOP + HOP / 2) / RATE  # half a block more, so that as many blocks come out
        turn_T, share = utterance(voice, draw_mood(*address), (length_s, length_s), rng, language)
        speech_T[start * HOP : end * HOP] = turn_T
        active += share * len(turn_T) / len(speech_T)
    return at_8_khz(record(speech_T, active, draw_line(line, *address[:-1], side.phone, CHANNEL), rng))


# ---- who speaks where ------------------------------------------------------------------------------------


def corpus_speakers(corpus: str, options: dict[str, int]) -> list[int]:
    """The speakers of a training corpus, an even number; no one is in two."""
    first = 0
    for name, (part, _) in CORPORA.items():
        count = max(2, round(part * options["dev_speakers"] / 2) * 2)
        if name == corpus:
            return list(range(first, first + count))
        first += count
    raise KeyError(corpus)


def training_calls(corpus: str, options: dict[str, int]) -> list[TrainingCall]:
    """Every speaker is in as many calls as there are sessions, with another partner each time where there is one."""
    speakers = corpus_speakers(corpus, options)
    still, moving = speakers[0], speakers[1:]
    calls = []
    for session in range(options["sessions"]):
        turned = moving[session % len(moving) :] + moving[: session % len(moving)]
        round_ = [still, *turned]
        pairs = zip(round_[: len(round_) // 2], reversed(round_[len(round_) // 2 :]), strict=True)
        calls += [TrainingCall(100 * (i + 1) + session, pair) for i, pair in enumerate(pairs)]
    return calls


def place(corpus: str, call: TrainingCall) -> str:
    """Where the recording of a training call is."""
    number = call.number
    return {
        "sre04": f"sre04/r93_{1 + number % 2}_1/data/t{number:05d}.sph",
        "sre08": f"sre08_train/data/short2/t{number:05d}.sph"
        if number % 100 == 0
        else f"sre08/data/short3/t{number:05d}.sph",
        "sre10": f"sre10/data/core/t{number:05d}.sph",
        "mixer6": f"mixer6/mx6_speech/data/ulaw_sphere/20090714_134523_{number}.sph",
        "swbd_cellular1": f"swbd_cellular1/data/sw_{number + 50000}.sph",
        "swbd2_phase1": f"swbd2_phase1/data/sw_{number + 10000}.sph",
    }[corpus]


def language_of(speaker: int, part: Part) -> str:
    """A man and a woman of one language, then of the other."""
    return part.languages[speaker // 2 % 2]


def model(speaker: int) -> str:
    return f"{1001 + speaker}_sre16"


def call_id(speaker: int, session: int) -> str:
    return f"{speaker + 1:04d}{session:02d}"


def enrolment(part: Part, options: dict[str, int]) -> Iterator[tuple[str, Side, str]]:
    """Segments, sides and models: every other four have three segments, of a call each."""
    for speaker in part.speakers(options):
        for session in range(FIRST_TESTED if speaker // 4 % 2 else 1):
            segment = f"e{speaker:03d}{session}_sre16"
            yield segment, Side(part.address, speaker, session, language_of(speaker, part)), model(speaker)


def tests(part: Part, options: dict[str, int]) -> Iterator[tuple[str, Side, str]]:
    """Test segments, sides and calls."""
    calls, segments = TESTS
    for speaker in part.speakers(options):
        for session in range(FIRST_TESTED, FIRST_TESTED + calls):
            for number in range(segments):
                side = Side(part.address, speaker, session, language_of(speaker, part), number)
                yield f"t{speaker:03d}{session}{number}_sre16", side, call_id(speaker, session)


def unlabelled(options: dict[str, int]) -> int:
    """How many unlabelled recordings there are: four of each of as many speakers as the evaluation has."""
    return 4 * options["test_speakers"]


# ---- tables ----------------------------------------------------------------------------------------------


def write_tables(root: Path, options: dict[str, int]) -> str:
    """Write every corpus's tables; returns what to say of the corpus."""
    label = (root / "SYNTHETIC.txt").read_text(encoding="utf-8")
    for folder in (*CORPORA, "sre08_train", "speaker_list", "sre16", "sre16_dev"):
        _write(root / folder / "SYNTHETIC.txt", [label.rstrip("\n")])
    tables: dict[str, Callable[[Path, list[TrainingCall]], None]] = {
        "sre04": _sre04,
        "sre08": _sre08,
        "sre10": _sre10,
        "mixer6": _mixer6,
        "swbd_cellular1": _cellular1,
        "swbd2_phase1": _phase1,
    }
    for corpus, write in tables.items():
        write(root, training_calls(corpus, options))
    num_trials = [_sre16(root / part.folder, part, options) for part in PARTS]
    speakers = [sum(len(corpus_speakers(corpus, options)) for corpus in CORPORA)]
    speakers += [len(part.speakers(options)) for part in PARTS]
    return f"{' + '.join(map(str, speakers))} speakers, {' + '.join(map(str, num_trials))} trials"


def _sides(calls: list[TrainingCall]) -> Iterator[tuple[TrainingCall, str, int]]:
    for call in calls:
        yield call, "A", call.speakers[0]
        yield call, "B", call.speakers[1]


def _person(speaker: int) -> str:
    return str(100001 + speaker)


def _sre04(root: Path, calls: list[TrainingCall]) -> None:
    lines = [f"{_person(s)} {gender(s)} sre2004 t{call.number:05d} {side}" for call, side, s in _sides(calls)]
    _write(root / "speaker_list/speaker_list", lines)


def _sre08(root: Path, calls: list[TrainingCall]) -> None:
    """The first call of a speaker trains the model, the others are its target trials."""
    models, trials = ["modelid,gender,segment:channel,speaker"], ["modelid,segment,channel,targettype"]
    for call, side, s in _sides(calls):
        name, number = f"t{call.number:05d}", 10001 + s
        if call.number % 100 == 0:
            models.append(f"{number},{gender(s)},{name}:{side.lower()},{_person(s)}")
        else:
            trials.append(f"{number},{name},{side.lower()},target")
    _write(root / "sre08" / KEYS_08 / "model-keys/NIST_SRE08_short2.model.key", models)
    _write(root / "sre08" / KEYS_08 / "trial-keys/NIST_SRE08_short2-short3.trial.key", trials)


def _sre10(root: Path, calls: list[TrainingCall]) -> None:
    models, training, trials = [], [], []
    for call, side, s in _sides(calls):
        name, number = f"t{call.number:05d}", 20001 + s
        if call.number % 100 == 0:
            models.append(f"{number},{_person(s)}")
            training.append(f"{number} {gender(s)} data/core/{name}.sph:{side}")
        else:
            trials.append(f"{number},{name},{side.lower()},target")
    _write(root / "sre10/keys/coreext.modelkey.csv", models)
    _write(root / "sre10/train/coreext.trn", training)
    _write(root / "sre10/keys/coreext-coreext.trialkey.csv", trials)


def _mixer6(root: Path, calls: list[TrainingCall]) -> None:
    speakers = sorted({s for call in calls for s in call.speakers})
    docs = root / "mixer6/mx6_speech/docs"
    _write(docs / "mx6_subjs.csv", ["subjid,sex", *(f"{_person(s)},{gender(s).upper()}" for s in speakers)])
    rows = [f"{c.number},20090714_134523,,,{_person(c.speakers[0])}{',' * 8}{_person(c.speakers[1])}" for c in calls]
    _write(docs / "mx6_calls.csv", [f"call_id,date_time,,,sid_a{',' * 8}sid_b", *rows])


def _cellular1(root: Path, calls: list[TrainingCall]) -> None:
    rows = [",".join([str(50000 + call.number), *_swbd(call, str), *_swbd(call, gender)]) for call in calls]
    _write(root / "swbd_cellular1/docs/swb_callstats.tbl", rows)


def _phase1(root: Path, calls: list[TrainingCall]) -> None:
    rows = [
        ",".join([f"sw_{10000 + call.number}.sph", "", *_swbd(call, str), "", *_swbd(call, gender)]) for call in calls
    ]
    _write(root / "swbd2_phase1/docs/callstat.tbl", rows)


def _swbd(call: TrainingCall, what: Callable[[int], str]) -> list[str]:
    return [what(speaker).upper() for speaker in call.speakers]


def _sre16(root: Path, part: Part, options: dict[str, int]) -> int:
    """The tables of a part; trials are all within a language and gender, as they were there."""
    models, segments = list(enrolment(part, options)), list(tests(part, options))
    _write(
        root / f"docs/sre16_{part.name}_enrollment.tsv",
        ["modelid\tsegment\tside", *(f"{name}\t{segment}\ta" for segment, _, name in models)],
    )
    columns = ("modelid", "segment", "side", "targettype", "num_enroll_segs", "phone_num_match", "gender", "language")
    trials = []
    for speaker in part.speakers(options):
        enrolled = [side for _, side, _ in models if side.speaker == speaker]
        for segment, side, _ in segments:
            if side.speaker % 4 == speaker % 4:  # men or women of a language
                kind = "target" if side.speaker == speaker else "nontarget"
                same_phone = any((side.speaker, side.phone) == (one.speaker, one.phone) for one in enrolled)
                where = (str(len(enrolled)), "NY"[same_phone], {"m": "male", "f": "female"}[gender(speaker)])
                trials.append("\t".join([model(speaker), segment, "a", kind, *where, side.language]))
    _write(root / f"docs/sre16_{part.name}_trial_key.tsv", ["\t".join(columns), *trials])
    _write(
        root / f"docs/sre16_{part.name}_segment_key.tsv",
        ["segment\tcall_id", *(f"{name}\t{call}" for name, _, call in segments)],
    )
    calls_of_models = [(name, call_id(side.speaker, side.session)) for name, side, _ in models]
    _write(
        root / f"docs/sre16_{part.name}_enrollment_segment_key.tsv",
        ["segment\tcall_id", *(f"{name}\t{call}" for name, call in calls_of_models)],
    )
    sides = [side for _, side, _ in (*models, *segments)]
    calls = sorted({(call_id(side.speaker, side.session), side.language) for side in sides})
    _write(root / "metadata/calls.tsv", ["call_id\tlanguage_id", *("\t".join(call) for call in calls)])
    return len(trials)


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
