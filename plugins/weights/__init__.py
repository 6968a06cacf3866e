"""The pretrained weights that lossbench knows: addresses and hashes. The weights themselves are fetched."""
