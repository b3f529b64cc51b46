"""Make the runs of the systems asked for; prints a line a run: its folder, features and VAD, by tabs.

With --list, prints the systems that there are instead.
"""

from pathlib import Path

from sv.cli import Parser, run
from sv.errors import ConfigError
from sv.run import Run
from sv.system import find_systems, load_system
from sv.yaml_errors import nearest


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="folder of the configurations")
    parser.add_argument("--list", action="store_true", help="print the systems by name and stop")
    parser.add_argument("--exp", type=Path, help="where runs go: EXP/SYSTEM/seedN")
    parser.add_argument("--seed", type=int, default=1, help="of the runs")
    parser.add_argument("--budget", help="conf/budgets/NAME.yaml, laid over every system")
    parser.add_argument("--set", action="append", default=[], metavar="PATH.TO.KEY=VALUE", help="change a setting")
    parser.add_argument("systems", nargs="*", help="names of conf/systems/*/NAME.yaml")
    args = parser.parse_args()

    known = find_systems(args.conf)
    if args.list:
        for name, path in known.items():
            first = path.read_text(encoding="utf-8").splitlines()[0]
            print(f"{name}\t{first.removeprefix('#').strip()}")
        return
    if args.exp is None:
        raise ConfigError("--exp says where the runs go; it is needed without --list")
    budgets = {path.stem: path for path in sorted((args.conf / "budgets").glob("*.yaml"))}
    if args.budget and args.budget not in budgets:
        raise ConfigError(f"unknown budget {args.budget}{nearest(args.budget, budgets)}")
    for name in args.systems:
        if name not in known:
            raise ConfigError(f"unknown system {name}{nearest(name, known)}")
    overlays = [budgets[args.budget]] if args.budget else []
    systems = {name: load_system(known[name], overlays, args.set) for name in args.systems}
    for name, system in systems.items():
        if not (conf := args.conf / "features" / f"{system.features}.conf").exists():
            raise ConfigError(f"{known[name]}: features: there is no {conf}")
        if overlays or args.set:  # no longer the paper's system: its figure does not apply
            system = system.model_copy(update={"published": None})
        this = Run.create(args.exp, f"{name}+{args.budget}" if args.budget else name, args.seed, system)
        print(this.path, system.features, system.vad or "-", sep="\t")


if __name__ == "__main__":
    run(main, __file__)
