"""Put a data directory right in its own place: what can be sorted or derived is, what cannot be kept is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sv.data.datadir import DataDir, write_dropped
from sv.data.tables import read_table
from sv.data.validate import Problem


def mend(path: Path, problems: Iterable[Problem] = ()) -> dict[str, str]:
    """Rewrite a directory sorted, with `spk2utt` anew, without utterances that lack something; returns those.

    An utterance goes that has no speaker, no recording, no features where the directory has some, or bad audio
    among `problems`. PATH/dropped.txt keeps what it had and gains these, with the reasons. Other files, as trials,
    stay as they are. Raises DataError if nothing would be left; then nothing is changed.
    """
    data = DataDir.read(path)
    record = path / "dropped.txt"
    earlier = read_table(record) if record.exists() else {}
    bad = {(problem.file, problem.key): problem.what for problem in problems if problem.is_bad_audio}
    feats = data.tables.get("feats.scp")

    def objection(utt: str) -> str | None:
        if feats is not None and utt not in feats:
            return "has no features in feats.scp"
        recording = data.segments[utt].recording if data.segments is not None else utt
        return bad.get(("segments", utt)) or bad.get(("wav.scp", recording))

    rest, dropped = data.fix(objection)
    rest.write(path)
    write_dropped(record, {**earlier, **dropped})
    return dropped
