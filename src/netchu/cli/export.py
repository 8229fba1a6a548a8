"""`netchu export MODEL OUT`: a model as an ONNX, Keras or netchu file, and the proof that it computes the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from netchu.cli.options import DEFAULTS, Common, flag
from netchu.cli.outcome import FAILURE, OK
from netchu.cli.outfile import check_place
from netchu.cli.output import result, result_json
from netchu.errors import NetchuError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from netchu.models import Sequential

FORMATS = (".onnx", ".keras", ".safetensors")

LARGEST_DIFFERENCE = 1e-5
"""Between what the model and the written file compute, for outputs up to 1 (for larger ones, in proportion): float32
holds 7 digits, and sums of a thousand products in another order differ in the sixth; a wrong weight shows earlier."""


@dataclass(frozen=True)
class Comparison:
    """What the model and the file make of the same digits.

    Attributes:
        n: how many digits.
        difference: the greatest absolute difference between two outputs.
        scale: the greatest absolute output, at least 1.
        classes_agree: whether both see the same class in each digit.
    """

    n: int
    difference: float
    scale: float
    classes_agree: bool

    @property
    def passed(self) -> bool:
        """Whether the file computes what the model does."""
        return self.difference <= LARGEST_DIFFERENCE * self.scale

    def __str__(self) -> str:
        """For people."""
        agree = "agree" if self.classes_agree else "do not agree"
        return f"{self.n:,} digits, greatest difference {self.difference:.1e}, classes {agree}"


def export(
    model: Annotated[str, flag("A model file: .safetensors or .keras.")],
    out: Annotated[str, flag("What to write: a name ending in .onnx, .keras or .safetensors.")],
    /,
    *,
    verify: Annotated[
        bool, Parameter(negative="", help="Use the written file on test digits and compare.", show_default=False)
    ] = False,
    data: Annotated[
        str | None,
        flag("A name, folder or file of digits to verify with.", "NAME|DIR|FILE", default="the packaged sample"),
    ] = None,
    common: Common = DEFAULTS,
) -> int:
    """Load, write, compare and report; the exit code."""
    if Path(out).suffix not in FORMATS:
        raise UsageError("OUT", expected=f"a name ending in {', '.join(FORMATS)}", got=f"{out!r}")
    if data is not None and not verify:
        raise UsageError("--data", expected="--verify beside it", got=f"{data!r} alone", do="Add --verify.")
    check_place("OUT", out)
    common.use_engine()
    from netchu.models import load_model

    if out.endswith(".onnx"):
        from netchu.interop.onnx import need

        need("onnx", *(["onnxruntime"] if verify else []))
    loaded = load_model(model)
    x = digits_for(loaded, data, common) if verify else None
    write(loaded, out)
    comparison = None if x is None else compare(loaded, out, x)
    report(model, out, comparison, common)
    return OK if comparison is None or comparison.passed else FAILURE


def digits_for(model: Sequential, data: str | None, common: Common) -> np.ndarray:
    """Test images as the model takes them, those of the packaged sample unless `data` names others."""
    from netchu.digits.data import load_data
    from netchu.digits.reader import as_input

    return as_input(model, load_data(data or "sample", common.say).x_test)


def write(model: Sequential, out: str) -> None:
    """Write the file; NetchuError with path and reason if the disk does not take it."""
    try:
        if out.endswith(".onnx"):
            model.export(out)
        else:
            model.save(out)
    except OSError as error:
        raise NetchuError(
            f"{out}: the model could not be written,",
            expected="a disk that takes it",
            got=f"{error.strerror or error}",
            do="An older file of that name is untouched.",
        ) from error


def compare(model: Sequential, out: str, x: np.ndarray) -> Comparison:
    """What the model makes of `x`, beside what ONNX Runtime, or a model read again, makes of it.

    Raises:
        NetchuError: outputs that cannot be compared, for they are NaN or infinite.
    """
    import numpy as np

    from netchu.digits.reader import EVALUATION_BATCH
    from netchu.interop import onnx
    from netchu.models import load_model

    def predicted(model: Sequential) -> np.ndarray:
        return np.asarray(model.predict(x, batch_size=EVALUATION_BATCH, verbose=0))

    expected = predicted(model)
    got = onnx.run(out, x) if out.endswith(".onnx") else predicted(load_model(out))
    if not (np.isfinite(expected).all() and np.isfinite(got).all()):
        raise NetchuError(out, expected="finite outputs to compare", got="NaN or infinity among the outputs")
    return Comparison(
        n=len(x),
        difference=float(np.abs(got - expected).max()),
        scale=max(1.0, float(np.abs(expected).max())),
        classes_agree=bool((got.argmax(-1) == expected.argmax(-1)).all()),
    )


def report(model: str, out: str, comparison: Comparison | None, common: Common) -> None:
    """Tell what was written, and what the comparison found."""
    size = Path(out).stat().st_size
    if common.json:
        verified: dict[str, Any] | None = None
        if comparison is not None:
            verified = {
                "n": comparison.n,
                "max_difference": comparison.difference,
                "classes_agree": comparison.classes_agree,
                "passed": comparison.passed,
            }
        result_json({"schema": 1, "model": model, "out": out, "bytes": size, "verified": verified})
        return
    result(f"{out}: {size:,} bytes.")
    if comparison is not None:
        result(f"{'Verified' if comparison.passed else 'NOT the same'}: {comparison}.")
