"""Exceptions, and the one sentence form of every message: where, expected, got, what to do.

Each class also derives from the built-in exception that a Keras user would catch (`ValueError`, `FileNotFoundError`
...), so that existing `except` clauses keep working.  Nothing else of netchu is imported here.
"""


class NetchuError(Exception):
    """Base of every error that netchu raises on purpose; the command line prints it without a traceback.

    Args:
        message: the whole sentence; or, with `expected`, where it happened (see `sentence`).
        expected: what would have been right.
        got: the offending value with its name.
        do: the mend, when it is known.

    Example:
        >>> raise UsageError("Dense", expected="units to be a positive integer", got="units=0")
        Traceback (most recent call last):
        netchu.errors.UsageError: Dense: expected units to be a positive integer. Got: units=0.
    """

    def __init__(self, message: str, *, expected: str = "", got: str = "", do: str = "") -> None:
        super().__init__(sentence(message, expected=expected, got=got, do=do) if expected else message)


class UsageError(NetchuError, ValueError):
    """An argument, a name or a call order is wrong: the sentence shows what would be right."""


class MissingAttributeError(UsageError, AttributeError):
    """An attribute is not there yet: the model is not built, or a class does not call `super().__init__()`."""


class MissingMethodError(NetchuError, NotImplementedError):
    """A subclass does not define a method that its base class needs."""


class ShapeError(UsageError):
    """Array shapes do not fit each other or the layer that received them."""


class DataError(NetchuError, ValueError):
    """The data handed over is unusable: labels out of range, NaN in x, an unreadable image, a damaged IDX file."""


class DataNotFoundError(NetchuError, FileNotFoundError):
    """A named file or folder does not exist or does not hold what it should."""


class ModelFileError(NetchuError, ValueError):
    """A model file is truncated, of another kind, hostile, or does not fit its own architecture."""


class CheckpointError(NetchuError, ValueError):
    """A checkpoint is damaged, of other settings or other data, or its folder is in use by another run."""


class MissingExtraError(NetchuError, ImportError):
    """An optional library is not installed: the sentence ends with the pip line that installs it."""


class NotInNetchuError(NetchuError):
    """A thing of Keras's that netchu leaves to Keras on purpose: see docs/left-to-keras.md."""


class NameNotInNetchuError(NotInNetchuError, AttributeError):
    """Such a name after a dot, `netchu.layers.LSTM`: `hasattr` says False."""


class ImportNotInNetchuError(NotInNetchuError, ImportError):
    """Such a name in an import, `from netchu.layers import LSTM`."""


class EngineError(NetchuError, RuntimeError):
    """Tensors of two engines met, or a value was asked for that does not exist while a step is being traced."""


class TapeError(NetchuError, RuntimeError):
    """The gradient tape was used in a way that would give wrong or no gradients."""


class TrainingError(NetchuError, ArithmeticError, RuntimeError):
    """Training cannot go on: the loss is NaN or infinite.  The model holds the weights of the step before."""


def sentence(where: str, *, expected: str, got: str, do: str = "") -> str:
    """Compose an error message: where it happened, what was expected, what came (name=value), and what to do.

    Args:
        where: the public function, class or layer that the user called or named, e.g. `"Dense"`.  Behind it may stand
            what is wrong, in Keras's words; where those end in a comma, the sentence goes on without a colon.
        expected: what would have been right, e.g. `"units to be a positive integer"`.
        got: the offending value with its name, e.g. `"units=0"`.
        do: the mend, when it is known, e.g. `"write Dense(10)"`.

    Returns:
        One or two sentences on one line.

    Example:
        >>> sentence("Dense", expected="units to be a positive integer", got="units=0")
        'Dense: expected units to be a positive integer. Got: units=0.'
    """
    colon = "" if where.endswith(",") else ":"
    message = f"{where}{colon} expected {expected}. Got: {got}."
    return f"{message} {do}" if do else message


def missing_method(thing: object, method: str) -> MissingMethodError:
    """The error for a subclass that does not define a method.

    Args:
        thing: an object of the class.
        method: its name and parameters, e.g. `"call(self, x)"`.
    """
    return MissingMethodError(type(thing).__name__, expected=f"a method {method}", got="none", do="Write it.")


def printable(text: str) -> str:
    """`text` with control characters written as escapes: what stands in a file must not reach a terminal as it is."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def missing_extra(what: str, library: str, extra: str) -> MissingExtraError:
    """The error for an optional library that is not installed, with the line that installs it.

    Args:
        what: what needs it, e.g. `"The engine 'jax'"`.
        library: its name.
        extra: the extra of netchu that brings it.
    """
    return MissingExtraError(f"{what} needs {library}, which is not installed: pip install 'netchu[{extra}]'")


def unknown_name(kind: str, given: object, known: list[str], *, where: str = "") -> UsageError:
    """The error for a name that nobody knows: what came, the right ones, and the closest of them.

    Args:
        kind: what was looked for, e.g. `"optimizer"`.
        given: what came.
        known: the right names.
        where: the function or class that was called, if `kind` does not say enough.
    """
    return UsageError(f"{where}: {choices(kind, given, known)}" if where else choices(kind, given, known))


def choices(kind: str, given: object, known: list[str]) -> str:
    """The message for an unknown name: it lists the right ones, and asks about the closest if there is one."""
    import difflib

    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(given)[:100].lower(), by_lower, n=1)
    hint = f" Did you mean {by_lower[close[0]]!r}?" if close else ""
    return f"Could not interpret {kind} identifier: {given!r:.200}. Known: {', '.join(sorted(known))}.{hint}"
