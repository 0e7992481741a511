"""The fusion network: an image encoder, the clinical values, and a two-layer head.

Tensors only: this module reads no file and knows no table.
"""

from collections import OrderedDict
from numbers import Real

import torch
from torch import nn

from .._utils.validation import check_parameter
from ._encoder_input import as_channels, check_pixel_scale, encoder_input, pixel_scale
from ._encoders import flatten, initialized_encoder, length_of_features

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

    Attributes
    ----------
    encoder : torch.nn.Module or None
        The image encoder.
    head : torch.nn.Sequential
        Two linear layers with a ReLU between them, and dropout behind it unless that is 0. The
        linear layers are "0" and "2" by name.
    n_features : int
        Length of the encoder's feature vector, 0 without an encoder.
    encoder_frozen : bool
        Whether the encoder is fixed, see `freeze_encoder`.
    encoder_has_trained : bool
        Whether `freeze_encoder` has ever let the encoder train.

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
        layers = [
            ("0", nn.Linear(self.n_features + n_clinical, hidden_units)),
            ("1", nn.ReLU()),
            ("2", nn.Linear(hidden_units, n_classes)),
        ]
        if head_dropout:
            # By a name, so that the weights are called the same with and without it.
            layers.insert(2, ("dropout", nn.Dropout(float(head_dropout))))
        self.head = nn.Sequential(OrderedDict(layers))

    def freeze_encoder(self, frozen=True):
        """Fix the encoder, or let it train again.

        A fixed encoder has no gradients and stays in evaluation mode whatever
        `train` says: in training mode its batch normalization would drift.

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
        if self.encoder is not None:
            self.encoder.requires_grad_(not frozen)
            self.encoder.train(self.training and not frozen)
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
            self.encoder.train(mode and not self.encoder_frozen)
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
        with torch.autocast(
            pixels.device.type, self.encoder_dtype, enabled=self.encoder_dtype is not None
        ):
            return flatten(encoder(pixels), encoder).float()

    def forward(self, clinical, image=None, features=None, has_image=None):
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

        Returns
        -------
        torch.Tensor of shape (n_samples, n_classes)
            Logits, float32.
        """
        if self.encoder is None:
            return self.head(clinical)
        if features is None and has_image is None:
            features = self.encode(image)
        elif features is None:
            features = clinical.new_zeros(len(clinical), self.n_features)
            if has_image.any():
                # Only images that are there count in batch normalization.
                features[has_image] = self.encode(image[has_image])
        return self.head(torch.cat([features, clinical], dim=1))
