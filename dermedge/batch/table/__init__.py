"""Tables of patients: read, their columns found, their rows joined with the files they are about."""
