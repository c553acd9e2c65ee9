"""Choose one version of each star for the wishes, or explain why there is no solution. Pure rules."""
