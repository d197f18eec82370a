"""Pictures: data, transform, networks, OOD detection, explanations and duplicates."""
