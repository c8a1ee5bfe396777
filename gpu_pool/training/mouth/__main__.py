"""``python -m gpu_pool.training.mouth --out FOLDER``: from nothing to a network that can ship."""

from __future__ import annotations

import argparse
from pathlib import Path

from gpu_pool.training.mouth.corpus import build
from gpu_pool.training.mouth.evaluate import table
from gpu_pool.training.mouth.export import export
from gpu_pool.training.mouth.train import Run, train, trained_model


def main() -> int:
    """Make the corpus, train, export, evaluate; each part only where it is not done yet."""
    parser = argparse.ArgumentParser(prog="gpu_pool.training.mouth", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="corpus, checkpoint, network")
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--hours", type=float, default=3.2, help="of espeak-ng speech")
    parser.add_argument(
        "--piece-s",
        type=float,
        default=float("inf"),
        help="train for so many seconds, then stop; run again to go on",
    )
    given = parser.parse_args()
    corpus, checkpoint = given.out / "corpus", given.out / "checkpoint.pt"
    build(corpus, given.hours)
    done = train(Run(corpus, checkpoint, given.steps, given.piece_s))
    network = given.out / "mouthnet.npz"
    size = export(trained_model(checkpoint), network)
    print(f"{network}: {size / 1e6:.3f} MB, {'done' if done else 'not trained to the end'}")
    if done:
        print(table(network, corpus))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
