"""Generators and discriminators of the reference CycleGAN, and what the trainer wants to know of a network."""

from lossbench.networks.build import Networks, build, check
from lossbench.networks.discriminators import patch_discriminator
from lossbench.networks.generators import resnet, resnet_generator
from lossbench.networks.network import Network

__all__ = ["Network", "Networks", "build", "check", "patch_discriminator", "resnet", "resnet_generator"]
