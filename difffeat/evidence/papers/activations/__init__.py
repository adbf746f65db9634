"""Not All Diffusion Model Activations Have Been Evaluated as Discriminative Features, arXiv 2410.03558."""
