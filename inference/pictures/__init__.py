"""Pictures as pixels: read and written, drawn on, masked. Nothing here imports torch."""
