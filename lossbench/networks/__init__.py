"""Generators and discriminators of the papers, and what the trainer wants to know of a network."""

from lossbench.networks.build import Networks, build, check
from lossbench.networks.compiled import compile_networks
from lossbench.networks.discriminators import patch_discriminator
from lossbench.networks.generators import resnet, resnet_generator
from lossbench.networks.network import Init, Network, Norm, initialised, normed
from lossbench.networks.stylizer import style_generator, stylizer
from lossbench.networks.unet import unet, unet_generator

__all__ = [
    "Init",
    "Network",
    "Networks",
    "Norm",
    "build",
    "check",
    "compile_networks",
    "initialised",
    "normed",
    "patch_discriminator",
    "resnet",
    "resnet_generator",
    "style_generator",
    "stylizer",
    "unet",
    "unet_generator",
]
