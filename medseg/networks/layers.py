"""Layers that Keras lacks, or that it has in a slower or less exact form."""

from __future__ import annotations

import keras
from keras import layers, ops

EPSILON = 1e-5  # as in torch and nnU-Net, so that imported weights give the same numbers


@keras.saving.register_keras_serializable("medseg")
class InstanceNorm(layers.Layer):
    """Normalise each channel of each sample over its spatial axes.

    Instance normalisation (Ulyanov et al. 2016) with learned scale and shift and biased
    variance: ``(B, ..., C)`` in and out. Its sibling ``GroupNormalization(groups=-1)`` gives
    the same numbers but runs 2.5 times slower in OpenVINO, which does not recognise it.

    In float32 the form is ``(x - mean) / sqrt(variance + epsilon) * gamma + beta``: written so
    and not with ``rsqrt``, OpenVINO fuses it into one MVN node. In half precision statistics
    are float32 and scale and shift are folded into one multiply-add in the compute type,
    which saves a tenth of a training step.

    ``scale`` initialises gamma: ``"zeros"`` in the last norm of a residual block makes the block
    begin as the identity.
    """

    def __init__(self, scale: str = "ones", **kwargs) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.supports_masking = False

    def build(self, input_shape) -> None:
        channels = (input_shape[-1],)
        self.gamma = self.add_weight(shape=channels, initializer=self.scale, name="gamma")
        self.beta = self.add_weight(shape=channels, initializer="zeros", name="beta")

    def call(self, inputs):
        spatial = tuple(range(1, len(inputs.shape) - 1))
        wide = ops.cast(inputs, "float32")  # half precision overflows in the squares
        mean = ops.mean(wide, axis=spatial, keepdims=True)  # (B, 1, ..., C)
        centred = wide - mean
        variance = ops.mean(ops.square(centred), axis=spatial, keepdims=True)
        deviation = ops.sqrt(variance + EPSILON)
        gamma, beta = ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32")
        if self.compute_dtype == "float32":
            return centred / deviation * gamma + beta
        scale = gamma / deviation
        shift = beta - mean * scale
        return inputs * ops.cast(scale, self.compute_dtype) + ops.cast(shift, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("medseg")
class AsPhotograph(layers.Layer):
    """Give a normalised scan the colours that networks trained on photographs expect.

    ``(B, I, J, 1)`` or ``(B, I, J, 3)``, each channel of mean 0 and deviation 1, becomes
    ``(B, I, J, 3)`` of the mean and deviation of ImageNet, in the form of one of Keras'
    ``preprocess_input``: one channel is repeated.

    ``mode`` is that form: ``"torch"``, channels of mean 0 and deviation 1; ``"tf"``, from -1 to
    1; ``"caffe"``, BGR from 0 to 255 less the mean.
    """

    MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB from 0 to 1 (keras.applications)
    DEVIATION = (0.229, 0.224, 0.225)

    def __init__(self, mode: str, **kwargs) -> None:
        super().__init__(**kwargs)
        if mode not in ("torch", "tf", "caffe"):
            raise ValueError(f"mode must be torch, tf or caffe; received {mode!r}")
        self.mode = mode

    def call(self, inputs):
        image = ops.repeat(inputs, 3, axis=-1) if inputs.shape[-1] == 1 else inputs
        deviation = ops.convert_to_tensor(self.DEVIATION, image.dtype)
        if self.mode == "tf":
            mean = ops.convert_to_tensor(self.MEAN, image.dtype)
            return (image * deviation + mean) * 2 - 1
        if self.mode == "caffe":
            return ops.flip(image * deviation * 255, axis=-1)
        return image

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 3)

    def get_config(self) -> dict:
        return {**super().get_config(), "mode": self.mode}
