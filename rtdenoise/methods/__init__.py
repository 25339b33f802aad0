"""The methods: spectral subtraction and Wiener filter, and the context aggregation network."""
