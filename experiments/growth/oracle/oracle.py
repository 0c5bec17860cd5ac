"""One growth decision, every answer to it tried: which way of picking comes near to the best?

Runs that OUT/results.csv already has are not trained again; picks, shares and picture are made
anew.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import torch
from oracle_picks import Asked, asked
from oracle_picture import draw
from oracle_runs import HOSTS, State, trained
from oracle_shares import NOTHING, judged, read, run_row, summary

from kasmina.bench.sheet import Row, machine, markdown, write_csv

HERE = Path(__file__).parent
TICK, FLOPS = 6, 6e9
"""Of the decision, and of each run: 64 to 130 epochs of the hosts alone."""


def brute_force(state: State, found: Asked, results: Path) -> None:
    """Train without growth, then with every candidate, from one and the same state.

    Raises:
        RuntimeError: a run has come to another state than that in which all ways were asked.
    """
    rows: list[Row] = [*read(results)] if results.is_file() else []
    done = {(row["host"], row["seed"], row["site"], row["blueprint"]): row for row in rows}
    everything = max((pick.candidates for pick in found.picks), key=len)
    for site, blueprint in [("", NOTHING), *((c.site, c.blueprint) for c in everything)]:
        key = state.host, str(state.seed), site, blueprint
        if key not in done:
            done[key] = run_row(state, site, blueprint, trained(state, site, blueprint))
            write_csv(results, [*done.values()])
        if f"{float(str(done[key]['loss before'])):.4g}" != f"{found.loss:.4g}":
            raise RuntimeError(f"{key}: the decision was asked for at a loss of {found.loss}")
        print(*done[key].values(), flush=True)


def study(states: Sequence[State], out: Path) -> None:
    """All runs; tables and picture of what is there are written after each state."""
    out.mkdir(parents=True, exist_ok=True)
    picks = {}
    for state in states:
        found = asked(state)
        brute_force(state, found, out / "results.csv")
        picks[state.host, state.seed] = found.picks
        rows = [
            row for row in read(out / "results.csv") if (row["host"], int(row["seed"])) in picks
        ]
        write_csv(out / "picks.csv", judged(rows, picks))
        shares = summary(read(out / "picks.csv"))
        write_csv(out / "shares.csv", shares)
        draw(rows, shares, out / "oracle.png")
    print(markdown(shares), machine(), sep="\n")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, help="folder, default: the study's own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--quick", action="store_true", help="sizes that prove nothing")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    tick, flops = (1, 1.5e9) if options.quick else (TICK, FLOPS)
    hosts = ["narrow middle"] if options.quick else HOSTS
    study(
        [State(host, seed, tick, flops) for seed, host in product(options.seeds, hosts)],
        options.out,
    )


if __name__ == "__main__":
    main()
