"""Score normalisation against a loop over trials, what is kept of it between lists, and its settings."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import refused, run_command
from embedding_sets import write_set
from runs import made_run

from sv.backends.backend import train_backend
from sv.data.tables import write_table
from sv.data.trials import Trials
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.scoring.calibration import Calibration
from sv.scoring.cohort import CohortStatistics, cohort_of, write_cohort
from sv.scoring.normalisation import NormalisedBackend, cohort_statistics
from sv.scoring.quality import names_of, read_quality
from sv.scoring.trials import read_scores, score_trials
from sv.systems.backends import CosineBackend, PldaBackend
from sv.systems.normalisation import Normalisation
from sv.systems.reading import find_systems, load_system

CONF = Path(__file__).parents[1] / "data" / "conf"
DIM = 6


def vectors(number, seed, prefix="u", num_utts=1):
    x_ND = np.random.default_rng(seed).normal(size=(number, DIM)) + 0.3
    return Vectors([f"{prefix}{n:03d}" for n in range(number)], x_ND, np.full(number, num_utts))


@pytest.fixture(params=["cosine", "plda"])
def backend(request):
    settings = {"cosine": CosineBackend(name="cosine", centre=None), "plda": PldaBackend(name="plda")}[request.param]
    return train_backend(settings, vectors(60, 9).x_ND, np.arange(60) // 5)


def score(backend, one_D, other_D, num_utts=1):
    sides = (Vectors(["a"], one_D[None], np.array([num_utts])), Vectors(["b"], other_D[None], np.ones(1, int)))
    return score_trials(backend, *sides, Trials(["a"], ["b"], None))[0]


def one_by_one(backend, enrol, test, cohort, method, top):
    """Every trial of all models and tests, by the definition: (E, T)."""
    found = np.empty((len(enrol.keys), len(test.keys)))
    for e, (e_D, num_utts) in enumerate(zip(enrol.x_ND, enrol.num_utts_N, strict=True)):
        for t, t_D in enumerate(test.x_ND):
            sides = []
            for x_D, count in ((e_D, num_utts), (t_D, 1)):
                scores = sorted(score(backend, x_D, c_D, count) for c_D in cohort.x_ND)[-(top or 10**6) :]
                mean = sum(scores) / len(scores)
                sides.append((mean, (sum((s - mean) ** 2 for s in scores) / len(scores)) ** 0.5))
            raw = score(backend, e_D, t_D, num_utts)
            z, t_score = ((raw - mean) / std for mean, std in sides)
            found[e, t] = {"z": z, "t": t_score, "s": (z + t_score) / 2}[method]
    return found


@pytest.mark.parametrize("method", ["z", "t", "s"])
@pytest.mark.parametrize("top", [None, 4, 500])
def test_scores_are_those_of_a_loop_over_trials(backend, method, top, monkeypatch):
    """All with all by blocks, and pair by pair; of models of three utterances."""
    monkeypatch.setattr("sv.scoring.normalisation.BLOCK_SCORES", 40)
    enrol, test, cohort = vectors(5, 0, "m", num_utts=3), vectors(7, 1), vectors(15, 2, "c")
    expected = one_by_one(backend, enrol, test, cohort, method, top)

    def of(side):
        return cohort_statistics(backend, side, cohort, top)

    normalised = NormalisedBackend(backend, Normalisation(method=method, top=top), of, of)
    scorer = normalised.scorer(enrol, test)
    np.testing.assert_allclose(scorer.block(0, 5), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scorer.block(2, 4), expected[2:4], rtol=1e-5, atol=1e-5)
    model_P, test_P = np.array([0, 0, 3, 4]), np.array([6, 1, 3, 0])
    np.testing.assert_allclose(scorer.pairs(model_P, test_P), expected[model_P, test_P], rtol=1e-5, atol=1e-5)
    trials = Trials(["m004", "m000"], ["u006", "u002"], None)
    np.testing.assert_allclose(
        score_trials(normalised, enrol, test, trials), expected[[4, 0], [6, 2]], rtol=1e-5, atol=1e-5
    )


def test_a_trial_of_the_cohort_alone_has_mean_0_and_deviation_1(backend):
    cohort, model = vectors(200, 3, "c"), vectors(1, 4)

    def of(side):
        return cohort_statistics(backend, side, cohort)

    z_C = NormalisedBackend(backend, Normalisation(method="z"), of, of).scorer(model, cohort).block(0, 1)[0]
    assert (z_C.mean(), z_C.std()) == (pytest.approx(0, abs=1e-9), pytest.approx(1))


def test_a_cohort_is_every_speakers_mean_or_every_utterance():
    x_ND, speakers = np.arange(12.0).reshape(4, 3), np.array(["b", "a", "b", "a"])
    means = cohort_of(Normalisation(), x_ND, speakers)
    assert means.keys == ["a", "b"]
    np.testing.assert_allclose(means.x_ND, [x_ND[[1, 3]].mean(0), x_ND[[0, 2]].mean(0)])
    np.testing.assert_array_equal(cohort_of(Normalisation(cohort="utterances"), x_ND, speakers).x_ND, x_ND)
    with pytest.raises(DataError, match="a cohort of 1 speakers has no deviation"):
        cohort_of(Normalisation(), x_ND, np.array(["a"] * 4))


def test_one_that_scores_the_same_against_all_is_named():
    backend = train_backend(CosineBackend(name="cosine", centre=None), vectors(4, 0).x_ND, np.arange(4))
    same = Vectors(["x", "y"], np.ones((2, DIM)), np.ones(2, int))
    with pytest.raises(DataError, match="u000 scores the same against all 2 of the cohort"):
        cohort_statistics(backend, vectors(1, 1), same)


def test_statistics_are_kept_and_what_they_are_made_of_is_watched(backend, tmp_path, monkeypatch):
    """For another list only what is new is computed; with another input, or a damaged file, all."""
    write_cohort(tmp_path, vectors(15, 2, "c"))
    source = tmp_path / "record"
    source.write_text("one")
    asked = []
    real = cohort_statistics

    def counted(backend, some, *rest):
        asked.append(some.keys)
        return real(backend, some, *rest)

    monkeypatch.setattr("sv.scoring.cohort.cohort_statistics", counted)

    def statistics():
        return CohortStatistics(backend, Normalisation(top=4), tmp_path, "some", [source])

    all_of, some = vectors(9, 1), vectors(9, 1).take([4, 2])
    whole = statistics()(all_of)
    kept = statistics()(some)
    np.testing.assert_array_equal(kept.mean_N, whole.mean_N[[4, 2]])
    np.testing.assert_array_equal(kept.std_N, whole.std_N[[4, 2]])
    more = Vectors([*some.keys, "new"], np.vstack([some.x_ND, np.ones(DIM)]), np.ones(3, int))
    statistics()(more)
    assert asked == [all_of.keys, ["new"]]
    source.write_text("another")
    statistics()(some)
    (tmp_path / "cohort_statistics/some.npz").write_bytes(b"PK\3\4 cut short")
    statistics()(some)
    assert asked[2:] == [some.keys] * 2


NORMS = {
    "raw": {"name": "cosine", "centre": None},
    "asnorm": {"name": "cosine", "centre": None, "normalise": {"method": "s", "top": 3}},
    "znorm": {"name": "cosine", "centre": None, "normalise": {"method": "z", "cohort": "utterances"}},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with embeddings of a cohort of six speakers with three utterances each, and of a test set."""
    monkeypatch.chdir(tmp_path)
    sets = [f"backends.{name}={json.dumps(settings)}" for name, settings in NORMS.items()]
    run = made_run("exp", "x", 1, load_system(find_systems(CONF)["small"], sets=sets))
    rng = np.random.default_rng(0)
    for name, speakers in (("train", 12), ("cohort", 6), ("test", 5)):
        utts = [f"{name[0]}{s}-{u}" for s in range(speakers) for u in range(3)]
        write_set(run.embeddings(name), {utt: rng.normal(size=DIM) + 1 for utt in utts})
        write_table(run.embeddings(name) / "utt2spk", {utt: utt.split("-")[0] for utt in utts})
    return run


def test_the_commands_normalise_models_and_tests_by_the_cohort(run, tmp_path, monkeypatch, capsys):
    """Against the loop; what is kept serves another list, and another cohort makes both anew."""
    train = ("train_backends", "--train", "train", "--cohort")
    code, said, _ = run_command(monkeypatch, capsys, *train, "cohort", run.path)
    assert code == 0
    assert "backend/asnorm: a cohort of 6 speakers, the nearest 3\n" in said
    assert "backend/znorm: a cohort of 18 utterances\n" in said
    write_table(tmp_path / "models", {"m1": "t1-0 t1-1", "m2": "t2-0"})
    trials = Trials(["m1", "m1", "m2"], ["t1-2", "t3-0", "t2-2"], np.array([True, False, True]))
    trials.write(tmp_path / "trials_list")
    score = ("score", "--enrol", "test", "--test", "test", "--models", tmp_path / "models", run.path)
    assert run_command(monkeypatch, capsys, *score, tmp_path / "trials_list")[0] == 0
    test, embeddings = (Vectors.read(run.embeddings(name) / "xvector.scp") for name in ("test", "cohort"))
    enrol = test.means({"m1": ["t1-0", "t1-1"], "m2": ["t2-0"]})
    backend = train_backend(CosineBackend(name="cosine", centre=None), test.x_ND, np.arange(15) // 3)
    for name, top in (("asnorm", 3), ("znorm", None)):
        settings = Normalisation(**NORMS[name]["normalise"])
        cohort = cohort_of(settings, embeddings.x_ND, np.array([key.split("-")[0] for key in embeddings.keys]))
        expected = one_by_one(backend, enrol, test, cohort, settings.method, top)
        rows = [(enrol.index()[e], test.index()[t]) for e, t in zip(trials.enrol, trials.test, strict=True)]
        found = read_scores(run.scores("list", name), trials)
        np.testing.assert_allclose(found, [expected[row] for row in rows], rtol=1e-5, atol=1e-5)
    kept = sorted(path.name for path in (run.backend("asnorm") / "cohort_statistics").iterdir())
    assert kept == ["test.models.npz", "test.npz"]
    assert "unchanged, skipped" in run_command(monkeypatch, capsys, *score, tmp_path / "trials_list")[1]
    before = read_scores(run.scores("list", "asnorm"), trials)
    said = run_command(monkeypatch, capsys, *train, "train", run.path)[1]
    assert "backend/asnorm: a cohort of 12 speakers" in said
    assert "backend/raw: unchanged" in said
    run_command(monkeypatch, capsys, *score, tmp_path / "trials_list")
    assert (read_scores(run.scores("list", "asnorm"), trials) != before).all()


def test_quality_measures_are_asked_for_after_the_back_end_is_trained(run, tmp_path, monkeypatch, capsys):
    """It stays as it is, the list is scored again, and calibration weighs them; without seconds that is one line."""
    train = ("train_backends", "--train", "train", "--cohort", "cohort", run.path)
    assert run_command(monkeypatch, capsys, *train)[0] == 0
    pairs = [(f"t{s}-0", f"t{t}-{u}", s == t) for s in range(5) for t in range(5) for u in (1, 2)]
    trials = Trials([e for e, *_ in pairs], [t for _, t, _ in pairs], np.array([same for *_, same in pairs]))
    trials.write(tmp_path / "trials_list")
    write_table(tmp_path / "utt2spk", {utt: utt.split("-")[0] for pair in trials.pairs() for utt in pair})
    score = ("score", "--enrol", "test", "--test", "test", run.path, tmp_path / "trials_list")
    assert run_command(monkeypatch, capsys, *score)[0] == 0
    raw_N = read_scores(run.scores("list", "asnorm"), trials)
    sets = [f"backends.{name}={json.dumps(settings)}" for name, settings in NORMS.items()]
    sets.append("backends.asnorm.quality=[duration, norm, cohort_mean]")
    changed = made_run("exp", "x", 1, load_system(find_systems(CONF)["small"], sets=sets))
    assert run_command(monkeypatch, capsys, *train)[1].count("unchanged, skipped") == len(run.system.backends)
    assert "utt2dur is missing" in refused(run_command(monkeypatch, capsys, *score))
    write_table(run.embeddings("test") / "utt2dur", {f"t{s}-{u}": 1 + s + u / 2 for s in range(5) for u in range(3)})
    said = run_command(monkeypatch, capsys, *score, "--compress")[1]
    assert said.count("list.asnorm.gz: 50 trials") == 1
    quality = read_quality(changed.quality("list", "asnorm"), changed.system.measures("asnorm"), trials)
    assert quality[0, :2] == pytest.approx(np.log([1, 1.5]), abs=1e-6)
    assert "the same scores, plain" in run_command(monkeypatch, capsys, *score)[1]
    assert "unchanged, skipped" in run_command(monkeypatch, capsys, *score)[1]
    np.testing.assert_array_equal(read_scores(run.scores("list", "asnorm"), trials), raw_N)
    learnt = Calibration.learn(raw_N, trials.is_target, 0.05, names_of(changed.system.measures("asnorm")), quality)
    monkeypatch.setattr("sv.cli.calibrate.require_other_speakers", lambda *_: None)
    calibrate = ("calibrate", "--calibration", tmp_path / "trials_list", run.path, tmp_path / "trials_list")
    code, said, told = run_command(monkeypatch, capsys, *calibrate)
    assert (code, told) == (0, "")
    assert "least_duration" in said
    found = read_scores(changed.calibrated("list", "asnorm"), trials)
    np.testing.assert_allclose(found, learnt(raw_N, quality), atol=1e-5)


def test_a_cohort_that_is_not_there_is_one_line(run, monkeypatch, capsys):
    said = refused(run_command(monkeypatch, capsys, "train_backends", "--train", "train", "--cohort", "no", run.path))
    assert "embeddings/no" in said
    assert "stage 5" in said
