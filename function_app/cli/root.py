"""The group of commands `hopkeeper`. What each does stands in the modules beside it."""

import click


@click.group(
    help="Keeps Azure Route Server peerings and NVA advertisements as written down.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="hopkeeper")
def main() -> None:
    """Entry point of `hopkeeper`."""
