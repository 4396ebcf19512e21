"""The human pages, and what writes and lints them."""
