"""The observers that come with lossbench."""
