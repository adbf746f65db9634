"""From numbers to answers: results files, a paper's claims and what decides them, sentences."""
