"""`ratchet provider`"""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from ratchet.app.settings import Settings, config_file
from ratchet.cli.context import options_of, print_json, print_record, print_table
from ratchet.errors import NotFound
from ratchet.gateway.providers import resolve_secret

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Providers: upstream accounts.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every provider, declared or implied by the environment."""
    settings = config_file(options_of(context).config).read()
    providers = [_shown(settings, name) for name in sorted(settings.providers)]
    if as_json:
        print_json(providers)
    else:
        print_table([{**provider} for provider in providers], empty="")


@app.command()
def show(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show one provider."""
    settings = config_file(options_of(context).config).read()
    if name not in settings.providers:
        raise NotFound(
            f"There is no provider {name!r}.", f"There are: {', '.join(sorted(settings.providers))}."
        )
    shown = _shown(settings, name)
    if as_json:
        print_json(shown)
    else:
        print_record(shown)


def _shown(settings: Settings, name: str) -> dict[str, Any]:
    provider = settings.providers[name]
    _, missing = resolve_secret(provider.api_key, os.environ)
    credential = "none" if provider.api_key is None else provider.api_key + (" (not set)" if missing else "")
    return {
        "name": name,
        "kind": provider.kind,
        "base_url": str(provider.base_url or "default"),
        "api_key": credential,
    }
