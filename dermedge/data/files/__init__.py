"""What lies in a data folder: the table's text, the pictures it names, which files are the same."""
