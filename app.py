"""The page: `python app.py` shows what is in `checkpoints/`. Hosts such as Hugging Face Spaces start here as well."""

from __future__ import annotations

try:
    import spaces  # on hosts that lend a GPU per call; it must come before anything that imports torch
except ImportError:
    spaces = None

from pyclassify.ui.launch import main, parse_options, start

__all__ = ["main", "parse_options", "start"]

if __name__ == "__main__":
    main(accelerate=spaces.GPU if spaces else None)
