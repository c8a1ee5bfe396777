"""The networks of latent diffusion that MuseTalk and LatentSync share: UNet, autoencoder, sampler.

Inside a worker. Written from the published architectures; parameter names are those of the original
checkpoint files, so that these load unchanged.
"""
