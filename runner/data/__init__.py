"""Where samples come from: sources, splits, batches, augmentation."""
