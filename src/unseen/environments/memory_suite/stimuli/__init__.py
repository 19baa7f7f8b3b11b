"""What the memory tasks show: objects, glyphs and coloured things that need no download, and loaders for the originals."""
