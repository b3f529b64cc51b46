"""Small data directories and recordings for tests."""

from audio_files import noise, wav_bytes

from sv.data.datadir import DataDir, Segment

UTTS = [f"s{s}-{session}-{n}" for s in (1, 2, 3) for session in "ab" for n in (1, 2)]


def full(utts=UTTS):
    """A directory with every kind of table, two utterances to a recording."""
    recording = {utt: utt.rpartition("-")[0] for utt in utts}
    speaker = {utt: utt.partition("-")[0] for utt in utts}
    return DataDir(
        utt2spk=speaker,
        wav={r: f"/audio/{r}.wav" for r in recording.values()},
        segments={utt: Segment(recording[utt], float(utt[-1]), float(utt[-1]) + 0.5) for utt in utts},
        tables={
            "utt2sess": recording,
            "utt2dur": dict.fromkeys(utts, "0.5"),
            "spk2gender": dict.fromkeys(speaker.values(), "f"),
            "reco2dur": dict.fromkeys(recording.values(), "3.0"),
        },
    )


def plain(utts, path=None):
    return DataDir({utt: utt.partition("-")[0] for utt in utts}, {utt: f"{utt}.wav" for utt in utts}, path=path)


def keys(data):
    """What each table is about, for comparisons by eye."""
    tables = {"utt2spk": data.utt2spk, "wav.scp": data.wav, "segments": data.segments, **data.tables}
    return {name: sorted(table) for name, table in tables.items()}


def write_lines(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def write_wav(path, num_samples=8000, rate=16000, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav_bytes(noise(num_samples, seed), rate))
    return path


def write_data(folder, num_samples, rate=16000):
    """A data directory with audio of its own: {utterance: samples}; the speaker is what stands before the '-'."""
    for seed, (utt, samples) in enumerate(num_samples.items()):
        write_wav(folder / "wav" / f"{utt}.wav", samples, rate, seed)
    write_lines(folder / "wav.scp", *(f"{utt} {folder}/wav/{utt}.wav" for utt in num_samples))
    write_lines(folder / "utt2spk", *(f"{utt} {utt.split('-')[0]}" for utt in num_samples))
    return folder
