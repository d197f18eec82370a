"""Command lines that train: `python -m train.image` and `python -m train.text`."""
