"""Who writes storyboards: a template, a local model, an OpenAI-compatible endpoint, behind one interface."""
