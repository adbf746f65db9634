"""What all wings stand on, and nothing of diffusion: files, checked input, threads, progress."""
