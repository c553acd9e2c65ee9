"""From wishes to versions: pure rules that choose one version of each star, or say why there is no choice."""
