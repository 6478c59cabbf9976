"""A painted story as an illustrated book: a bilingual page that opens from disk, and a PDF."""

from artmaster_pipeline.stories.book.contents import Book, book_of
from artmaster_pipeline.stories.book.pages import book_contents
from artmaster_pipeline.stories.book.publishing import proof_book, publish_book

__all__ = ["Book", "book_contents", "book_of", "proof_book", "publish_book"]
