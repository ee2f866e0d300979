"""How pictures say where they come from: a watermark, metadata, a signature."""
