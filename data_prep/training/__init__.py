"""How the shipped models were trained: `python -m data_prep.training.dit` and `.plaid`; what they share."""
