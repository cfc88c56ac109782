"""What comes after training: predictions for new data, and weights or programs for other tools."""
