"""Filters, processors, tracks and services shaped as other people's audio frameworks want them."""
