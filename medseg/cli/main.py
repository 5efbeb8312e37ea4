"""The command ``medseg``: a group that imports a command only when it is called."""

from __future__ import annotations

import difflib
import os
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

COMMANDS = {
    "scan": ("medseg.cli.scan", "List the series under a path: what they are, what is odd."),
    "convert": ("medseg.cli.convert", "Write scans as NIfTI, geometry and values exact."),
    "segment": ("medseg.cli.segment", "Segment a scan, or every scan of a tree of studies."),
    "classify": ("medseg.cli.classify", "Say which class an image shows, and how sure that is."),
    "worksheet": ("medseg.cli.worksheet", "Judge results on a page; export what is accepted."),
    "evaluate": ("medseg.cli.evaluate", "Score masks against references, with a report."),
    "compare": ("medseg.cli.compare", "Compare models on the same cases, and rank them."),
    "stats": ("medseg.cli.stats", "Measure a mask: volumes, diameters, intensities, lesions."),
    "demo": ("medseg.cli.demo", "Segment the demo scans and compare with the known truth."),
    "models": ("medseg.cli.models", "List models and show their cards."),
    "filters": ("medseg.cli.filters", "Draw what the first layer of a network has learned."),
    "plan": ("medseg.cli.plan", "Plan a training: what, why, and what it will cost."),
    "check": ("medseg.cli.check", "Report all that is odd about a data set, case by case."),
    "prepare": ("medseg.cli.prepare", "Prepare the cases of a training, all at once or resumed."),
    "preview": ("medseg.cli.preview", "Draw what the network will see: augmented patches."),
    "train": ("medseg.cli.train", "Train a model as a config says."),
    "ensemble": ("medseg.cli.ensemble", "Pack several models as one that averages them."),
    "find-best": ("medseg.cli.find_best", "Choose models and post-processing by their folds."),
    "config-schema": ("medseg.cli.config_schema", "Write the JSON Schema of a training config."),
    "doctor": ("medseg.cli.doctor", "Check this installation, and that nothing flips or drifts."),
}

ENVIRONMENT = {
    # albumentations asks a server for newer versions unless told not to before its import
    "NO_ALBUMENTATIONS_UPDATE": "1",
    # without it TensorFlow trains four times slower on processors that have no AVX-512
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # TensorFlow greets with pages about processors and missing graphics cards
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

USAGE, INTERRUPTED, UNEXPECTED = 2, 130, 5

EPILOG = """\b
Examples:
  medseg demo
  medseg scan STUDY
  medseg segment STUDY --model hippocampus-mr --out results
  medseg segment scan.nii.gz -m phantom-tumor-ct -o results --formats nifti,png

Exit status: 0 done, 2 bad usage, 3 input refused, 4 model refused, 5 failed on
the way, 6 some of several refused or failed, 130 interrupted, 143 terminated.

Research use only: not a medical device, not for diagnosis.
"""


class LazyGroup(click.Group):
    """Commands by name; ``--help`` and completion import none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names from the table."""
        found = [
            CompletionItem(name, help=help)
            for name, (_, help) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or suggest the one that was meant."""
        if args and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from medseg import __version__

        click.echo(f"medseg {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False,
              callback=_show_version, help="Show the version and exit.")  # fmt: skip
def group() -> None:
    """Segment medical images: a scan goes in, a mask on the scanner's own grid comes out."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit status.

    Errors of ours and of the system end in one clear line; a traceback is for developers who
    set ``MEDSEG_TRACEBACK=1``.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # urllib3, which pydicom and TensorFlow import, would bind a socket to find out about IPv6
    socket.has_ipv6 = False
    before = _at_sigterm(_stop)
    try:
        result: Any = group.main(args=arguments, prog_name="medseg", standalone_mode=False)
        status = result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        status = USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted: nothing half-written was left behind.", err=True)
        status = INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has gone; Python would complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except Exception as error:
        status = _explained(error)
    _at_sigterm(before)
    raise SystemExit(status)


def _at_sigterm(handler: Any) -> Any:
    """Say what SIGTERM does from now on; return what it did before."""
    before = signal.getsignal(signal.SIGTERM)
    with suppress(ValueError):  # not in the main thread, where no signal arrives
        signal.signal(signal.SIGTERM, handler or signal.SIG_DFL)
    return before


def _stop(number: int, _: object) -> None:
    """End as Ctrl-C does, not at once: what is half-written or unpacked is removed."""
    signal.signal(number, signal.SIG_IGN)  # a second one would stop the removing
    raise SystemExit(128 + number)


def _explained(error: Exception) -> int:
    """Print one line about an error and return the exit status that belongs to it."""
    if os.environ.get("MEDSEG_TRACEBACK"):
        raise error
    from medseg.cli.console import exit_status, line_of

    click.echo(line_of(error), err=True)
    return exit_status(error)


if __name__ == "__main__":
    main()
