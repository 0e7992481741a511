"""The fusion network: an image encoder, the clinical values, and a two-layer head.

Tensors only: this module reads no file and knows no table.
"""

from numbers import Real

import torch
from torch import nn

from .._utils.validation import check_parameter
from ._encoder_input import as_channels, check_pixel_scale, encoder_input, pixel_scale
from ._encoders import flatten, initialized_encoder, length_of_features
from ._heads import make_head
from ._split import StageReached, split_encoder

# What red, green and blue add to a gray value (ITU-R BT.601), as Pillow converts images.
_LUMA = 0.299, 0.587, 0.114


def check_head_dropout(value):
    """Refuse what is not a share of hidden units that leaves some."""
    valid = isinstance(value, Real) and not isinstance(value, bool) and 0 <= value < 1
    allowed = (
        "a number from 0 to below 1, the share of hidden units that a training step leaves out"
    )
    check_parameter("head_dropout", value, valid, allowed)


class FusionNetwork(nn.Module):
    """Late fusion of one image and a row of clinical values.

    The encoder turns an image into a feature vector; the clinical values are
    appended to it as they are; a two-layer perceptron maps the whole to one
    logit per class [1]_ (Eq. 1, Fig. 4). Without clinical values this is the
    paper's Baseline; without an encoder it is a perceptron on clinical values.

    Parameters
    ----------
    n_clinical : int
        Number of clinical values per sample, 0 or more.
    n_classes : int
        Number of classes, 2 or more.
    backbone : str, callable or None, default="resnet18"
        The image encoder, see `build_encoder`; None for a network without image.
    encoder_state : dict of str to torch.Tensor or None, default=None
        Weights of the encoder; None leaves them random. Those of `load_encoder_state` know the
        scale of pixels that they were trained with.
    hidden_units : int, default=512
        Width of the hidden layer of the head.
    image_size : int, default=224
        Height and width of the images in pixels.
    encoder_dtype : torch.dtype or None, default=None
        Type in which the encoder computes, such as ``torch.bfloat16``
        (mixed precision); None for float32. The head always computes in float32.
    pixel_mean, pixel_std : float, tuple of 1 or 3 float, or None, default=None
        Mean and standard deviation of red, green and blue, of pixels from 0 to 1, that the encoder
        was trained with: `encode` subtracts the one and divides by the other. One number each says
        that the encoder reads one channel, gray. None takes those of `encoder_state`, or those of
        timm for its models, and ImageNet's where nobody knows any. They are what the first layer
        sees, also of Inception and GoogLeNet, which else change ImageNet's scale to their own.
    head_dropout : float, default=0.0
        Share of the hidden units that a training step leaves out at random, from 0 to below 1.
    head : {"mlp", "linear"}, default="mlp"
        Two linear layers with a ReLU between them, or one linear layer.
    fusion : {"concat", "gated"}, default="concat"
        How image and clinical values meet: appended to each other, or weighed row by row, see
        `GatedHead`.
    modality_dropout : float, default=0.0
        Share of the rows of a training step in which `GatedHead` hides a modality.
    clinical_names : sequence of str or None, default=None
        Names of the clinical values; `GatedHead` finds those in them that say what is missing.
    feature_scaling : {None, "global"}, default=None
        "global": the head sees features less their mean, divided by one number for all of them, see
        `set_feature_scale`.

    Attributes
    ----------
    encoder : torch.nn.Module or None
        The image encoder.
    head : torch.nn.Sequential or GatedHead
        Two linear layers with a ReLU between them, and dropout behind it unless that is 0; the
        linear layers are "0" and "2" by name. A linear head is the layer "0" alone.
    n_features : int
        Length of the encoder's feature vector, 0 without an encoder.
    encoder_frozen : bool
        Whether the encoder is fixed, see `freeze_encoder`.
    encoder_has_trained : bool
        Whether `freeze_encoder` has ever let the encoder, or a stage of it, train.
    split : SplitEncoder or None
        Where `split_at` has divided the encoder.
    engine : {"eager", "fused", "compiled"}
        What computes the features of a fixed encoder, see `EncoderFeatures`; after a fit of
        `FusionClassifier`, what has computed them.

    References
    ----------
    .. [1] S. Wang, Y. Shen et al., "Osteosarcoma diagnosis by late fusion of radiographs,
       alkaline phosphatase and lactate dehydrogenase", section "Approach and
       experimental design".

    Examples
    --------
    >>> import torch
    >>> from skosfusion.network import FusionNetwork
    >>> network = FusionNetwork(n_clinical=4, n_classes=2, image_size=64)
    >>> image = torch.zeros(3, 1, 64, 64, dtype=torch.uint8)
    >>> network(clinical=torch.zeros(3, 4), image=image).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        n_clinical,
        n_classes,
        *,
        backbone="resnet18",
        encoder_state=None,
        hidden_units=512,
        image_size=224,
        encoder_dtype=None,
        pixel_mean=None,
        pixel_std=None,
        head_dropout=0.0,
        head="mlp",
        fusion="concat",
        modality_dropout=0.0,
        clinical_names=None,
        feature_scaling=None,
    ):
        super().__init__()
        check_pixel_scale(pixel_mean, pixel_std)
        check_head_dropout(head_dropout)
        if backbone is None and n_clinical == 0:
            raise ValueError(
                "a network needs an image or clinical values, and has neither: declare an image "
                "column, or keep at least one clinical input"
            )
        self.encoder_dtype = encoder_dtype
        self.encoder_frozen = False
        self.encoder_has_trained = False
        self.split, self.below_has_trained = None, False
        self.engine = "eager"
        self.encoder, self.n_features = None, 0
        if backbone is not None:
            self.encoder = initialized_encoder(backbone, encoder_state)
        if pixel_mean is None:
            usual = encoder_input(backbone)
            scale = [
                getattr(encoder_state, n, getattr(usual, n)) for n in ("pixel_mean", "pixel_std")
            ]
        else:
            scale = pixel_scale(self.encoder, as_channels(pixel_mean), as_channels(pixel_std))
        # Buffers follow the module to its device; they are constants, so not part of its state.
        for name, values in zip(("pixel_mean", "pixel_std"), scale, strict=True):
            constant = 255 * torch.tensor(values).view(1, -1, 1, 1)
            self.register_buffer(name, constant, persistent=False)
        if backbone is not None:
            n_channels = self.pixel_mean.shape[1]
            self.n_features = length_of_features(backbone, self.encoder, image_size, n_channels)
        self.fusion, self.feature_scaling = fusion, feature_scaling
        if feature_scaling is not None:
            self.register_buffer("feature_mean", torch.zeros(self.n_features))
            self.register_buffer("feature_scale", torch.ones(()))
        if clinical_names is None:
            clinical_names = [f"x{number}" for number in range(n_clinical)]
        self.head = make_head(
            self.n_features,
            clinical_names,
            n_classes,
            head=head,
            fusion=fusion,
            hidden_units=hidden_units,
            head_dropout=head_dropout,
            modality_dropout=modality_dropout,
        )

    def set_feature_scale(self, mean, scale):
        """Set what features are reduced by before the head sees them.

        Parameters
        ----------
        mean : torch.Tensor of shape (n_features,)
            Mean of each feature in training, which is subtracted.
        scale : float
            What all are divided by, above 0.

        Returns
        -------
        FusionNetwork
            The network itself.
        """
        self.feature_mean.copy_(mean)
        self.feature_scale.fill_(scale)
        return self

    def freeze_encoder(self, frozen=True):
        """Fix the encoder, or let it train again.

        A fixed encoder has no gradients and stays in evaluation mode whatever
        `train` says: in training mode its batch normalization would drift. After `split_at`, what
        lies below the stage stays fixed in any case.

        Parameters
        ----------
        frozen : bool, default=True
            Whether the encoder is fixed.

        Returns
        -------
        FusionNetwork
            The network itself.
        """
        self.encoder_frozen = bool(frozen)
        self.encoder_has_trained |= not frozen
        if self.split is not None:
            self.encoder.requires_grad_(False)
            for name in self.split.trained:
                self.encoder.get_parameter(name).requires_grad_(not frozen)
            self.encoder.eval()
            self.train(self.training)
        elif self.encoder is not None:
            self.encoder.requires_grad_(not frozen)
            self.encoder.train(self.training and not frozen)
        return self

    def split_at(self, stage, image_size):
        """Divide the encoder, so that a stage of it and what runs after it can train alone.

        Parameters
        ----------
        stage : str
            Name of the stage, as ``encoder.named_modules()`` has it, such as ``"layer4"``. The
            features must follow from its one input alone.
        image_size : int
            Height and width of the images in pixels.

        Returns
        -------
        FusionNetwork
            The network itself.

        Raises
        ------
        ValueError
            If there is no such stage, or the encoder cannot be divided there; the stages on the
            main path are listed.
        TypeError
            For a network class that encodes in its own way.

        Examples
        --------
        >>> import torch
        >>> from skosfusion.network import FusionNetwork
        >>> network = FusionNetwork(n_clinical=4, n_classes=2).split_at("layer4", 224)
        >>> images = torch.zeros(3, 1, 224, 224, dtype=torch.uint8)
        >>> network.eval().encode_below(images).shape
        torch.Size([3, 256, 14, 14])
        """
        if self.encoder is None:
            raise ValueError(f"unfreeze={stage!r}: the network has no encoder, leave unfreeze=None")
        for name in ("encode", "forward", "train"):
            if getattr(type(self), name) is not getattr(FusionNetwork, name):
                raise TypeError(
                    f"unfreeze={stage!r}: {type(self).__name__} has its own {name!r}, which knows "
                    "of no stages; use FusionNetwork, or unfreeze=None"
                )
        n_channels = self.pixel_mean.shape[1]
        self.split = split_encoder(self.encoder, stage, image_size, n_channels)
        self.below_has_trained = self.encoder_has_trained
        return self

    def train(self, mode=True):
        """Set training mode, except for a fixed encoder.

        Parameters
        ----------
        mode : bool, default=True
            Training mode if True, evaluation mode otherwise.

        Returns
        -------
        FusionNetwork
            The network itself.
        """
        self.training = mode
        for layer in self.children():
            if layer is not self.encoder:
                layer.train(mode)
        # A fixed encoder is left alone: visiting its layers costs as much as a step of the head.
        if self.encoder is not None and not (self.encoder_frozen and not self.encoder.training):
            self.encoder.train(mode and not self.encoder_frozen and self.split is None)
            if self.split is not None:
                self.split.train_above(self.encoder, mode and not self.encoder_frozen)
        return self

    def encode(self, image, encoder=None):
        """Turn images into feature vectors.

        Parameters
        ----------
        image : torch.Tensor of shape (n_samples, channels, height, width)
            Pixels, uint8 or float in [0, 255], with one channel (grayscale) or three (red, green,
            blue).
        encoder : torch.nn.Module or None, default=None
            What `skosfusion.network.folded_encoder` made of the encoder; None for the encoder.

        Returns
        -------
        torch.Tensor of shape (n_samples, n_features)
            Features, float32.
        """
        encoder = self.encoder if encoder is None else encoder
        pixels, n_channels = image.float(), self.pixel_mean.shape[1]
        if n_channels < pixels.shape[1]:
            pixels = (pixels * pixels.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        pixels = (pixels.expand(-1, n_channels, -1, -1) - self.pixel_mean) / self.pixel_std
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with self._mixed_precision():
            return flatten(encoder(pixels), encoder).float()

    def _mixed_precision(self):
        is_mixed = self.encoder_dtype is not None
        return torch.autocast(self.pixel_mean.device.type, self.encoder_dtype, enabled=is_mixed)

    def encode_below(self, image, encoder=None):
        """Compute the input of the stage at which `split_at` has divided the encoder.

        Parameters
        ----------
        image : torch.Tensor of shape (n_samples, channels, height, width)
            Pixels as in `encode`.
        encoder : torch.nn.Module or None, default=None
            What `skosfusion.network.folded_encoder` made of the lower half; None for that half.

        Returns
        -------
        torch.Tensor of shape (n_samples, ...)
            The stage's input.
        """
        encoder = self.split.below(self.encoder) if encoder is None else encoder
        try:
            self.encode(image, encoder)
        except StageReached as reached:
            return reached.activation

    def encode_above(self, activations):
        """Turn inputs of the stage, rounded to bf16, into feature vectors.

        Parameters
        ----------
        activations : torch.Tensor of shape (n_samples, ...)
            What `encode_below` gives, perhaps as bf16, as it is kept.

        Returns
        -------
        torch.Tensor of shape (n_samples, n_features)
            Features, float32.
        """
        # Rounded here, too, so that nobody gets other features; a copy, since layers may compute in
        # place.
        activations = activations.to(torch.bfloat16).to(self._dtype_at_stage(), copy=True)
        with self._mixed_precision():
            return flatten(self.split.run_above(self.encoder, activations), self.encoder).float()

    def _dtype_at_stage(self):
        """Find the type in which the stage takes its input, which in mixed precision may be any."""
        if self.encoder_dtype not in self.split.dtypes:
            image = self.pixel_mean.new_zeros(1, *self.split.image_shape)
            with torch.no_grad():
                self.split.dtypes[self.encoder_dtype] = self.encode_below(image).dtype
        return self.split.dtypes[self.encoder_dtype]

    def forward(self, clinical, image=None, features=None, has_image=None, activations=None):
        """Compute one logit per class.

        Parameters
        ----------
        clinical : torch.Tensor of shape (n_samples, n_clinical)
            Normalized clinical values, float32.
        image : torch.Tensor of shape (n_samples, channels, height, width) or None, default=None
            Pixels as in `encode`.
        features : torch.Tensor of shape (n_samples, n_features) or None, default=None
            Features that `encode` gave before; they take the image's place.
        has_image : torch.Tensor of shape (n_samples,) or None, default=None
            Which samples have an image, bool; the features of the others are 0. None: all have.
        activations : torch.Tensor of shape (n_samples, ...) or None, default=None
            Inputs of the stage as in `encode_above`; they take the image's place.

        Returns
        -------
        torch.Tensor of shape (n_samples, n_classes)
            Logits, float32.
        """
        if self.encoder is None:
            return self.head(clinical)
        encode, seen = self.encode, image
        if activations is not None:
            encode, seen = self.encode_above, activations
        if features is None and has_image is None:
            features = encode(seen)
        elif features is None:
            features = clinical.new_zeros(len(clinical), self.n_features)
            if has_image.any():
                # Only images that are there count in batch normalization.
                features[has_image] = self._encoded_apart(encode, seen[has_image])
        return self.head(torch.cat(self.head_inputs(features, clinical, has_image), dim=1))

    def _encoded_apart(self, encode, seen):
        """Encode the images of a batch; one alone is no batch to take statistics of."""
        if len(seen) > 1 or not self.training:
            return encode(seen)
        self.encoder.eval()
        try:
            return encode(seen)
        finally:
            self.train()

    def head_inputs(self, features, clinical, has_image=None):
        """Return what the head sees, part by part; a row without an image has features of 0."""
        if self.feature_scaling is not None:
            features = (features - self.feature_mean) / self.feature_scale
            if has_image is not None:
                features = torch.where(has_image[:, None], features, 0)
        parts = [features, clinical]
        if self.fusion == "gated":
            is_there = features.new_ones(len(features), 1)
            parts.append(is_there if has_image is None else is_there * has_image[:, None])
        return parts
