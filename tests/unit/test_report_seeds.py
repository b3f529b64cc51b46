"""Which runs may be averaged as seeds of one system: what their scores are made of, compared key by key."""

from pathlib import Path

import pytest
from runs import made_run

from sv.records import Step
from sv.report.seeds import apart, that_share_runs
from sv.run import Run
from sv.systems.reading import find_systems, load_system, validate_system

SMALL = find_systems(Path(__file__).parents[1] / "data" / "conf")["small"]


@pytest.fixture
def seed_of(tmp_path):
    """Make a trained run of a system with settings; `trained` are what its training's record has in place of these."""

    def make(seed, *sets, name="small", speakers=9, **trained):
        this = made_run(tmp_path, name, seed, load_system(SMALL, sets=sets))
        settings = {"system": this.trained_by(), "seed": seed} | trained
        Step("train", this.path, settings=settings).done([], epochs=seed, utterances=90, speakers=speakers)
        return this

    return make


def made_of(exp, seed, **content):
    return made_run(exp, "made", seed, validate_system(content, "made"))


def test_seeds_of_the_same_settings_belong_together(seed_of):
    """However long each was trained, and whatever a paper reports; systems of other names are not compared."""
    paper = "published={source: p, backends: [plda], eer: {}}"
    runs = [seed_of(1), seed_of(2, paper), seed_of(5), seed_of(1, "training.batch_size=7", name="small+short")]
    assert apart(runs) == {}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"sets": ["training.batch_size=7"]}, "its training.batch_size is 7, not "),
        ({"sets": ["cmn.window=50"]}, "its cmn.window is 50, not "),
        ({"sets": ["extraction.checkpoint=best"]}, "its extraction.checkpoint is best, not last"),
        ({"speakers": 8}, "its training_set.speakers is 8, not 9"),
        ({"front_end": {"dither": 1.0}}, "its training_record.front_end is {'dither': 1.0}, not None"),
    ],
)
def test_what_decides_all_scores_keeps_a_seed_apart(seed_of, changed, why):
    runs = [seed_of(1), seed_of(2), seed_of(3, *changed.pop("sets", ()), **changed)]
    found = apart(runs)
    assert set(found) == {(runs[2].path, backend) for backend in ("cosine", "plda")}
    assert all(each.startswith(f"not averaged with seed 1: {why}") for each in found.values())


def test_a_back_ends_setting_keeps_its_scores_alone_apart(seed_of):
    """Nor does one more back end matter to the others."""
    runs = [seed_of(1), seed_of(2, "backends.plda.lda_dim=2", "backends.new={name: cosine}"), seed_of(3)]
    assert list(apart(runs)) == [(runs[1].path, "plda")]


def test_systems_made_of_others_are_compared_with_what_these_are_made_of(seed_of, tmp_path):
    """Embeddings of networks, and scores of members, of which the seeds are others and which share some."""
    for seed in (1, 2, 3):
        seed_of(seed)
    above = [made_of(tmp_path, seed, embeddings_of="small", backends={"b": {"name": "cosine"}}) for seed in (1, 2, 3)]
    assert apart(above) == {}
    seed_of(3, "training.batch_size=7")
    (key,) = apart(above)
    assert key == (above[2].path, "b")
    ensemble = {"members": {"small": 2}, "backend": "plda"}
    means = [made_of(tmp_path, seed, ensemble=ensemble) for seed in (1, 2)]
    assert apart(means)[means[1].path, "mean"].startswith(
        "not averaged with seed 1: its member.2.training.batch_size is 7, not "
    )
    assert that_share_runs(means) == ["made"]
    seed_of(3)
    assert apart(means) == {}
    seed_of(4)
    assert that_share_runs([means[0], made_of(tmp_path, 3, ensemble=ensemble)]) == []
    assert that_share_runs([Run.open(tmp_path / "small" / "seed1")]) == []
