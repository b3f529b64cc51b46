"""Make the runs of the systems asked for.

Prints a line a run: folder, features, VAD, network, ivector or start, augmentation, by tabs, and - where there is none.
A start is a network that is only trained because another system starts from it.
All that can be known to be wrong before the data is read is told here, and then no run is made.
"""

from pathlib import Path

from sv.augment.config import read_augmentation
from sv.cli import Parser, run
from sv.errors import ConfigError
from sv.features.kaldi_config import read_feature_config
from sv.features.vad import read_vad_config, require_fit
from sv.launch import chosen_engine
from sv.run import Run
from sv.system import System, find_systems, lacks_block, load_system
from sv.yaml_errors import nearest


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="folder of the configurations")
    parser.add_argument("--exp", type=Path, required=True, help="where runs go: EXP/SYSTEM/seedN")
    parser.add_argument("--seed", type=int, default=1, help="of the runs")
    parser.add_argument("--ngpu", type=int, help="refuse if there are not as many GPUs (None: do not look)")
    parser.add_argument("--corpora", help="data roots given, as musan,rirs; refuse augmentations that lack theirs")
    parser.add_argument("--budget", help="conf/budgets/NAME.yaml, laid over every system")
    parser.add_argument("--backend", action="append", default=[], metavar="NAME", help="add conf/backends/NAME.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="PATH.TO.KEY=VALUE", help="change a setting")
    parser.add_argument("--adapt", action="store_true", help="there is a set of unlabelled speech to adapt to")
    parser.add_argument("systems", nargs="+", help="names of conf/systems/*/NAME.yaml; one named twice is made once")
    args = parser.parse_args()

    budget = known_path(args.conf / "budgets", args.budget, ".yaml", "--budget") if args.budget else None
    backends = [known_path(args.conf / "backends", name, ".yaml", "--backend") for name in dict.fromkeys(args.backend)]
    added = tuple(f"backends.{name}." for name in args.backend)
    known = find_systems(args.conf)
    runs: list[Run] = []
    for name in with_starts(args.systems, known):
        system = load_system(known[name], [budget] if budget else [], args.set, backends)
        check_front_end(name, system, args.conf)
        check_augmentation(name, system, args.conf, args.corpora)
        changed = budget or not all(lacks_block(system, setting) or setting.startswith(added) for setting in args.set)
        if changed:  # no longer the paper's system: its figure does not apply
            system = system.model_copy(update={"published": None})
        runs.append(Run.plan(args.exp, f"{name}+{args.budget}" if budget else name, args.seed, system))
    for setting in args.set:
        if all(lacks_block(this.system, setting) for this in runs):
            raise ConfigError(f"--set {setting}: none of the systems has a block {setting.partition('.')[0]}")
    if not args.adapt:
        for this in runs:
            backend = this.needs_adapt()
            if this.learns_from_adapt() or backend:
                learner = "the network" if this.learns_from_adapt() else f"the back end {backend}"
                raise ConfigError(
                    f"{this.name}: {learner} learns from unlabelled speech of another domain; say where that is, with"
                    " --data-root adapt=DIR"
                )
    if args.ngpu:
        from sv.models.device import pick_device  # imports torch, which takes seconds

        pick_device(args.ngpu)
    chosen_engine().require()
    for this in runs:
        this.write()
        kind = "ivector" if this.system.ivector else "network" if asked(this, args.systems) else "start"
        print(this.path, this.system.features, this.system.vad or "-", kind, this.system.augment or "-", sep="\t")


def with_starts(names: list[str], known: dict[str, Path]) -> list[str]:
    """The systems, each once, after those whose networks they start from."""
    wanted: dict[str, None] = {}

    def want(name: str, above: tuple[str, ...] = ()) -> None:
        if name not in known:
            raise ConfigError(f"unknown system {name}{nearest(name, known)}")
        if name in above:
            raise ConfigError(f"training.start_from: {' starts from '.join([*above, name])}")
        training = load_system(known[name]).training
        if training and training.start_from:
            want(training.start_from, (*above, name))
        wanted[name] = None

    for name in names:
        want(name)
    return list(wanted)


def asked(this: Run, names: list[str]) -> bool:
    """Whether a run is of a system that was asked for, and not only of one that another starts from."""
    return this.name.partition("+")[0] in names


def known_path(folder: Path, name: str, ending: str, what: str) -> Path:
    """`FOLDER/NAME.ending`; ConfigError with the nearest right name if there is none."""
    known = {path.name.removesuffix(ending): path for path in sorted(folder.glob(f"*{ending}"))}
    if name not in known:
        raise ConfigError(f"{what}: there is no {folder}/{name}{ending}{nearest(name, known)}")
    return known[name]


def check_front_end(name: str, system: System, conf: Path) -> None:
    """Raise ConfigError if a system's features or VAD are unknown, ill-written or do not go together."""
    features_path = known_path(conf / "features", system.features, ".conf", f"system {name}: features")
    features = read_feature_config(features_path)
    if system.vad is None:
        return
    vad = read_vad_config(known_path(conf / "vad", system.vad, ".conf", f"system {name}: vad"))
    try:
        require_fit(vad, features, system.vad, system.features)
    except ConfigError as error:
        raise ConfigError(f"system {name}: {error}") from None


def check_augmentation(name: str, system: System, conf: Path, corpora: str | None) -> None:
    """Raise ConfigError if a system's augmentation is unknown or ill-written, or lacks a corpus (None: do not look)."""
    if system.augment is None:
        return
    path = known_path(conf / "augment", system.augment, ".yaml", f"system {name}: augment")
    augmentation = read_augmentation(path)
    needed = dict.fromkeys(augmentation.needs.values())
    missing = [] if corpora is None else [root for root in needed if root not in corpora.split(",")]
    if missing and (augmentation.if_missing == "stop" or len(missing) == len(needed)):
        raise ConfigError(
            f"{name} is trained on augmented speech too (augment: {system.augment}); give"
            f" {' and '.join(f'--data-root {root}=DIR' for root in missing)}, or leave out what you have not with"
            " --set augment=kaldi_partial, or train on clean speech alone with --set augment=null"
        )


if __name__ == "__main__":
    run(main, __file__)
