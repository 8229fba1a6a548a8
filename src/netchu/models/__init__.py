"""Models: `Sequential`, and back from a file.

    model = Sequential([Input((784,)), Dense(512, activation="relu"), Dense(10, activation="softmax")])
    model.save("model.safetensors");  model = load_model("model.safetensors")

Reading order: `sequential.py` (what a model is), `saving.py`, `loading.py` (from a file to a model), `summary.py`.
"""

from netchu.left_to_keras import missing_names
from netchu.models.loading import load_model
from netchu.models.sequential import Sequential

__all__ = ["Sequential", "load_model"]

__getattr__ = missing_names("models")
