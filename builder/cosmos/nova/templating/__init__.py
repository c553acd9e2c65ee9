"""The language of templates: Jinja2's syntax, evaluated by rules of our own."""
