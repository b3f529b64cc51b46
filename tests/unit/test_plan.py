"""Plans: which runs a request needs, in which order and for what; `configure` prints them."""

from pathlib import Path

import pytest
import yaml

from sv.cli import configure
from sv.errors import ConfigError
from sv.plan import plan, with_needed
from sv.run import Run
from sv.systems.reading import find_systems, load_system, validate_system

CONF = Path(__file__).parents[1] / "data" / "conf"
SMALL = find_systems(CONF)["small"]
ALL = "network,extracted,learnt,scored,asked"


def network(start_from=None, *sets):
    return load_system(SMALL, sets=[f"training.start_from={start_from or 'null'}", *sets])


def on(system, **options):
    return validate_system({"embeddings_of": system, "backends": {"b": {"name": "cosine", **options}}}, "on")


def mean(backend, **members):
    return validate_system({"ensemble": {"members": members, "backend": backend}}, "mean")


SYSTEMS = {
    "small": network(),
    "margin": network("small", "published={source: p, backends: [plda], eer: {}}"),
    "above": on("margin"),
    "two": mean("plda", margin=2, small=1),
    "both": mean("mean", two=2),
}


def planned(*names, seed=1, seeds=(), budget=None):
    """SYSTEM/seed -> tasks, in the plan's order."""
    systems = with_needed(names, SYSTEMS, SYSTEMS.__getitem__)
    found = plan(Path("exp"), names, seeds or [seed], systems, budget)
    return {"/".join(p.run.path.parts[-2:]): ",".join(p.tasks) for p in found}


def test_a_network_is_trained_after_the_one_that_it_begins_with():
    """Which is asked for no embeddings, unless it is asked for itself."""
    assert list(planned("margin").items()) == [("small/seed1", "network"), ("margin/seed1", ALL)]
    assert planned("margin", "small") == {"small/seed1": ALL, "margin/seed1": ALL}


def test_a_system_on_anothers_embeddings_wants_these_alone():
    assert list(planned("above", seed=7).items()) == [
        ("small/seed7", "network"),
        ("margin/seed7", "network,extracted,learnt"),
        ("above/seed7", "scored,asked"),
    ]


def test_training_embeddings_are_wanted_where_a_back_end_learns_from_them():
    """A cosine without a mean does not; of a system on another's embeddings the other's are wanted."""
    cosine = "backends={b: {name: cosine, centre: null}}"
    systems = {"small": network(None, cosine), "above": on("small")}
    tasks = {p.run.name: ",".join(p.tasks) for p in plan(Path("exp"), ["small"], [1], systems)}
    assert tasks == {"small": "network,extracted,scored,asked"}
    tasks = {p.run.name: ",".join(p.tasks) for p in plan(Path("exp"), ["above"], [1], systems)}
    assert tasks == {"small": "network,extracted,learnt", "above": "scored,asked"}


def test_unlabelled_speech_is_wanted_of_runs_that_learn_from_it_and_of_those_whose_embeddings_adapt():
    """A network with an adversary, a back end, and the network that another's back end adapts the embeddings of."""
    adapted = "backends={b: {name: cosine, centre: adapt}}"
    against = "training.adversarial={weight: 1.0}"
    systems = {
        "small": network(None, against),
        "margin": network("small"),
        "other": network(None, adapted),
        "on": on("margin", centre="adapt"),
    }
    for names, expected in (
        (["margin"], {"small": True, "margin": False}),
        (["other"], {"other": True}),
        (["on"], {"small": True, "margin": True, "on": True}),
    ):
        found = {p.run.name: "adapts" in p.tasks for p in plan(Path("exp"), names, [1], systems)}
        assert found == expected


def test_an_ensemble_wants_the_scores_of_its_seeds_each_once():
    """Seeds 3 and 4 of one, 3 of the other, which is what seed 3 begins with as well; names carry the budget."""
    everything = list(planned("two", "margin", seed=3, budget="short").items())
    assert everything == [
        ("small+short/seed3", "network,extracted,learnt,scored"),
        ("margin+short/seed3", ALL),
        ("small+short/seed4", "network"),
        ("margin+short/seed4", "network,extracted,learnt,scored"),
        ("two+short/seed3", "ensemble,asked"),
    ]


def test_several_seeds_are_planned_as_one_after_the_other_and_what_two_need_once():
    """Two ensembles of two, at seeds 1 and 2, are of seeds 1 to 3; of each run all that either needs is done."""
    assert list(planned("two", "margin", seeds=(1, 2)).items()) == [
        ("small/seed1", "network,extracted,learnt,scored"),
        ("margin/seed1", ALL),
        ("small/seed2", "network,extracted,learnt,scored"),
        ("margin/seed2", ALL),
        ("two/seed1", "ensemble,asked"),
        ("small/seed3", "network"),
        ("margin/seed3", "network,extracted,learnt,scored"),
        ("two/seed2", "ensemble,asked"),
    ]


def test_a_member_may_be_asked_for_in_any_order():
    for names in (("two", "above"), ("above", "two")):
        found = planned(*names)
        assert found["margin/seed1"] == "network,extracted,learnt,scored"
        assert list(found).index("margin/seed1") < min(list(found).index(f"{name}/seed1") for name in names)


def test_each_system_is_loaded_once_after_those_that_it_is_made_of():
    loaded = []

    def load(name):
        loaded.append(name)
        return SYSTEMS[name]

    assert list(with_needed(["two", "above", "two"], SYSTEMS, load)) == ["small", "margin", "two", "above"]
    assert sorted(loaded) == sorted(set(loaded))


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        ({"wrong": network("wrong")}, "training.start_from: a system cannot be made of itself: wrong is made of wrong"),
        (
            {"wrong": on("x"), "x": network("y"), "y": network("x")},
            "cannot be made of itself: x is made of y is made of x",
        ),
        ({"wrong": network("smal")}, "system wrong: training.start_from: unknown system smal; did you mean small?"),
        ({"wrong": network("above")}, "above is a system on another's embeddings (embeddings_of), there is no network"),
        ({"wrong": on("abov")}, "system wrong: embeddings_of: unknown system abov; did you mean above?"),
        ({"wrong": on("wrong")}, "embeddings_of: a system cannot be made of itself: wrong is made of wrong"),
        ({"wrong": on("two")}, "embeddings_of: two is an ensemble (ensemble), with no embeddings of its own"),
        ({"wrong": on("above")}, "embeddings_of: above is a system on another's embeddings (embeddings_of), with no"),
        (
            {"wrong": mean("pldaa", small=2)},
            "wrong: ensemble.members: small has no back end pldaa; did you",
        ),
        ({"wrong": mean("plda", above=2)}, "ensemble.members: above has no back end plda; there is b"),
        ({"wrong": mean("mean", x=2), "x": mean("mean", wrong=2)}, "wrong is made of x is made of wrong"),
        (
            {"wrong": mean("plda", margn=2)},
            "ensemble.members: unknown system margn; did you mean margin?",
        ),
        ({}, "unknown system wrong; there is above, both, margin, small, two"),
    ],
)
def test_what_cannot_be_made_is_one_line(made, problem):
    with pytest.raises(ConfigError) as caught:
        with_needed(["wrong"], {**SYSTEMS, **made}, {**SYSTEMS, **made}.__getitem__)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_mean_of_means_is_made_after_them():
    means = [(name, tasks) for name, tasks in planned("both").items() if "ensemble" in tasks]
    assert means == [("two/seed1", "ensemble"), ("two/seed2", "ensemble"), ("both/seed1", "ensemble,asked")]
    assert "margin/seed3" in planned("both")


def test_lda_must_fit_the_embeddings_of_the_other():
    wide = validate_system({"embeddings_of": "small", "backends": {"b": {"name": "plda", "lda_dim": 9}}}, "wide")
    with pytest.raises(ConfigError, match=r"^system wide: backends\.b\.lda_dim: 9 dimensions .* of 8 \(small\)$"):
        with_needed(["wide"], ["wide", "small"], {**SYSTEMS, "wide": wide}.__getitem__)


# -- The command ---------------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """`configure` on the test's own conf folder, with the systems of above: the lines of its plan as lists."""
    conf = tmp_path / "conf"
    for folder in ("features", "vad", "budgets", "augment"):
        (conf / folder).parent.mkdir(exist_ok=True)
        (conf / folder).symlink_to(CONF / folder)
    for name, system in {**SYSTEMS, "other": network()}.items():
        path = conf / "systems" / "made" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(system.model_dump(mode="json", exclude_defaults=True) | vad_and_cmn(system)))

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["configure", f"--conf={conf}", f"--exp={tmp_path / 'exp'}", *arguments])
        configure.main()
        return [line.split("\t") for line in capsys.readouterr().out.splitlines()]

    return call


def vad_and_cmn(system):
    return {"vad": system.vad, "cmn": system.cmn and system.cmn.model_dump()} if system.features else {}


def test_a_run_on_anothers_embeddings_has_the_others_front_end(command):
    *_, line = command("--set", "augment=kaldi", "above")
    assert line[1:] == ["mfcc23_8k", "energy", "kaldi", "-", "-", "scored,asked"]
    assert command("two")[-1][1:] == ["-", "-", "-", "-", "-", "ensemble,asked"]


def test_systems_may_be_named_by_patterns_and_have_several_seeds(command):
    """Those whose names match, each once, whatever names it; a setting and a budget are of all."""
    lines = command(
        "--seed=4", "--seeds=2", "--budget=short", "--set=training.epochs=3", "other", "[so]*", "sm*", "other"
    )
    asked = [tuple(Path(line[0]).parts[-2:]) for line in lines if line[-1].endswith("asked")]
    assert asked == [(f"{name}+short", f"seed{seed}") for seed in (4, 5) for name in ("other", "small")]


def test_settings_reach_those_that_have_the_block_and_take_the_papers_figure_of_all_made_of_these(command, tmp_path):
    """Of margin, when small, that it begins with, is changed; a setting of back ends is of those that have it."""
    command("--set", "training.epochs=3", "--set", "backends.b.centre=null", "two", "above")
    run = {name: Run.open(tmp_path / "exp" / name / "seed1") for name in ("small", "margin", "above", "two")}
    assert [run[name].system.training.epochs for name in ("small", "margin")] == [3, 3]
    assert run["margin"].system.published is None
    assert run["above"].system.backends["b"].centre is None
    assert list(run["small"].system.backends) == ["cosine", "plda"]
    assert run["two"].system == SYSTEMS["two"]
    command("two")
    assert Run.open(tmp_path / "exp" / "margin" / "seed1").system.published is not None


def test_a_setting_may_say_what_to_begin_with(command, tmp_path):
    """It is of the systems asked for: the one to begin with keeps its own beginning."""
    lines = command("--set", "training.start_from=margin", "other")
    assert [(Path(line[0]).parent.name, line[-1]) for line in lines] == [
        ("small", "network"),
        ("margin", "network"),
        ("other", ALL),
    ]
    assert Run.open(tmp_path / "exp" / "margin" / "seed1").system == SYSTEMS["margin"]
    with pytest.raises(ConfigError, match="be made of itself: small is made of margin is made of small"):
        command("--set", "training.start_from=margin", "small")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--set", "backends.pdla.lda_dim=3", "two"], "a block backends.pdla; did you mean backends.plda?"),
        (["--set", "ivector.dim=3", "two"], "none of the systems has a block ivector"),
        (["--set", "ensemble.normalise=nontargets", "two"], "hold speakers out for one with --calibration-speakers N"),
        (["--set", "ensemble.members.small=0", "two"], "ensemble.members.small: should be greater than 0 (is 0)"),
        (["smol*"], "no system is called smol*; did you mean small?"),
        (["z?"], "no system is called z?; there is above, both, margin, other, small, two"),
        (["--seeds=0", "small"], "--seeds is a number of runs from 1, not 0"),
        (["--set", "backends.b.centre=adapt", "above"], "above: the back end b learns from unlabelled speech"),
    ],
)
def test_a_mistake_is_told_before_anything_is_made(command, tmp_path, arguments, problem):
    with pytest.raises(ConfigError) as caught:
        command(*arguments)
    assert problem in str(caught.value)
    assert not (tmp_path / "exp").exists()


def test_back_ends_that_nobody_scores_with_need_no_unlabelled_speech(command):
    """Those of a network that another only begins with."""
    command("--set", "backends.new={name: cosine, centre: adapt}", "--adapt", "margin")
    with pytest.raises(ConfigError, match="margin: the back end new"):
        command("--set", "backends.new={name: cosine, centre: adapt}", "margin")


def test_normalised_scores_need_a_calibration_list(command):
    assert command("--calibrate", "--set", "ensemble.normalise=nontargets", "two")[-1][-1] == "ensemble,asked"
