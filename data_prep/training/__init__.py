"""How the models are trained: `python -m data_prep.training.dit`, `.unet` and `.plaid`; what they share."""
