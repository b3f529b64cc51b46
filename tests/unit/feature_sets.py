"""Small feature folders for tests: speakers that are told apart by their frames' means, written as arks."""

from pathlib import Path

import numpy as np

from sv.data.ark import ArkWriter
from sv.data.datadir import DataDir
from sv.data.tables import write_table

CONF = Path(__file__).parents[1] / "data" / "conf" / "features" / "mfcc23_8k.conf"
DIM = 4


def write_features(data, frames, name="mfcc23_8k", seed=0, spread=1.0, voiced=0.8, shift=0.0):
    """Make DATA/feats/NAME with an energy VAD; returns the folder.

    Args:
        data: the data directory's path.
        frames: {utterance: number of frames}; an utterance is called SPEAKER-REST.
        spread: of the speakers' means; frames have unit variance around them. (A sliding mean would take it away.)
        voiced: the part of frames that the VAD keeps, drawn per frame.
        shift: of the first number of all frames, as of another channel.
    """
    folder = Path(data).resolve() / "feats" / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    num_voiced = {}
    with ArkWriter(folder / "arks" / "feats.1") as feats, ArkWriter(folder / "arks" / "vad.1") as vad:
        for utt in sorted(frames):
            of_speaker = np.random.default_rng(list(utt.split("-")[0].encode()))
            x_TD = rng.normal(size=(frames[utt], DIM)) + spread * of_speaker.normal(size=DIM)
            feats.write(utt, x_TD + shift * (np.arange(DIM) == 0))
            is_voiced = rng.random(frames[utt]) < voiced
            vad.write(utt, is_voiced.astype(np.float32))
            num_voiced[utt] = int(is_voiced.sum())
    DataDir({utt: utt.split("-")[0] for utt in frames}).write(folder)
    (folder / "arks" / "feats.1.scp").rename(folder / "feats.scp")
    (folder / "arks" / "vad.1.scp").rename(folder / "vad.scp")
    (folder / "feats.conf").write_text(CONF.read_text())
    write_table(folder / "utt2num_frames", frames)
    write_table(folder / "utt2num_voiced", num_voiced)
    return folder


def speakers_frames(speakers, utterances, frames=(150, 400), seed=0):
    """{spk00-00: number of frames, …} with lengths drawn between the two."""
    rng = np.random.default_rng(seed)
    return {f"spk{s:02d}-{u:02d}": int(rng.integers(*frames)) for s in range(speakers) for u in range(utterances)}
