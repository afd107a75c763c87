"""From interactions to the first live version: base model, import, the fit or the operator's own adapter."""
