"""Pictures: files to examples, examples to tensors, tensors to logits."""
