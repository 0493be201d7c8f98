"""Reading data sets, splitting them, caching their pictures, drawing training batches."""
