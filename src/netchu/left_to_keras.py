"""Keras names that netchu knows it does not have: one clear error each, and docs/left-to-keras.md for the reasons."""

from __future__ import annotations

import opcode
import sys
from collections.abc import Callable
from typing import NoReturn

from netchu.errors import ImportNotInNetchuError, NameNotInNetchuError

_SEQUENTIAL = "it builds Sequential models only; a graph of layers with several inputs or branches is Keras's to build"
NO_GRAPHS = (
    "layers are called on data here, and not on other layers. Write netchu.Sequential([Input((4,)), Dense(3)]); for "
    "branches take Keras, or write one Layer of your own. See docs/left-to-keras.md."
)
_RECURRENT = "it has no recurrent layers and no attention: it is made for small networks over fixed-size samples"
_TEXT = "it does not read text"
_LARGER = "it is made for small networks"
_IMAGES = (
    "its layers over space take images (batch, height, width, channels), and leave their size or make them smaller"
)
_NORMALIZATION = "it has BatchNormalization and LayerNormalization"
_AUGMENTATION = "it has RandomTranslation, RandomRotation, RandomZoom and GaussianNoise"
_BACKEND = "its engines take that place: netchu.set_engine, netchu.ops"
_CONFIGURATION = "its objects have get_config and from_config"
_OF_YOUR_OWN = "write one of your own: CONTRIBUTING.md says how"
_NAMES = "give the name as a text, kernel_initializer='he_normal' for example, or the class"
_OPERATIONS = "compute it with NumPy outside of a step, or write it with @netchu.tape.operation"
_RANDOM = "draw with numpy.random outside of a step; layers draw from a netchu.random.Stream"
_TOOLS = "it is for arrays in memory and for any iterable of batches"
_DATASETS = "it brings MNIST; load others with NumPy or with Keras"

# room -> (why, the names), of Keras 3; what netchu has by now is found before anybody looks here.
_LISTS: dict[str, tuple[tuple[str, str], ...]] = {
    "": (
        (_SEQUENTIAL, """
            Model Functional Function KerasTensor
        """),
        (_BACKEND, """
            backend config device distribution name_scope tree RematScope StatelessScope SymbolicScope InputSpec remat
        """),
        (_LARGER, """
            applications distillation dtype_policies legacy mixed_precision quantizers DTypePolicy FloatDTypePolicy
            Quantizer preprocessing
        """),
        (_OPERATIONS, """
            Operation
        """),
        (_CONFIGURATION, """
            saving export
        """),
        (_TOOLS, """
            visualization wrappers
        """),
    ),
    "activations": (
        (_CONFIGURATION, """
            serialize deserialize
        """),
    ),
    "callbacks": (
        (_OF_YOUR_OWN, """
            OrbaxCheckpoint ProgbarLogger RemoteMonitor
        """),
    ),
    "constraints": (
        (_CONFIGURATION, """
            serialize deserialize
        """),
    ),
    "datasets": (
        (_DATASETS, """
            boston_housing california_housing cifar10 cifar100 fashion_mnist imdb reuters
        """),
    ),
    "initializers": (
        (_CONFIGURATION, """
            serialize deserialize
        """),
        (_NAMES, """
            constant glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform ones random_normal
            random_uniform variance_scaling zeros
        """),
        (_OF_YOUR_OWN, """
            Identity IdentityInitializer Orthogonal OrthogonalInitializer STFT STFTInitializer identity orthogonal stft
        """),
    ),
    "layers": (
        (_SEQUENTIAL, """
            Add Average Concatenate Dot Lambda Maximum Minimum Multiply Subtract add average concatenate dot maximum
            minimum multiply subtract Wrapper
        """),
        (_RECURRENT, """
            AdditiveAttention Attention Bidirectional ConvLSTM1D ConvLSTM2D ConvLSTM3D GRU GRUCell GroupQueryAttention
            LSTM LSTMCell MultiHeadAttention RNN SimpleRNN SimpleRNNCell StackedRNNCells TimeDistributed Masking
        """),
        (_TEXT, """
            CategoryEncoding Discretization Embedding HashedCrossing Hashing IntegerLookup ReversibleEmbedding
            StringLookup TextVectorization
        """),
        (_IMAGES, """
            AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D
            AdaptiveMaxPooling2D AdaptiveMaxPooling3D AveragePooling1D AveragePooling3D AvgPool1D AvgPool3D
            ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose Conv2DTranspose Conv3D Conv3DTranspose
            Convolution1D Convolution1DTranspose Convolution2DTranspose Convolution3D Convolution3DTranspose Cropping1D
            Cropping2D Cropping3D DepthwiseConv1D GlobalAveragePooling1D GlobalAveragePooling3D GlobalAvgPool1D
            GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling3D MaxPool1D MaxPool3D
            MaxPooling1D MaxPooling3D SeparableConv1D SeparableConvolution1D SpatialDropout1D SpatialDropout3D
            UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding3D Convolution2D
        """),
        (_NORMALIZATION, """
            GroupNormalization Normalization RMSNormalization SpectralNormalization UnitNormalization
        """),
        (_AUGMENTATION, """
            AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization MixUp RandAugment
            RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform
            RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective
            RandomPosterization RandomSaturation RandomSharpness RandomShear Solarization
        """),
        (_CONFIGURATION, """
            serialize deserialize InputSpec
        """),
        (_LARGER, """
            SeparableConv2D EinsumDense
        """),
        (_OF_YOUR_OWN, """
            CenterCrop FlaxLayer Identity JaxLayer MaxNumBoundingBoxes MelSpectrogram Pipeline RepeatVector Resizing
            STFTSpectrogram SeparableConvolution2D TFSMLayer TorchModuleWrapper
        """),
    ),
    "losses": (
        (_CONFIGURATION, """
            serialize deserialize
        """),
        (_OF_YOUR_OWN, """
            CTC CategoricalGeneralizedCrossEntropy Circle Dice Tversky categorical_generalized_cross_entropy circle ctc
            dice tversky
        """),
    ),
    "metrics": (
        (_CONFIGURATION, """
            serialize deserialize
        """),
        (_OF_YOUR_OWN, """
            BinaryIoU ConcordanceCorrelation IoU MeanIoU OneHotIoU OneHotMeanIoU PearsonCorrelation PrecisionAtRecall
            R2Score RecallAtPrecision SensitivityAtSpecificity SpecificityAtSensitivity concordance_correlation
            pearson_correlation
        """),
    ),
    "models": (
        (_SEQUENTIAL, """
            Model Functional clone_model model_from_json
        """),
        (_CONFIGURATION, """
            save_model
        """),
    ),
    "ops": (
        (_OPERATIONS, """
            adaptive_average_pool adaptive_max_pool allclose amax amin angle append arccos arccosh arcsin arcsinh arctan
            arctan2 arctanh argpartition argsort array array_split associative_scan average bartlett batch_normalization
            bincount bitwise_and bitwise_invert bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift
            bitwise_xor blackman cbrt cdist ceil cholesky cholesky_inverse cond conj conjugate conv_transpose copy
            corrcoef correlate cosh count_nonzero cross ctc_decode ctc_loss cumprod cumsum custom_gradient deg2rad
            depth_to_space det diag diagflat diagonal diff digitize divide_no_nan dot dot_product_attention dsplit
            dstack dtype eig eigh einsum empty empty_like erfc erfinv exp2 extract_sequences eye fabs fft fft2 flip
            fliplr flipud floor_divide fmax fmin fmod fold fori_loop full_like gcd geomspace hamming hanning heaviside
            histogram hsplit hstack hypot i0 identity ifft2 imag inner inv irfft isclose isin isinf isneginf isposinf
            isreal istft jvp kaiser kron layer_normalization lcm ldexp left_shift linalg linspace log10 log2 logaddexp
            logaddexp2 logdet logical_xor logspace lstsq lu_factor map matrix_rank median meshgrid mod moments moveaxis
            multi_hot nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin nanpercentile
            nanprod nanquantile nanstd nansum nanvar ndim nextafter nn nonzero norm normalize numpy outer percentile
            pinv polar psnr ptp qr quantile rad2deg real rearrange repeat rfft right_shift rms_normalization roll rot90
            saturate_cast scan scatter scatter_update searchsorted segment_max segment_min segment_prod segment_sum
            select separable_conv signbit sinc sinh size slice slice_update slogdet solve solve_triangular sort
            space_to_depth split stft svd switch take_along_axis tan tensordot tile trace trapezoid tri tril triu trunc
            unfold unique unravel_index unstack vander vdot vectorize vectorized_map view view_as_complex view_as_real
            vsplit vstack while_loop
        """),
    ),
    "optimizers": (
        (_CONFIGURATION, """
            serialize deserialize
        """),
        (_OF_YOUR_OWN, """
            Adafactor Ftrl Lamb LossScaleOptimizer MultiOptimizer Muon OptimizerMap ScheduleFreeAdamW legacy
        """),
    ),
    "random": (
        (_RANDOM, """
            SeedGenerator beta binomial categorical dropout gamma normal randint shuffle truncated_normal uniform
        """),
    ),
    "regularizers": (
        (_CONFIGURATION, """
            serialize deserialize
        """),
    ),
    "utils": (
        (_TOOLS, """
            Config CustomObjectScope FeatureSpace Progbar PyDataset Sequence array_to_img audio_dataset_from_directory
            bounding_boxes clear_session custom_object_scope deserialize_keras_object disable_interactive_logging
            enable_interactive_logging get_custom_objects get_file get_registered_name get_registered_object
            get_source_inputs image_dataset_from_directory img_to_array is_interactive_logging_enabled is_keras_tensor
            legacy load_img model_to_dot normalize pack_x_y_sample_weight pad_sequences plot_model
            register_keras_serializable save_img serialize_keras_object split_dataset standardize_dtype
            text_dataset_from_directory timeseries_dataset_from_array
        """),
    ),
}  # fmt: skip

NOT_HERE = {room: {name: why for why, names in lists for name in names.split()} for room, lists in _LISTS.items()}
"""room -> name -> why netchu does not have it."""


def refuse_keras_name(room: str, name: str) -> None:
    """Raise NotInNetchuError if `name` is one of Keras's that netchu leaves to Keras; else do nothing.

    It is called by a module's `__getattr__`.  An import would drop the words of an AttributeError, and `hasattr` lets
    no other error pass: so there are two classes.

    Args:
        room: whose name it would be, `"layers"` for example; `""` for netchu itself.
        name: that was asked for.
    """
    why = NOT_HERE.get(room, {}).get(name)
    if why:
        where = f"netchu.{room}" if room else "netchu"
        asked_by = sys._getframe(2)
        imported = asked_by.f_code.co_code[asked_by.f_lasti] == opcode.opmap["IMPORT_FROM"]
        raise (ImportNotInNetchuError if imported else NameNotInNetchuError)(
            f"{where} has no {name}: {why}. What netchu leaves to Keras, and what to use instead, stands in "
            "docs/left-to-keras.md."
        )


def missing_names(room: str) -> Callable[[str], NoReturn]:
    """The `__getattr__` of a room: NotInNetchuError for a name of Keras's, AttributeError for any other.

    Args:
        room: `"losses"` for example.
    """

    def missing(name: str) -> NoReturn:
        refuse_keras_name(room, name)
        raise AttributeError(f"module 'netchu.{room}' has no attribute {name!r}")

    return missing
