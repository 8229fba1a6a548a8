"""The commands, their help, and what to say to a command line that cannot be understood.

Each command is an import string: `netchu --help` imports none of them.
"""

from __future__ import annotations

import shutil

from cyclopts import App, CycloptsError

from netchu.cli.options import STANDARD_INPUT
from netchu.cli.output import ReaderGoneError
from netchu.errors import UsageError
from netchu.system.environment import version

PLAIN_BELOW = 60  # columns; narrower terminals get help without boxes

# name -> (help in one line, example)
COMMANDS = {
    "train": ("Train a classifier and save it.", "netchu train --layers 512,128 --epochs 10 --optimizer adam"),
    "evaluate": ("Tell how good a model is on test images.", "netchu evaluate netchu-model.safetensors --data sample"),
    "predict": ("Tell which digit each picture shows.", "netchu predict seven.png photos/*.jpg --json"),
    "export": (
        "Write a model for other programs.",
        "netchu export netchu-model.safetensors digits.onnx --verify",
    ),
    "bench": ("Measure how fast each engine learns here.", "netchu bench --data sample"),
    "info": ("Show the environment, or what is in a model file.", "netchu info netchu-model.safetensors"),
}


def make_app() -> App:
    """The command line as cyclopts has it."""
    app = App(
        name="netchu",
        help="Train small neural networks, and read every line that does the learning.",
        help_epilogue="Example: netchu train --data sample",
        help_format="plaintext",
        help_formatter="plain" if shutil.get_terminal_size().columns < PLAIN_BELOW else "default",
        version=version,
        version_flags=["--version", "-V"],
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for place, (name, (help_line, example)) in enumerate(COMMANDS.items()):
        app.command(
            f"netchu.cli.{name}:{name}",
            name=name,
            help=help_line,
            help_epilogue=f"Example: {example}",
            version_flags=[],
            sort_key=place,
        )
    return app


def run(arguments: list[str]) -> int:
    """Run the command that `arguments` name; its exit code.

    Raises:
        UsageError: no such command or flag, or a flag without its value; says what would be right.
    """
    # cyclopts takes a lone "-" for an option without a name.
    tokens = [STANDARD_INPUT if token == "-" else token for token in arguments]
    try:
        code = make_app()(tokens, exit_on_error=False, print_error=False)
    except SystemExit:  # rich ends so, with code 1, when nobody reads its help any more
        raise ReaderGoneError from None
    except CycloptsError as error:
        command = arguments[0] if arguments[0] in COMMANDS else ""
        see = f"See `netchu {command} --help`." if command else "See `netchu --help`."
        # What is wrong is cyclopts's first sentence; what else it says, the closest name for example, may help.
        wrong, _, help_with_it = str(error).strip().partition(". ")
        raise UsageError(
            command or "command line",
            expected="what the help shows",
            got=wrong.removesuffix("."),
            do=f"{help_with_it} {see}".lstrip(),
        ) from None
    return code if isinstance(code, int) else 0  # help and version return nothing
