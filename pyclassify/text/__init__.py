"""Texts: reading labelled ones, turning a text into token ids, and networks that classify the ids."""
