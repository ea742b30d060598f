"""Numbers by chance within spans, alike for all worlds that are simulated."""


def log_between(rng, span):
    """As likely between one and two as between two and four."""
    low, high = span
    return low * (high / low) ** rng.random()


def span(rng, low, high):
    """A span that lies somewhere within the widest that is thought possible."""
    return tuple(sorted(log_between(rng, (low, high)) for _ in range(2)))


def whole(rng, low, high):
    """The same of whole numbers."""
    least, most = span(rng, low, high)
    return int(least), int(most) + 1
