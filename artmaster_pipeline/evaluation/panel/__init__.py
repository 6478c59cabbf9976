"""The panel: is it the painter's hand, is it consistent, does it answer the prompt, does it copy?"""
