"""The gallery: a static site's pages, with enlarged samples and where they come from."""
