"""Fitting any network on any batches. Nothing is imported here, so that `training.config` comes without torch."""
