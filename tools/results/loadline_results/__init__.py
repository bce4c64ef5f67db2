"""What was measured: result files, the page made of them, and whether they still speak of this code."""
