"""From a request and a model to pictures: noise, samplers, passes of the denoiser, latents and pixels."""
