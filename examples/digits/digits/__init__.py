"""Handwritten digits: the example module of unip."""
