"""`netchu evaluate MODEL`: how good a model is on test images, digit by digit."""

from __future__ import annotations

from typing import Annotated

from netchu.cli.options import DEFAULTS, Common, Data, as_flag, flag
from netchu.cli.outcome import OK
from netchu.cli.output import result, result_json


def evaluate(
    model: Annotated[str, flag("A file that `netchu train` wrote.")],
    /,
    *,
    data: Data = None,
    common: Common = DEFAULTS,
) -> int:
    """Measure and report; the exit code."""
    engine = common.use_engine()
    from netchu.digits.data import load_data
    from netchu.digits.measuring import measure
    from netchu.digits.reader import load_classifier

    classifier = load_classifier(model)
    digits = load_data(data, common.say)
    learnt_from = classifier.info.get("data")
    if isinstance(learnt_from, dict) and learnt_from.get("sha256") not in (None, digits.sha256):
        name = learnt_from.get("name")
        common.say(f"The model has learnt from other data, {name}: some of these test images may have been in it.")
    figures = measure(classifier, digits.x_test, digits.y_test, as_flag("learning_rate"))
    shares = {label: figures.right[label] / figures.images[label] for label in figures.images}
    if common.json:
        result_json(
            {
                "schema": 1,
                "accuracy": figures.accuracy,
                "loss": figures.loss,
                "n": figures.n,
                "per_digit": {str(label): share for label, share in shares.items()},
                "engine": engine,
                "data": {"name": digits.name, "source": digits.source},
                "model": model,
            }
        )
        return OK
    result(f"Test {figures} on {digits.name} from {digits.source}.")
    for label, share in shares.items():
        result(f"{label:3}: {share:.4f} ({figures.right[label]:,} of {figures.images[label]:,})")
    return OK
