"""Cards: what records say of a model, as Markdown and metadata for its page on the Hub."""
