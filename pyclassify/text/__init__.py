"""Labelled texts: reading them, turning one into numbers, and the networks that read the numbers."""
