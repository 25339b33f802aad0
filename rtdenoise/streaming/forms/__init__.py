"""The forms in which chunks arrive: either layout, pairs with their rate, raw bytes, whole sources."""
