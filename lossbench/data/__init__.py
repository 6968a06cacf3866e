"""Images: two domains with a training and a test side, from folders or the built-in set."""

from lossbench.data.batches import Batches, read_image, to_tensor, to_uint8
from lossbench.data.dataset import Dataset, Source
from lossbench.data.folders import Folders
from lossbench.data.images import image_paths, read_images, refuse, resized, write_image
from lossbench.data.shapes import VARIANTS, Shapes

__all__ = [
    "VARIANTS",
    "Batches",
    "Dataset",
    "Folders",
    "Shapes",
    "Source",
    "image_paths",
    "read_image",
    "read_images",
    "refuse",
    "resized",
    "to_tensor",
    "to_uint8",
    "write_image",
]
