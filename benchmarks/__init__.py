"""Load generators that measure Ponant beside its peers, over real HTTP."""
