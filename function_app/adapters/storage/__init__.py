"""Documents and wake-ups: in Azure Storage, or in a local directory."""
