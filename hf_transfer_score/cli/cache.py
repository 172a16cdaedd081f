"""`cache list` and `cache clear`: the features of earlier runs."""

import time
from dataclasses import asdict

from hf_transfer_score.cli.flags import Json
from hf_transfer_score.cli.output import Output, Page, render, words
from hf_transfer_score.cli.tables import MISSING, table_of
from hf_transfer_score.errors import OptionError
from hf_transfer_score.features.cache import CacheEntry, FeatureCache
from hf_transfer_score.home import cache_limit, home
from hf_transfer_score.text import short_bytes


def _cache() -> FeatureCache:
    return FeatureCache(home() / "features", cache_limit())


def cache_list(*, output: Json = Output()) -> int:
    """List the cached features.

    They are in the folder transfer_score of HF_HOME, or in HF_TRANSFER_SCORE_HOME. Beyond HF_TRANSFER_SCORE_CACHE_SIZE
    (20GB by default) the least recently used ones are deleted.
    """
    cache = _cache()
    entries = cache.entries()
    output.show(lambda: [asdict(entry) for entry in entries], lambda page: cache_text(entries, cache.limit, page))
    return 0


def cache_clear(*, output: Json = Output()) -> int:
    """Delete the cached features.

    Models converted for OpenVINO are cached with them, and are deleted too.
    """
    cache = _cache()
    count, size = cache.clear()
    facts = {"deleted": count, "bytes": size}
    output.show(lambda: facts, lambda _: f"Deleted {_entries(count)}, {short_bytes(size)}.\n")
    if left := len(cache.entries()):
        raise OptionError(f"{_entries(left)} in {cache.folder} cannot be deleted: you may not change that folder.")
    return 0


def _entries(count: int) -> str:
    return f"{count} entr{'y' if count == 1 else 'ies'}"


def cache_text(entries: list[CacheEntry], limit: int, page: Page) -> str:
    """Return the cached features as text, the last used first."""
    if not entries:
        return "The cache holds no features.\n"
    table = table_of("model", "dataset", "commit", ">rows", ">size", "last used")
    for entry in entries:
        meta = {key: str(entry.meta.get(key, MISSING)) for key in ("model", "dataset", "commit", "rows")}
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        cells = (meta["model"], meta["dataset"], meta["commit"][:10], meta["rows"], short_bytes(entry.size), used)
        table.add_row(*(words(cell) for cell in cells))
    total = short_bytes(sum(entry.size for entry in entries))
    return render([table, "", f"{_entries(len(entries))}, {total} of {short_bytes(limit)} at most."], page)
