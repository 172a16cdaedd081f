"""Information about a repository (files, card, parameters, tags), and lists of matching repositories."""

import json
import math
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tests.hub.exchange import TRUE, Exchange, Refusal, Route
from tests.hub.repositories import Commit, Repository, StoredFile

ANY = r"(?P<name>[^/]+(?:/[^/]+)?)"
API = r"/api/(?P<kind>models|datasets|spaces)/" + ANY
REVISION = r"(?P<revision>refs/(?:pr|convert)/[^/]+|[^/]+)"
EXPANDABLE = (
    *("author", "baseModels", "cardData", "childrenModelCount", "citation", "config", "createdAt", "datasets"),
    *("description", "disabled", "downloads", "downloadsAllTime", "evalResults", "gated", "gguf", "inference"),
    *("inferenceProviderMapping", "lastModified", "library_name", "likes", "mainSize", "mask_token"),
    *("model-index", "models", "paperswithcode_id", "pipeline_tag", "private", "region", "resourceGroup"),
    *("runtime", "safetensors", "sdk", "sha", "siblings", "spaces", "subdomain", "tags", "transformersInfo"),
    *("trendingScore", "usedStorage", "widgetData"),
)
"""Properties that a request may name, for any kind of repository."""
LARGEST_CARD = 1 << 20
SHOWN_IN_CONFIG = ("architectures", "model_type", "architecture", "auto_map", "quantization_config")
ORDERS = ("downloads", "likes", "trendingScore", "lastModified", "createdAt")


def show_info(exchange: Exchange, kind: str, name: str, revision: str = "main") -> None:
    repository = exchange.repository(kind, name)
    commit = exchange.revision(repository, revision)
    exchange.send_data(describe(exchange, repository, commit, sizes=exchange.flag("blobs")))


def describe(exchange: Exchange, repository: Repository, commit: Commit, *, sizes: bool = False) -> dict[str, Any]:
    """Return all properties of a repository, or the requested ones."""
    names = expanded(exchange)
    known = everything(repository, commit, sizes=sizes)
    if names:
        return {key: known[key] for key in ("_id", "id", *names) if key in known}
    return {key: value for key, value in known.items() if key not in ("downloadsAllTime", "trendingScore")}


def expanded(exchange: Exchange) -> list[str]:
    names = exchange.options("expand")
    if unknown := [name for name in names if name not in EXPANDABLE]:
        raise Refusal(400, None, f'Invalid option in "expand": {unknown[0]!r}; expected one of {sorted(EXPANDABLE)}')
    return names


def everything(repository: Repository, commit: Commit, *, sizes: bool = False) -> dict[str, Any]:
    """Return all the properties of a repository that have a value."""
    card = card_of(commit)
    known = {
        "_id": commit.name[:24],
        "id": repository.name,
        "author": repository.owner,
        "sha": commit.name,
        "lastModified": moment(commit.date),
        "createdAt": moment(repository.created),
        "private": repository.private,
        "disabled": repository.disabled,
        "likes": repository.likes,
        "trendingScore": repository.trending,
        "tags": tags_of(repository, commit, card),
        "cardData": card or None,
        "siblings": [sibling_of(file, sizes=sizes) for file in commit.files.values()],
        "usedStorage": sum(file.size for file in commit.files.values()),
    }
    if repository.kind != "spaces":
        known |= {"gated": repository.gated, "downloads": repository.downloads}
        known |= {"downloadsAllTime": repository.downloads * 10}
    if repository.kind == "models":
        known |= model_properties(repository, commit, card)
    known |= repository.extra
    return {key: value for key, value in known.items() if value is not None}


def model_properties(repository: Repository, commit: Commit, card: dict[str, Any]) -> dict[str, Any]:
    config = json_of(commit, "config.json")
    return {
        "modelId": repository.name,
        "pipeline_tag": pipeline_of(repository, card),
        "library_name": library_of(repository, commit, card),
        "config": {key: config[key] for key in SHOWN_IN_CONFIG if key in config},
        "model-index": card.get("model-index"),
        "safetensors": parameters_of(repository, commit),
        "spaces": [],
    }


def sibling_of(file: StoredFile, *, sizes: bool) -> dict[str, Any]:
    known: dict[str, Any] = {"rfilename": file.path}
    if sizes:
        known |= {"blobId": file.blob, "size": file.size}
        if file.large:
            known["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": 134}
    return known


def card_of(commit: Commit) -> dict[str, Any]:
    """Return the metadata of README.md, nothing if it is hostile."""
    import yaml

    text = text_of(commit, "README.md")
    match = re.match(r"\s*---\r?\n(.*?)\r?\n---\s*(\n|$)", text, re.DOTALL)
    if not match or len(match[1]) > LARGEST_CARD or re.search(r"[&*][a-z]\b", match[1]):
        return {}
    try:
        card = yaml.safe_load(match[1])
        json.dumps(card, allow_nan=False)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError):
        return {}
    return card if isinstance(card, dict) else {}


def tags_of(repository: Repository, commit: Commit, card: dict[str, Any]) -> list[str]:
    tags: list[str] = [*repository.tags, *listed(card.get("tags"))]
    if repository.kind == "models":
        tags += [tag for tag in (library_of(repository, commit, card), pipeline_of(repository, card)) if tag]
        tags += ["safetensors"] if any(name.endswith(".safetensors") for name in commit.files) else []
        tags += listed(json_of(commit, "config.json").get("model_type"))
        tags += listed(card.get("language"))
        tags += [f"dataset:{name}" for name in listed(card.get("datasets"))]
        tags += [f"base_model:{name}" for name in listed(card.get("base_model"))]
    if repository.kind == "datasets":
        keys = ("task_categories", "task_ids", "language", "size_categories")
        tags += [f"{key}:{name}" for key in keys for name in listed(card.get(key))]
    tags += [f"license:{name}" for name in listed(repository.license or card.get("license"))]
    return list(dict.fromkeys([*tags, "region:us"]))


def pipeline_of(repository: Repository, card: dict[str, Any]) -> str | None:
    return repository.pipeline_tag or card.get("pipeline_tag")


def library_of(repository: Repository, commit: Commit, card: dict[str, Any]) -> str | None:
    """Return the library of a model: given, from its card, or inferred from its files."""
    if named := repository.library or card.get("library_name"):
        return str(named)
    if "modules.json" in commit.files:
        return "sentence-transformers"
    config = json_of(commit, "config.json")
    if "architectures" in config or "model_type" in config:
        return "transformers"
    return "timm" if "architecture" in config else None


def parameters_of(repository: Repository, commit: Commit) -> dict[str, Any] | None:
    """Return the numbers of parameters, given or counted in the headers of safetensors files."""
    if repository.parameters is not None:
        return {"parameters": {"F32": repository.parameters}, "total": repository.parameters}
    counts: dict[str, int] = {}
    for name, file in commit.files.items():
        if re.fullmatch(r"model(-\d+-of-\d+)?\.safetensors", name):
            for tensor in tensors_of(file):
                counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + math.prod(tensor["shape"])
    return {"parameters": counts, "total": sum(counts.values())} if counts else None


def tensors_of(file: StoredFile) -> Iterable[dict[str, Any]]:
    """Return the tensors in the header of a safetensors file; none if it is invalid."""
    with file.content.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
        if not 0 < length <= file.size - 8:
            return []
        try:
            header = json.loads(content.read(length))
        except ValueError:
            return []
    return [tensor for name, tensor in header.items() if name != "__metadata__"]


def text_of(commit: Commit, path: str) -> str:
    """Return the text of a file, empty if there is none."""
    file = commit.files.get(path)
    return file.content.read_text(encoding="utf-8", errors="replace") if file else ""


def json_of(commit: Commit, path: str) -> dict[str, Any]:
    """Return the JSON object in a file, empty if there is none."""
    try:
        found = json.loads(text_of(commit, path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def moment(date: datetime) -> str:
    """Return a date as the Hub writes it."""
    return date.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def show_list(exchange: Exchange, kind: str) -> None:
    """Answer with one page of the matching repositories, in order."""
    found = [(repository, repository.head) for repository in exchange.hub.all(kind) if visible(exchange, repository)]
    fitting = [(repository, commit) for repository, commit in found if fits(exchange, repository, commit)]
    known = [everything(repository, commit) for repository, commit in fitting]
    order = exchange.option("sort") or "trendingScore"
    if order not in ORDERS:
        raise Refusal(400, None, f'Invalid option in "sort": {order!r}; expected one of {list(ORDERS)}')
    known.sort(key=lambda entry: entry.get(order, 0), reverse=exchange.option("direction") != "1")
    if names := expanded(exchange):
        known = [{key: entry[key] for key in ("_id", "id", *names) if key in entry} for entry in known]
    exchange.send_page(known, min(exchange.hub.page_size, int(exchange.option("limit") or exchange.hub.page_size)))


def visible(exchange: Exchange, repository: Repository) -> bool:
    """Whether the user sees a repository in lists."""
    return not repository.disabled and (not repository.private or exchange.may_read(repository))


def fits(exchange: Exchange, repository: Repository, commit: Commit) -> bool:
    card = card_of(commit)
    tags = {tag.lower() for tag in tags_of(repository, commit, card)}
    words = " ".join(exchange.query.get("search", [])).lower().split()
    author = exchange.option("author")
    wanted = exchange.options("filter") + exchange.options("tags") + exchange.options("library")
    pipeline = exchange.option("pipeline_tag")
    gated = exchange.option("gated")
    return (
        all(word in repository.name.lower() for word in words)
        and (author is None or repository.owner == author)
        and all(tag.lower() in tags for tag in wanted)
        and (pipeline is None or pipeline == pipeline_of(repository, card))
        and (gated is None or bool(repository.gated) == (gated in TRUE))
    )


ROUTES: list[Route] = [
    ("GET", r"/api/(?P<kind>models|datasets|spaces)", show_list),
    ("GET", f"{API}/revision/{REVISION}", show_info),
    ("GET", API, show_info),
]
"""These come last, since a name of two parts looks like a name of one part and a request about it."""
