"""MuseTalk: how its face goes back into the picture."""
