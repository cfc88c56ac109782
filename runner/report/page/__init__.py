"""Runs as one HTML page that needs nothing else: figures by plotly, studies drawn by Optuna."""
