"""A run on a small separable feature set, ready to be trained in seconds."""

from pathlib import Path

from feature_sets import speakers_frames, write_features
from runs import made_run

from sv.systems.reading import find_systems, load_system

SMALL = find_systems(Path(__file__).parents[1] / "data" / "conf")["small"]


def write_sets(folder, speakers=6):
    """FOLDER/train and FOLDER/valid: two draws of the same speakers."""
    for seed, (name, utterances) in enumerate({"train": 4, "valid": 2}.items()):
        write_features(folder / name, speakers_frames(speakers, utterances, (60, 120), seed), seed=seed)
    return folder / "train", folder / "valid"


def small_run(exp, *sets, seed=1):
    """EXP/small/seedN: tests/data/conf's, without a sliding mean, which would take the speakers' means away."""
    return made_run(exp, "small", seed, small_system(*sets))


def small_system(*sets):
    """The system of `small_run`."""
    return load_system(SMALL, sets=["cmn=null", *sets])
