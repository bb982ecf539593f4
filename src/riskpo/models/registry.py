"""Models by name: `builtin:NAME` is built or unpacked into the cache; anything else is Transformers' business."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from riskpo.errors import ConfigError, unknown_name

PREFIX = "builtin:"
BUILTIN = ("chain-base", "smollm2-135m-instruct")


def resolve_model(name: str, *, build: bool, console: Any = None) -> str | Path:
    """What to hand to `from_pretrained`.

    Args:
        name: `builtin:NAME`, a local folder, or a hub id.
        build: whether to build a built-in model that is not in the cache yet.
        console: where to say that it takes a moment.

    Raises:
        ConfigError: an unknown built-in name, or a path that does not exist.
        MissingExtraError: a built-in model whose package is not installed.
    """
    if not name.startswith(PREFIX):
        path = Path(name).expanduser()
        if (name.startswith((".", "/", "~")) or path.is_dir()) and not (path / "config.json").is_file():
            raise ConfigError(f"{name} is not the folder of a Transformers model: it has no config.json.")
        return str(path) if name.startswith("~") else name
    short = name.removeprefix(PREFIX)
    if short not in BUILTIN:
        raise ConfigError(unknown_name("built-in model", short, BUILTIN))

    def say() -> None:
        if console is not None:
            console.print(f"building the model {short} (once; it is kept in the cache) ...", highlight=False)

    if short == "chain-base":
        from riskpo.models.chain_base import chain_base

        return chain_base(on_build=say) if build else name
    from riskpo.models.smollm2 import check_installed, smollm2

    check_installed()
    return smollm2(on_build=say) if build else name


def hub_commit(name: str, revision: str | None = None) -> str | None:
    """The commit that a revision of a hub model stands for now; None for a local folder.

    Without the hub, the copy in the local cache says it, which is the one that would be loaded.

    Raises:
        ConfigError: the hub cannot be reached and nothing is in the cache, or it has no such model or revision.
    """
    if Path(name).expanduser().is_dir() or name.startswith(PREFIX):
        return None
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return str(HfApi().model_info(name, revision=revision).sha)
    except HFValidationError as error:
        raise ConfigError(
            f"the model {name} is neither a folder with a config.json nor a hub id (OWNER/NAME)."
        ) from error
    except Exception as error:  # whatever the network and the client raise
        cached = try_to_load_from_cache(name, "config.json", revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent.name
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"the model {name} is no local folder, and the hub does not have it: {reason}") from error


def describe_model(name: str) -> str:
    """Where a model that `resolve_model` accepts comes from, in a few words."""
    if name.startswith(PREFIX):
        return f"{name}, built in"
    if Path(name).expanduser().is_dir():
        return f"{name}, a local folder"
    legacy = "" if "/" in name else " (a name without an owner: for a folder of your own, check the spelling)"
    return f"{name}, to be looked up on the hub: there is no such folder here{legacy}"
