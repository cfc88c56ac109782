"""What a run reports while it trains: lines on the console, a CSV file of metrics, TensorBoard event files."""
