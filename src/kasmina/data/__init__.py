"""Data in memory: three splits, batches in an order that seed and epoch determine."""
