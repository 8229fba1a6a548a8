"""Keras names that netchu knows it does not have: one clear error each, and docs/left-to-keras.md for the reasons."""

from __future__ import annotations

from netchu.errors import NotInNetchuError

_SEQUENTIAL = "it builds Sequential models only; a graph of layers with several inputs or branches is Keras's to build"
_RECURRENT = "it has no recurrent layers and no attention: it is made for small networks over fixed-size samples"
_TEXT = "it does not read text"
_LARGER = "it is made for small networks"
_IMAGES = (
    "its layers over space take images (batch, height, width, channels), and leave their size or make them smaller"
)
_NORMALIZATION = "it has BatchNormalization and LayerNormalization"
_AUGMENTATION = "it has RandomTranslation, RandomRotation, RandomZoom and GaussianNoise"
_BACKEND = "its engines take that place: netchu.set_engine, netchu.ops"

NOT_HERE = {
    "": {
        **dict.fromkeys(("Model", "Functional", "KerasTensor", "Function"), _SEQUENTIAL),
        **dict.fromkeys(("backend", "config", "tree", "distribution"), _BACKEND),
        **dict.fromkeys(("applications", "mixed_precision", "quantizers", "dtype_policies"), _LARGER),
    },
    "models": dict.fromkeys(("Model", "clone_model", "model_from_json"), _SEQUENTIAL),
    "layers": {
        **dict.fromkeys(
            ("Add", "Average", "Concatenate", "Dot", "Lambda", "Maximum", "Multiply", "Subtract"), _SEQUENTIAL
        ),
        **dict.fromkeys(
            ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "TimeDistributed", "ConvLSTM2D"), _RECURRENT
        ),
        **dict.fromkeys(("MultiHeadAttention", "Attention", "AdditiveAttention", "GroupQueryAttention"), _RECURRENT),
        **dict.fromkeys(("Embedding", "TextVectorization", "StringLookup", "Hashing"), _TEXT),
        **dict.fromkeys(("SeparableConv2D", "EinsumDense"), _LARGER),
        **dict.fromkeys(
            ("Conv1D", "Conv3D", "Conv2DTranspose", "UpSampling2D", "MaxPooling1D", "MaxPooling3D"), _IMAGES
        ),
        **dict.fromkeys(("AveragePooling1D", "AveragePooling3D", "ZeroPadding1D", "ZeroPadding3D"), _IMAGES),
        **dict.fromkeys(("SpatialDropout1D", "SpatialDropout3D"), _IMAGES),
        **dict.fromkeys(
            ("GroupNormalization", "RMSNormalization", "SpectralNormalization", "UnitNormalization"), _NORMALIZATION
        ),
        **dict.fromkeys(
            ("RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomShear"), _AUGMENTATION
        ),
        **dict.fromkeys((f"Global{kind}Pooling{n}D" for kind in ("Average", "Max") for n in (1, 3)), _IMAGES),
    },
}


def refuse_keras_name(room: str, name: str) -> None:
    """Raise NotInNetchuError if `name` is one of Keras's that netchu leaves to Keras; else do nothing.

    Args:
        room: whose name it would be, `"layers"` for example; `""` for netchu itself.
        name: that was asked for.
    """
    why = NOT_HERE.get(room, {}).get(name)
    if why:
        where = f"netchu.{room}" if room else "netchu"
        raise NotInNetchuError(
            f"{where} has no {name}: {why}. What netchu leaves to Keras, and what to use instead, stands in "
            "docs/left-to-keras.md."
        )
