"""The losses, recipes and observers that come with lossbench, found through the same entry points as anybody's."""
