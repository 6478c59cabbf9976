"""A painted story as an illustrated book: a bilingual page that opens from disk, and a PDF."""
