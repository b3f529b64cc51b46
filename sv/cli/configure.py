"""Make the runs of the systems asked for.

Prints a line a run, by tabs: folder, features and VAD on disk, copies, the rate of recordings that the network reads
itself, how these are augmented, and what is done with the run (`sv.plan.Planned`, by commas); - where there is none.
Of a run on another's embeddings the first five are the other's.
All that can be known to be wrong before the data is read is told here, and then no run is made.
"""

import dataclasses
from pathlib import Path
from typing import Any

from sv.augment.bank import NOISES
from sv.augment.config import partial_of, read_augmentation
from sv.augment.online_config import read_online_augmentation
from sv.cli import Parser, run
from sv.errors import ConfigError
from sv.features.front_ends import read_feature_config
from sv.features.vad import read_vad_config, require_fit
from sv.features.wave_config import WaveConfig
from sv.launch import chosen_engine
from sv.plan import plan, with_needed
from sv.systems.reading import find_systems, lacked_block, load_system, names_of
from sv.systems.system import System
from sv.systems.wav2vec2 import BUNDLES, Wav2Vec2
from sv.yaml_errors import nearest


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="folder of the configurations")
    parser.add_argument("--exp", type=Path, required=True, help="where runs go: EXP/SYSTEM/seedN")
    parser.add_argument("--seed", type=int, default=1, help="of the runs")
    parser.add_argument("--seeds", type=int, default=1, help="how many runs of each system: at --seed and the next")
    parser.add_argument("--ngpu", type=int, help="refuse if there are not as many GPUs (None: do not look)")
    parser.add_argument("--corpora", help="data roots given, as musan,rirs; refuse augmentations that lack theirs")
    parser.add_argument("--budget", help="conf/budgets/NAME.yaml, laid over every system")
    parser.add_argument("--backend", action="append", default=[], metavar="NAME", help="add conf/backends/NAME.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="PATH.TO.KEY=VALUE", help="change a setting")
    parser.add_argument("--adapt", action="store_true", help="there is a set of unlabelled speech to adapt to")
    parser.add_argument("--calibrate", action="store_true", help="there is a list of other speakers to calibrate on")
    parser.add_argument("--tune", action="store_true", help="there is a list to search the weights of ensembles on")
    parser.add_argument(
        "systems", nargs="+", help="names of conf/systems/*/NAME.yaml, or patterns as Q?; one named twice is made once"
    )
    args = parser.parse_args()
    if args.seeds < 1:
        raise ConfigError(f"--seeds is a number of runs from 1, not {args.seeds}")

    budget = known_path(args.conf / "budgets", args.budget, ".yaml", "--budget") if args.budget else None
    backends = [known_path(args.conf / "backends", name, ".yaml", "--backend") for name in dict.fromkeys(args.backend)]
    added = tuple(f"backends.{name}." for name in args.backend)
    known = find_systems(args.conf)
    names = names_of(args.systems, known)

    def settings(name: str) -> list[str]:
        # Which network to begin with is asked of the systems asked for, not of those that they begin with.
        return [each for each in args.set if name in names or not each.startswith("training.start_from=")]

    systems = with_needed(
        names,
        known,
        lambda name: load_system(
            known[name], [budget] if budget else [], settings(name), backends if name in names else []
        ),
    )
    changed: set[str] = set()
    for name, system in list(systems.items()):
        check_front_end(name, system, args.conf)
        check_pretrained(name, system)
        check_augmentation(name, system, args.conf, args.corpora)
        if system.ensemble and system.ensemble.normalise != "none" and not args.calibrate:
            raise ConfigError(
                f"system {name}: ensemble.normalise: {system.ensemble.normalise} are those of a calibration list, and"
                " there is none; hold speakers out for one with --calibration-speakers N or, in a recipe that has"
                " trials of its own to calibrate on, name the root that they are in"
            )
        if system.ensemble and system.ensemble.search and not args.tune:
            raise ConfigError(
                f"system {name}: ensemble.search: this recipe has no validation list to search weights on;"
                " give them with ensemble.weights, or fuse runs by hand with steps/fuse.sh --tune-on"
            )
        set_here = not all(lacked_block(system, each) or each.startswith(added) for each in settings(name))
        if budget or set_here or any(link.system in changed for link in system.links):
            changed.add(name)  # no longer the paper's system: its figure does not apply
            systems[name] = system.model_copy(update={"published": None})
    for setting in args.set:
        check_setting(setting, [system for name, system in systems.items() if setting in settings(name)])
    waveforms = {name: waveform_of(system, args.conf) for name, system in systems.items() if system.input}
    planned = plan(args.exp, names, range(args.seed, args.seed + args.seeds), systems, args.budget, waveforms)
    for each in planned:
        network = "network" in each.tasks and each.run.learns_from_adapt()
        backend = each.run.needs_adapt() if "scored" in each.tasks else None
        if not args.adapt and (network or backend):
            learner = "the network" if network else f"the back end {backend}"
            raise ConfigError(
                f"{each.run.name}: {learner} learns from unlabelled speech of another domain; say where that is, with"
                " --data-root adapt=DIR"
            )
    if args.ngpu:
        from sv.models.device import pick_device  # imports torch, which takes seconds

        pick_device(args.ngpu)
    chosen_engine().require()
    for each in planned:
        each.run.write()
        name = each.run.system.embeddings_of or each.run.system_name
        front_end, waveform = systems[name], waveforms.get(name)
        rate = f"{waveform['features']['sample_frequency']:g}" if waveform else None
        on_disk = (None if waveform else front_end.features, front_end.vad, front_end.augment)
        made_of = (*on_disk, rate, front_end.augment_online)
        print(each.run.path, *(name or "-" for name in made_of), ",".join(each.tasks), sep="\t")


def check_setting(setting: str, systems: list[System]) -> None:
    """Raise ConfigError if a `--set` is of a block that none of the systems has."""
    lacked = [lacked_block(system, setting) for system in systems]
    if not all(lacked):
        return
    block = max(filter(None, lacked), key=len)
    named = [f"backends.{name}" for system in systems for name in system.backends]
    meant = nearest(block, dict.fromkeys(named)) if block.startswith("backends.") else ""
    raise ConfigError(f"--set {setting}: none of the systems has a block {block}{meant}")


def known_path(folder: Path, name: str, ending: str, what: str) -> Path:
    """`FOLDER/NAME.ending`; ConfigError with the nearest right name if there is none."""
    known = {path.name.removesuffix(ending): path for path in sorted(folder.glob(f"*{ending}"))}
    if name not in known:
        raise ConfigError(f"{what}: there is no {folder}/{name}{ending}{nearest(name, known)}")
    return known[name]


def check_front_end(name: str, system: System, conf: Path) -> None:
    """Raise ConfigError if a system's features or VAD, if any, are unknown, ill-written or do not go together."""
    if system.features is None:
        return
    features_path = known_path(conf / "features", system.features, ".conf", f"system {name}: features")
    features = read_feature_config(features_path)
    of_samples = isinstance(features, WaveConfig)
    if of_samples != isinstance(system.model, Wav2Vec2):
        why = (
            "the samples themselves, only wav2vec2 takes them" if of_samples else "no samples; wav2vec2 takes wave_16k"
        )
        raise ConfigError(f"system {name}: features: {system.features} are {why}")
    if system.vad is None:
        return
    vad = read_vad_config(known_path(conf / "vad", system.vad, ".conf", f"system {name}: vad"))
    try:
        require_fit(vad, features, system.vad, system.features)
    except ConfigError as error:
        raise ConfigError(f"system {name}: {error}") from None


def check_pretrained(name: str, system: System) -> None:
    """Raise ConfigError if a system's pretrained weights are neither a bundle nor a file; nothing is downloaded yet."""
    weights = system.pretrained
    if weights and weights not in BUNDLES and not Path(weights).expanduser().exists():
        raise ConfigError(
            f"system {name}: model.pretrained: {weights} is no file or folder, and no bundle of torchaudio's"
            f"{nearest(weights, BUNDLES)}"
        )


def waveform_of(system: System, conf: Path) -> dict[str, Any]:
    """What of its configurations a run takes along if its network reads recordings."""
    features = read_feature_config(conf / "features" / f"{system.features}.conf")
    online = system.augment_online
    return {
        "features": dataclasses.asdict(features),
        "augment_online": online and read_online_augmentation(online_path(system, conf)).model_dump(mode="json"),
    }


def online_path(system: System, conf: Path) -> Path:
    """The configuration of a system's online augmentation."""
    return known_path(conf / "augment_online", system.augment_online, ".yaml", "augment_online")


def check_augmentation(name: str, system: System, conf: Path, corpora: str | None) -> None:
    """Raise ConfigError if a system's augmentation is unknown or ill-written, or lacks a corpus (None: do not look)."""
    if system.augment:
        path = known_path(conf / "augment", system.augment, ".yaml", f"system {name}: augment")
        copies = read_augmentation(path)
        key, if_missing, needed = "augment", copies.if_missing, copies.needs.values()
    elif system.augment_online:
        path = online_path(system, conf)
        online = read_online_augmentation(path)
        key, if_missing = "augment_online", online.if_missing
        needed = ["musan" if bank in NOISES else "rirs" for banks in online.needs.values() for bank in banks]
    else:
        return
    roots = dict.fromkeys(needed)
    missing = [] if corpora is None else [root for root in roots if root not in corpora.split(",")]
    if missing and (if_missing == "stop" or len(missing) == len(roots)):
        partial = partial_of(path)
        raise ConfigError(
            f"{name} is trained on augmented speech too ({key}: {getattr(system, key)}); give"
            f" {' and '.join(f'--data-root {root}=DIR' for root in missing)}"
            + (f", or leave out what you have not with --set {key}={partial}" if partial else "")
            + f", or train on clean speech alone with --set {key}=null"
        )


if __name__ == "__main__":
    run(main, __file__)
