"""Whether two recordings, or an enrolled speaker and a recording, are of one speaker, by a trained run.

A line with the score; where the run's scores are calibrated, the log-likelihood ratio in nats, the threshold and which
side of it that is, too. Where they are not, the next line says what to do.
"""

from __future__ import annotations

from pathlib import Path

from sv.cli import Parser, device_of, run
from sv.verifier import Verifier


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_verifier_options()
    parser.add_argument("--backend", metavar="NAME", help="the back end that scores (None: the only one)")
    parser.add_costs()
    parser.add_argument("--models", type=Path, metavar="NAME", help="the enrolled speakers: NAME.ark and so on")
    parser.add_argument("a", metavar="A", help="a recording or, with --models, an enrolled speaker")
    parser.add_argument("b", metavar="B", help="a recording")
    args = parser.parse_args()
    verifier = Verifier.from_exp(args.run, args.backend, device_of(args), args.resample)
    if args.models:
        verifier.load_models(args.models)
    decision = verifier.verify(args.a, args.b, args.prior, args.c_miss, args.c_fa, channel=args.channel)
    if decision.llr is None:
        print(f"score {decision.score:.6f}\n{verifier.note}")
        return
    what = "accepted" if decision.accepted else "rejected"
    print(f"score {decision.score:.6f}, LLR {decision.llr:.4f}, threshold {decision.threshold:.4f}: {what}")


if __name__ == "__main__":
    run(main, __file__)
