"""What whisper-tiny hears: the encoder whose inner states MuseTalk and LatentSync listen to."""
