"""How the models are trained: `python -m data_prep.training.dit` and `.plaid`; what they share."""
