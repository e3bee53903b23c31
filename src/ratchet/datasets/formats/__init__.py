"""One module for each file format. Each reads bytes into rows and writes cases as bytes; `files.py` chooses."""
