"""The last step of the signal path: one supervised FFmpeg per destination, which only muxes."""
