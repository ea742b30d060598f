"""Parameters of simulated organisations whose data is accessed: fixed worlds, and drawn ones.

`WORLDS` are those of the evaluation. Training draws a world for each account, and calibration one for
each group of accounts (`drawn`), from wider spans than any of those.
"""

import dataclasses

from generators.spans import span, whole


@dataclasses.dataclass(frozen=True)
class World:
    """Parameters of one simulated organisation."""

    read_median: tuple = (2, 40)  # a person's or service's usual rows per read, range of medians
    read_sigma: tuple = (0.5, 1.6)
    analyst_median: tuple = (100, 3000)
    batch_median: tuple = (5e3, 5e6)
    events_per_day: tuple = (8, 90)
    days: tuple = (1, 24)
    excess: tuple = (10, 100)  # an export's size in multiples of the user's usual largest
    drain: tuple = (4, 12)  # daily volume of a slow drain in multiples of the usual day
    trickle: tuple = (1.0, 3.0)
    drain_days: tuple = (3, 9)
    sweep: tuple = (8, 40)  # projects or secrets touched in one sweep
    rows_unknown: float = 0.25  # share of users whose source reports no rows
    tables: int = 40
    attack_share: float = 0.35
    newcomers: float = 0.0  # share of accounts, beyond the usual, first seen some hours ago


WORLDS = {
    "train": World(),
    "other sizes": World(
        read_median=(1, 100),
        read_sigma=(0.3, 2.0),
        analyst_median=(50, 8000),
        batch_median=(1e3, 2e7),
        excess=(8, 60),
        drain=(3, 8),
    ),
    "other habits": World(
        events_per_day=(4, 150),
        days=(2, 35),
        sweep=(6, 25),
        tables=90,
        rows_unknown=0.45,
        drain_days=(4, 14),
    ),
    "long": World(days=(15, 40), events_per_day=(5, 60), attack_share=0.25),
}


def between(rng, span):
    return rng.uniform(*span)


def drawn(rng):
    """A world by chance: each span lies somewhere within the widest that is thought possible."""

    return World(
        read_median=span(rng, 1, 150),
        read_sigma=span(rng, 0.25, 2.0),
        analyst_median=span(rng, 40, 10_000),
        batch_median=span(rng, 1e3, 3e7),
        events_per_day=span(rng, 4, 160),
        days=whole(rng, 1, 42),
        excess=span(rng, 8, 110),
        drain=span(rng, 3, 13),
        trickle=(1.0, rng.uniform(1.5, 3.0)),
        drain_days=whole(rng, 3, 14),
        sweep=span(rng, 6, 42),
        rows_unknown=rng.uniform(0.1, 0.5),
        tables=rng.randint(20, 120),
        attack_share=rng.uniform(0.2, 0.45),
        newcomers=rng.uniform(0.0, 0.3),
    )
