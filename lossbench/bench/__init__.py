"""Combinations of losses, trained with several seeds each, and what may be said of them."""
