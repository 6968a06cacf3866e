"""Recipes: what is trained, as data."""
