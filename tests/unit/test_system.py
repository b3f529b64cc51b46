"""System YAMLs: strict validation and its messages, overlays, settings; every YAML of conf/."""

from pathlib import Path

import pytest

from sv.cli.configure import check_front_end
from sv.errors import ConfigError
from sv.systems.reading import find_systems, lacked_block, load_system, names_of, validate_system
from sv.systems.system import System
from sv.systems.training import Steps
from sv.yaml_errors import nearest
from sv.yaml_tree import laid_over, read_yaml, with_setting

CONF = Path(__file__).parents[2] / "conf"
SYSTEMS = find_systems(CONF)
BUDGETS = sorted((CONF / "budgets").glob("*.yaml"))
SMALL = Path(__file__).parents[1] / "data" / "conf" / "systems" / "mini" / "small.yaml"


def test_patterns_are_names_in_their_natural_order_each_once():
    """By the letter, and a name is itself before it is a pattern; what is neither is told where names are looked up."""
    known = ["Q10", "Q2", "Q1", "q3", "A1", "a+b", "a[1]", "a1", "x-1-2", "x-1-10"]
    for wanted, expected in {
        "Q*": ["Q1", "Q2", "Q10"],
        "Q2,Q?": ["Q2", "Q1"],
        "*": ["A1", "Q1", "Q2", "Q10", "a1", "a+b", "a[1]", "q3", "x-1-2", "x-1-10"],
        "a[1]": ["a[1]"],
        "a[1]*": ["a1"],
        "[!a-zA]?": ["Q1", "Q2"],
        "x*10,a+b,Q7": ["x-1-10", "a+b", "Q7"],
    }.items():
        assert names_of(wanted.split(","), known) == expected


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_validates(name):
    assert isinstance(load_system(SYSTEMS[name]), System)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_says_what_it_is_and_names_features_and_a_vad_that_go_together(name):
    """Its first line is the comment that --list shows."""
    assert SYSTEMS[name].read_text().startswith("# ")
    check_front_end(name, load_system(SYSTEMS[name]), CONF)


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", SYSTEMS)
def test_every_budget_applies_to_every_system(name, budget):
    system, short = load_system(SYSTEMS[name], [budget]), read_yaml(budget)
    if system.ivector:
        wanted = short.get("ivector", {}).get("num_gaussians", load_system(SYSTEMS[name]).ivector.num_gaussians)
        assert system.ivector.num_gaussians == wanted
    elif system.training and system.training.groups:
        assert system.training.groups.max_per_speaker == short["training"]["groups"]["max_per_speaker"]
    elif system.training:
        assert system.training.chunks_per_speaker == short["training"]["chunks_per_speaker"]
        assert system.training.steps_per_epoch == short["training"]["steps_per_epoch"]
    assert system.features == load_system(SYSTEMS[name]).features


@pytest.mark.parametrize("path", sorted((CONF / "backends").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_back_end_to_add_goes_with_systems_and_says_what_it_is(path):
    """Its first line is the comment that --list shows. R28-softmax is scored by cosine alone."""
    assert path.read_text().startswith("# ")
    assert list(load_system(SYSTEMS["R28-softmax"], backends=[path]).backends) == ["cosine", path.stem]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        # unknown keys, at the top, below, in a dict of blocks, in a member of a union
        ("trainig.epochs=3", "unknown key trainig; did you mean training?"),
        ("training.epoch=3", "unknown key training.epoch; did you mean epochs?"),
        ("cmn.windw=300", "unknown key cmn.windw; did you mean window?"),
        ("backends.plda.lda_dims=3", "unknown key backends.plda.lda_dims; did you mean lda_dim?"),
        ("training.optimiser.zzz=1", "unknown key training.optimiser.zzz; there is name, lr, weight_decay"),
        # of another block than the one that it was given in: the whole path, if there is one
        ("epochs=3", "unknown key epochs; did you mean training.epochs?"),
        ("epoch=3", "unknown key epoch; did you mean training.epochs?"),
        ("training.lr=3", "unknown key training.lr; did you mean training.optimiser.lr?"),
        ("optimiser.lr=3", "unknown key optimiser; did you mean training.optimiser?"),
        ("lda_dim=3", "unknown key lda_dim; did you mean backends.cosine.lda_dim or backends.plda.lda_dim?"),
        (
            "name=3",
            "unknown key name; there is published, features, vad, deltas, cmn, normalise, input, augment,"
            " augment_online, ivector, model, loss, training, extraction, embeddings_of, backends, ensemble",
        ),
        # missing
        ("training={}", "training.chunk_s is missing"),
        ("backends.other={lda_dim: 3}", "backends.other.name is missing"),
        ("backends={}", "backends: at least one is needed"),
        # ill-typed
        ("training.epochs=many", "training.epochs: expected a whole number (is 'many')"),
        ("training.epochs=2.5", "training.epochs: expected a whole number (is 2.5)"),
        ("training.epochs=true", "training.epochs: expected a whole number (is true)"),
        ("training.optimiser.lr=.inf", "training.optimiser.lr: expected a finite number (is inf)"),
        ("cmn.norm_vars=1", "cmn.norm_vars: expected true or false (is 1)"),
        ("features=3", "features: expected a text (is 3)"),
        ("vad=false", "vad: expected a text (is false)"),
        ("training=3", "training: expected a block of keys (is 3)"),
        ("training.chunk_s=3", "training.chunk_s: expected a list (is 3)"),
        ("training.chunk_s=[3]", "training.chunk_s: too few values (is [3])"),
        ("training.chunk_s=[3, 4, 5]", "training.chunk_s: too many values, 2 is right (is [3, 4, 5])"),
        (
            "training.chunks_per_recording=2",
            "training: one of chunks_per_speaker, chunks_per_recording, groups and"
            " steps_per_epoch says what an epoch is",
        ),
        (
            "training.schedule={name: plateaux}",
            "training.schedule.name: 'plateaux' is not one of 'exponential', 'steps', 'plateau', 'constant',"
            " 'one_cycle', 'tri_stage'",
        ),
        # ill-valued
        ("training.epochs=0", "training.epochs: should be greater than 0 (is 0)"),
        ("training.chunk_s=[3, 2]", "training.chunk_s: the shortest (3) is longer than the longest (2)"),
        ("model.frame_channels=[1, 2, 3, 4, 0]", "model.frame_channels.4: should be greater than 0 (is 0)"),
        ("training.precision=fp8", "training.precision: 'fp8' is not one of 'auto', 'fp32', 'bf16' or 'fp16'"),
        (
            "backends.plda.lda_dim=9",
            "backends.plda.lda_dim: 9 dimensions cannot be taken from embeddings of 8 (model.embedding_dim)",
        ),
        (
            "model.embedding_dim=2",
            "backends.plda.lda_dim: 3 dimensions cannot be taken from embeddings of 2 (model.embedding_dim)",
        ),
        (
            "model.trunk=xvektor",
            "model.trunk: 'xvektor' is not one of 'xvector', 'resnet1d', 'q_sap', 'h_asp', 'ecapa', 'wav2vec2'",
        ),
        ("model={}", "model.trunk is missing"),
        (
            "model.zzz=1",
            "unknown key model.zzz; there is trunk, embedding_dim, frame_channels, segment_channels",
        ),
        ("loss={name: am, margin: -0.1}", "loss.margin: should be greater than or equal to 0 (is -0.1)"),
        ("loss={name: aam, margin: 2}", "loss.margin: should be less than 1.5 (is 2)"),
        (
            "backends.m={name: classifier, hidden_dims: []}",
            "hidden_dims: a nonlinear layer or more is needed; for a linear one there is lda_dim",
        ),
        ("backends.m={name: classifier, step: 3}", "unknown key backends.m.step; did you mean steps?"),
        (
            "backends.m={name: classifier, schedule: {name: plateau}}",
            "backends.m.schedule.name: 'plateau' is not one of 'exponential'",
        ),
        (
            "backends.plda.name=plad",
            "backends.plda.name: 'plad' is not one of 'cosine', 'euclidean', 'plda', 'classifier', 'network'",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_naming_the_key(setting, problem):
    with pytest.raises(ConfigError) as caught:
        load_system(SMALL, sets=[setting])
    assert str(caught.value) == f"--set {setting}: {problem}"


def test_a_setting_changes_its_value_and_no_other():
    before, after = load_system(SMALL), load_system(SMALL, sets=["training.optimiser.lr=5e-4", "cmn=null"])
    assert after.training.optimiser.lr == 5e-4
    assert after.cmn is None
    assert after.model_dump() == before.model_dump() | {
        "cmn": None,
        "training": before.training.model_dump() | {"optimiser": before.training.optimiser.model_dump() | {"lr": 5e-4}},
    }


def test_a_setting_makes_the_block_that_is_null():
    assert load_system(SMALL, sets=["cmn=null", "cmn.window=200"]).cmn.window == 200


@pytest.mark.parametrize("setting", ["training.epochs", "=3", "a..b=3", "features.x=1", "training.epochs=[1"])
def test_a_malformed_setting_is_refused(setting):
    with pytest.raises(ConfigError, match=r"^--set ") as caught:
        load_system(SMALL, sets=[setting])
    assert setting in str(caught.value)


def test_settings_go_over_overlays_and_overlays_over_the_file(tmp_path):
    overlay = tmp_path / "o.yaml"
    overlay.write_text("training: {epochs: 3, batch_size: 7}\n")
    training = load_system(SMALL, [overlay], ["training.epochs=2"]).training
    assert (training.epochs, training.batch_size) == (2, 7)
    assert training.chunk_s == load_system(SMALL).training.chunk_s


def test_a_mistake_is_blamed_on_the_file_that_brings_it(tmp_path):
    wrong, right = tmp_path / "wrong.yaml", tmp_path / "right.yaml"
    wrong.write_text("training: {epochs: many}\n")
    right.write_text("training: {epochs: 4}\n")
    with pytest.raises(ConfigError, match=r"wrong\.yaml: training\.epochs"):
        load_system(SMALL, [right, wrong], ["training.batch_size=8"])
    broken = tmp_path / "system.yaml"
    broken.write_text(SMALL.read_text().replace("vad:", "vda:"))
    with pytest.raises(ConfigError, match=r"system\.yaml: unknown key vda; did you mean vad\?"):
        load_system(broken, [right])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: {c: 1, c: 2}\n", r"x\.yaml:2: key c comes twice"),
        ("a: [1\nb: 2\n", r"x\.yaml:\d: expected"),
        ("- a\n", r"x\.yaml: expected keys and values"),
        ("", r"x\.yaml: expected keys and values"),
        ("a: !!python/object/apply:os.getcwd []\n", r"x\.yaml:1: could not determine a constructor"),
    ],
)
def test_what_is_not_keys_and_values_is_refused_with_its_line(tmp_path, text, problem):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=problem) as caught:
        read_yaml(tmp_path / "x.yaml")
    assert "\n" not in str(caught.value)


def test_numbers_are_read_as_people_write_them(tmp_path):
    """YAML 1.1, which PyYAML follows, takes 1e-3 for a text."""
    (tmp_path / "x.yaml").write_text("a: [1e-3, 2.0e-3, -1E+2, .5e1, 3, 1e3x]\n")
    assert read_yaml(tmp_path / "x.yaml")["a"] == [0.001, 0.002, -100.0, 5.0, 3, "1e3x"]


def test_trees_are_not_changed_in_place():
    tree = {"a": {"b": 1}}
    assert laid_over(tree, {"a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}
    assert with_setting(tree, "a.b=3") == {"a": {"b": 3}}
    assert tree == {"a": {"b": 1}}


def test_what_is_written_reads_back_the_same():
    for path in SYSTEMS.values():
        system = load_system(path)
        assert validate_system(system.model_dump(mode="json"), "again") == system


def test_a_name_that_two_papers_use_is_an_error(tmp_path):
    for paper in ("a", "b"):
        (tmp_path / "systems" / paper).mkdir(parents=True)
        (tmp_path / "systems" / paper / "same.yaml").touch()
    with pytest.raises(ConfigError, match=r"system same is defined twice: .*a/same.yaml and .*b/same.yaml"):
        find_systems(tmp_path)


def test_nearest_falls_back_to_what_there_is():
    assert nearest("xvectr", ["xvector", "ecapa"]) == "; did you mean xvector?"
    assert nearest("zzz", ["xvector", "ecapa"]) == "; there is xvector, ecapa"
    assert nearest("zzz", []) == "; there is none"


IVECTOR = {
    "features": "mfcc23_8k",
    "vad": "energy",
    "deltas": {},
    "cmn": {},
    "ivector": {"num_gaussians": 8, "dim": 6},
    "backends": {"plda": {"name": "plda", "lda_dim": 4}},
}


def test_an_ivector_system_needs_no_network():
    system = validate_system(IVECTOR, "x.yaml")
    assert (system.embedding_dim, system.model, system.deltas.window) == (6, None, 3)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"loss": {"name": "softmax"}}, "x.yaml: loss: an i-vector system (ivector) has none"),
        ({"ivector": None}, "x.yaml: model is missing"),
        ({"backends": {"plda": {"name": "plda", "lda_dim": 7}}}, "embeddings of 6 (ivector.dim)"),
        ({"ivector": {"num_gaussian": 8}}, "unknown key ivector.num_gaussian; did you mean num_gaussians?"),
        ({"extraction": {"average": 0}}, "extraction.average"),
        ({"extraction": {"average": 2}}, "x.yaml: extraction.average: only networks have it"),
        ({"extraction": {"acoustic_weight": 1.5}}, "extraction.acoustic_weight"),
        ({"backends": {"b": {"name": "plda", "lda_dim": 4, "whiten": True}}}, "whiten: after LDA the vectors are"),
        (
            {"backends": {"b": {"name": "cosine", "total_covariance_factor": 0.1}}},
            "total_covariance_factor: it is LDA's",
        ),
        (
            {"backends": {"b": {"name": "plda", "adapt": {"name": "corral"}}}},
            "backends.b.adapt.name: 'corral' is not one of 'kaldi', 'coral', 'coral+', 'clusters'",
        ),
    ],
)
def test_a_mistake_in_an_ivector_system_is_one_line(change, problem):
    with pytest.raises(ConfigError) as caught:
        validate_system({**IVECTOR, **change}, "x.yaml")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_of_a_budget_only_the_blocks_are_laid_that_a_system_has(tmp_path):
    import yaml

    (tmp_path / "ivector.yaml").write_text(yaml.safe_dump(IVECTOR))
    budget = {"ivector": {"dim": 5}, "training": {"epochs": 2}, "model": {"embedding_dim": 9}}
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(budget))
    system = load_system(tmp_path / "ivector.yaml", [tmp_path / "short.yaml"])
    assert (system.ivector.dim, system.model, system.training) == (5, None, None)


def test_a_setting_below_a_block_leaves_systems_without_the_block_alone(tmp_path):
    import yaml

    (tmp_path / "ivector.yaml").write_text(yaml.safe_dump(IVECTOR))
    system = load_system(tmp_path / "ivector.yaml", sets=["training.epochs=3", "ivector.dim=5"])
    assert (system.ivector.dim, system.training) == (5, None)
    assert lacked_block(system, "training.epochs=3") == "training"
    assert lacked_block(system, "backends.cosine.lda_dim=3") == "backends.cosine"
    for setting in ("ivector.dim=5", "vad=null", "backends.plda.lda_dim=3", "backends.new.name=cosine", "trainig.x=1"):
        assert lacked_block(system, setting) is None


def test_a_network_has_no_options_of_ivectors():
    with pytest.raises(ConfigError, match=r"extraction\.max_count: only i-vectors have it"):
        load_system(find_systems("conf")["xvector-small"], sets=["extraction.max_count=100"])


def test_a_budget_has_widths_by_trunk_and_blocks_of_another_kind_take_the_place_of_the_systems(tmp_path):
    (tmp_path / "b.yaml").write_text(
        "models: {resnet1d: {hidden_dim: 7}, xvector: {embedding_dim: 99}}\n"
        "training: {schedule: {name: steps, every: 2, factor: 0.5}, optimiser: {lr: 0.5}}\n"
    )
    resnet, xvector = (load_system(SYSTEMS[name], [tmp_path / "b.yaml"]) for name in ("R28-softmax", "xvector-small"))
    assert (resnet.model.hidden_dim, resnet.model.embedding_dim, xvector.model.embedding_dim) == (7, 512, 99)
    assert resnet.training.schedule == xvector.training.schedule == Steps(name="steps", every=2, factor=0.5)
    assert [system.training.optimiser.name for system in (resnet, xvector)] == ["rmsprop", "adam"]
    assert resnet.training.optimiser.lr == 0.5


def test_a_budget_has_a_training_of_its_own_for_networks_that_start_from_another(tmp_path):
    (tmp_path / "b.yaml").write_text(
        "training: {epochs: 3, optimiser: {lr: 0.5}}\nfine_tuning: {optimiser: {lr: 0.1}}\n"
    )
    first, second = (load_system(SYSTEMS[name], [tmp_path / "b.yaml"]).training for name in ("R28-softmax", "R28-am"))
    assert (first.epochs, first.optimiser.lr, second.epochs, second.optimiser.lr) == (3, 0.5, 3, 0.1)
    assert load_system(SYSTEMS["vox1-ivector"], [tmp_path / "b.yaml"]).training is None


def test_the_layer_on_top_is_the_embedding():
    system = load_system(SYSTEMS["xvector-small"], sets=["model={trunk: resnet1d, blocks: [1,1,1,1], top_dim: 64}"])
    assert system.embedding_dim == 64
    with pytest.raises(ConfigError, match=r"lda_dim: 60 dimensions cannot be .* of 59 \(model.top_dim\)"):
        load_system(SYSTEMS["xvector-small"], sets=["model={trunk: resnet1d, blocks: [1,1,1,1], top_dim: 59}"])
    with pytest.raises(ConfigError, match=r"model.channels.1"):
        load_system(SYSTEMS["xvector-small"], sets=["model={trunk: resnet1d, blocks: [1,1,1,1], channels: [4,6,8,8]}"])


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"embeddings_of": "a"}, "backends is missing; a system on another's embeddings (embeddings_of) must have"),
        ({"embeddings_of": "a", "backends": {}}, "backends: at least one is needed"),
        (IVECTOR | {"embeddings_of": "a"}, "features: a system on another's embeddings (embeddings_of) has none"),
        (IVECTOR | {"ensemble": {"members": {"a": 2}, "backend": "b"}}, "features: an ensemble (ensemble) has none"),
        ({"ensemble": {"members": {"a": 2}}}, "ensemble.backend is missing"),
        ({"ensemble": {"members": {"a": 1}, "backend": "b"}}, "a mean is of two runs or more, not of 1"),
        ({"ensemble": {"members": {"a": 2}, "runs": ["a", "b"], "backend": "b"}}, "members or, made by hand, runs"),
        (
            {"ensemble": {"members": {"a": 1, "b": 1}, "backend": "b", "weights": {"a": 3}}},
            "ensemble.weights: b has no weight",
        ),
        (
            {"ensemble": {"members": {"a": 1, "bcd": 1}, "backend": "b", "weights": {"a": 3, "bcd": 1, "bcc": 1}}},
            "ensemble.weights: bcc is not one of its members; did you mean bcd?",
        ),
        (
            {"ensemble": {"members": {"a": 2}, "backend": "b", "weights": {"a": 1}, "search": {"metric": "eer"}}},
            "its weights are given or searched",
        ),
        (
            {"ensemble": {"members": {"a": 2}, "backend": "b", "weights": {"a": 0}}},
            "ensemble.weights.a: ",
        ),
        (
            {"ensemble": {"members": {"a": 2}, "backend": "b", "search": {"metric": "cllr"}}},
            "ensemble.search.metric: 'cllr' is not one of 'eer' or 'min_dcf'",
        ),
        ({"ensemble": {"members": {"a": 2}, "backend": "b", "normalize": "z"}}, "normalize; did you mean normalise?"),
        ({"ensemble": {"members": {"a": 2}, "backend": "b", "normalise": "z"}}, "'z' is not one of 'none' or"),
        (
            {"features": "mfcc"},
            "x.yaml: vad is missing; a network must have features, vad, cmn, model, loss, training",
        ),
    ],
)
def test_what_each_kind_of_system_must_have_is_told(tree, problem):
    with pytest.raises(ConfigError) as caught:
        validate_system(tree, "x.yaml")
    assert problem in str(caught.value)


def test_a_network_whose_front_end_is_left_out_is_refused_by_the_first_missing_key():
    for left_out in ("features", "vad", "cmn", "loss", "training", "backends"):
        tree = {key: value for key, value in read_yaml(SMALL).items() if key != left_out}
        with pytest.raises(ConfigError, match=f"^x.yaml: {left_out} is missing; a network must have"):
            validate_system(tree, "x.yaml")
