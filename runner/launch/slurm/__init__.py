"""Runs as jobs of a Slurm cluster: what a job is to do stands in the script that is submitted; nobody has to wait."""
