"""Archives and images: tar, zstd, cpio, star archives and the layered image, with readers and writers of our own."""
