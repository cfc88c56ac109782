"""What a shell and this program tell each other when the TAB key is pressed."""
