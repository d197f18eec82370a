"""Many inputs at once: files and tables -> answers in a store -> CSV or JSON, in constant memory."""
