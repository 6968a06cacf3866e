"""The command line: its commands, and how it ends. Nothing here imports torch before a command needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.metadata import version
from traceback import print_exc
from typing import Annotated, Any

import typer
from typer import Option

from lossbench.commands.benches import bench, report
from lossbench.commands.images import cache, evaluate, translate
from lossbench.commands.plugins import check, listed, new
from lossbench.commands.pretrained import pretrained
from lossbench.commands.training import profile, replay, run, show
from lossbench.commands.words import INTERRUPTED
from lossbench.errors import LossbenchError, OptionError, printable, refusal
from lossbench.screen import console

BROKEN = 70  # a fault of lossbench or of a plugin, in any case none of what is compared
COMMANDS = (run, bench, report, profile, replay, check, new, translate, evaluate, cache, show)  # as --help shows them
UsageError: Any = typer.BadParameter.__mro__[1]  # the parent of everything that is wrong with a command line

app = typer.Typer(
    help="Experiments with loss functions in image-to-image translation: does this loss help?",
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(listed, name="plugins")
app.add_typer(pretrained, name="weights")


def main() -> None:
    """Run the command line. What the user can mend is one line and exit code 2."""
    console.quiet = _follows()
    try:
        _check_words(sys.argv[1:])
        code = app(prog_name="lossbench", standalone_mode=False)
        if code == INTERRUPTED:  # ctrl-C before anything was begun; Typer says nothing
            _complain("Interrupted.", code)
    except LossbenchError as error:
        said = " ".join([*map(str, error.args), *getattr(error, "__notes__", [])])
        code = _complain(said, error.exit_code, getattr(error, "files", ()))
    except UsageError as error:
        message = error.format_message()
        stop = "" if message.endswith((".", "?")) else "."
        hint = " Write lists and KEY=VALUE without spaces." if "extra argument" in message else ""
        code = _complain(f"{message}{stop}{hint} See: {error.ctx.command_path} --help", 2)
    except (KeyboardInterrupt, typer.Abort):
        code = _complain("Interrupted.", INTERRUPTED)
    except Exception as error:
        if reason := refusal(error):
            code = _complain(f"{reason[0].upper()}{reason[1:]}", 2)
        else:
            print_exc()
            code = BROKEN
    sys.exit(0 if _follows() else code)  # the leader notices who is gone, and ends as it should


def _follows() -> bool:
    """Return whether another process of the same run writes, prints and has the exit code: Fabric's or torchrun's."""
    rank = os.environ.get("RANK" if "TORCHELASTIC_RUN_ID" in os.environ else "LOCAL_RANK", "0")
    together = {"LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys()
    return together and rank != "0" and sys.argv[1:2] == ["run"]


def _complain(message: str, code: int, files: Iterable[str] = ()) -> int:
    lines = (" ".join(line.split()) for line in (f"lossbench: {message}", *files))
    print("\n  ".join(map(printable, lines)), file=sys.stderr)
    return code


def _check_words(words: Iterable[str]) -> None:
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise OptionError(f"{word!a} is not UTF-8. Rename the file, or mend the word.") from None


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"lossbench {version('lossbench')}")
        raise typer.Exit


@app.callback()
def everywhere(
    version: Annotated[
        bool, Option("--version", help="Show the version and leave.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Experiments with loss functions in image-to-image translation: does this loss help?"""
