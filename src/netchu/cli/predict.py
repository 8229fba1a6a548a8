"""`netchu predict IMAGE...`: which digit each picture shows, one line a picture, as soon as it is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from netchu.cli.options import DEFAULT_MODEL, DEFAULTS, STANDARD_INPUT, Common, flag
from netchu.cli.outcome import BAD_DATA, OK, told
from netchu.cli.output import result, result_json
from netchu.errors import DataError, DataNotFoundError, UsageError, printable

if TYPE_CHECKING:
    from netchu.models import Sequential


def predict(
    images: Annotated[list[str], flag("PNG or JPEG files, one digit each; - reads standard input.")],
    /,
    *,
    model: Annotated[str | None, flag("A file that `netchu train` wrote.", "FILE", default=DEFAULT_MODEL)] = None,
    common: Common = DEFAULTS,
) -> int:
    """Read, recognize and report each picture; the exit code.

    A picture that cannot be read gets its sentence on standard error, and the others are still told.
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
    from netchu.cli.tools import load_classifier

    classifier = load_classifier(path)
    size = picture_size(classifier, path)
    codes = set()
    for image in images:
        name = "-" if image == STANDARD_INPUT else image
        try:
            label, probability = recognize(classifier, image, size)
        except (DataError, DataNotFoundError) as error:
            codes.add(told(error, debugging=common.debug))
            continue
        if common.json:
            result_json({"image": name, "label": label, "probability": probability})
        else:
            result(f"{printable(name)}: {label} ({probability:.1%})")
    return BAD_DATA if BAD_DATA in codes else max(codes, default=OK)


def picture_size(model: Sequential, path: str) -> tuple[int, int]:
    """Height and width of the pictures that the model takes.

    Raises:
        UsageError: it takes something else.
    """
    from netchu.cli.tools import image_shape

    shape = image_shape(model)
    if len(shape) != 2 or min(shape) < 1:
        got = f"a model for {' x '.join(map(str, shape))} values"
        raise UsageError(path, expected="a model for grey pictures (height x width)", got=got)
    return shape[0], shape[1]


def recognize(model: Sequential, image: str, size: tuple[int, int]) -> tuple[int, float]:
    """The label of a picture and its probability, 0 to 1.

    Raises:
        DataError, DataNotFoundError: see `netchu.digits.load`.
    """
    from netchu import digits
    from netchu.cli.tools import as_input, probabilities
    from netchu.digits.pictures import MAX_BYTES

    if image == STANDARD_INPUT:
        digit = digits.load(sys.stdin.buffer.read(MAX_BYTES + 1), size=size, name="standard input")
    else:
        digit = digits.load(image, size=size)
    chances = probabilities(model, as_input(model, digit[None]))[0]  # (classes,)
    return int(chances.argmax()), float(chances.max())
