"""`netchu predict IMAGE...`: which digit each picture shows, one line a picture, as soon as it is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from netchu.cli.options import DEFAULTS, STANDARD_INPUT, Common, flag
from netchu.cli.outcome import BAD_DATA, OK, print_error
from netchu.cli.output import result, result_json
from netchu.digits.job import DEFAULT_MODEL
from netchu.errors import DataError, DataNotFoundError, printable


def predict(
    images: Annotated[list[str], flag("PNG or JPEG files, one digit each; - reads standard input.")],
    /,
    *,
    model: Annotated[str | None, flag("A file that `netchu train` wrote.", "FILE", default=DEFAULT_MODEL)] = None,
    common: Common = DEFAULTS,
) -> int:
    """Read, recognize and report each picture; the exit code.

    A picture that cannot be read gets its sentence on standard error, and the others are still read.
    """
    path = DEFAULT_MODEL if model is None else model
    if model is None and not Path(path).exists():
        raise DataNotFoundError(
            "predict",
            expected=f"a model, {path} without --model",
            got="no such file",
            do="Run `netchu train` first, or name another with --model.",
        )
    common.use_engine()
    from netchu.digits.reader import load_classifier, picture_size, recognize

    classifier = load_classifier(path)
    picture_size(classifier, path)  # a model for other things is an error before the first picture
    codes = set()
    for image in images:
        name = "-" if image == STANDARD_INPUT else image
        try:
            if image == STANDARD_INPUT:
                label, probability = recognize(classifier, standard_input(), name="standard input")
            else:
                label, probability = recognize(classifier, image)
        except (DataError, DataNotFoundError) as error:
            codes.add(print_error(error, debugging=common.debugging))
            continue
        if common.json:
            result_json({"image": name, "label": label, "probability": probability})
        else:
            result(f"{printable(name)}: {label} ({probability:.1%})")
    return BAD_DATA if BAD_DATA in codes else max(codes, default=OK)


def standard_input() -> bytes:
    """The bytes of standard input; of too many, one more than are allowed.

    Raises:
        DataNotFoundError: it is closed, as by `<&-`.
    """
    from netchu.digits.pictures import MAX_BYTES

    if sys.stdin is None:
        raise DataNotFoundError("standard input", expected="the bytes of a picture", got="it is closed")
    return sys.stdin.buffer.read(MAX_BYTES + 1)
